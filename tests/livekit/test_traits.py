"""What a host is like, as its kernel says, and which releases that rules out."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.errors import BlockedRelease
from hero_livekit_units.livekit.desired import MEDIA
from hero_livekit_units.livekit.settings import read_settings
from hero_livekit_units.livekit.traits import host_traits, traits_of
from hero_livekit_units.model.unit import HostTrait
from hero_livekit_units.netlink import dump, open_netlink

if TYPE_CHECKING:
    from hero_livekit_units.definitions.catalog import Catalog

ONLY = frozenset({HostTrait.QDISC_STATS2_ONLY})
STATS, STATS2, KIND = 3, 7, 1


def discipline(*kinds: int) -> bytes:
    """A queueing discipline as the kernel lists it, with attributes of these kinds."""
    attributes = b"".join(struct.pack("=HH", 4 + kind, kind) + b"x" * (kind + (-kind % 4)) for kind in kinds)
    return bytes(20) + attributes


@pytest.mark.parametrize(
    ("disciplines", "expected"),
    [
        pytest.param([], frozenset(), id="none"),
        pytest.param([discipline(KIND, STATS2, STATS)], frozenset(), id="both"),
        pytest.param([discipline(KIND, STATS)], frozenset(), id="the-older-only"),
        pytest.param([discipline(KIND, STATS2)], ONLY, id="the-newer-only"),
        pytest.param([discipline(STATS), discipline(STATS2)], ONLY, id="one-of-two-is-enough"),
        pytest.param([discipline()], ONLY, id="no-attributes"),
        pytest.param([discipline(KIND, STATS2) + b"\x01"], ONLY, id="cut-off"),
    ],
)
def test_traits(disciplines: list[bytes], expected: frozenset[HostTrait]) -> None:
    """A release that reads what is not there in one of them ends at its start."""
    assert traits_of(disciplines) == expected


def test_this_host() -> None:
    """The kernel can be asked, and its list has attributes; what it is like stays so while it runs."""
    with open_netlink(0) as netlink:
        found = list(dump(netlink, 38, bytes(20)))
    assert host_traits() == traits_of(found)
    assert host_traits() is host_traits()


def test_a_kernel_that_does_not_answer_has_no_traits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be told rules nothing out."""

    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", refuse)
    assert host_traits.__wrapped__() == frozenset()


def test_what_a_trait_rules_out(catalog: Catalog) -> None:
    """Releases before 1.13.4 are refused with the reason, on such a host and no other; the newest stays so."""
    there = catalog.on(ONLY)
    assert there.find(MEDIA).unit.release == catalog.find(MEDIA).unit.release == "1.13.5-r1"
    for version in catalog.releases(MEDIA):
        definition = catalog.find(MEDIA, version)
        old = version in catalog.releases(MEDIA)[: catalog.releases(MEDIA).index("1.13.4-r1")]
        assert bool(there.blocked(definition)) == (old or version == "1.9.10-r1")
    lineage = there.lineage(MEDIA)
    with pytest.raises(BlockedRelease, match=r"the way from 1\.9\.12-r1 to 1\.13\.5-r1 leads over 1\.11\.0-r1"):
        lineage.path("1.9.12-r1", "1.13.5-r1")
    assert [edge.end for edge in lineage.path("1.13.3-r1", "1.13.5-r1").edges] == ["1.13.5-r1"]
    text = '[livekit]\nversion = "1.13.3"\n[livekit.config]\n'
    read_settings(text, "media.toml", catalog)
    with pytest.raises(Exception, match=r"livekit\.version: livekit-server 1\.13\.3 is blocked: ends at its start"):
        read_settings(text, "media.toml", there, choosing=True)
