"""The daemon put together: lock, database, supervisor, socket, signals. The only place that constructs them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

from hero_livekit_units.embedded.children import keep_descriptors_private
from hero_livekit_units.embedded.health import Health
from hero_livekit_units.embedded.lifecycle import HAS_PROCESS
from hero_livekit_units.embedded.logtrim import LogLimits, LogTrimmer
from hero_livekit_units.embedded.methods import Methods
from hero_livekit_units.embedded.plugins import Plugins
from hero_livekit_units.embedded.store import Store
from hero_livekit_units.embedded.supervisor import Supervisor
from hero_livekit_units.errors import DaemonError
from hero_livekit_units.herosocket.address import HERO_PROC_SOCKET
from hero_livekit_units.herosocket.listener import listen
from hero_livekit_units.herosocket.lockfile import take_lock
from hero_livekit_units.herosocket.server import HeroServer, HeroService

if TYPE_CHECKING:
    from hero_livekit_units.herosocket.listener import Listener

# Named, not imported: the loader brings in what no daemon should carry, and plugins that none should trust.
_LOADER = "hero_livekit_units.loader"

_log = logging.getLogger(__name__)


def run(socket_path: str, state_dir: str, version: str, log_limits: LogLimits) -> int:
    """Serve until SIGTERM, SIGINT or system.shutdown. The processes go on; the next daemon finds them again.

    Args:
        socket_path: of the Hero socket.
        state_dir: for the database and the logs; made 0700.
        version: that it says it has.
        log_limits: of the logs of the processes.

    Returns:
        The exit status.

    Raises:
        SocketBusy: another daemon is there.
        DaemonError: the socket or the state cannot be used.
    """
    keep_descriptors_private()
    with ExitStack() as held:
        state_dir = os.path.abspath(state_dir)  # noqa: PTH100
        database = os.path.join(state_dir, "hero_proc.db")  # noqa: PTH118
        try:
            for folder in (state_dir, os.path.join(state_dir, "logs")):  # noqa: PTH118
                os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103
                os.chmod(folder, 0o700)  # noqa: PTH101
            # A lock for the state as well as for the socket: two sockets must not lead to one set of processes.
            held.callback(os.close, take_lock(f"{database}.lock", f"use {state_dir}"))
        except OSError as error:
            raise DaemonError(f"cannot use {state_dir}: {error.strerror or error}") from error
        listener = held.enter_context(closing(listen(socket_path)))
        store = held.enter_context(closing(Store.open(database)))
        os.environ[HERO_PROC_SOCKET] = os.path.abspath(socket_path)  # noqa: PTH100
        return asyncio.run(_serve(listener, store, state_dir, version, log_limits))


def openrpc(version: str) -> dict[str, Any]:
    """The OpenRPC document of the methods."""
    # Not importlib.resources, which brings half a megabyte of archive readers along.
    path = os.path.join(os.path.dirname(__file__), "openrpc.json")  # noqa: PTH118, PTH120
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        document: dict[str, Any] = json.load(file)
    document["info"]["version"] = version
    return document


async def _serve(listener: Listener, store: Store, state_dir: str, version: str, log_limits: LogLimits) -> int:
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    health = Health()
    log_folder = os.path.join(state_dir, "logs")  # noqa: PTH118
    supervisor = Supervisor(store, log_folder, health)
    jobs = supervisor.jobs
    trimmer = LogTrimmer(
        log_folder, log_limits, lambda: [job.log_file for job in jobs.all() if job.state in HAS_PROCESS]
    )
    plugins = Plugins([sys.executable, "-m", _LOADER], state_dir, supervisor.specs)
    methods = Methods(supervisor, store, health, plugins, version, ending.set)
    service = HeroService("hero_proc", "Hero Proc (embedded)", version, "Keeps processes alive.", openrpc(version))
    server = HeroServer(service, methods.registry())
    supervisor.recover()
    await server.start(listener)
    _log.info("hero_proc %s listens on %s, pid %d", version, listener.path, os.getpid())
    plugins.start()
    trimmer.start()
    await ending.wait()
    if supervisor.closing:
        await supervisor.wait(supervisor.all_ended, None)
    await server.close()
    trimmer.close()
    plugins.close()
    health.close()
    supervisor.jobs.close()
    _log.info("hero_proc ended; what it started goes on" if not supervisor.closing else "hero_proc ended")
    return 0
