"""One question to a program on this host, with one deadline for all of it.

http.client has a timeout for each read: a program that sends a byte now and then would hold a thread for ever, and with
it the end of the process that asked. Knows nothing of what is asked.
"""

from __future__ import annotations

import http.client
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hero_livekit_units.model.launch import Port


@contextmanager
def asked(
    port: Port, path: str, timeout_s: float, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Iterator[http.client.HTTPResponse]:
    """The answer to a GET, or to a POST of `body`, of which the head is read already and the body is not.

    Raises:
        OSError, http.client.HTTPException: there is none, or not in time; reading the body raises the same.
    """
    host = port.connect_host
    connection = http.client.HTTPConnection(host, port.number)
    with _Hurried(socket.AF_INET6 if ":" in host else socket.AF_INET, timeout_s) as hurried:
        hurried.connect((host, port.number))
        connection.sock = hurried
        method = "GET" if body is None else "POST"
        connection.request(method, path, body, {"connection": "close", **(headers or {})})
        with connection.getresponse() as answer:
            yield answer


class _Hurried(socket.socket):
    """A socket whose reads have one deadline together."""

    def __init__(self, family: int, timeout_s: float) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self._until = time.monotonic() + timeout_s
        self.settimeout(timeout_s)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)
        return super().recv_into(*args, **kwargs)
