"""Who holds a port: by the socket's inode, as the kernel lists it, never by a name."""

from __future__ import annotations

import ipaddress
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from hero_livekit_units.model.observed import PortSeen
from hero_livekit_units.model.unit import Protocol
from hero_livekit_units.observe import kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_livekit_units.model.launch import Port

_TCP_LISTEN = "0A"
_ANY = {"0.0.0.0", "::", "*"}

Holders = dict[tuple[Protocol, int], list[tuple[str, int]]]  # (transport, number) -> [(address, inode)]


def holders() -> Holders | None:
    """Every listening TCP and bound UDP socket of this host, or None when the kernel does not list them."""
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
            if protocol is Protocol.TCP and fields[3] != _TCP_LISTEN:
                continue
            found[protocol, int(number, 16)].append((_address(address), int(fields[9])))
    return found


def see_ports(ports: Sequence[Port], listing: Holders | None, expected_pids: Sequence[int]) -> tuple[PortSeen, ...]:
    """Who holds each port; the expected processes are looked at first, the whole host only for a stranger."""
    if listing is None:
        return tuple(PortSeen(port, looked=False, held=False) for port in ports)
    inodes = {pid: kernel.socket_inodes(pid) for pid in expected_pids}
    return tuple(_see(port, listing, inodes) for port in ports)


def _see(port: Port, listing: Holders, expected: dict[int, frozenset[int] | None]) -> PortSeen:
    held = {inode for address, inode in listing.get((port.protocol, port.number), ()) if _conflicts(port.bind, address)}
    if not held:
        return PortSeen(port, looked=True, held=False)
    for pid, inodes in expected.items():
        if inodes is None:
            return PortSeen(port, looked=False, held=True)
        if held & inodes:
            seen = kernel.see_process(pid)
            return PortSeen(port, looked=True, held=True, owner_pid=pid, owner_command=seen.command if seen else "")
    return _stranger(port)


def _stranger(port: Port) -> PortSeen:
    import psutil  # noqa: PLC0415  slow, and only needed when somebody else is there

    for connection in psutil.net_connections("tcp" if port.protocol is Protocol.TCP else "udp"):
        local = connection.laddr
        listening = port.protocol is Protocol.UDP or connection.status == psutil.CONN_LISTEN
        if not local or local.port != port.number or not listening or not _conflicts(port.bind, local.ip):
            continue
        if connection.pid:
            seen = kernel.see_process(connection.pid)
            command = seen.command if seen else ""
            return PortSeen(port, looked=True, held=True, owner_pid=connection.pid, owner_command=command)
        return PortSeen(port, looked=True, held=True, owner_command="a process of another user")
    return PortSeen(port, looked=True, held=False)  # gone since the kernel listed it


def _conflicts(ours: str, theirs: str) -> bool:
    return ours in _ANY or theirs in _ANY or ours == theirs


def _address(text: str) -> str:
    """An address as /proc/net writes it: 32-bit words in the machine's byte order."""
    words = [bytes.fromhex(text[at : at + 8]) for at in range(0, len(text), 8)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return str(ipaddress.ip_address(packed))
