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
from hero_livekit_units.netlink import dump, open_netlink


class Holder(NamedTuple):
    """A socket that waits for callers: its address, its inode, and the user whose process made it."""

    address: str
    inode: int
    uid: int


Holders = dict[tuple[Protocol, int], list[Holder]]  # by transport and number

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_TCP_LISTEN = 10
_EVERY_STATE = 0xFFFFFFFF
_REQUEST = struct.Struct("=BBBxI48x")  # family, protocol, extensions, states, an empty socket id
_ANSWER = struct.Struct("=4x2s2x16s16x12x12xII")  # source port and address; behind three counters user and inode


def holders() -> Holders | None:
    """Every listening TCP and bound UDP socket of this network namespace, or None when the kernel does not tell."""
    try:
        return _by_netlink()
    except (OSError, struct.error):
        return _by_proc()


def _by_netlink() -> Holders:
    found: Holders = defaultdict(list)
    with open_netlink(_NETLINK_SOCK_DIAG) as netlink:
        for protocol, number, states in (
            (Protocol.TCP, socket.IPPROTO_TCP, 1 << _TCP_LISTEN),
            (Protocol.UDP, socket.IPPROTO_UDP, _EVERY_STATE),
        ):
            for family in (socket.AF_INET, socket.AF_INET6):
                for body in dump(netlink, _SOCK_DIAG_BY_FAMILY, _REQUEST.pack(family, number, 0, states)):
                    port, address, uid, inode = _ANSWER.unpack_from(body)
                    packed = address if family == socket.AF_INET6 else address[:4]
                    holder = Holder(str(ipaddress.ip_address(packed)), inode, uid)
                    found[protocol, int.from_bytes(port, "big")].append(holder)
    return found


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
