"""Units as plain data, and what is not taken for Units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.loader.describe import describe
from hero_livekit_units.plugin import Target, Units, units

if TYPE_CHECKING:
    from hero_livekit_units.definitions.catalog import Catalog

ACTION = {"name": "a", "script": "true"}


def test_our_own_plugin() -> None:
    """Every unit, each with its file and probes, and one target."""
    row = describe(units())
    assert [unit["name"] for unit in row["units"]] == list(shipped_catalog().units)
    for unit in row["units"]:
        newest = unit["releases"][-1]
        assert newest["file"].endswith(f"unit_defs/{unit['name']}/{newest['release']}.toml")
        assert newest["probes"] == ["answers", "ready"]
        assert newest["definition"]["unit"]["name"] == unit["name"]
    (target,) = row["targets"]
    assert (target["service"]["name"], target["service"]["actions"]) == ("hero_livekit_media", ["configure"])
    assert [action["name"] for action in target["actions"]] == ["configure"]


def test_definitions_without_files(catalog: Catalog) -> None:
    """A plugin that makes its definitions by itself needs no files."""
    row = describe(Units(catalog.definitions[::-1]))
    assert [unit["name"] for unit in row["units"]] == list(catalog.units)
    assert {release["file"] for unit in row["units"] for release in unit["releases"]} == {None}


@pytest.mark.parametrize(
    ("contributed", "text"),
    [
        (None, "it gave None instead of"),
        ([], "it gave a value of type list instead of"),
        (Units((), ask=5), "its ask is a value of type int"),  # type: ignore[arg-type]
        (Units((), files=("a",)), "it gave 0 definitions, but 1 files"),
        (Units((), targets=({},)), "one of its targets is a value of type dict"),  # type: ignore[arg-type]
        (Units((), targets=(Target({"name": "s"}, ()),) * 2), "two of its targets are called s"),
        (
            Units((), targets=(Target({"name": "s"}, (ACTION,)), Target({"name": "t"}, (ACTION,)))),
            "two of its targets have an action a",
        ),
    ],
    ids=["none", "list", "ask", "files", "target", "service twice", "action twice"],
)
def test_what_is_refused(contributed: Any, text: str) -> None:
    """The author is told what it is instead."""
    with pytest.raises((TypeError, ValueError), match=text):
        describe(contributed)


def test_the_rules_hold_for_definitions_made_by_code(catalog: Catalog) -> None:
    """A definition that no file could have is refused with its key."""
    good = catalog.find("lk-backend")
    bad = evolve(good, stop=evolve(good.stop, signal="SIGTREM"))
    with pytest.raises(ValueError, match=r"definition 1: stop\.signal: not a signal: 'SIGTREM'"):
        describe(Units((bad,)))
