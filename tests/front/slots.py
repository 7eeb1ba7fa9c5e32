"""Stand-ins for the slots of livekit-server, and people who join through the front: all in this process.

A slot answers a join as livekit-server does, by switching protocols, and holds the connection open; it says in its
answer which slot it is, and keeps a record of who came.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from base64 import urlsafe_b64encode
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import jwt
from attrs import define, field

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

SECRET = "a secret for joins, 0123456789abcdef"


def token(room: str | None) -> str:
    """A token with the claims that LiveKit knows a room by; without a room, that of a service."""
    return jwt.encode({"iss": "APIfront", "video": {"room": room} if room else {"roomList": True}}, SECRET)


def encoded(claims: dict[str, Any], *, ascii_only: bool) -> str:
    """A token whose JSON has what is not ASCII as it is, or escaped, as PyJWT does it."""
    head = {"alg": "HS256", "typ": "JWT"}
    parts = [json.dumps(part, ensure_ascii=ascii_only, separators=(",", ":")) for part in (head, claims)]
    return ".".join([urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts] + ["bm8"])


class Slot:
    """One server on a fixed port. It can be stopped, with all its connections, and started again."""

    def __init__(self, name: str, port: int, *, answers_after_s: float = 0.0) -> None:
        self.name = name
        self.port = port
        self.answers_after_s = answers_after_s
        self.joins: list[tuple[float, str]] = []  # when, by the monotonic clock, and into which room
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Listen from now on."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """End as by SIGKILL: nobody listens any more, and every connection is cut."""
        if self._listener is not None:
            _close(self._listener)
            self._listener = None
        with self._lock:
            left = list(self._open)
        for connection in left:
            _close(connection)

    @property
    def rooms(self) -> set[str]:
        """The rooms that anybody has joined here."""
        return {room for _, room in self.joins}

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        with suppress(OSError), connection:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                piece = connection.recv(65536)
                if not piece:
                    return
                head += piece
            self.joins.append((time.monotonic(), _room_of(head)))
            time.sleep(self.answers_after_s)
            connection.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
                b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nx-slot: " + self.name.encode() + b"\r\n\r\n"
            )
            while piece := connection.recv(65536):
                connection.sendall(piece)
        with self._lock:
            self._open.discard(connection)


def _close(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def _room_of(head: bytes) -> str:
    given = head.split(b"access_token=")[1].split(b" ")[0].decode()
    claims: dict[str, Any] = jwt.decode(given, options={"verify_signature": False})
    return str(claims["video"].get("room", ""))


@define
class Joined:
    """How a join went: the slot that answered, or "" and what went wrong instead; times are monotonic seconds."""

    room: str
    slot: str
    began_s: float
    took_s: float
    fault: str = ""
    connection: socket.socket | None = field(default=None, repr=False)

    def still_open(self, timeout_s: float = 5.0) -> bool:
        """Whether what is sent over it comes back."""
        assert self.connection is not None
        try:
            self.connection.settimeout(timeout_s)
            self.connection.sendall(b"still there")
            return self.connection.recv(100) == b"still there"
        except OSError:
            return False

    def leave(self) -> None:
        """Hang up."""
        if self.connection is not None:
            _close(self.connection)


def join(
    port: int, room: str | None, *, timeout_s: float = 12.0, tls: ssl.SSLContext | None = None, given: str = ""
) -> Joined:
    """Join a room as a client library does, with a token of its own or the one that is `given`."""
    began_s = time.monotonic()

    def done(slot: str, fault: str = "", connection: socket.socket | None = None) -> Joined:
        return Joined(room or "", slot, began_s, time.monotonic() - began_s, fault, connection)

    connection: socket.socket | None = None
    try:
        connection = socket.create_connection(("127.0.0.1", port), timeout_s)
        if tls is not None:
            connection = tls.wrap_socket(connection, server_hostname="localhost")
        connection.sendall(
            f"GET /rtc/v1?access_token={given or token(room)} HTTP/1.1\r\nhost: localhost\r\n"
            "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(65536)
            if not piece:
                connection.close()
                return done("", f"hung up after {head!r}")
            head += piece
    except OSError as error:
        if connection is not None:
            connection.close()
        return done("", repr(error))
    if not head.startswith(b"HTTP/1.1 101"):
        connection.close()
        return done("", head.split(b"\r\n")[0].decode())
    return done(head.split(b"x-slot: ")[1].split(b"\r\n")[0].decode(), "", connection)


class Crowd:
    """People who join at a steady pace, each on a thread of its own, and stay until they are sent away."""

    def __init__(self, port: int, *, most: int = 64) -> None:
        self._port = port
        self._pool = ThreadPoolExecutor(most)
        self._joins: list[Any] = []

    def join(self, room: str) -> None:
        """Let somebody join at once, without waiting for how it goes."""
        self._joins.append(self._pool.submit(join, self._port, room))

    def all(self) -> list[Joined]:
        """How every join went, in the order in which they were begun."""
        return [one.result() for one in self._joins]

    def leave(self) -> None:
        """Send everybody away."""
        for one in self.all():
            one.leave()
        self._pool.shutdown()


def split(joins: Iterable[Joined]) -> dict[str, set[str]]:
    """The rooms that are on more than one slot, each with its slots."""
    where = defaultdict(set)
    for one in joins:
        if one.slot:
            where[one.room].add(one.slot)
    return {room: slots for room, slots in where.items() if len(slots) > 1}
