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
from hero_livekit_units.embedded.handover import PROTOCOL, Handover, become, go_back, hold_signals, take_signals
from hero_livekit_units.embedded.health import Health
from hero_livekit_units.embedded.lifecycle import HAS_PROCESS
from hero_livekit_units.embedded.logtrim import LogLimits, LogTrimmer
from hero_livekit_units.embedded.methods import Methods
from hero_livekit_units.embedded.plugins import Plugins
from hero_livekit_units.embedded.store import SCHEMA, Store
from hero_livekit_units.embedded.supervisor import Supervisor
from hero_livekit_units.embedded.upgrade import Upgrade
from hero_livekit_units.errors import DaemonError
from hero_livekit_units.herosocket.address import HERO_PROC_SOCKET
from hero_livekit_units.herosocket.listener import inherit, listen
from hero_livekit_units.herosocket.lockfile import take_lock
from hero_livekit_units.herosocket.server import HeroServer, HeroService

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_livekit_units.embedded.answering import Around
    from hero_livekit_units.herosocket.listener import Listener

# Named, not imported: the loader brings in what no daemon should carry, and plugins that none should trust.
_LOADER = "hero_livekit_units.loader"

_log = logging.getLogger(__name__)


def run(
    socket_path: str,
    state_dir: str,
    version: str,
    log_limits: LogLimits,
    handover: Handover | None,
    quirks: Sequence[str] = (),
) -> int:
    """Serve until SIGTERM, SIGINT or system.shutdown. The processes go on; the next daemon finds them again.

    On system.upgrade this process becomes another program, which goes on here. Where that one cannot serve, it becomes
    this program again.

    Args:
        socket_path: of the Hero socket.
        state_dir: for the database and the logs; made 0700.
        version: that it says it has.
        log_limits: of the logs of the processes.
        handover: from the program that this one replaces, None when it was started anew.
        quirks: names of faults that it is to have, see `quirks`.

    Returns:
        The exit status.

    Raises:
        SocketBusy: another daemon is there.
        DaemonError: the socket or the state cannot be used.
    """
    keep_descriptors_private()
    state_dir = os.path.abspath(state_dir)  # noqa: PTH100
    with ExitStack() as held:
        daemon = _Daemon(state_dir, version, log_limits, handover, quirks)
        try:
            state_lock = handover.state_lock if handover else _take_state(state_dir)
            held.callback(os.close, state_lock)
            listener = inherit(socket_path, *handover[:2]) if handover else listen(socket_path)
            held.enter_context(closing(listener))
            store = held.enter_context(closing(Store.open(_database(state_dir))))
            os.environ[HERO_PROC_SOCKET] = os.path.abspath(socket_path)  # noqa: PTH100
            command = asyncio.run(daemon.serve(listener, store))
        except Exception as error:
            if handover and not daemon.serves:
                _log.exception("hero_proc %s cannot go on here; the version before it does", version)
                go_back(handover, f"{type(error).__name__}: {error}")
            raise
        if command:
            store.close()
            back = (sys.executable, *sys.orig_argv[1:])
            connections = tuple(daemon.connections)
            _become(command, Handover(*listener.hand_over(), state_lock, connections, back, daemon.generation + 1))
    return 0


def check(state_dir: str, version: str) -> str:
    """What this program says about itself before it takes the place of another; it changes nothing.

    Raises:
        DaemonError: it could not work with the database.
    """
    database = _database(os.path.abspath(state_dir))  # noqa: PTH100
    Store.rehearse(database)
    return json.dumps({"version": version, "schema": SCHEMA, "handover": PROTOCOL})


def _database(state_dir: str) -> str:
    return os.path.join(state_dir, "hero_proc.db")  # noqa: PTH118


def _take_state(state_dir: str) -> int:
    """The lock of the state, whose folders are made. Two sockets must not lead to one set of processes."""
    try:
        for folder in (state_dir, os.path.join(state_dir, "logs")):  # noqa: PTH118
            os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103
            os.chmod(folder, 0o700)  # noqa: PTH101
        return take_lock(f"{_database(state_dir)}.lock", f"use {state_dir}")
    except OSError as error:
        raise DaemonError(f"cannot use {state_dir}: {error.strerror or error}") from error


def _become(command: Sequence[str], handover: Handover) -> None:
    """Become the program that was checked; where it has gone since then, begin anew as what we are."""
    try:
        become(command, handover)
    except OSError as error:
        go_back(handover, f"{command[0]} cannot be executed: {error.strerror or error}")


def openrpc(version: str) -> dict[str, Any]:
    """The OpenRPC document of the methods."""
    # Not importlib.resources, which brings half a megabyte of archive readers along.
    path = os.path.join(os.path.dirname(__file__), "openrpc.json")  # noqa: PTH118, PTH120
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        document: dict[str, Any] = json.load(file)
    document["info"]["version"] = version
    return document


def _around(names: Sequence[str], supervisor: Supervisor) -> dict[str, Around]:
    if not names:
        return {}
    from hero_livekit_units.embedded.quirks import Quirk, Quirks  # noqa: PLC0415  tests of clients alone ask for it

    return {"around": Quirks([Quirk(name) for name in names], supervisor).around}


class _Daemon:
    """What serves between two execs.

    serves: calls are answered, so there is no way back any more. connections: what was left to whoever goes on.
    """

    def __init__(
        self, state_dir: str, version: str, log_limits: LogLimits, handover: Handover | None, quirks: Sequence[str]
    ) -> None:
        self._state_dir = state_dir
        self._version = version
        self._log_limits = log_limits
        self._handover = handover
        self._quirks = quirks
        self.generation = handover.generation if handover else 0
        self.serves = False
        self.connections: list[int] = []

    async def serve(self, listener: Listener, store: Store) -> list[str]:
        """Serve until the end; the command that is to take our place, empty for none."""
        version = self._version
        ending = asyncio.Event()
        loop = asyncio.get_running_loop()
        health = Health()
        log_folder = os.path.join(self._state_dir, "logs")  # noqa: PTH118
        supervisor = Supervisor(store, log_folder, health, checked=self._handover is not None)
        jobs = supervisor.jobs
        trimmer = LogTrimmer(
            log_folder, self._log_limits, lambda: [job.log_file for job in jobs.all() if job.state in HAS_PROCESS]
        )
        upgrade = Upgrade(supervisor, version, self._handover, ending.set)

        def end() -> None:
            upgrade.cancel()
            ending.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
        plugins = Plugins([sys.executable, "-m", _LOADER], self._state_dir, supervisor.specs)
        methods = Methods(supervisor, store, health, plugins, version, end, upgrade)
        service = HeroService("hero_proc", "Hero Proc (embedded)", version, "Keeps processes alive.", openrpc(version))
        server = HeroServer(service, methods.registry(**_around(self._quirks, supervisor)))
        supervisor.recover()
        await server.start(listener, self._handover.connections if self._handover else ())
        self.serves = True
        take_signals()
        _log.info("hero_proc %s listens on %s, pid %d", version, listener.path, os.getpid())
        plugins.start()
        trimmer.start()
        await ending.wait()
        if upgrade.command:
            await plugins.settled()  # whoever waits for it gets it from us
            supervisor.hurry()
            self.connections = await server.finish()
        if not upgrade.command:
            for descriptor in self.connections:  # nobody goes on with them after all
                os.close(descriptor)
            if supervisor.closing:
                await supervisor.wait(supervisor.all_ended, None)
            await server.close()
        trimmer.close()
        plugins.close()
        health.close()
        supervisor.jobs.close()
        if upgrade.command:
            hold_signals()
            _log.info("hero_proc %s makes room for %s", version, upgrade.command[0])
            return upgrade.command
        _log.info("hero_proc ended; what it started goes on" if not supervisor.closing else "hero_proc ended")
        return []
