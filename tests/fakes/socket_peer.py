"""A server on a Unix socket that misbehaves on purpose, or answers what a test tells it to.

By hand: `python -m tests.fakes.socket_peer /tmp/x.sock slow`, then `curl --unix-socket /tmp/x.sock ...`.
"""

from __future__ import annotations

import contextlib
import json
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

Respond = Callable[[Any], Iterator[bytes]]

_DRIP_S = 0.02


def answer(body: bytes, status: str = "200 OK") -> bytes:
    """A whole HTTP answer."""
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def encoded(value: Any) -> bytes:
    """A whole HTTP answer with a JSON body."""
    return answer(json.dumps(value).encode())


def _silent(_: Any) -> Iterator[bytes]:
    yield b""


def _slow(request: Any) -> Iterator[bytes]:
    whole = encoded({"jsonrpc": "2.0", "id": (request or {}).get("id"), "result": "x" * 100_000})
    for at in range(len(whole)):
        yield whole[at : at + 1]
        time.sleep(_DRIP_S)


def _huge(_: Any) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n"
    while True:
        yield b" " * 1_000_000


def _once(data: bytes) -> Respond:
    return lambda _: iter([data])


def _error(error: Any, *, id_: Any = 0) -> Respond:
    return _once(encoded({"jsonrpc": "2.0", "id": id_, "error": error}))


# What each peer does with a request. `silent` keeps the connection open, every other one closes it.
BEHAVIOURS: dict[str, Respond] = {
    "silent": _silent,
    "slow": _slow,
    "huge": _huge,
    "eof-at-once": _once(b""),
    "eof-in-head": _once(b"HTTP/1.1 200 OK\r\ncontent-le"),
    "eof-in-body": _once(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{"),
    "garbage": _once(b"\x00\xff\x13 what is this\r\n\r\n"),
    "no-status": _once(b"HTTP/1.1 \r\n\r\n"),
    "letters-for-status": _once(b"HTTP/1.1 abc OK\r\ncontent-length: 2\r\n\r\n{}"),
    "http-1.0": _once(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}"),
    "http-500": _once(answer(b"out of order", "500 Internal Server Error")),
    "http-204": _once(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "chunked": _once(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    "bad-length": _once(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n{}"),
    "not-json": _once(answer(b"<html>hello</html>")),
    "not-utf-8": _once(answer(b'"\xff\xfe"')),
    "nested": _once(answer(b"[" * 1_000_000)),
    "a-number": _once(encoded(5)),
    "empty-batch": _once(encoded([])),
    "wrong-id": _once(encoded({"jsonrpc": "2.0", "id": 7, "result": "of another call"})),
    "no-id": _once(encoded({"jsonrpc": "2.0", "id": None, "result": "of no call"})),
    "unhashable-id": _once(encoded({"jsonrpc": "2.0", "id": [], "result": 1})),
    "neither": _once(encoded({"jsonrpc": "2.0", "id": 0})),
    "both": _once(encoded({"jsonrpc": "2.0", "id": 0, "result": 1, "error": {"code": 1, "message": ""}})),
    "error-is-text": _error("it went wrong"),
    "error-without-code": _error({"message": "it went wrong"}),
    "error-with-text-code": _error({"code": "E1", "message": "it went wrong"}),
}


class SocketPeer:
    """Serves in threads while the context lasts. `requests` are the decoded bodies, in the order of their coming.

    A GET has none, and `respond` gets None for it.
    """

    def __init__(self, path: Path | str, respond: Respond) -> None:
        self.path = str(path)
        self.requests: list[Any] = []
        peer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):
                    request = _read(self.rfile)
                    if request is not None:
                        peer.requests.append(request)
                    for piece in respond(request):
                        self.wfile.write(piece)
                    if respond is _silent:
                        self.rfile.read(1)  # until the client gives up

        class Server(socketserver.ThreadingUnixStreamServer):
            request_queue_size = 64

            def handle_error(self, _: Any, __: Any) -> None:
                kind = sys.exc_info()[0]
                if kind is None or not issubclass(kind, OSError):
                    super().handle_error(_, __)

        self._server = Server(self.path, Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _read(file: Any) -> Any:
    length = 0
    while (line := file.readline()) not in {b"\r\n", b""}:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return json.loads(file.read(length) or b"null")


if __name__ == "__main__":
    with SocketPeer(sys.argv[1], BEHAVIOURS[sys.argv[2]]) as by_hand:
        print(f"{sys.argv[2]} on {by_hand.path}; Ctrl-C ends it")  # noqa: T201
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
