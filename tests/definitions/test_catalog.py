"""The catalog finds releases and says what is near when it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.definitions.catalog import catalog as order
from hero_livekit_units.definitions.digest import digest
from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.errors import UnknownRelease, UnknownUnit

if TYPE_CHECKING:
    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.unit import Definition


def release(version: str, revision: int) -> Definition:
    """livekit-server with another version."""
    definition = shipped_catalog().find("livekit-server")
    return attrs.evolve(definition, unit=attrs.evolve(definition.unit, version=version, revision=revision))


def test_an_unknown_unit_names_the_nearest(catalog: Catalog) -> None:
    """A typing error is answered with what was meant."""
    with pytest.raises(UnknownUnit) as caught:
        catalog.find("livekit-sever")
    assert caught.value.hint == "did you mean 'livekit-server'?"


def test_an_unknown_release_lists_the_known(catalog: Catalog) -> None:
    """The user sees what there is to choose from."""
    with pytest.raises(UnknownRelease) as caught:
        catalog.find("lk-backend", "0.2.0")
    assert caught.value.hint == "known releases: 0.1.0-r1"


@given(st.permutations([("1.9.12", 1), ("1.13.5", 1), ("1.13.5", 2), ("1.10.0", 1)]))
def test_releases_order_as_numbers_whatever_the_input_order(releases: list[tuple[str, int]]) -> None:
    """1.9.12 is older than 1.10.0, and the newest is the default."""
    found = order((f"{version}-r{revision}.toml", release(version, revision)) for version, revision in releases)
    names = [definition.unit.release for definition in found.definitions]
    assert names == ["1.9.12-r1", "1.10.0-r1", "1.13.5-r1", "1.13.5-r2"]
    assert found.find("livekit-server").unit.release == "1.13.5-r2"


def test_a_digest_sees_every_value(catalog: Catalog) -> None:
    """Definitions that differ anywhere have different digests; equal ones, equal digests."""
    definition = catalog.find("livekit-server")
    assert digest(definition) == digest(attrs.evolve(definition))
    assert digest(definition) != digest(release("1.13.5", 2))
