"""Who holds a port: by the socket's inode, as the kernel lists it, never by a name."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from hero_livekit_units.model.observed import PortSeen
from hero_livekit_units.model.unit import Protocol
from hero_livekit_units.observe import kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_livekit_units.model.launch import Port
    from hero_livekit_units.model.observed import ProcessSeen
    from hero_livekit_units.observe.sockets import Holders

_ANY = "*"


def see_ports(ports: Sequence[Port], listing: Holders | None, expected: ProcessSeen | None) -> tuple[PortSeen, ...]:
    """Who holds each port; the expected process is looked at first, the whole host only for a stranger."""
    if listing is None:
        return tuple(PortSeen(port, looked=False, held=False) for port in ports)
    inodes = kernel.socket_inodes(expected.id.pid) if expected else frozenset()
    return tuple(_see(port, listing, expected, inodes) for port in ports)


def _see(port: Port, listing: Holders, expected: ProcessSeen | None, inodes: frozenset[int] | None) -> PortSeen:
    held = {inode for address, inode in listing.get((port.protocol, port.number), ()) if _conflicts(port.bind, address)}
    if not held:
        return PortSeen(port, looked=True, held=False)
    if inodes is None:
        return PortSeen(port, looked=False, held=True)
    if expected and held & inodes:
        return PortSeen(port, looked=True, held=True, owner_pid=expected.id.pid, owner_command=expected.command)
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
    one, other = _address(ours), _address(theirs)
    return _ANY in {one, other} or one == other


def _address(text: str) -> str:
    """One spelling for each address: Java, for one, listens on `::ffff:127.0.0.1` where it says 127.0.0.1."""
    if text == _ANY:
        return _ANY
    found = ipaddress.ip_address(text)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return _ANY if (mapped or found).is_unspecified else str(mapped or found)
