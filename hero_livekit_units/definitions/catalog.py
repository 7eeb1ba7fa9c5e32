"""All releases of all units, and the choice of one."""

from __future__ import annotations

import difflib
import itertools
from typing import TYPE_CHECKING

from attrs import frozen

from hero_livekit_units.errors import DuplicateRelease, UnknownRelease, UnknownUnit
from hero_livekit_units.model.unit import Definition

if TYPE_CHECKING:
    from collections.abc import Iterable


@frozen
class Catalog:
    """Definitions ordered by unit, version and revision; `files` has their origins in the same order."""

    definitions: tuple[Definition, ...]
    files: tuple[str, ...]

    def find(self, unit: str, release: str = "") -> Definition:
        """A release of a unit, the newest one by default.

        Raises:
            UnknownUnit, UnknownRelease: there is none; the error names what is near or known.
        """
        own = [definition for definition in self.definitions if definition.unit.name == unit]
        if not own:
            names = sorted({definition.unit.name for definition in self.definitions})
            raise UnknownUnit(unit, near=next(iter(difflib.get_close_matches(unit, names, n=1)), ""))
        if not release:
            return own[-1]
        for definition in own:
            if definition.unit.release == release:
                return definition
        raise UnknownRelease(unit, release, [definition.unit.release for definition in own])


def catalog(sources: Iterable[tuple[str, Definition]]) -> Catalog:
    """Order (file, definition) pairs.

    Raises:
        DuplicateRelease: two files define the same release of a unit.
    """
    ordered = sorted(sources, key=lambda pair: (*_rank(pair[1]), pair[0]))
    for (first, one), (second, other) in itertools.pairwise(ordered):
        if _rank(one) == _rank(other):
            raise DuplicateRelease(one.unit.name, one.unit.release, [first, second])
    return Catalog(tuple(definition for _, definition in ordered), tuple(file for file, _ in ordered))


def _rank(definition: Definition) -> tuple[str, tuple[int, ...], int]:
    unit = definition.unit
    # Versions are dotted numbers by rule, so they compare as such: 1.9.12 comes before 1.13.5.
    return unit.name, tuple(int(part) for part in unit.version.split(".")), unit.revision
