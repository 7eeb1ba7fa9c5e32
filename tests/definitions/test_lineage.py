"""Which release may follow which: every way there is, and every fault of a lineage by name, with what helps."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.definitions.catalog import catalog as make_catalog
from hero_livekit_units.errors import (
    BlockedRelease,
    MultipleHeads,
    NoUpgradePath,
    ReleaseCycle,
    UnknownRelease,
    UpgradeBackwards,
)
from hero_livekit_units.model.lineage import OnTheWay
from hero_livekit_units.model.unit import Basis, BlockSection, EdgeSection, LineageSection, Strategy
from tests.definition_strategies import plain_release

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.definitions.lineage import Lineage
    from hero_livekit_units.model.lineage import Path
    from hero_livekit_units.model.unit import Definition

MEDIA = "livekit-server"


def release(
    version: str, ups: Sequence[str] = (), backs: Sequence[str] = (), *, measured: Sequence[str] = (), blocked: str = ""
) -> Definition:
    """A release that replaces `ups` and can be replaced by `backs` again; edges to `measured` were measured."""

    def edges(others: Sequence[str]) -> dict[str, EdgeSection]:
        bases = {True: Basis.MEASURED, False: Basis.CHANGE_LIST}
        return {f"{other}-r1": EdgeSection(f"{other} is like {version}", bases[other in measured]) for other in others}

    lineage = LineageSection((Strategy.TWO_SLOT, Strategy.DRAIN), edges(ups), edges(backs))
    return plain_release(version, lineage, (BlockSection(blocked),) if blocked else ())


def lineage(*definitions: Definition) -> Lineage:
    """The lineage of these releases."""
    return make_catalog((f"{one.unit.release}.toml", one) for one in definitions).lineage("echo")


def hops(path: Path) -> list[str]:
    """The versions on a path, both ends included."""
    for edge, following in itertools.pairwise(path.edges):
        assert edge.end == following.start
    ends = [path.start, *(edge.end for edge in path.edges)]
    assert ends[-1] == path.end
    return [end.removesuffix("-r1") for end in ends]


@pytest.mark.parametrize("table", ["ups", "backs"])
def test_an_edge_names_a_release_that_is_not_there(table: str) -> None:
    """The error says who names it, and what there is."""
    odd = release("1.1", ups=["1.0", *(["0.9"] if table == "ups" else [])], backs=["0.9"] if table == "backs" else [])
    with pytest.raises(UnknownRelease) as caught:
        lineage(release("1.0"), odd)
    assert (caught.value.unit, caught.value.release) == ("echo", "0.9-r1")
    assert str(caught.value) == "cannot find release '0.9-r1' of echo, which the lineage of 1.1-r1 names"
    assert caught.value.hint == "known releases: 1.0-r1, 1.1-r1"


def test_many_known_releases_are_shown_in_part() -> None:
    """The oldest and the newest, as one of them is what was meant."""
    chain = [release("1.0"), *(release(f"1.{at}", ups=[f"1.{at - 1}"]) for at in range(1, 12))]
    with pytest.raises(UnknownRelease) as caught:
        lineage(*chain).path("1.0-r1", "2.0-r1")
    newest = ", ".join(f"1.{at}-r1" for at in range(4, 12))
    assert caught.value.hint == f"known releases: 1.0-r1, 1.1-r1, ..., {newest}"


@pytest.mark.parametrize(
    ("definitions", "members"),
    [
        pytest.param([release("1.0", ups=["1.0"])], ["1.0-r1", "1.0-r1"], id="itself"),
        pytest.param(
            [release("1.0", ups=["1.1"]), release("1.1", ups=["1.0"])], ["1.0-r1", "1.1-r1", "1.0-r1"], id="two"
        ),
        pytest.param(
            [release("1.0", ups=["1.2"]), release("1.1", ups=["1.0"]), release("1.2", ups=["1.1"])],
            ["1.0-r1", "1.2-r1", "1.1-r1", "1.0-r1"],
            id="three",
        ),
        pytest.param(
            [
                release("1.0"),
                release("1.1", ups=["1.0", "1.2"]),
                release("1.2", ups=["1.0", "1.1"]),
                release("1.3", ups=["1.2"]),
            ],
            ["1.1-r1", "1.2-r1", "1.1-r1"],
            id="beside-a-head",
        ),
    ],
)
def test_a_circle_of_upgrades(definitions: list[Definition], members: list[str]) -> None:
    """The members begin and end with the same release, each upgraded from the next; the rest is not among them."""
    with pytest.raises(ReleaseCycle) as caught:
        lineage(*definitions)
    assert caught.value.unit == "echo"
    assert list(caught.value.members) == members
    assert str(caught.value) == f"cannot order the releases of echo: {' upgrades from '.join(members)}"
    assert caught.value.hint == "a way back stands under [lineage.rolls_back_to] of the newer release"


def test_two_ways_to_one_release_are_no_circle() -> None:
    """A diamond is sound: what is met twice need not be met in a circle."""
    found = lineage(
        release("1.0"), release("1.1", ups=["1.0"]), release("1.2", ups=["1.0"]), release("1.3", ups=["1.1", "1.2"])
    )
    assert found.head == "1.3-r1"


def test_a_long_chain_needs_no_recursion() -> None:
    """Thousands of releases are no limit of the language."""
    chain = [release("1.0"), *(release(f"1.{at}", ups=[f"1.{at - 1}"]) for at in range(1, 3000))]
    assert len(lineage(*chain).path("1.0-r1", "1.2999-r1").edges) == 2999


def test_more_than_one_head() -> None:
    """Both are named, in their order."""
    with pytest.raises(MultipleHeads) as caught:
        lineage(release("1.0"), release("1.1", ups=["1.0"]), release("1.2", ups=["1.0"]))
    assert (caught.value.unit, caught.value.heads) == ("echo", ("1.1-r1", "1.2-r1"))
    assert str(caught.value) == "cannot tell the newest release of echo: nothing replaces 1.1-r1 nor 1.2-r1"
    assert caught.value.hint == "name it under [lineage.upgrades_from] of the release that comes after it"


def test_a_way_back_does_not_make_a_release_replaced() -> None:
    """Only an upgrade does: a release that can merely be gone back to is another head."""
    with pytest.raises(MultipleHeads) as caught:
        lineage(release("1.0"), release("1.1", backs=["1.0"]))
    assert caught.value.heads == ("1.0-r1", "1.1-r1")


def test_an_upgrade_from_a_newer_release() -> None:
    """It is told by its right name, and where a way back belongs."""
    with pytest.raises(UpgradeBackwards) as caught:
        lineage(release("1.0", ups=["1.1"]), release("1.1"))
    assert (caught.value.unit, caught.value.release, caught.value.newer) == ("echo", "1.0-r1", "1.1-r1")
    assert str(caught.value) == "cannot upgrade echo 1.1-r1 to 1.0-r1: it is newer"
    assert caught.value.hint == "a way back stands under [lineage.rolls_back_to] of 1.1-r1"


@pytest.mark.parametrize(("start", "end"), [("0.9-r1", "1.0-r1"), ("1.0-r1", "0.9-r1"), ("0.9-r1", "0.9-r1")])
def test_a_way_from_or_to_nowhere(start: str, end: str) -> None:
    """Nobody's lineage names it: the caller does."""
    with pytest.raises(UnknownRelease, match=re.escape("cannot find release '0.9-r1' of echo")) as caught:
        lineage(release("1.0")).path(start, end)
    assert "which the lineage" not in str(caught.value)


BLOCKED_MIDDLE = [
    release("1.0"),
    release("1.1", ups=["1.0"], backs=["1.0"], blocked="it bites"),
    release("1.2", ups=["1.1"], backs=["1.1"]),
]


def test_a_blocked_release_is_no_end() -> None:
    """With its reason, from wherever one comes."""
    found = lineage(*BLOCKED_MIDDLE)
    for start in ("1.0-r1", "1.2-r1"):
        with pytest.raises(BlockedRelease) as caught:
            found.path(start, "1.1-r1")
        assert (caught.value.unit, caught.value.release, caught.value.reason) == ("echo", "1.1-r1", "it bites")
        assert caught.value.refusals == ("echo 1.1-r1 is blocked: it bites",)
        assert caught.value.hint == "choose another release"


@pytest.mark.parametrize(("start", "end"), [("1.0-r1", "1.2-r1"), ("1.2-r1", "1.0-r1")])
def test_a_blocked_release_on_the_only_way(start: str, end: str) -> None:
    """The refusal says which, why, and on which way, in both directions."""
    with pytest.raises(BlockedRelease) as caught:
        lineage(*BLOCKED_MIDDLE).path(start, end)
    assert caught.value.release == "1.1-r1"
    assert caught.value.reason == "it bites"
    assert str(caught.value) == (
        "cannot reach the desired state: echo 1.1-r1 is blocked: "
        f"the way from {start} to {end} leads over 1.1-r1: it bites"
    )


def test_a_blocked_release_is_gone_around() -> None:
    """A longer way over what may run is better than none."""
    found = lineage(
        release("1.0"),
        release("1.1", ups=["1.0"], blocked="it bites"),
        release("1.2", ups=["1.0"]),
        release("1.3", ups=["1.2"]),
        release("1.4", ups=["1.1", "1.3"]),
    )
    assert hops(found.path("1.0-r1", "1.4-r1")) == ["1.0", "1.2", "1.3", "1.4"]
    assert hops(found.path("1.1-r1", "1.4-r1")) == ["1.1", "1.4"]


def test_a_blocked_release_can_be_left_and_stayed_on() -> None:
    """Somebody may run it: both directions lead away, and standing still is no way at all."""
    found = lineage(*BLOCKED_MIDDLE)
    assert found.blocked("1.1-r1") == "it bites"
    assert found.blocked("1.0-r1") == ""
    assert hops(found.path("1.1-r1", "1.2-r1")) == ["1.1", "1.2"]
    assert hops(found.path("1.1-r1", "1.0-r1")) == ["1.1", "1.0"]
    assert found.path("1.1-r1", "1.1-r1").edges == ()


def test_no_way_is_declared() -> None:
    """Going back is never assumed; the refusal says how far one gets, the oldest first."""
    found = lineage(release("1.0"), release("1.1", ups=["1.0"]), release("1.2", ups=["1.1"], backs=["1.1"]))
    with pytest.raises(NoUpgradePath) as caught:
        found.path("1.2-r1", "1.0-r1")
    error = caught.value
    assert (error.unit, error.start, error.end, error.reachable) == ("echo", "1.2-r1", "1.0-r1", ("1.1-r1",))
    assert error.refusals == ("no way is declared from echo 1.2-r1 to 1.0-r1",)
    assert error.hint == "from 1.2-r1 there is a way to 1.1-r1"
    with pytest.raises(NoUpgradePath) as stuck:
        found.path("1.1-r1", "1.0-r1")
    assert stuck.value.reachable == ("1.2-r1",)


def test_no_edge_leaves() -> None:
    """Where nothing can be reached, that is said instead."""
    with pytest.raises(NoUpgradePath) as caught:
        lineage(release("1.0"), release("1.1", ups=["1.0"])).path("1.1-r1", "1.0-r1")
    assert (caught.value.reachable, caught.value.hint) == ((), "no edge leaves 1.1-r1")


def test_what_can_be_reached_comes_in_order_of_age() -> None:
    """Not in the order in which it was found, and not by spelling."""
    found = lineage(
        release("1.2"),
        release("1.9", ups=["1.2"]),
        release("1.10", ups=["1.9"], backs=["1.9"]),
        release("1.11", ups=["1.10", "1.2"], backs=["1.10"]),
    )
    with pytest.raises(NoUpgradePath) as caught:
        found.path("1.11-r1", "1.2-r1")
    assert caught.value.reachable == ("1.9-r1", "1.10-r1")


def test_going_back_where_it_is_declared() -> None:
    """An edge like any other, and it may skip what the way up did not."""
    found = lineage(release("1.0"), release("1.1", ups=["1.0"]), release("1.2", ups=["1.1"], backs=["1.0"]))
    assert hops(found.path("1.0-r1", "1.2-r1")) == ["1.0", "1.1", "1.2"]
    assert hops(found.path("1.2-r1", "1.0-r1")) == ["1.2", "1.0"]
    assert hops(found.path("1.1-r1", "1.0-r1")) == ["1.1", "1.2", "1.0"]


DIAMOND = [release("1.0"), release("1.1", ups=["1.0"]), release("1.2", ups=["1.0"])]


@pytest.mark.parametrize(
    ("measured", "over"),
    [
        pytest.param([], "1.1", id="none-the-older"),
        pytest.param(["1.1"], "1.1", id="one"),
        pytest.param(["1.2"], "1.2", id="the-other"),
        pytest.param(["1.1", "1.2"], "1.1", id="both-the-older"),
    ],
)
def test_measured_edges_are_preferred(measured: list[str], over: str) -> None:
    """Among ways of the same length; where that is equal too, the one over older releases."""
    found = lineage(*DIAMOND, release("1.3", ups=["1.1", "1.2"], measured=measured))
    assert hops(found.path("1.0-r1", "1.3-r1")) == ["1.0", over, "1.3"]


def test_measured_edges_are_counted_over_the_whole_way() -> None:
    """Two measured edges early weigh more than one late."""
    found = lineage(
        release("1.0"),
        release("1.1", ups=["1.0"]),
        release("1.2", ups=["1.0"], measured=["1.0"]),
        release("1.3", ups=["1.1"]),
        release("1.4", ups=["1.2"], measured=["1.2"]),
        release("1.5", ups=["1.3", "1.4"], measured=["1.3"]),
    )
    assert hops(found.path("1.0-r1", "1.5-r1")) == ["1.0", "1.2", "1.4", "1.5"]


def test_a_short_way_beats_a_measured_one() -> None:
    """Each step costs the calls that run at that moment something; so fewer come first."""
    found = lineage(
        release("1.0"),
        release("1.1", ups=["1.0"], measured=["1.0"]),
        release("1.2", ups=["1.0", "1.1"], measured=["1.1"]),
    )
    assert hops(found.path("1.0-r1", "1.2-r1")) == ["1.0", "1.2"]


def test_no_way_goes_forth_and_back_for_the_sake_of_a_measurement() -> None:
    """An upgrade that can go straight up does not begin with a step back, nor the way back with an upgrade."""
    found = lineage(
        release("1.0"),
        release("1.1", ups=["1.0"], backs=["1.0"]),
        release("1.2", ups=["1.1"], backs=["1.1"]),
        release("1.3", ups=["1.2", "1.0"], backs=["1.2", "1.0"], measured=["1.0"]),
    )
    assert hops(found.path("1.1-r1", "1.3-r1")) == ["1.1", "1.2", "1.3"]
    assert hops(found.path("1.2-r1", "1.0-r1")) == ["1.2", "1.1", "1.0"]


def test_no_way_goes_back_to_save_a_step() -> None:
    """From 1.1 the leap of 1.0 is out of sight: to go back for it would take calls over an old release for nothing."""
    found = lineage(
        release("1.0"),
        release("1.1", ups=["1.0"], backs=["1.0"]),
        release("1.2", ups=["1.1"]),
        release("1.3", ups=["1.2"]),
        release("1.4", ups=["1.3", "1.0"]),
    )
    assert hops(found.path("1.1-r1", "1.4-r1")) == ["1.1", "1.2", "1.3", "1.4"]
    assert hops(found.path("1.0-r1", "1.4-r1")) == ["1.0", "1.4"]


def test_what_changes_on_the_way() -> None:
    """An edge that skips releases has their changes too: upwards as they came, backwards undone in reverse."""
    found = lineage(release("1.0"), release("1.1", ups=["1.0"]), release("1.2", ups=["1.0", "1.1"], backs=["1.0"]))
    (up,) = found.path("1.0-r1", "1.2-r1").edges
    (down,) = found.path("1.2-r1", "1.0-r1").edges
    assert up.on_the_way == (OnTheWay("1.1-r1", "1.1 came", "to 1.1"), OnTheWay("1.2-r1", "1.2 came", "to 1.2"))
    assert down.on_the_way == (OnTheWay("1.2-r1", "1.2 came", "from 1.2"), OnTheWay("1.1-r1", "1.1 came", "from 1.1"))


def test_edges_of_a_release() -> None:
    """From and into, by the age of the other end, ways back among them."""
    found = lineage(
        release("1.0"),
        release("1.1", ups=["1.0"], backs=["1.0"]),
        release("1.2", ups=["1.1", "1.0"], backs=["1.1", "1.0"]),
    )
    assert [edge.end for edge in found.edges_from("1.1-r1")] == ["1.0-r1", "1.2-r1"]
    assert [edge.end for edge in found.edges_from("1.2-r1")] == ["1.0-r1", "1.1-r1"]
    assert [edge.start for edge in found.edges_into("1.1-r1")] == ["1.0-r1", "1.2-r1"]
    assert [edge.start for edge in found.edges_into("1.0-r1")] == ["1.1-r1", "1.2-r1"]
    assert {(edge.start, edge.end) for name in found.releases for edge in found.edges_from(name)} == {
        (edge.start, edge.end) for name in found.releases for edge in found.edges_into(name)
    }


def test_strategies_are_inherited_unless_an_edge_has_its_own() -> None:
    """Those of [lineage] hold for every edge that names none."""
    own = EdgeSection("own", strategies=(Strategy.IDLE_SWAP,))
    newer = LineageSection(
        (Strategy.TWO_SLOT, Strategy.DRAIN), {"1.0-r1": EdgeSection("theirs"), "1.1-r1": own}, {"1.0-r1": own}
    )
    found = lineage(release("1.0"), release("1.1", ups=["1.0"]), plain_release("1.2", newer))
    ways = {(edge.start, edge.end): edge.strategies for edge in found.edges_into("1.2-r1")}
    assert ways == {
        ("1.0-r1", "1.2-r1"): (Strategy.TWO_SLOT, Strategy.DRAIN),
        ("1.1-r1", "1.2-r1"): (Strategy.IDLE_SWAP,),
    }
    assert [edge.strategies for edge in found.edges_from("1.2-r1")] == [(Strategy.IDLE_SWAP,)]


def test_an_edge_says_why() -> None:
    """Unit, reason and what it rests on are as the file of the newer release has them."""
    (edge,) = lineage(release("1.0"), release("1.1", ups=["1.0"], measured=["1.0"])).edges_from("1.0-r1")
    assert (edge.unit, edge.because, edge.basis) == ("echo", "1.0 is like 1.1", Basis.MEASURED)


def test_a_catalog_gives_the_edges_to_one_release() -> None:
    """From both sides, and without what lies on the way, as an upgrade plan does not read older files."""
    found = make_catalog(
        (f"{one.unit.release}.toml", one)
        for one in (
            release("1.0"),
            release("1.1", ups=["1.0"]),
            release("1.2", ups=["1.0", "1.1"], backs=["1.1"]),
            release("1.3", ups=["1.2"], backs=["1.0"]),
        )
    )
    middle = found.find("echo", "1.1")
    assert [(edge.start, edge.end) for edge in found.edges_to(middle)] == [("1.0-r1", "1.1-r1"), ("1.2-r1", "1.1-r1")]
    assert {edge.on_the_way for edge in found.edges_to(middle)} == {()}
    assert [(edge.start, edge.end) for edge in found.edges_to(found.find("echo", "1.2"))] == [
        ("1.0-r1", "1.2-r1"),
        ("1.1-r1", "1.2-r1"),
    ]


def test_the_shipped_way_up_and_back(catalog: Catalog) -> None:
    """From the first release that was measured to the newest over measured edges only, and the same way back."""
    found = catalog.lineage(MEDIA)
    up, down = found.path("1.9.12-r1", "1.13.5-r1"), found.path("1.13.5-r1", "1.9.12-r1")
    assert hops(up) == ["1.9.12", "1.11.0", "1.13.3", "1.13.5"]
    assert hops(down) == ["1.13.5", "1.13.3", "1.11.0", "1.9.12"]
    assert {edge.basis for edge in (*up.edges, *down.edges)} == {Basis.MEASURED}
    assert {edge.strategies[0] for edge in (*up.edges, *down.edges)} == {Strategy.TWO_SLOT}


def test_the_shipped_ways_of_two_steps_go_straight(catalog: Catalog) -> None:
    """Though measured edges lie beside them."""
    found = catalog.lineage(MEDIA)
    assert hops(found.path("1.10.0-r1", "1.11.0-r1")) == ["1.10.0", "1.10.1", "1.11.0"]
    assert hops(found.path("1.10.1-r1", "1.9.12-r1")) == ["1.10.1", "1.10.0", "1.9.12"]


def test_the_shipped_ways_skip_what_cannot_be_built(catalog: Catalog) -> None:
    """1.13.1 comes as an archive only; who builds the media goes past it."""
    found = catalog.lineage(MEDIA)
    assert hops(found.path("1.12.0-r1", "1.13.5-r1")) == ["1.12.0", "1.13.3", "1.13.5"]
    assert hops(found.path("1.13.5-r1", "1.12.0-r1")) == ["1.13.5", "1.13.3", "1.12.0"]


def test_the_shipped_way_says_what_changes(catalog: Catalog) -> None:
    """Each release between the two ends, in order, with advice for that direction."""
    found = catalog.lineage(MEDIA)
    up = [change for edge in found.path("1.9.12-r1", "1.13.5-r1").edges for change in edge.on_the_way]
    down = [change for edge in found.path("1.13.5-r1", "1.9.12-r1").edges for change in edge.on_the_way]
    passed = [name for name, _ in itertools.groupby(change.release for change in up)]
    assert passed == [name for name in found.releases if name in passed]
    assert {"1.11.0-r1", "1.12.0-r1", "1.13.2-r1", "1.13.5-r1"} <= set(passed)
    assert "1.9.12-r1" not in passed
    assert [name for name, _ in itertools.groupby(change.release for change in down)] == passed[::-1]
    advice = {change.what: change.do for change in up}
    assert "remove room.create_room_enabled" in advice["room.create_room_enabled is gone, and fatal if it is set"]
    back = {change.what: change.do for change in down}
    assert back["/debug/rooms on a port of its own tells rooms and people"] == "remove livekit.ports.debug"


def test_the_shipped_blocked_release(catalog: Catalog) -> None:
    """1.9.10 panics: nobody is led there or over it, and whoever runs it gets away to the newest."""
    found = catalog.lineage(MEDIA)
    with pytest.raises(BlockedRelease, match="it panics while calls run") as caught:
        found.path("1.9.9-r1", "1.9.10-r1")
    assert caught.value.release == "1.9.10-r1"
    assert "1.9.10-r1" not in hops(found.path("1.9.0-r1", "1.13.5-r1"))
    assert hops(found.path("1.9.10-r1", "1.13.5-r1"))[:2] == ["1.9.10", "1.9.11"]


def test_every_shipped_release_reaches_the_newest_and_goes_back(catalog: Catalog) -> None:
    """Upwards from everywhere; back to every older one that is not blocked."""
    found = catalog.lineage(MEDIA)
    assert found.head == found.releases[-1] == "1.13.5-r1"
    for release_ in found.releases:
        assert found.path(release_, found.head).end == found.head
    blocked = [name for name in found.releases if found.blocked(name)]
    assert blocked == ["1.9.10-r1"]
    for older, newer in itertools.combinations([name for name in found.releases if name not in blocked], 2):
        assert found.path(newer, older).end == older


def test_every_shipped_lineage_is_sound(catalog: Catalog) -> None:
    """One head each, and it is what the catalog chooses by default."""
    for unit in catalog.units:
        assert catalog.lineage(unit).head == catalog.find(unit).unit.release
