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

_TOKEN_LIFE_S = 10  # it may go to a stranger, who is to have no use for it


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


def bearer(key: str, secret: str, grant: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a call to livekit-server's API, with a token that is good for a few seconds.

    Args:
        key: of the API.
        secret: that belongs to the key.
        grant: what the call needs, such as {"roomList": True}.

    Raises:
        ValueError: the key cannot sign.
    """
    import jwt  # noqa: PLC0415  most who ask sign nothing

    now_s = int(time.time())
    claims = {"iss": key, "nbf": now_s - 1, "exp": now_s + _TOKEN_LIFE_S, "video": dict(grant)}
    try:
        token = jwt.encode(claims, secret, algorithm="HS256")
    except jwt.PyJWTError as error:
        raise ValueError("the key cannot sign") from error
    return {"authorization": f"Bearer {token}", "content-type": "application/json"}


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
