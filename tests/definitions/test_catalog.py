"""The catalog finds releases and says what is near when it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.definitions.catalog import Catalog, Listed, release_key
from hero_livekit_units.definitions.catalog import catalog as order
from hero_livekit_units.definitions.digest import digest, meaning
from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.errors import BlockedRelease, DuplicateRelease, UnknownRelease, UnknownUnit
from hero_livekit_units.model.unit import BlockSection, HostTrait
from tests.definition_strategies import plain_release

if TYPE_CHECKING:
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


def test_what_has_no_plain_form_has_no_digest() -> None:
    """Rather an error than a digest of something's address in memory."""
    with pytest.raises(TypeError, match="no canonical form for object"):
        meaning({"a": [object()]})


TRAIT = HostTrait.QDISC_STATS2_ONLY
BLOCKED, BLOCKED_THERE = BlockSection("it bites"), BlockSection("it bites there", TRAIT)


def echoes(**blocks: tuple[BlockSection, ...]) -> Catalog:
    """Releases of `echo`, blocked as said: `v1_1=(...)`."""
    versions = {name.removeprefix("v").replace("_", "."): found for name, found in blocks.items()}
    return order((f"{version}.toml", plain_release(version, blocked=found)) for version, found in versions.items())


@pytest.mark.parametrize(
    ("blocks", "traits", "chosen"),
    [
        pytest.param({"v1_0": (), "v1_1": ()}, [], "1.1-r1", id="newest"),
        pytest.param({"v1_0": (), "v1_1": (BLOCKED,)}, [], "1.0-r1", id="newest-is-blocked"),
        pytest.param({"v1_0": (), "v1_1": (BLOCKED_THERE,)}, [], "1.1-r1", id="blocked-elsewhere"),
        pytest.param({"v1_0": (), "v1_1": (BLOCKED_THERE,)}, [TRAIT], "1.0-r1", id="blocked-here"),
        pytest.param({"v1_0": (), "v1_1": (BLOCKED_THERE, BLOCKED)}, [], "1.0-r1", id="blocked-anywhere-too"),
    ],
)
def test_the_default_is_the_newest_that_may_run_here(
    blocks: dict[str, tuple[BlockSection, ...]], traits: list[HostTrait], chosen: str
) -> None:
    """A block counts where it says."""
    assert echoes(**blocks).on(frozenset(traits)).find("echo").unit.release == chosen


def test_all_are_blocked() -> None:
    """The refusal is about the newest, with its own reason; by name each can still be had, to leave it."""
    found = echoes(v1_0=(BlockSection("it is old"),), v1_1=(BLOCKED,))
    with pytest.raises(BlockedRelease) as caught:
        found.find("echo")
    assert (caught.value.unit, caught.value.release, caught.value.reason) == ("echo", "1.1-r1", "it bites")
    assert found.find("echo", "1.1").unit.release == "1.1-r1"


def test_the_reason_is_that_of_the_block_that_counts() -> None:
    """Of several, the first that holds on this host."""
    found = echoes(v1_0=(BLOCKED_THERE, BLOCKED))
    assert found.blocked(found.find("echo", "1.0")) == "it bites"
    there = found.on(frozenset({TRAIT}))
    assert there.blocked(there.find("echo", "1.0")) == "it bites there"


def test_two_files_for_one_release() -> None:
    """Both are named, so that one can be taken away."""
    with pytest.raises(DuplicateRelease) as caught:
        order([("x/b.toml", plain_release("1.0")), ("x/a.toml", plain_release("1.0"))])
    assert (caught.value.unit, caught.value.release, caught.value.files) == (
        *("echo", "1.0-r1"),
        ("x/a.toml", "x/b.toml"),
    )
    assert str(caught.value) == "cannot load echo 1.0-r1: it is defined in x/a.toml and in x/b.toml"


def test_a_version_means_its_newest_revision() -> None:
    """A release means itself, and half a version means nothing."""
    found = order((f"{revision}.toml", plain_release("1.0", revision=revision)) for revision in (10, 9, 2))
    assert found.release("echo", "1.0") == "1.0-r10"
    assert found.release("echo", "1.0-r2") == "1.0-r2"
    for wanted in ("1", "1.0-r", "1.0-r1", "", "r2"):
        with pytest.raises(UnknownRelease):
            found.release("echo", wanted)


def test_each_definition_is_loaded_once() -> None:
    """However it is asked for, and on a host with traits as well."""
    asked: list[str] = []

    def load(one: Listed) -> Definition:
        asked.append(one.release)
        return plain_release(one.release.removesuffix("-r1"))

    found = Catalog([Listed("echo", f"1.{at}-r1", f"{at}.toml") for at in (1, 0)], load)
    assert found.files == ("0.toml", "1.toml")
    assert found.file("echo", "1.1-r1") == "1.toml"
    assert asked == []
    found.find("echo")
    assert asked == ["1.1-r1"]
    there = found.on(frozenset({TRAIT}))
    assert [one.unit.release for one in there.definitions] == ["1.0-r1", "1.1-r1"]
    assert there.files == found.files
    assert asked == ["1.1-r1", "1.0-r1"]
    with pytest.raises(KeyError):
        found.file("echo", "1.2-r1")


@pytest.mark.parametrize("name", ["1.0", "1.0-r", "v1.0-r1", "1.-r1", "1.0-r1 ", "1.0-r1-r1", ""])
def test_not_a_release(name: str) -> None:
    """What is no release has no place in their order."""
    with pytest.raises(ValueError, match="not a release"):
        release_key(name)
