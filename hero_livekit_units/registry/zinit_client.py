"""JSON-RPC for zinit: one object a line on a Unix socket, answered in order. Each call has one deadline for all of it.

A zinit that has dead-locked still answers `system.ping`; every call here ends by its deadline all the same.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

from attrs import frozen

from hero_livekit_units.errors import EntryNotFound, RegistryProtocolError, RegistryRefused, RegistryUnavailable
from hero_livekit_units.herosocket.client import not_answered

if TYPE_CHECKING:
    from collections.abc import Sequence

_NOT_FOUND = -32000
_FAILED = -32603  # what every change that fails is answered with
_UNKNOWN_NAME = "service not found"
_LARGEST_ANSWER = 16 * 1024 * 1024
_CREDENTIALS = struct.Struct("3i")  # pid, user, group: unix(7), SO_PEERCRED


@frozen
class Answers:
    """Results in the order of the calls, each a RegistryRefused where zinit said no; peer: the pid of zinit."""

    results: list[Any]
    peer: int


class ZinitClient:
    """Calls the methods of one zinit. Holds no connection between calls."""

    def __init__(self, path: str, *, deadline_s: float) -> None:
        self.path = path
        self._deadline_s = deadline_s

    def call(self, method: str, params: dict[str, Any] | None = None, *, deadline_s: float | None = None) -> Any:
        """Call one method and return its result.

        Raises:
            RegistryUnavailable: nobody listens, or the deadline passed.
            RegistryProtocolError: the answer is not JSON-RPC.
            RegistryRefused: zinit answered with an error; EntryNotFound where it does not know the name.
        """
        (result,) = self.batch([(method, params)], deadline_s=deadline_s).results
        if isinstance(result, RegistryRefused):
            raise result
        return result

    def batch(self, calls: Sequence[tuple[str, dict[str, Any] | None]], *, deadline_s: float | None = None) -> Answers:
        """Call several methods on one connection, one after the other.

        Raises:
            RegistryUnavailable, RegistryProtocolError: as for `call`.
        """
        within_s = self._deadline_s if deadline_s is None else deadline_s
        names = ", ".join(dict.fromkeys(method for method, _ in calls))
        lines = [
            json.dumps({"jsonrpc": "2.0", "id": at, "method": method, "params": params or {}})
            for at, (method, params) in enumerate(calls, 1)
        ]
        until = time.monotonic() + within_s
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(within_s)
                connection.connect(self.path)
                credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
                connection.sendall("".join(f"{line}\n" for line in lines).encode())
                answers = _read_lines(connection, len(lines), until)
        except (OSError, ValueError) as error:
            raise not_answered(error, names, self.path, within_s, "is zinit stuck or stopped?") from error
        results = [self._result(at, method, line) for at, ((method, _), line) in enumerate(zip(calls, answers), 1)]  # noqa: B905  as many as calls
        return Answers(results, _CREDENTIALS.unpack(credentials)[0])

    def _result(self, at: int, method: str, line: bytes) -> Any:
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RegistryProtocolError(method, f"{self.path} answered what is not JSON") from error
        if not isinstance(answer, dict) or answer.get("id") != at or ("result" in answer) == ("error" in answer):
            raise RegistryProtocolError(method, f"the answer of {self.path} is not JSON-RPC 2.0")
        if "result" in answer:
            return answer["result"]
        said = answer["error"]
        if not isinstance(said, dict) or not isinstance(said.get("code"), int):
            raise RegistryProtocolError(method, f"the answer of {self.path} is not JSON-RPC 2.0")
        says = str(said.get("message", ""))
        unknown = said["code"] == _NOT_FOUND or (said["code"] == _FAILED and _UNKNOWN_NAME in says)
        return (EntryNotFound if unknown else RegistryRefused)(
            method, says, code=said["code"], data=said.get("data"), hint=""
        )


def speaks_zinit(path: str, *, deadline_s: float = 0.3) -> bool:
    """Whether what listens on a socket answers a ping in lines, with its version."""
    try:
        ping = ZinitClient(path, deadline_s=deadline_s).call("system.ping")
    except (RegistryUnavailable, RegistryProtocolError, RegistryRefused):
        return False
    return isinstance(ping, dict) and isinstance(ping.get("version"), str)


def _read_lines(connection: socket.socket, count: int, until: float) -> list[bytes]:
    buffer = bytearray()
    while buffer.count(b"\n") < count:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        piece = connection.recv(65536)
        if not piece:
            raise ValueError("the answer ends early")
        buffer += piece
        if len(buffer) > _LARGEST_ANSWER:
            raise ValueError("the answer is too large")
    return bytes(buffer).split(b"\n")[:count]
