"""Whether participants on this host can connect at all. Reads the list of interfaces, changes nothing."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

import psutil

from hero_livekit_units.errors import UnitsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HINT = (
    "as root: ip link add hlu0 type veth peer name hlu1 && ip address add 192.0.2.1/32 dev hlu0"
    " && ip link set hlu0 up && ip link set hlu1 up"
)


def interfaces() -> dict[str, bool]:
    """The network interfaces of this host (this network namespace): name -> whether participants can use it."""
    addresses = psutil.net_if_addrs()
    return {
        name: is_usable(
            up=stats.isup,
            addresses=(
                address.address
                for address in addresses.get(name, ())
                if address.family in (socket.AF_INET, socket.AF_INET6)
            ),
        )
        for name, stats in psutil.net_if_stats().items()
    }


def is_usable(*, up: bool, addresses: Iterable[str]) -> bool:
    """Whether an interface is one from which participants connect.

    The WebRTC library of the participants takes no loopback address for its own, even when the server is on 127.0.0.1,
    and from a link-local IPv6 address it reaches nothing. Without any other address a join ends in a time-out that
    says nothing of the reason.
    """
    if not up:
        return False
    known = [ipaddress.ip_address(address.partition("%")[0]) for address in addresses]
    return any(not address.is_loopback and (address.version == 4 or not address.is_link_local) for address in known)


def require_interface(seen: Mapping[str, bool] | None = None) -> None:
    """Make sure that some interface can be used by participants.

    Args:
        seen: name -> whether it can be used; by default those of this host.

    Raises:
        UnitsError: there is none.
    """
    found = interfaces() if seen is None else seen
    if not any(found.values()):
        raise UnitsError(
            "cannot connect participants: no network interface beside lo is up and has an address", hint=_HINT
        )
