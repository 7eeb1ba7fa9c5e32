"""A small HTTP server on a TCP port of 127.0.0.1 whose answers are bytes by path, several in turn, or a hang."""

from __future__ import annotations

import contextlib
import http.client
import socketserver
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message
    from types import TracebackType

DRIP = b"a byte now and then, without an end"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


def ok(body: str) -> bytes:
    """A whole answer with status 200."""
    data = body.encode()
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(data), data)


class HttpAnswers:
    """Serves while the context lasts; None is silence, DRIP bytes without an end.

    `asked` lists the paths, `heads` what was said with each.
    """

    def __init__(self, answers: Mapping[str, bytes | list[bytes] | None]) -> None:
        self.asked: list[str] = []
        self.heads: list[Message] = []
        own = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                path = self.rfile.readline().split()[1].decode()
                head = http.client.parse_headers(self.rfile)
                self.rfile.read(int(head.get("content-length", "0")))
                own.heads.append(head)
                own.asked.append(path)
                found = answers.get(path, NOT_FOUND)
                if isinstance(found, list):
                    found = found[len(own.asked) - 1]
                if found is None:
                    self.rfile.read(1)
                elif found is DRIP:
                    with contextlib.suppress(ConnectionError):
                        while True:
                            self.wfile.write(b"x")
                            time.sleep(0.02)
                else:
                    self.wfile.write(found)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
