"""Who holds a port: by the socket's inode, as the kernel lists it, never by a name."""

from __future__ import annotations

import ipaddress
import math
import os
import pwd
import time
from typing import TYPE_CHECKING

from hero_livekit_units.model.observed import PortSeen
from hero_livekit_units.observe import kernel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hero_livekit_units.model.launch import Port
    from hero_livekit_units.model.observed import ProcessSeen
    from hero_livekit_units.observe.sockets import Holder, Holders

_ANY = "*"


def see_ports(
    ports: Sequence[Port], listing: Holders | None, expected: ProcessSeen | None, until_s: float = math.inf
) -> tuple[PortSeen, ...]:
    """Who holds each port; the expected process is looked at first, the whole host only for strangers, and only once.

    What a child of the expected process holds, such as a worker of HAProxy, counts as held by that process. Who was not
    found by `until_s` (monotonic clock) is not known.
    """
    if listing is None:
        return tuple(PortSeen(port, looked=False, held=False) for port in ports)
    held = {port: _holders(port, listing) for port in ports}
    inodes = kernel.socket_inodes(expected.id.pid) if expected else frozenset()
    if expected and inodes is not None and any(found and not _has_one_of(inodes, found) for found in held.values()):
        for child in kernel.descendants(expected.id.pid):
            inodes |= kernel.socket_inodes(child) or frozenset()
    owners: dict[int, int] = {}
    if inodes is not None:
        strange = [found for found in held.values() if not (expected and _has_one_of(inodes, found))]
        wanted = {holder.inode for found in strange for holder in found}
        owners = kernel.owners(wanted, until_s) if wanted else {}
    return tuple(_see(port, held[port], expected, inodes, owners, until_s) for port in ports)


def _holders(port: Port, listing: Holders) -> list[Holder]:
    return [holder for holder in listing.get((port.protocol, port.number), ()) if _conflicts(port.bind, holder.address)]


def _has_one_of(inodes: frozenset[int], held: Sequence[Holder]) -> bool:
    return any(holder.inode in inodes for holder in held)


def _see(
    port: Port,
    held: Sequence[Holder],
    expected: ProcessSeen | None,
    inodes: frozenset[int] | None,
    owners: Mapping[int, int],
    until_s: float,
) -> PortSeen:
    if not held:
        return PortSeen(port, looked=True, held=False)
    if inodes is None:
        return PortSeen(port, looked=False, held=True)
    if expected and _has_one_of(inodes, held):
        return PortSeen(port, looked=True, held=True, owner_pid=expected.id.pid, owner_command=expected.command)
    return _stranger(port, held, owners, until_s)


def _stranger(port: Port, held: Sequence[Holder], owners: Mapping[int, int], until_s: float) -> PortSeen:
    for pid in (owners[holder.inode] for holder in held if holder.inode in owners):
        seen = kernel.see_process(pid)
        if seen:
            return PortSeen(port, looked=True, held=True, owner_pid=seen.id.pid, owner_command=seen.command)
    if time.monotonic() >= until_s:
        return PortSeen(port, looked=False, held=True)
    own_user = os.geteuid()
    hidden = [holder.uid for holder in held if own_user not in {0, holder.uid}]
    if hidden:
        user = _user(hidden[0])
        return PortSeen(port, looked=True, held=True, owner_command=f"a process of user {user}", owner_user=user)
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
