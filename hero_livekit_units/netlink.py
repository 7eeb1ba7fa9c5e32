"""Lists of the kernel, asked over netlink(7): one request, the messages that answer it."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ERROR, _DONE = 2, 3
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_TIMEOUT_S = 1.0


def open_netlink(family: int) -> socket.socket:
    """A netlink socket of a family (NETLINK_ROUTE is 0, NETLINK_SOCK_DIAG is 4); the caller closes it.

    Raises:
        OSError: the kernel has no such family, or may not be asked.
    """
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
    netlink.settimeout(_TIMEOUT_S)
    return netlink


def dump(netlink: socket.socket, kind: int, body: bytes) -> Iterator[bytes]:
    """Ask for a list; gives the body of each message of the answer.

    Raises:
        OSError: the kernel refuses the request, or does not answer in time.
        struct.error: the answer is not one.
    """
    netlink.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST_DUMP, 1, 0) + body)
    while True:
        answer = netlink.recv(1 << 18)
        at = 0
        while at < len(answer):
            length, kind, *_ = _HEADER.unpack_from(answer, at)
            if kind in {_DONE, _ERROR}:
                # Both carry a status. A kernel without diagnosis of UDP ends an empty list with one: not a list at all.
                (status,) = struct.unpack_from("=i", answer, at + _HEADER.size)
                if status or kind == _ERROR:
                    raise OSError(-status, "the kernel refuses to list it")
                return
            if length < _HEADER.size:
                raise struct.error("a message without a length")
            yield answer[at + _HEADER.size : at + length]
            at += (length + 3) & ~3
