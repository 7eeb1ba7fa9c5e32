"""A unit that holds the ports it is told to and answers HTTP on the TCP ones; prints `ready` when it does.

unit.py [--silent | --busy] tcp:HOST:PORT udp:HOST:PORT ...

--silent accepts and never answers, --busy says that two people are in a room.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys

_EMPTY = {b"/debug/rooms": b"[]"}
_BUSY = {b"/debug/rooms": b'[{"Name": "standup", "Participants": {"ana": {}, "ben": {}}}]'}


def _listen(word: str) -> socket.socket:
    kind, _, rest = word.partition(":")
    host, _, port = rest.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not host.startswith("::ffff:")))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, int(port)))
    if kind == "tcp":
        sock.listen()
    return sock


def _answer(connection: socket.socket, bodies: dict[bytes, bytes]) -> None:
    with connection:
        connection.settimeout(1.0)
        try:
            path = [*connection.recv(4096).split(), b"", b""][1]
            body = bodies.get(path, b"OK")
            connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        except OSError:
            return


def main(words: list[str]) -> None:
    """Listen and answer until killed."""
    silent = "--silent" in words
    bodies = _BUSY if "--busy" in words else _EMPTY
    kept = []
    with selectors.DefaultSelector() as selector:
        for word in words:
            if word.startswith("--"):
                continue
            kept.append(sock := _listen(word))
            if word.startswith("tcp"):
                selector.register(sock, selectors.EVENT_READ)
        os.write(1, b"ready\n")
        while True:
            for key, _ in selector.select():
                if isinstance(key.fileobj, socket.socket):
                    connection, _ = key.fileobj.accept()
                    if silent:
                        kept.append(connection)
                    else:
                        _answer(connection, bodies)


if __name__ == "__main__":
    main(sys.argv[1:])
