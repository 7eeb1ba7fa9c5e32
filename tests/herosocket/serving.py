"""A Hero service in a thread, and raw bytes to and from it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from attrs import frozen
from pjrpc.server import MethodRegistry

from hero_livekit_units.herosocket.listener import listen
from hero_livekit_units.herosocket.rpc import ServiceError, threaded
from hero_livekit_units.herosocket.server import HeroServer, HeroService

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE_S = 10.0


class Served:
    """The service, with one connection's worth of bytes at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.released = threading.Event()
        self.heard: list[Any] = []

    def connect(self) -> socket.socket:
        """A connection; the caller closes it."""
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.settimeout(DEADLINE_S)
        peer.connect(self.path)
        return peer

    def exchange(self, data: bytes) -> bytes:
        """Send bytes, and read until the server closes."""
        with self.connect() as peer:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            return read_all(peer)

    def request(self, data: bytes) -> Response:
        """Send one request, and read its response."""
        return parse(self.exchange(data))

    def post(self, body: bytes, *headers: bytes) -> Response:
        """`POST /rpc` with this body."""
        lines = [b"POST /rpc HTTP/1.1", b"host: x", b"content-length: %d" % len(body), *headers]
        return self.request(b"\r\n".join(lines) + b"\r\n\r\n" + body)

    def call(self, value: Any) -> Any:
        """`POST /rpc` of a value, which has to be answered with 200; the decoded answer."""
        response = self.post(json.dumps(value).encode())
        assert response.status == 200
        return json.loads(response.body)


@frozen
class Response:
    """One HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


def read_all(peer: socket.socket) -> bytes:
    """Everything until the end of the stream; a reset is an end too."""
    data = b""
    try:
        while piece := peer.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data


def parse(data: bytes) -> Response:
    """The only response in these bytes."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert int(headers.get("content-length", "0")) == len(body)
    return Response(int(first.split()[1]), headers, body)


def methods(served: Served) -> MethodRegistry:
    """Methods of each kind."""

    def add(a: int, b: int = 1) -> int:
        return a + b

    def between(from_: int, to: int) -> list[int]:
        return [from_, to]

    def note(value: Any) -> None:
        served.heard.append(value)

    def wait_blocking() -> bool:
        return served.released.wait(DEADLINE_S)

    async def wait() -> bool:
        deadline = time.monotonic() + DEADLINE_S
        while not served.released.is_set() and time.monotonic() < deadline:  # noqa: ASYNC110  set by another thread
            await asyncio.sleep(0.005)
        return served.released.is_set()

    def refuse() -> None:
        raise ServiceError(-32077, "Refused", "not today", retryable=True, hint="come tomorrow", day=3)

    def break_down(password: str) -> None:
        raise RuntimeError(f"inside, with {password}")

    registry = MethodRegistry()
    for method in (add, between, note, wait, refuse, break_down):
        registry.add_method(method)
    registry.add_method(threaded(wait_blocking))
    return registry


def serve(path: str, *, idle_s: float = 30.0) -> Iterator[Served]:
    """Run a service until the generator is closed."""
    served = Served(path)
    listener = listen(path)
    loop = asyncio.new_event_loop()
    service = HeroService("tested", "Tested", "1.2.3", "For tests.", {"openrpc": "1.3.2", "methods": []})
    server = HeroServer(service, methods(served), idle_s=idle_s)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(listener), loop).result(DEADLINE_S)
    yield served
    served.released.set()
    asyncio.run_coroutine_threadsafe(server.close(), loop).result(DEADLINE_S)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    listener.close()
