"""JSON-RPC over HTTP/1.1 on a Unix socket: the client that everything of ours uses.

It is written on `socket` alone, as it is on the path of every `hlu status`: importing http.client costs more time than
the whole question. Each call has one deadline for all of it.
"""

from __future__ import annotations

import json
import socket
import time

from hero_livekit_units.errors import (
    EntryNotFound,
    RegistryConflict,
    RegistryError,
    RegistryProtocolError,
    RegistryRefused,
    RegistryUnavailable,
)

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_KINDS = {-32000: EntryNotFound, -32009: RegistryConflict}  # by the code of the answer
_LARGEST_ANSWER = 64 * 1024 * 1024
_LARGEST_DOCUMENT = 4 * 1024 * 1024
_GET_DOCUMENT = b"GET /openrpc.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
_VERSION = b"HTTP/1.1 "


class HeroClient:
    """Calls the methods of one Hero service. Holds no connection between calls, so it never knows a stale one."""

    def __init__(self, path: str, *, deadline_s: float = 5.0) -> None:
        self.path = path
        self._deadline_s = deadline_s

    def call(self, method: str, params: dict[str, Any] | None = None, *, deadline_s: float | None = None) -> Any:
        """Call one method and return its result.

        Raises:
            RegistryUnavailable: nobody listens, or the deadline passed.
            RegistryProtocolError: the answer is not JSON-RPC.
            RegistryRefused: the service answered with an error; EntryNotFound where it does not know the name.
        """
        (answer,) = self.batch([(method, params)], deadline_s=deadline_s)
        if isinstance(answer, RegistryRefused):
            raise answer
        return answer

    def batch(
        self, calls: Sequence[tuple[str, dict[str, Any] | None]], *, deadline_s: float | None = None
    ) -> list[Any]:
        """Call several methods in one round trip; each result is the method's, or the RegistryRefused that it met.

        Raises:
            RegistryUnavailable, RegistryProtocolError: as for `call`.
        """
        names = ", ".join(dict.fromkeys(method for method, _ in calls))
        requests = [
            {"jsonrpc": "2.0", "id": at, "method": method, "params": params or {}}
            for at, (method, params) in enumerate(calls)
        ]
        body = json.dumps(requests if len(requests) > 1 else requests[0]).encode()
        status, answer = self._exchange(names, body, self._deadline_s if deadline_s is None else deadline_s)
        if status != 200:
            raise RegistryProtocolError(names, f"{self.path} answered HTTP {status}")
        try:
            decoded = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise RegistryProtocolError(names, f"{self.path} answered what is not JSON") from error
        answers = [item for item in (decoded if isinstance(decoded, list) else [decoded]) if isinstance(item, dict)]
        by_id = {item["id"]: item for item in answers if isinstance(item.get("id"), int)}
        # An error about the request as a whole carries no id.
        alone = next((item for item in answers if item.get("id") is None and "error" in item), None)
        return [self._result(method, by_id.get(at, alone)) for at, (method, _) in enumerate(calls)]

    def document(self, *, deadline_s: float | None = None) -> Any:
        """The decoded OpenRPC document of the service: from `GET /openrpc.json`, or else from `rpc.discover`.

        Raises:
            RegistryUnavailable: as for `call`.
            RegistryProtocolError: neither gives JSON, or one that is too large or too deep.
            RegistryRefused: there is no document, and the service does not know `rpc.discover`.
        """
        until = time.monotonic() + (self._deadline_s if deadline_s is None else deadline_s)
        name = "GET /openrpc.json"
        try:
            status, text = self._ask(name, _GET_DOCUMENT, until - time.monotonic(), _LARGEST_DOCUMENT)
            if status == 200:
                return json.loads(text)
        except RecursionError as error:
            raise RegistryProtocolError(name, f"{self.path} answered what is nested too deeply") from error
        except (ValueError, RegistryProtocolError):
            pass  # the other road may give it whole
        found = self.call("rpc.discover", deadline_s=max(until - time.monotonic(), 0.001))
        try:
            return json.loads(found) if isinstance(found, str) else found  # some give it as text
        except (ValueError, RecursionError) as error:
            raise RegistryProtocolError("rpc.discover", f"{self.path} answered what is not JSON") from error

    def _result(self, method: str, answer: Any) -> Any:
        if not isinstance(answer, dict) or ("result" in answer) == ("error" in answer):
            raise self._garbage(method)
        if "result" in answer:
            return answer["result"]
        error = answer["error"]
        if not isinstance(error, dict) or not isinstance(error.get("code"), int):
            raise self._garbage(method)
        data = error.get("data")
        hint = str(data.get("hint") or "") if isinstance(data, dict) else ""
        kind = _KINDS.get(error["code"], RegistryRefused)
        return kind(method, str(error.get("message", "")), code=error["code"], data=data, hint=hint)

    def _garbage(self, method: str) -> RegistryProtocolError:
        return RegistryProtocolError(method, f"the answer of {self.path} is not JSON-RPC 2.0")

    def _exchange(self, names: str, body: bytes, deadline_s: float) -> tuple[int, bytes]:
        head = b"POST /rpc HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        request = head + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        return self._ask(names, request, deadline_s, _LARGEST_ANSWER)

    def _ask(self, names: str, request: bytes, deadline_s: float, largest: int) -> tuple[int, bytes]:
        until = time.monotonic() + deadline_s
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(max(deadline_s, 0.001))
                connection.connect(self.path)
                connection.sendall(request)
                return _read(connection, until, largest)
        except (OSError, ValueError) as error:
            raise not_answered(error, names, self.path, deadline_s, "is the service stuck or stopped?") from error


def not_answered(error: OSError | ValueError, names: str, path: str, within_s: float, hint: str) -> RegistryError:
    """What became of a question to a socket, as the error that its caller sees.

    Args:
        error: of the socket, or ValueError for an answer that is none.
        names: the methods that were called.
        path: of the socket.
        within_s: seconds that there were for all of it.
        hint: what to do where nothing came in that time.
    """
    if isinstance(error, TimeoutError):
        return RegistryUnavailable(names, f"{path} did not answer within {within_s:g} s", hint=hint)
    if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
        return RegistryUnavailable(names, f"nobody listens on {path}")
    if isinstance(error, OSError):
        return RegistryUnavailable(names, f"{path}: {error.strerror or error}")
    return RegistryProtocolError(names, f"{path}: {error}")


def _read(connection: socket.socket, until: float, largest: int) -> tuple[int, bytes]:
    """Status and body of one answer, which ends by its content-length (the connection closes after it)."""
    buffer = bytearray()
    length: int | None = None
    head = -1
    while length is None or len(buffer) < head + length:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        piece = connection.recv(65536)
        if not piece:
            raise ValueError("the answer ends early")
        buffer += piece
        if length is None and (end := buffer.find(b"\r\n\r\n")) >= 0:
            head = end + 4
            length = _content_length(bytes(buffer[:end]))
        if len(buffer) > largest:
            raise ValueError("the answer is too large")
    return int(buffer[len(_VERSION) : len(_VERSION) + 3]), bytes(buffer[head : head + length])


def _content_length(head: bytes) -> int:
    first, *lines = head.split(b"\r\n")
    if not first.startswith(_VERSION):
        raise ValueError("the answer is not HTTP/1.1")
    for line in lines:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
        if name.strip().lower() == b"transfer-encoding":
            raise ValueError("the answer is chunked")
    return 0
