"""A Hero service: the four routes over a JSON-RPC endpoint.

Owns: routes, status codes, the documents of a service. Must not know what its methods do.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import frozen

from hero_livekit_units.herosocket.http import IDLE_S, HttpServer, Request, Response
from hero_livekit_units.herosocket.rpc import RpcEndpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pjrpc.server import MethodRegistry

    from hero_livekit_units.herosocket.listener import Listener

_ROUTES = {"/rpc": "POST", "/openrpc.json": "GET", "/health": "GET", "/.well-known/heroservice.json": "GET"}


@frozen
class HeroService:
    """What a service says about itself. `openrpc` is its OpenRPC document, which `rpc.discover` returns too."""

    name: str
    title: str
    version: str
    description: str
    openrpc: dict[str, Any]


class HeroServer:
    """Serves methods on a Hero socket.

    `rpc.discover` is added to the methods. Methods may be functions or coroutine functions; functions run in the event
    loop and must be quick (`rpc.threaded` wraps one that is not). Everything they raise but ServiceError is answered as
    an internal error. A connection ends after `idle_s` seconds without a complete request.
    """

    def __init__(self, service: HeroService, methods: MethodRegistry, *, idle_s: float = IDLE_S) -> None:
        methods.add_method(lambda: service.openrpc, "rpc.discover")
        self._endpoint = RpcEndpoint(methods)
        health = {"status": "ok", "service": service.name, "version": service.version}
        manifest = {"protocol": "openrpc", "name": service.name, "title": service.title, "version": service.version}
        manifest |= {"description": service.description, "socket": "rpc"}
        self._documents = {
            "/openrpc.json": json.dumps(service.openrpc, ensure_ascii=False).encode(),
            "/health": json.dumps(health).encode(),
            "/.well-known/heroservice.json": json.dumps(manifest, ensure_ascii=False).encode(),
        }
        self._http = HttpServer(self._respond, idle_s=idle_s)

    async def start(self, listener: Listener, connections: Sequence[int] = ()) -> None:
        """Answer from now on, on connections that `finish` left too."""
        await self._http.start(listener.socket, connections)

    async def finish(self) -> list[int]:
        """Answer what has been asked, then no more; who connects from now on waits in the listener.

        Returns:
            Descriptors of the connections on which nothing was being asked; what is asked on them waits there.
        """
        return await self._http.finish()

    async def close(self) -> None:
        """Answer no more. The listener is the caller's to close."""
        await self._http.close()

    async def _respond(self, request: Request) -> Response:
        expected = _ROUTES.get(request.path)
        if expected is None:
            return Response(404, b"no such path\n", "text/plain")
        if request.method != expected:
            return Response(405, f"use {expected}\n".encode(), "text/plain", {"allow": expected})
        if request.path != "/rpc":
            return Response(200, self._documents[request.path])
        body = await self._endpoint.answer(request.body)
        return Response(204) if body is None else Response(200, body)
