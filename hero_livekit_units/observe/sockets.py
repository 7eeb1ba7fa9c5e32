"""Which sockets wait for callers on this host, as the kernel knows them.

Asked over netlink (sock_diag(7)), which gives just the listening ones in a fraction of a millisecond. /proc/net, which
lists every connection of the host, is asked where the kernel has no socket diagnosis.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from hero_livekit_units.model.unit import Protocol


class Holder(NamedTuple):
    """A socket that waits for callers: its address, its inode, and the user whose process made it."""

    address: str
    inode: int
    uid: int


Holders = dict[tuple[Protocol, int], list[Holder]]  # by transport and number

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_TCP_LISTEN = 10
_EVERY_STATE = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_REQUEST = struct.Struct("=BBBxI48x")  # family, protocol, extensions, states, an empty socket id
_ANSWER = struct.Struct("=4x2s2x16s16x12x12xII")  # source port and address; behind three counters user and inode
_TIMEOUT_S = 1.0


def holders() -> Holders | None:
    """Every listening TCP and bound UDP socket of this network namespace, or None when the kernel does not tell."""
    try:
        return _by_netlink()
    except (OSError, struct.error):
        return _by_proc()


def _by_netlink() -> Holders:
    found: Holders = defaultdict(list)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(_TIMEOUT_S)
        for protocol, number, states in (
            (Protocol.TCP, socket.IPPROTO_TCP, 1 << _TCP_LISTEN),
            (Protocol.UDP, socket.IPPROTO_UDP, _EVERY_STATE),
        ):
            for family in (socket.AF_INET, socket.AF_INET6):
                body = _REQUEST.pack(family, number, 0, states)
                header = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
                netlink.send(header + body)
                _collect(netlink, family, protocol, found)
    return found


def _collect(netlink: socket.socket, family: int, protocol: Protocol, found: Holders) -> None:
    """Read the answers to one request, up to the message that ends them.

    Raises:
        OSError: the kernel refuses the request.
    """
    while True:
        answer = netlink.recv(1 << 18)
        at = 0
        while at < len(answer):
            length, kind, *_ = _HEADER.unpack_from(answer, at)
            if kind in {_NLMSG_DONE, _NLMSG_ERROR}:
                # Both carry a status. A kernel without diagnosis of UDP ends an empty list with one: not a list at all.
                (status,) = struct.unpack_from("=i", answer, at + _HEADER.size)
                if status or kind == _NLMSG_ERROR:
                    raise OSError(-status, "sock_diag refused")
                return
            port, address, uid, inode = _ANSWER.unpack_from(answer, at + _HEADER.size)
            packed = address if family == socket.AF_INET6 else address[:4]
            holder = Holder(str(ipaddress.ip_address(packed)), inode, uid)
            found[protocol, int.from_bytes(port, "big")].append(holder)
            at += (length + 3) & ~3


def _by_proc() -> Holders | None:
    found: Holders = defaultdict(list)
    for name, protocol in (
        ("tcp", Protocol.TCP),
        ("tcp6", Protocol.TCP),
        ("udp", Protocol.UDP),
        ("udp6", Protocol.UDP),
    ):
        try:
            lines = Path("/proc/net", name).read_text(encoding="ascii").splitlines()[1:]
        except FileNotFoundError:
            if name.endswith("6"):
                continue  # a kernel without IPv6
            return None
        except OSError:
            return None
        for line in lines:
            fields = line.split()
            address, _, number = fields[1].partition(":")
            if protocol is Protocol.TCP and int(fields[3], 16) != _TCP_LISTEN:
                continue
            found[protocol, int(number, 16)].append(Holder(_address(address), int(fields[9]), int(fields[7])))
    return found


def _address(text: str) -> str:
    """An address as /proc/net writes it: 32-bit words in the machine's byte order."""
    words = [bytes.fromhex(text[at : at + 8]) for at in range(0, len(text), 8)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return str(ipaddress.ip_address(packed))
