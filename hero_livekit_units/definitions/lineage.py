"""The lineage of a unit: releases, the edges between them, and the path from one to another. Pure.

An edge stands in the file of the newer release, in both directions: the older one was frozen before the newer existed.
Going back is an edge like any other, declared and never assumed.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from hero_livekit_units.errors import (
    BlockedRelease,
    MultipleHeads,
    NoUpgradePath,
    ReleaseCycle,
    UnknownRelease,
    UpgradeBackwards,
)
from hero_livekit_units.model.lineage import Edge, OnTheWay, Path
from hero_livekit_units.model.unit import Basis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hero_livekit_units.model.unit import Definition, EdgeSection


class Lineage:
    """The graph of one unit's releases.

    Args:
        definitions: every release of the unit, from the oldest to the newest.
        blocked: why nobody should run a release, "" for most.

    Raises:
        UnknownRelease: an edge names a release that has no definition.
        ReleaseCycle: releases that would each replace the next, in a circle.
        MultipleHeads: more than one release that none replaces, so that it is open which is the newest.
        UpgradeBackwards: a release that would be upgraded from a newer one.
    """

    def __init__(self, definitions: Sequence[Definition], blocked: Callable[[Definition], str]) -> None:
        self.unit = definitions[0].unit.name
        self.releases = tuple(definition.unit.release for definition in definitions)
        self._rank = {release: at for at, release in enumerate(self.releases)}
        self._blocked = {
            definition.unit.release: reason for definition in definitions if (reason := blocked(definition))
        }
        self._check(definitions)
        self._out: dict[str, list[Edge]] = {release: [] for release in self.releases}
        for edge in self.edges(definitions):
            self._out[edge.start].append(edge)

    @staticmethod
    def edges(definitions: Sequence[Definition]) -> Iterator[Edge]:
        """Every edge that these definitions declare; they are consecutive releases of one unit, the oldest first."""
        rank = {definition.unit.release: at for at, definition in enumerate(definitions)}
        for at, newer in enumerate(definitions):
            for upwards, table in ((True, newer.lineage.upgrades_from), (False, newer.lineage.rolls_back_to)):
                for older, edge in table.items():
                    between = definitions[rank.get(older, at - 1) + 1 : at + 1]
                    yield _edge(newer, older, edge, between, upwards=upwards)

    @property
    def head(self) -> str:
        """The one release that no other replaces."""
        return self.releases[-1]

    def blocked(self, release: str) -> str:
        """Why nobody should run a release, "" where nothing speaks against it."""
        return self._blocked.get(release, "")

    def edges_from(self, release: str) -> tuple[Edge, ...]:
        """The edges that leave a release, by the order of the releases that they lead to."""
        return tuple(sorted(self._out[release], key=lambda edge: self._rank[edge.end]))

    def edges_into(self, release: str) -> tuple[Edge, ...]:
        """The edges that lead to a release, by the order of the releases that they come from."""
        return tuple(edge for start in self.releases for edge in self._out[start] if edge.end == release)

    def path(self, start: str, end: str) -> Path:
        """The way that passes the fewest releases, so never forth and back where a straight one is declared.

        Among those it is the one with the fewest edges, as each costs the calls of that moment something; then the one
        with the fewest that were not measured.

        A way may begin at a blocked release, as somebody may run it, but neither passes nor reaches one. Ways compose:
        the way to a release on a way is the beginning of that way.

        Raises:
            UnknownRelease: one of the two does not exist.
            BlockedRelease: `end` is blocked, or every way leads over a blocked release.
            NoUpgradePath: no edges lead there.
        """
        for release in (start, end):
            if release not in self._rank:
                raise UnknownRelease(self.unit, release, self.releases)
        if start != end and end in self._blocked:
            raise BlockedRelease(self.unit, end, self._blocked[end])
        came = self._reach(start, avoid=self._blocked)
        if end in came:
            return Path(self.unit, start, end, _walk(came, end))
        over = self._reach(start, avoid={})
        if end in over:
            edge = next(edge for edge in _walk(over, end) if edge.end in self._blocked)
            raise BlockedRelease(self.unit, edge.end, self._blocked[edge.end], on_the_way=(start, end))
        reachable = sorted((release for release in came if release != start), key=self._rank.__getitem__)
        raise NoUpgradePath(self.unit, start, end, reachable)

    def _reach(self, start: str, avoid: dict[str, str]) -> dict[str, Edge | None]:
        """Every release that can be reached, with the edge over which the best way comes to it (Dijkstra)."""
        came: dict[str, Edge | None] = {}
        # Releases passed, edges, edges that were not measured; then the older predecessor, and which edge it was.
        offers: list[tuple[int, int, int, int, int]] = [(0, 0, 0, self._rank[start], -1)]
        edges: list[Edge] = []
        while offers:
            passed, steps, unmeasured, _, number = heapq.heappop(offers)
            via = edges[number] if number >= 0 else None
            release = via.end if via else start
            if release in came:
                continue
            came[release] = via
            rank = self._rank[release]
            for edge in self._out[release]:
                if edge.end in came or edge.end in avoid:
                    continue
                span = abs(self._rank[edge.end] - rank)
                unproved = edge.basis is not Basis.MEASURED
                heapq.heappush(offers, (passed + span, steps + 1, unmeasured + unproved, rank, len(edges)))
                edges.append(edge)
        return came

    def _check(self, definitions: Sequence[Definition]) -> None:
        for definition in definitions:
            for older in (*definition.lineage.upgrades_from, *definition.lineage.rolls_back_to):
                if older not in self._rank:
                    raise UnknownRelease(self.unit, older, self.releases, named_by=definition.unit.release)
        replaces = {definition.unit.release: tuple(definition.lineage.upgrades_from) for definition in definitions}
        circle = _circle(replaces)
        if circle:
            raise ReleaseCycle(self.unit, circle)
        replaced = {older for olds in replaces.values() for older in olds}
        heads = [release for release in self.releases if release not in replaced]
        if len(heads) > 1:
            raise MultipleHeads(self.unit, heads)
        for release, olds in replaces.items():
            for older in olds:
                if self._rank[older] > self._rank[release]:
                    raise UpgradeBackwards(self.unit, release, older)


def _edge(newer: Definition, older: str, edge: EdgeSection, between: Sequence[Definition], *, upwards: bool) -> Edge:
    own = newer.unit.release
    passed = between if upwards else list(reversed(between))
    return Edge(
        unit=newer.unit.name,
        start=older if upwards else own,
        end=own if upwards else older,
        strategies=edge.strategies or newer.lineage.strategies,
        basis=edge.basis,
        because=edge.because,
        on_the_way=tuple(
            OnTheWay(definition.unit.release, change.what, change.upgrade if upwards else change.rollback)
            for definition in passed
            for change in definition.changes
        ),
    )


def _walk(came: dict[str, Edge | None], end: str) -> tuple[Edge, ...]:
    edges = []
    while (edge := came[end]) is not None:
        edges.append(edge)
        end = edge.start
    return tuple(reversed(edges))


def _circle(replaces: dict[str, tuple[str, ...]]) -> list[str]:
    """The releases of a circle in the order in which each would replace the next, or none. Without recursion."""
    done: set[str] = set()
    for root in replaces:
        trail: list[str] = []
        on_trail: set[str] = set()
        stack: list[tuple[str, bool]] = [(root, False)]
        while stack:
            release, leaving = stack.pop()
            if leaving:
                done.add(trail.pop())
                on_trail.discard(release)
            elif release in on_trail:
                return [*trail[trail.index(release) :], release]
            elif release not in done:
                trail.append(release)
                on_trail.add(release)
                stack.append((release, True))
                stack += [(older, False) for older in replaces.get(release, ())]
    return []
