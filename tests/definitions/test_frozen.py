"""What is released stays what it is: nobody gets another unit under the name of one that they have tried."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path

import attrs

from hero_livekit_units.definitions.digest import digest, meaning
from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.model import unit

FROZEN = Path(__file__).parent.parent / "cases" / "digests.toml"


def test_released_definitions_are_frozen() -> None:
    """Each file, bases included, still has the digest with which it was released, and none has gone."""
    shipped = {f"{one.unit.name}/{one.unit.release}": digest(one) for one in shipped_catalog().definitions}
    frozen = tomllib.loads(FROZEN.read_text())["digests"]
    added = "\n".join(f'"{name}" = "{value}"' for name, value in shipped.items() if name not in frozen)
    assert not added, f"a new release is frozen by these lines in {FROZEN}:\n{added}"
    changed = sorted(name for name, value in frozen.items() if shipped.get(name) != value)
    assert not changed, f"these were changed after their release; a change is the next revision: {changed}"


def test_what_a_definition_does_not_say_is_frozen_too() -> None:
    """A digest passes over defaults, so a default that changed would change released units unnoticed.

    A new key may come with a default of its own; then its name stands in this list as well.
    """
    found = {
        f"{name}.{field.name}": _said(default)
        for name, kind in inspect.getmembers(unit, attrs.has)
        for field, default in ((field, _default(field)) for field in attrs.fields(kind))
    }
    assert found == tomllib.loads(FROZEN.read_text())["defaults"]


def _default(field: attrs.Attribute[object]) -> object:
    make = getattr(field.default, "factory", None)
    return field.default if make is None else make()


def _said(default: object) -> object:
    if default is attrs.NOTHING:
        return "needed"
    return "none" if default is None else meaning(default)
