"""What a supervisor that adopts nothing has lost: it serves on, and is replaced when nobody is hit."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given

from hero_livekit_units.model.observed import Entry, EntryState, InstanceSeen, Observed, ProcessId, Verdict
from hero_livekit_units.model.plan import ENDING, Action, Allowed, Goal, Plan
from hero_livekit_units.plan.planner import plan
from tests.plan.worlds import BEFORE
from tests.strategies import ANSWERING, BACKEND, DESIRED, FOLLOWED, MEDIA, entry, healthy, process, world, worlds

FORGETS = attrs.evolve(ANSWERING, kind="zinit", adopts=False)
COPY = entry(MEDIA, process=ProcessId(4300, 0))
BETWEEN = entry(MEDIA, process=None, state=EntryState.STOPPED)
QUIETED = entry(MEDIA, process=None, state=EntryState.STOPPED, wanted=False)


def steps(found: Plan) -> list[tuple[Action, str]]:
    """Action and instance of each step, in order."""
    return [(step.action, step.instance) for wave in found.waves for step in wave.steps]


def lost(media: Entry | None, people: int | None = 2) -> InstanceSeen:
    """A livekit-server that serves without the supervisor."""
    return healthy(MEDIA, people=people, entry=media)


@pytest.mark.parametrize("copy", [COPY, BETWEEN], ids=["runs", "between-two-lives"])
def test_the_copy_is_quieted_and_who_is_in_a_call_stays(copy: Entry) -> None:
    """The one step is about the copy, for this very process alone; the rest is waited for."""
    found = plan(world(lost(copy), healthy(BACKEND), supervisor=FORGETS), DESIRED)
    assert steps(found) == [(Action.QUIET, MEDIA.instance)]
    assert found.waves[0].steps[0].needs.process == process(MEDIA).id
    assert [wait.instance for wait in found.waits] == [MEDIA.instance]
    assert "everybody has left" in found.waits[0].until


def test_what_is_quiet_is_left_alone_while_people_are_in_it() -> None:
    """Nothing more to do, and said so."""
    found = plan(world(lost(QUIETED), healthy(BACKEND), supervisor=FORGETS), DESIRED)
    assert steps(found) == []
    assert [wait.instance for wait in found.waits] == [MEDIA.instance]


def test_an_unknown_count_waits() -> None:
    """Who may be in a call is not cut off."""
    found = plan(world(lost(QUIETED, None), healthy(BACKEND), supervisor=FORGETS), DESIRED)
    assert steps(found) == []
    assert found.waits[0].until == "calls can be counted"


@pytest.mark.parametrize("media", [None, QUIETED, COPY], ids=["unknown", "quiet", "copy"])
def test_it_is_replaced_when_nobody_is_in_it(media: Entry | None) -> None:
    """In place, while nobody is in a call: then the supervisor has it."""
    found = plan(world(lost(media, 0), healthy(BACKEND), supervisor=FORGETS), DESIRED)
    restart = next(step for wave in found.waves for step in wave.steps if step.action is Action.RESTART)
    assert (restart.instance, restart.needs.people_at_most) == (MEDIA.instance, 0)
    assert restart.needs.process == process(MEDIA).id
    assert {action for action, _ in steps(found)} <= {Action.QUIET, Action.REGISTER, Action.RESTART}


def test_who_may_be_on_the_way_back_is_waited_for() -> None:
    """A server that is young may have lost people who come back to it."""
    young = attrs.evolve(lost(QUIETED, 0), process=process(MEDIA, age_s=1.0))
    found = plan(world(young, healthy(BACKEND), supervisor=FORGETS), DESIRED)
    assert steps(found) == []
    assert found.waits[0].seconds


def test_what_carries_no_calls_is_replaced_at_once() -> None:
    """Calls go on without lk-backend."""
    backend = healthy(BACKEND, entry=entry(BACKEND, process=ProcessId(4301, 0)))
    found = plan(world(healthy(MEDIA, people=2), backend, supervisor=FORGETS), DESIRED)
    assert steps(found) == [(Action.QUIET, BACKEND.instance), (Action.RESTART, BACKEND.instance)]


def test_an_upgrade_starts_beside_what_is_lost() -> None:
    """People in the old slot stay until they leave, owned or not."""
    old = healthy(MEDIA, people=3, process=BEFORE, entry=COPY)
    found = plan(world(old, healthy(BACKEND), supervisor=FORGETS), FOLLOWED)
    assert (Action.QUIET, MEDIA.instance) in steps(found)
    assert (Action.START, "livekit-server@b") in steps(found)
    assert not ENDING & {action for action, instance in steps(found) if instance == MEDIA.instance}


def test_stop_ends_what_is_lost_only_on_the_terms_of_any_other() -> None:
    """Not with people in it, unless that was allowed."""
    found = plan(world(lost(COPY), healthy(BACKEND), supervisor=FORGETS), DESIRED, Goal.STOP)
    assert not ENDING & {action for action, instance in steps(found) if instance == MEDIA.instance}
    allowed = frozenset({Allowed.DROP})
    dropped = plan(world(lost(COPY), healthy(BACKEND), supervisor=FORGETS), DESIRED, Goal.STOP, allowed=allowed)
    assert (Action.KILL, MEDIA.instance) in steps(dropped)


@given(worlds())
def test_a_supervisor_that_adopts_is_never_told_to_quiet(observed: Observed) -> None:
    """It may find again what it has lost; then the copy is the one that serves."""
    assert Action.QUIET not in {action for action, _ in steps(plan(observed, DESIRED))}


@given(worlds())
def test_people_are_never_cut_off(observed: Observed) -> None:
    """Whatever a supervisor that forgets says, nobody in a call is hit, and nothing that is unknown is ended."""
    seen = attrs.evolve(observed, supervisor=attrs.evolve(observed.supervisor, adopts=False))
    found = plan(seen, DESIRED)
    for wave in found.waves:
        for step in wave.steps:
            if step.action in ENDING:
                one = seen.instance(step.instance)
                assert not (one.spec.carries_calls and one.process and one.people)
                assert one.verdict is not Verdict.UNKNOWN
