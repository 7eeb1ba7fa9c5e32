"""Ways between releases, over any lineage: never over what is blocked, never longer than need be, in any order."""

from __future__ import annotations

import itertools
from functools import reduce
from typing import TYPE_CHECKING

import attrs
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.definitions.catalog import catalog as make_catalog
from hero_livekit_units.definitions.catalog import release_key
from hero_livekit_units.errors import BlockedRelease, NoUpgradePath, PlanRefused
from hero_livekit_units.model.unit import Basis, HostTrait
from tests.definition_strategies import catalogs

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.definitions.lineage import Lineage
    from hero_livekit_units.model.lineage import Path

Declared = dict[tuple[str, str], Basis]


def declared(catalog: Catalog) -> Declared:
    """Every edge with what it rests on, read from the definitions and not from the lineage."""
    edges: Declared = {}
    for definition in catalog.definitions:
        own = definition.unit.release
        edges |= {(older, own): edge.basis for older, edge in definition.lineage.upgrades_from.items()}
        edges |= {(own, older): edge.basis for older, edge in definition.lineage.rolls_back_to.items()}
    return edges


def blocked(catalog: Catalog) -> set[str]:
    """The releases that nobody should run anywhere."""
    return {one.unit.release for one in catalog.definitions if any(block.where is None for block in one.blocked)}


Cost = tuple[int, int, int]


def cost(edge: tuple[str, str], basis: Basis) -> Cost:
    """How many releases an edge spans, that it is one, whether it was not measured."""
    one, other = (release_key(end)[0][1] for end in edge)
    return abs(one - other), 1, int(basis is not Basis.MEASURED)


def best(edges: Declared, avoid: set[str], start: str, end: str) -> Cost | None:
    """The least cost of a way, None where there is none, by relaxing every edge again and again."""
    found = {start: (0, 0, 0)}
    for _ in edges:
        for edge, basis in edges.items():
            if edge[0] in found and edge[1] not in avoid:
                offer = added(found[edge[0]], cost(edge, basis))
                found[edge[1]] = min(found.get(edge[1], offer), offer)
    return found.get(end)


def added(one: Cost, other: Cost) -> Cost:
    """The cost of both."""
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def pairs(lineage: Lineage) -> Iterator[tuple[str, str]]:
    """Every start with every end."""
    yield from itertools.product(lineage.releases, lineage.releases)


def way(lineage: Lineage, start: str, end: str) -> Path | BlockedRelease | NoUpgradePath:
    """The path, or the refusal."""
    try:
        return lineage.path(start, end)
    except (BlockedRelease, NoUpgradePath) as error:
        return error


def told(lineage: Lineage, start: str, end: str) -> Path | str:
    """The path, or the refusal as the user reads it."""
    found = way(lineage, start, end)
    return f"{found} ({found.hint})" if isinstance(found, PlanRefused) else found


@given(catalogs())
def test_a_way_is_the_shortest_chain_of_declared_edges(catalog: Catalog) -> None:
    """Compared with a brute force that knows the definitions only; where that finds no way, there is a refusal."""
    lineage, edges, avoid = catalog.lineage("echo"), declared(catalog), blocked(catalog)
    for start, end in pairs(lineage):
        found = way(lineage, start, end)
        wanted = (0, 0, 0) if start == end else best(edges, avoid, start, end)
        if not isinstance(found, PlanRefused):
            ends = [start, *(edge.end for edge in found.edges)]
            assert [edge.start for edge in found.edges] == ends[:-1]
            assert (found.start, ends[-1]) == (start, end)
            assert all(edges[edge.start, edge.end] is edge.basis for edge in found.edges)
            costs = [cost((edge.start, edge.end), edge.basis) for edge in found.edges]
            assert reduce(added, costs, (0, 0, 0)) == wanted
        else:
            assert wanted is None
            open_way = best(edges, set(), start, end)
            assert type(found) is (NoUpgradePath if open_way is None and end not in avoid else BlockedRelease)


@given(catalogs())
def test_no_way_passes_or_reaches_a_blocked_release(catalog: Catalog) -> None:
    """It may begin at one, and nothing else; a refusal for its sake names a blocked release and its reason."""
    lineage, avoid = catalog.lineage("echo"), blocked(catalog)
    for start, end in pairs(lineage):
        found = way(lineage, start, end)
        if isinstance(found, BlockedRelease):
            assert found.release in avoid
            assert found.reason == lineage.blocked(found.release) == "it is unfit"
        elif isinstance(found, NoUpgradePath):
            assert avoid.isdisjoint(found.reachable)
            assert all(lineage.path(start, other).end == other for other in found.reachable)
        else:
            assert avoid.isdisjoint(edge.end for edge in found.edges)


@given(catalogs())
def test_ways_compose(catalog: Catalog) -> None:
    """A way from A to C that passes B is the way from A to B and then the way from B to C."""
    lineage = catalog.lineage("echo")
    for start, end in pairs(lineage):
        found = way(lineage, start, end)
        if isinstance(found, PlanRefused):
            continue
        for at, edge in enumerate(found.edges, 1):
            assert lineage.path(start, edge.end).edges == found.edges[:at]
            assert lineage.path(edge.end, end).edges == found.edges[at:]


@given(catalogs(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_never_matters(catalog: Catalog, dice: random.Random) -> None:
    """Files, and edges within a file, in any order: the same ways and refusals, and the same head."""
    sources = []
    for definition in catalog.definitions:
        tables = [list(definition.lineage.upgrades_from.items()), list(definition.lineage.rolls_back_to.items())]
        for table in tables:
            dice.shuffle(table)
        mixed = attrs.evolve(definition.lineage, upgrades_from=dict(tables[0]), rolls_back_to=dict(tables[1]))
        sources.append((f"{definition.unit.release}.toml", attrs.evolve(definition, lineage=mixed)))
    dice.shuffle(sources)
    one, other = catalog.lineage("echo"), make_catalog(sources).lineage("echo")
    assert one.releases == other.releases
    assert one.head == other.head
    for start, end in pairs(one):
        assert told(one, start, end) == told(other, start, end)
    for release in one.releases:
        assert one.edges_from(release) == other.edges_from(release)
        assert one.edges_into(release) == other.edges_into(release)


@given(catalogs())
def test_the_head_is_the_newest_and_the_only_one(catalog: Catalog) -> None:
    """Nothing replaces it, everything else is replaced, and by default it is chosen unless it is blocked."""
    lineage = catalog.lineage("echo")
    replaced = {older for one in catalog.definitions for older in one.lineage.upgrades_from}
    assert set(lineage.releases) - replaced == {lineage.head}
    assert lineage.head == max(lineage.releases, key=release_key)
    open_ = [release for release in lineage.releases if release not in blocked(catalog)]
    if open_:
        assert catalog.find("echo").unit.release == open_[-1]


@given(catalogs())
def test_what_is_on_the_way_is_what_lies_between(catalog: Catalog) -> None:
    """Each release after the older end and up to the newer one, once, in the direction of travel."""
    lineage = catalog.lineage("echo")
    for edge in (edge for release in lineage.releases for edge in lineage.edges_from(release)):
        one, other = sorted([lineage.releases.index(edge.start), lineage.releases.index(edge.end)])
        between = list(lineage.releases[one + 1 : other + 1])
        upwards = lineage.releases.index(edge.end) == other
        versions = [change.release for change in edge.on_the_way]
        assert versions == (between if upwards else between[::-1])
        assert all(change.do.startswith("to " if upwards else "from ") for change in edge.on_the_way)


@given(catalogs())
def test_traits_of_the_host_block_and_unblock(catalog: Catalog) -> None:
    """A block with a place counts on hosts of that kind only; there it does all that a plain one does."""
    trait = HostTrait.QDISC_STATS2_ONLY
    local = make_catalog(
        (
            f"{one.unit.release}.toml",
            attrs.evolve(one, blocked=tuple(attrs.evolve(block, where=trait) for block in one.blocked)),
        )
        for one in catalog.definitions
    )
    free = make_catalog(
        (f"{one.unit.release}.toml", attrs.evolve(one, blocked=())) for one in catalog.definitions
    ).lineage("echo")
    elsewhere, here, plain = (
        local.lineage("echo"),
        local.on(frozenset({trait})).lineage("echo"),
        catalog.lineage("echo"),
    )
    for start, end in pairs(plain):
        assert told(here, start, end) == told(plain, start, end)
        assert told(elsewhere, start, end) == told(free, start, end)
    assert local.on(frozenset({trait})).on(frozenset()).find("echo").unit.release == free.head
