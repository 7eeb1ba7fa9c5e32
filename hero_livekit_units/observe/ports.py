"""Who holds a port: by the socket's inode, as the kernel lists it, never by a name."""

from __future__ import annotations

import ipaddress
import os
import pwd
from typing import TYPE_CHECKING

from hero_livekit_units.model.observed import PortSeen
from hero_livekit_units.model.unit import Protocol
from hero_livekit_units.observe import kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_livekit_units.model.launch import Port
    from hero_livekit_units.model.observed import ProcessSeen
    from hero_livekit_units.observe.sockets import Holder, Holders

_ANY = "*"


def see_ports(ports: Sequence[Port], listing: Holders | None, expected: ProcessSeen | None) -> tuple[PortSeen, ...]:
    """Who holds each port; the expected process is looked at first, the whole host only for a stranger.

    What a child of the expected process holds, such as a worker of HAProxy, counts as held by that process.
    """
    if listing is None:
        return tuple(PortSeen(port, looked=False, held=False) for port in ports)
    held = {port: _holders(port, listing) for port in ports}
    inodes = kernel.socket_inodes(expected.id.pid) if expected else frozenset()
    if expected and inodes is not None and any(_only_others(inodes, found) for found in held.values()):
        for child in kernel.descendants(expected.id.pid):
            inodes |= kernel.socket_inodes(child) or frozenset()
    return tuple(_see(port, held[port], expected, inodes) for port in ports)


def _holders(port: Port, listing: Holders) -> list[Holder]:
    return [holder for holder in listing.get((port.protocol, port.number), ()) if _conflicts(port.bind, holder.address)]


def _only_others(inodes: frozenset[int], held: Sequence[Holder]) -> bool:
    return bool(held) and not any(holder.inode in inodes for holder in held)


def _see(port: Port, held: Sequence[Holder], expected: ProcessSeen | None, inodes: frozenset[int] | None) -> PortSeen:
    if not held:
        return PortSeen(port, looked=True, held=False)
    if inodes is None:
        return PortSeen(port, looked=False, held=True)
    if expected and any(holder.inode in inodes for holder in held):
        return PortSeen(port, looked=True, held=True, owner_pid=expected.id.pid, owner_command=expected.command)
    return _stranger(port, held)


def _stranger(port: Port, held: Sequence[Holder]) -> PortSeen:
    import psutil  # noqa: PLC0415  slow, and only needed when somebody else is there

    for connection in psutil.net_connections("tcp" if port.protocol is Protocol.TCP else "udp"):
        local = connection.laddr
        listening = port.protocol is Protocol.UDP or connection.status == psutil.CONN_LISTEN
        if not local or local.port != port.number or not listening or not _conflicts(port.bind, local.ip):
            continue
        seen = kernel.see_process(connection.pid) if connection.pid else None
        if seen:
            return PortSeen(port, looked=True, held=True, owner_pid=seen.id.pid, owner_command=seen.command)
    own_user = os.geteuid()
    hidden = [holder.uid for holder in held if own_user not in {0, holder.uid}]
    if hidden:
        return PortSeen(port, looked=True, held=True, owner_command=f"a process of user {_user(hidden[0])}")
    # We may see its process, and yet there is none: it has come or gone since the kernel was asked.
    return PortSeen(port, looked=False, held=True)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


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
