"""What this host is like, so far as releases are unfit for it. Asked of the kernel, not guessed from its version."""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING

from hero_livekit_units.model.unit import HostTrait
from hero_livekit_units.netlink import dump, open_netlink

if TYPE_CHECKING:
    from collections.abc import Iterator

_NETLINK_ROUTE = 0
_RTM_GETQDISC = 38
_TCMSG = struct.Struct("=BxxxiIII")  # family, interface, handle, parent, info
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_TCA_STATS = 3


@cache
def host_traits() -> frozenset[HostTrait]:
    """The traits of this host; what cannot be told is not among them."""
    try:
        with open_netlink(_NETLINK_ROUTE) as netlink:
            disciplines = list(dump(netlink, _RTM_GETQDISC, bytes(_TCMSG.size)))
    except (OSError, struct.error):
        return frozenset()
    return traits_of(disciplines)


def traits_of(disciplines: list[bytes]) -> frozenset[HostTrait]:
    """The traits that follow from the kernel's queueing disciplines, each as the body of its netlink message.

    livekit-server before 1.13.4 reads TCA_STATS of each at its start, without looking whether it is there
    (livekit/livekit#4668).
    """
    if any(_TCA_STATS not in _attributes(body[_TCMSG.size :]) for body in disciplines):
        return frozenset({HostTrait.QDISC_STATS2_ONLY})
    return frozenset()


def _attributes(body: bytes) -> Iterator[int]:
    """The types of the attributes of a message (rtnetlink(7))."""
    at = 0
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        yield kind
        at += max(_ATTRIBUTE.size, (length + 3) & ~3)
