"""`lk-backend`: from arguments and environment to a listening process and back to an exit status.

Owns the process: signals, the listening socket, logging, the exit status. Must not know what the routes do.

Exit status: 0 ended on request, 2 cannot start (one line on stderr says why).
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import signal
import socket
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from hero_livekit_units.backend.routes import Routes, RoutesFile
from hero_livekit_units.backend.settings import Settings, read_env_file, read_settings
from hero_livekit_units.backend.store import Store
from hero_livekit_units.errors import DaemonError
from hero_livekit_units.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

# How long a stop waits for answers that are being sent.
GRACE_S = 3
BACKLOG = 512

_log = logging.getLogger("lk-backend")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the backend until it is told to stop; return the exit status.

    Args:
        arguments: the command line without the program's name; None takes the process's own.
    """
    options = _parser().parse_args(arguments)
    # Whatever this process creates, SQLite's side files among it, is for its owner alone.
    os.umask(0o077)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        from_file = read_env_file(options.env_file) if options.env_file else {}
        settings = read_settings(os.environ, from_file)
        routes = routes_of(settings)
        routes()  # a wrong file should be told at once
        with closing(Store(settings.sqlite_path)) as store, _listen(settings) as listener:
            _serve(settings, store, listener, routes)
    except DaemonError as error:
        advice = f" ({error.hint})" if error.hint else ""
        sys.stderr.write(f"lk-backend: {error}{advice}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lk-backend",
        description="Makes LiveKit join tokens over HTTP.",
        epilog="Environment: LIVEKIT_API_KEY, LIVEKIT_API_SECRET, LIVEKIT_URL, BACKEND_SECRET and SQLITE_PATH are "
        "needed; PORT is 8080, BIND 127.0.0.1 and TOKEN_TTL_S 21600 unless set. In the place of "
        "LIVEKIT_URL, ROUTES_FILE names a JSON file with join_url, for new rooms, and slots, the addresses at which "
        "rooms that run are looked for; where those are nodes of one Redis, also redis, and gauges, where each says "
        "which node it is. GATE_FILE names a file that is there while token requests are to be held. With "
        "OLD_BACKEND_SECRET, callers may show that one too.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--env-file",
        type=Path,
        metavar="PATH",
        help="file of KEY=VALUE lines, readable by its owner alone; the process's own environment wins",
    )
    parser.add_argument("--version", action="version", version=f"lk-backend {VERSION}")
    return parser


def _listen(settings: Settings) -> socket.socket:
    """Open the listening socket.

    Raises:
        DaemonError: the port is taken, or this user or host cannot have it.
    """
    family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
    try:
        listener = socket.create_server((settings.bind, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        where = f"port {settings.port} of {settings.bind}"
        if error.errno == errno.EADDRINUSE:
            raise DaemonError(
                f"cannot listen on {where}: it is in use",
                hint=f"`ss -ltnp sport = :{settings.port}` names the process; or set PORT to a free one",
            ) from error
        cause = os.strerror(error.errno).lower() if error.errno else "it cannot be opened"
        raise DaemonError(f"cannot listen on {where}: {cause}", hint="set BIND and PORT") from error
    # Inherited by every connection. asyncio sets it only on sockets made with a protocol number, and without it the
    # second answer on a connection waits 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def routes_of(settings: Settings) -> Callable[[], Routes]:
    """Who says where people join: the setting, or the file as it is in that moment."""
    if settings.routes_file is None:
        routes = Routes(settings.livekit_url)
        return lambda: routes
    return RoutesFile(settings.routes_file).now


def _serve(settings: Settings, store: Store, listener: socket.socket, routes: Callable[[], Routes]) -> None:
    # Late: these take most of the start, and a wrong setting should be told at once.
    import uvicorn  # noqa: PLC0415

    from hero_livekit_units.backend.app import build_app  # noqa: PLC0415
    from hero_livekit_units.backend.ended import EndedNodes  # noqa: PLC0415
    from hero_livekit_units.backend.gate import Gate, GateFile  # noqa: PLC0415
    from hero_livekit_units.backend.rooms import Rooms  # noqa: PLC0415
    from hero_livekit_units.backend.service import RoomService  # noqa: PLC0415

    rooms = Rooms(routes, key=settings.api_key, secret=settings.api_secret)
    gate = Gate(GateFile(settings.gate_file).now) if settings.gate_file else None
    service = RoomService(key=settings.api_key, secret=settings.api_secret)
    ended = EndedNodes(routes, service, settings.sqlite_path.with_name("nodes.json"))
    over = threading.Event()
    threading.Thread(target=ended.watch, args=(over,), name="ended nodes", daemon=True).start()

    server = uvicorn.Server(
        uvicorn.Config(
            build_app(settings, store, rooms, gate),
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=GRACE_S,
        )
    )

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn restores these when it is done and raises the signal again: with the default ones the process would die
    # of the signal, after a perfect stop, and a supervisor would take that for a failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    host, port = listener.getsockname()[:2]
    _log.info("lk-backend %s listens on %s", VERSION, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    server.run(sockets=[listener])
    over.set()
    _log.info("stopped")
