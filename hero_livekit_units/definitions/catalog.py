"""All releases of all units, and the choice of one. Pure: what a file says is asked of the loader that is passed in.

Which releases there are, the names of the files say; a definition is read when it is asked for, and only then.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from hero_livekit_units.definitions.lineage import Lineage
from hero_livekit_units.errors import BlockedRelease, DuplicateRelease, UnknownRelease, UnknownUnit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hero_livekit_units.model.lineage import Edge
    from hero_livekit_units.model.unit import Definition, HostTrait

_RELEASE = re.compile(r"(\d+(?:\.\d+)*)-r(\d+)")


@frozen
class Listed:
    """A release that there is, and the file that defines it."""

    unit: str
    release: str
    file: str


class Catalog:
    """Releases by unit, from the oldest to the newest.

    Args:
        listed: every release, in any order.
        load: reads the definition of a release; called once for each.
        traits: of the host that the releases are to run on; some are blocked on some hosts only.

    Raises:
        DuplicateRelease: two files define the same release of a unit.
    """

    def __init__(
        self, listed: Iterable[Listed], load: Callable[[Listed], Definition], traits: frozenset[HostTrait] = frozenset()
    ) -> None:
        self._load = load
        self._loaded: dict[tuple[str, str], Definition] = {}
        self._lineages: dict[str, Lineage] = {}
        self._traits = traits
        self._units: dict[str, dict[str, Listed]] = {}
        for one in sorted(listed, key=lambda one: (one.unit, release_key(one.release), one.file)):
            known = self._units.setdefault(one.unit, {})
            if one.release in known:
                raise DuplicateRelease(one.unit, one.release, [known[one.release].file, one.file])
            known[one.release] = one

    @property
    def units(self) -> tuple[str, ...]:
        """The names of all units, sorted."""
        return tuple(self._units)

    @property
    def definitions(self) -> tuple[Definition, ...]:
        """Every definition, by unit and from the oldest to the newest. Reads all files."""
        return tuple(self.find(unit, release) for unit in self._units for release in self._units[unit])

    @property
    def files(self) -> tuple[str, ...]:
        """The files of all definitions, in the order of `definitions`."""
        return tuple(one.file for known in self._units.values() for one in known.values())

    def releases(self, unit: str) -> tuple[str, ...]:
        """The releases of a unit, from the oldest to the newest.

        Raises:
            UnknownUnit: there is none of this name; the error names the nearest.
        """
        if unit not in self._units:
            near = difflib.get_close_matches(unit, self._units, n=1)
            raise UnknownUnit(unit, near=next(iter(near), ""))
        return tuple(self._units[unit])

    def release(self, unit: str, wanted: str) -> str:
        """The release that is meant by a version, which is its newest revision, or by a release itself.

        Raises:
            UnknownUnit, UnknownRelease: there is none.
        """
        known = self.releases(unit)
        fitting = [release for release in known if wanted in (release, release.rpartition("-r")[0])]
        if not fitting:
            raise UnknownRelease(unit, wanted, known)
        return fitting[-1]

    def find(self, unit: str, wanted: str = "") -> Definition:
        """A release of a unit: by version or release, or by default the newest that nothing blocks on this host.

        Raises:
            UnknownUnit, UnknownRelease: there is none; the error names what is near or known.
            BlockedRelease: none was named, and all are blocked.
        """
        if wanted:
            return self._read(unit, self.release(unit, wanted))
        reason = ""
        for release in reversed(self.releases(unit)):
            definition = self._read(unit, release)
            blocked = self.blocked(definition)
            if not blocked:
                return definition
            reason = reason or blocked  # the newest one's
        raise BlockedRelease(unit, self.releases(unit)[-1], reason)

    def blocked(self, definition: Definition) -> str:
        """Why nobody should run this release on this host, "" where nothing speaks against it."""
        for block in definition.blocked:
            if block.where is None or block.where in self._traits:
                return block.reason
        return ""

    def file(self, unit: str, release: str) -> str:
        """The file that defines a release.

        Raises:
            KeyError: there is none.
        """
        return self._units[unit][release].file

    def lineage(self, unit: str) -> Lineage:
        """Which release of a unit may follow which. Reads all its files.

        Raises:
            UnknownUnit: there is none of this name.
            CatalogError: the edges do not fit together, see `Lineage`.
        """
        if unit not in self._lineages:
            self._lineages[unit] = Lineage([self._read(unit, release) for release in self.releases(unit)], self.blocked)
        return self._lineages[unit]

    def edges_to(self, definition: Definition) -> tuple[Edge, ...]:
        """The edges that lead to a release, without what lies on the way. The newest one's file says all of its own."""
        unit = definition.unit
        newer = self.releases(unit.name)
        newer = newer[newer.index(unit.release) :]
        found = Lineage.edges([self._read(unit.name, release) for release in newer])
        return tuple(attrs.evolve(edge, on_the_way=()) for edge in found if edge.end == unit.release)

    def on(self, traits: frozenset[HostTrait]) -> Catalog:
        """The same releases on a host with these traits."""
        listed = [one for known in self._units.values() for one in known.values()]
        return Catalog(listed, lambda one: self._read(one.unit, one.release), traits)

    def _read(self, unit: str, release: str) -> Definition:
        found = self._loaded.get((unit, release))
        if found is None:
            found = self._loaded[unit, release] = self._load(self._units[unit][release])
        return found


def catalog(sources: Iterable[tuple[str, Definition]]) -> Catalog:
    """A catalog of (file, definition) pairs, which need not come from files.

    Raises:
        DuplicateRelease: two define the same release of a unit.
    """
    pairs = {Listed(found.unit.name, found.unit.release, file): found for file, found in sources}
    return Catalog(pairs, pairs.__getitem__)


def release_key(release: str) -> tuple[tuple[int, ...], int]:
    """What releases are ordered by: 1.9.12-r1 comes before 1.13.5-r1, and that before 1.13.5-r2.

    Raises:
        ValueError: it is not a release.
    """
    found = _RELEASE.fullmatch(release)
    if not found:
        raise ValueError(f"not a release: {release!r}")
    # Versions are dotted numbers by rule, so they compare as such.
    return tuple(int(part) for part in found[1].split(".")), int(found[2])
