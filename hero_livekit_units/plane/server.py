"""Composition root of the control plane: the service's methods on its Hero socket, until a signal or a kill."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, NoReturn

from pjrpc.server import MethodRegistry

from hero_livekit_units.errors import DefinitionInvalid, ProvisionFailed, RegistryUnavailable, StepFailed, UnitsError
from hero_livekit_units.herosocket.listener import listen
from hero_livekit_units.herosocket.rpc import ServiceError, threaded
from hero_livekit_units.herosocket.server import HeroServer, HeroService
from hero_livekit_units.media import Media
from hero_livekit_units.plane.methods import LivekitService
from hero_livekit_units.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hero_livekit_units.herosocket.listener import Listener
    from hero_livekit_units.places import Places

_log = logging.getLogger(__name__)

NAME = "hero_livekit"
METHODS = (
    "install",
    "configure",
    "start",
    "stop",
    "status",
    "ensure_ready",
    "plan",
    "ensure",
    "drain",
    "cancel_drain",
    "history",
)
_GO_ON_S = 5.0  # as often as a livekit-server that was asked to end looks whether it is empty
_LOOKS = ("status", "plan", "history")
# Whoever acts may have to wait for its turn, for a minute even; those who only look must not wait behind it.
_ACTING_THREADS = 32

# Codes of this service, -32020 to -32029; anything else that is ours on purpose is -32020.
_CODES: tuple[tuple[type[UnitsError], int], ...] = (
    (DefinitionInvalid, -32021),
    (RegistryUnavailable, -32022),
    (StepFailed, -32023),
    (ProvisionFailed, -32024),
)
_JSON_TYPES = {"str": "string", "bool": "boolean", "int": "integer"}


def serve(places: Places, *, hero_proc_socket: str | None = None) -> NoReturn:
    """Serve until SIGTERM or SIGINT, which end the process with status 0.

    Raises:
        SocketBusy: another control plane serves this socket.
        DaemonError: the socket cannot be made.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    service = LivekitService(Media.connect(socket=hero_proc_socket, places=places))
    listener = listen(str(places.socket(NAME)))
    try:
        asyncio.run(_serve(service, listener))
    finally:
        listener.close()


async def _serve(service: LivekitService, listener: Listener) -> NoReturn:
    methods = MethodRegistry()
    acting = ThreadPoolExecutor(_ACTING_THREADS, thread_name_prefix="act")
    for name in METHODS:
        method = _answering(getattr(service, name))
        methods.add_method(threaded(method) if name in _LOOKS else _acting(method, acting), f"livekitservice.{name}")
    about = HeroService(
        name=NAME,
        title="LiveKit control plane",
        version=VERSION,
        description="Stateless client of hero_proc for the media units",
        openrpc=document(service),
    )
    server = HeroServer(about, methods)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await server.start(listener)
    _log.info("control plane serves %s", listener.path)
    keeping = asyncio.create_task(_go_on(service))
    await ended.wait()
    keeping.cancel()
    await server.close()
    listener.close()
    # A step that waits in a thread must not hold up the end: the next ensure goes on from wherever it stood.
    os._exit(0)


async def _go_on(service: LivekitService) -> None:
    """Go on with what is drained: nobody else looks when its last room ends or its time is over."""
    said = ""
    while True:
        await asyncio.sleep(_GO_ON_S)
        try:
            await asyncio.to_thread(service.go_on)
        except UnitsError as error:
            if str(error) != said:  # once for each trouble: it is looked at every few seconds
                _log.warning("cannot go on with what is drained: %s", error)
            said = str(error)
        else:
            said = ""


def _acting(
    method: Callable[..., dict[str, Any]], pool: ThreadPoolExecutor
) -> Callable[..., Awaitable[dict[str, Any]]]:
    """A method that runs in threads which are kept for acting."""

    @wraps(method)
    async def in_pool(*args: Any, **kwargs: Any) -> dict[str, Any]:
        return await asyncio.get_running_loop().run_in_executor(pool, partial(method, *args, **kwargs))

    return in_pool


def _answering(method: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """A method whose errors of ours become errors of the wire, with their hints."""

    @wraps(method)
    def answer(*args: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            return method(*args, **kwargs)
        except UnitsError as error:
            code = next((code for kind, code in _CODES if isinstance(error, kind)), -32020)
            name = type(error).__name__
            raise ServiceError(code, name, str(error), retryable=error.retryable, hint=error.hint) from error

    return answer


def document(service: LivekitService) -> dict[str, Any]:
    """The OpenRPC document, made from the methods themselves so that it cannot drift from them."""
    return {
        "openrpc": "1.2.6",
        "info": {"title": "hero_livekit", "version": VERSION},
        "methods": [_method(name, getattr(service, name)) for name in METHODS],
    }


def _method(name: str, method: Callable[..., Any]) -> dict[str, Any]:
    params = [
        {
            "name": parameter.name,
            "required": parameter.default is inspect.Parameter.empty,
            "schema": {"type": _JSON_TYPES[str(parameter.annotation)], "default": parameter.default},
        }
        for parameter in inspect.signature(method).parameters.values()
    ]
    return {
        "name": f"livekitservice.{name}",
        "summary": inspect.getdoc(method) or "",
        "paramStructure": "by-name",
        "params": params,
        "result": {"name": "result", "schema": {"type": "object"}},
    }
