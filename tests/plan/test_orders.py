"""Who may ask for a drain or for its end, and what is recorded then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from hero_livekit_units.errors import PlanRefused
from hero_livekit_units.model.drain import Drain, DrainSeen, Signal, Terms, Then
from hero_livekit_units.plan.orders import cancelled, check_ordered, ordered
from hero_livekit_units.plan.planner import plan
from tests.plan.worlds import BACKEND_B_RUNS, BEFORE, DRAIN, NOTHING_ALLOWED, STOPPING, stranger
from tests.strategies import BACKEND, DESIRED, MEDIA, MEDIA_B, STEERED, healthy, stopped, world

if TYPE_CHECKING:
    from hero_livekit_units.model.observed import InstanceSeen, Observed
    from hero_livekit_units.model.plan import Allowed

NOW_S = 5000.0
TERMS = Terms(within_s=60.0, then=Then.ANNOUNCE, idle_room_s=30.0)


def drained(found: InstanceSeen, **changes: Any) -> InstanceSeen:
    """It is drained since before."""
    assert found.process is not None
    drain = attrs.evolve(Drain(found.process.id, "bob", 4000.0), **changes)
    return attrs.evolve(found, drain=DrainSeen(drain, NOW_S))


def ask(seen: Observed, slot: str = "a", terms: Terms = TERMS, allowed: frozenset[Allowed] = NOTHING_ALLOWED) -> Drain:
    """The record of a drain that ada asks for, where it is possible."""
    desired = STEERED if seen.slot else DESIRED
    spec, drain, then = ordered(attrs.evolve(seen, slot="a"), desired, slot, terms, allowed, by="ada", now_s=NOW_S)
    if drain.asked:
        check_ordered(plan(then, desired, allowed=allowed), spec, allowed)
    return drain


def steered(*instances: InstanceSeen) -> Observed:
    """Joins are steered, and new rooms go to slot a."""
    return attrs.evolve(world(*instances), slot="a")


def test_the_slot_of_new_rooms() -> None:
    """It is recorded for its process, on these terms, from now on."""
    found = ask(steered(healthy(MEDIA, people=3), healthy(BACKEND)))
    assert found == Drain(
        healthy(MEDIA).process.id,  # type: ignore[union-attr]
        "ada",
        NOW_S,
        asked=True,
        until_s=NOW_S + 60.0,
        then=Then.ANNOUNCE,
        idle_room_s=30.0,
    )


def test_other_terms_for_a_slot_that_is_left() -> None:
    """Since when stays; who asks for the terms is told from then on; a deadline that was announced is a new one."""
    found = ask(steered(healthy(MEDIA), healthy(BACKEND), drained(healthy(MEDIA_B, people=3), announced=True)), "b")
    assert (found.by, found.since_s, found.until_s, found.asked, found.announced) == (
        "ada",
        4000.0,
        NOW_S + 60.0,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("seen", "slot", "says"),
    [
        pytest.param(steered(healthy(MEDIA), healthy(BACKEND)), "c", "there is no slot 'c'", id="no-such-slot"),
        pytest.param(steered(healthy(MEDIA), healthy(BACKEND)), "b", "cannot be drained", id="does-not-run"),
        pytest.param(steered(stranger(MEDIA), healthy(BACKEND)), "a", "held by pid 666", id="not-ours"),
        pytest.param(
            steered(healthy(MEDIA, entry=STOPPING), healthy(BACKEND)), "a", "is ending already", id="is-ending"
        ),
        pytest.param(
            steered(healthy(MEDIA, people=3), healthy(BACKEND), stranger(MEDIA_B)),
            "a",
            "joins would be refused until the last call ends, as new rooms have no other slot: no other slot is free",
            id="no-other-slot",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3), healthy(BACKEND)),
            "a",
            "joins would be refused until the last call ends",
            id="joins-are-not-steered",
        ),
    ],
)
def test_what_cannot_be_drained(seen: Observed, slot: str, says: str) -> None:
    """It is refused with the reason, and nothing is recorded."""
    with pytest.raises(PlanRefused, match=says):
        ask(seen, slot)


def test_what_is_accepted_by_name_is_kept() -> None:
    """With the word of the user the server itself is asked to end."""
    found = ask(world(healthy(MEDIA, people=3), healthy(BACKEND)), allowed=DRAIN)
    assert (found.asked, found.refusing) == (True, True)


def test_rooms_that_cannot_move() -> None:
    """Nothing sends people to the other slot, or they have the address of theirs only."""
    with pytest.raises(PlanRefused, match="would not come back to another"):
        ask(steered(healthy(MEDIA, people=3), healthy(BACKEND)), terms=Terms(60.0, Then.MOVE))
    with pytest.raises(PlanRefused, match="rooms cannot move"):
        ask(world(healthy(MEDIA, people=3), healthy(BACKEND)), terms=Terms(60.0, Then.MOVE), allowed=DRAIN)


def test_a_cancel_drains_what_was_begun_for_it() -> None:
    """What was started is recorded first: after a crash in between, new rooms stay where they go."""
    seen = steered(drained(healthy(MEDIA, people=3), asked=True), BACKEND_B_RUNS, healthy(MEDIA_B))
    (other, begun), (spec, kept) = cancelled(seen, STEERED, "a", by="ada", now_s=NOW_S)
    assert (other, begun.asked, begun.by, begun.since_s) == (MEDIA_B, True, "ada", NOW_S)
    assert (spec, kept.asked, kept.by) == (MEDIA, False, "bob")


def test_a_cancel_where_nothing_was_begun_yet() -> None:
    """Only the record changes."""
    seen = steered(drained(healthy(MEDIA, people=3), asked=True), healthy(BACKEND))
    assert [spec for spec, _ in cancelled(seen, STEERED, "a", by="ada", now_s=NOW_S)] == [MEDIA]


@pytest.mark.parametrize(
    ("here", "says"),
    [
        pytest.param(healthy(MEDIA), "is not drained", id="not-drained"),
        pytest.param(stopped(MEDIA), "is not drained", id="does-not-run"),
        pytest.param(drained(healthy(MEDIA, entry=STOPPING)), "got its stop signal already", id="signalled"),
        pytest.param(drained(healthy(MEDIA), signal=Signal.SENDING), "may have got its stop signal", id="perhaps"),
        pytest.param(drained(healthy(MEDIA, process=BEFORE)), "asks for another release", id="an-upgrade"),
    ],
)
def test_what_cannot_be_cancelled(here: InstanceSeen, says: str) -> None:
    """It is refused with the reason."""
    with pytest.raises(PlanRefused, match=says):
        cancelled(steered(here, BACKEND_B_RUNS, healthy(MEDIA_B)), STEERED, "a", by="ada", now_s=NOW_S)
