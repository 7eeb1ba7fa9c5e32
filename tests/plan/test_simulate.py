"""What should be after a step: that it leads to the goal, and that it is told from what was before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.model.observed import EntryState, InstanceSeen, Observed, ProcessId, Verdict
from hero_livekit_units.model.plan import Action, Allowed, Effect, Goal, Interruption, Plan, Step
from hero_livekit_units.plan.planner import plan
from hero_livekit_units.plan.simulate import TO_BE, reached, simulate, simulated
from tests.plan.worlds import BEFORE, not_ready
from tests.strategies import (
    BACKEND,
    BACKEND_B,
    DESIRED,
    MEDIA,
    MEDIA_B,
    STEERED,
    healthy,
    process,
    stopped,
    without,
    world,
    worlds,
)

if TYPE_CHECKING:
    from hero_livekit_units.model.desired import Desired

NEXT = ProcessId(5151, 2_000_000)
ANYTHING_ALLOWED = st.frozensets(st.sampled_from(Allowed))


def done(observed: Observed, found: Plan, desired: Desired) -> Observed:
    """The world after all steps of a plan."""
    for step in found.steps:
        spec = desired.spec(step.instance, step.digest)
        assert spec is not None
        observed = simulated(observed, step, spec)
    return observed


def later(observed: Observed, desired: Desired, allowed: frozenset[Allowed]) -> tuple[Observed, Plan]:
    """The world after three plans, and the one that comes then."""
    for _ in range(3):
        observed = done(observed, plan(observed, desired, allowed=allowed), desired)
    return observed, plan(observed, desired, allowed=allowed)


@pytest.mark.parametrize(
    ("observed", "desired", "allowed", "slot"),
    [
        pytest.param(world(stopped(MEDIA), stopped(BACKEND)), DESIRED, set(), "a", id="first-time"),
        pytest.param(world(healthy(MEDIA, process=BEFORE), healthy(BACKEND)), DESIRED, set(), "a", id="idle-swap"),
        pytest.param(
            world(healthy(MEDIA, people=3, process=BEFORE), healthy(BACKEND)),
            DESIRED,
            {Allowed.RECONNECT},
            "a",
            id="swap",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3, process=BEFORE), healthy(BACKEND)), DESIRED, {Allowed.DRAIN}, "a", id="drain"
        ),
        pytest.param(
            world(healthy(MEDIA, people=3, process=BEFORE), healthy(BACKEND)), STEERED, set(), "b", id="two-slot"
        ),
        pytest.param(
            world(healthy(MEDIA, people=3, process=BEFORE), healthy(BACKEND)),
            without(STEERED, "two-slot"),
            {Allowed.RECONNECT},
            "b",
            id="move",
        ),
    ],
)
def test_the_goal_is_reached(observed: Observed, desired: Desired, allowed: set[Allowed], slot: str) -> None:
    """After the steps of three plans nothing is left to do, and what is wanted runs as it is wanted."""
    after, found = later(observed, desired, frozenset(allowed))
    assert (found.slot, found.waves, found.refusals) == (slot, (), ())
    for spec in desired.by_slot[slot]:
        there = after.instance(spec.instance)
        assert there.verdict is Verdict.HEALTHY
        assert there.process is not None
        assert (there.process.launch_digest, there.process.release) == (spec.launch_digest, spec.release)


def test_a_slot_that_is_left_is_waited_for() -> None:
    """The only thing that is left after a two-slot upgrade is the old slot, while people are in it."""
    _, found = later(world(healthy(MEDIA, people=3, process=BEFORE), healthy(BACKEND)), STEERED, frozenset())
    assert [wait.instance for wait in found.waits] == ["livekit-server@a"]


@given(worlds(), st.sampled_from([DESIRED, STEERED, without(STEERED, "two-slot")]), ANYTHING_ALLOWED)
def test_any_world_comes_to_rest(observed: Observed, desired: Desired, allowed: frozenset[Allowed]) -> None:
    """Whatever was found, three plans later there is nothing that would be done."""
    _, found = later(observed, desired, allowed)
    assert found.waves == ()


@given(worlds(), ANYTHING_ALLOWED)
def test_stopping_comes_to_rest(observed: Observed, allowed: frozenset[Allowed]) -> None:
    """What was stopped needs no second stop."""
    after = done(observed, plan(observed, DESIRED, Goal.STOP, allowed=allowed), DESIRED)
    again = plan(after, DESIRED, Goal.STOP, allowed=allowed)
    assert not {step.instance for step in again.steps} & {
        step.instance for step in plan(observed, DESIRED, Goal.STOP, allowed=allowed).steps
    }


def step(action: Action) -> Step:
    """A step about the media."""
    return Step(action, MEDIA.instance, MEDIA.digest, "asked for", Effect(Interruption.NONE, "none"))


def as_seen(after: InstanceSeen, number: ProcessId = NEXT) -> InstanceSeen:
    """What `simulate` says, as it is when it came true: with a process that is really there."""
    assert after.entry is not None
    assert after.process is not None
    return attrs.evolve(
        after, entry=attrs.evolve(after.entry, process=number), process=attrs.evolve(after.process, id=number)
    )


STARTED = simulate(stopped(MEDIA), step(Action.START), MEDIA)
RESTARTED = simulate(healthy(MEDIA), step(Action.RESTART), MEDIA)
SWAPPED = simulate(healthy(MEDIA, people=3, process=BEFORE), step(Action.SWAP), MEDIA)
STOPPED = simulate(healthy(MEDIA), step(Action.STOP), MEDIA)
KILLED = simulate(healthy(MEDIA, people=3), step(Action.KILL), MEDIA)
NOT_READY = not_ready(age_s=0.1)


@pytest.mark.parametrize(
    ("found", "after", "unlike", "expected"),
    [
        pytest.param(as_seen(STARTED), STARTED, None, True, id="started"),
        pytest.param(healthy(MEDIA, people=3), STARTED, None, True, id="started-and-somebody-came"),
        pytest.param(stopped(MEDIA), STARTED, None, False, id="not-started-yet"),
        pytest.param(NOT_READY, STARTED, None, False, id="not-ready-yet"),
        pytest.param(healthy(MEDIA, entry=None), STARTED, None, False, id="somebody-else-started-it"),
        pytest.param(healthy(MEDIA, process=BEFORE), STARTED, None, False, id="another-launch"),
        pytest.param(
            healthy(MEDIA, process=process(MEDIA, launch_digest="")), STARTED, None, True, id="marks-cannot-be-read"
        ),
        pytest.param(as_seen(RESTARTED), RESTARTED, process(MEDIA).id, True, id="restarted"),
        pytest.param(healthy(MEDIA), RESTARTED, process(MEDIA).id, False, id="not-restarted-yet"),
        pytest.param(stopped(MEDIA), RESTARTED, process(MEDIA).id, False, id="between-two-lives"),
        pytest.param(as_seen(SWAPPED), SWAPPED, BEFORE.id, True, id="swapped"),
        pytest.param(healthy(MEDIA, process=BEFORE), SWAPPED, BEFORE.id, False, id="not-swapped-yet"),
        pytest.param(stopped(MEDIA), STOPPED, None, True, id="stopped"),
        pytest.param(healthy(MEDIA), STOPPED, None, False, id="not-stopped-yet"),
        pytest.param(
            stopped(MEDIA, verdict=Verdict.UNHEALTHY), STOPPED, None, False, id="stopped-but-it-will-come-back"
        ),
        pytest.param(stopped(MEDIA, verdict=Verdict.UNKNOWN), KILLED, None, False, id="killed-and-nobody-could-look"),
        pytest.param(stopped(MEDIA), KILLED, None, True, id="killed"),
        pytest.param(healthy(MEDIA, people=3), KILLED, None, False, id="not-killed-yet"),
    ],
)
def test_reached(found: InstanceSeen, after: InstanceSeen, unlike: ProcessId | None, expected: bool) -> None:  # noqa: FBT001
    """What a step should bring about is told from what was before it, and from what only looks like it."""
    assert reached(found, after, unlike=unlike) is expected


@pytest.mark.parametrize("action", [Action.STOP, Action.KILL])
def test_what_ended(action: Action) -> None:
    """It is gone, nobody is in it, and the supervisor does not bring it back."""
    after = simulate(healthy(MEDIA, people=3), step(action), MEDIA)
    assert (after.verdict, after.process, after.calls) == (Verdict.STOPPED, None, None)
    assert after.entry is not None
    assert (after.entry.wanted, after.entry.state, after.entry.process) == (False, EntryState.STOPPED, None)
    assert after.entry.digest == MEDIA.digest
    assert not any(port.held for port in after.ports)


@pytest.mark.parametrize("action", [Action.START, Action.AWAIT_READY, Action.RESTART, Action.SWAP])
def test_what_runs(action: Action) -> None:
    """It is up with nobody in it, owned, and no process that is there already."""
    after = simulate(healthy(MEDIA, people=3, process=BEFORE), step(action), MEDIA)
    assert after.owned
    assert after.process is not None
    assert (after.process.id, after.process.release) == (TO_BE, MEDIA.release)
    assert after.calls is not None
    assert (after.verdict, after.calls.people) == (Verdict.HEALTHY, 0)


def test_files_and_registration() -> None:
    """Only the variant that was written or registered is so; what runs does not change by it."""
    found = stopped(BACKEND)
    written = simulate(found, attrs.evolve(step(Action.WRITE_FILES), digest=BACKEND_B.digest), BACKEND_B)
    assert (written.differ(BACKEND_B), written.differ(BACKEND)) == ((), found.differ(BACKEND))
    registered = simulate(found, step(Action.REGISTER), BACKEND_B)
    assert registered.entry is not None
    assert (registered.entry.digest, registered.entry.wanted) == (BACKEND_B.digest, False)
    assert (registered.verdict, registered.process) == (Verdict.STOPPED, None)


def test_other_instances_stay_as_they_are() -> None:
    """A step is about one instance."""
    observed = world(healthy(MEDIA), healthy(BACKEND))
    after = simulated(observed, step(Action.STOP), MEDIA)
    assert after.instance("lk-backend") == observed.instance("lk-backend")
    assert after.instance(MEDIA_B.instance) == observed.instance(MEDIA_B.instance)
    assert after.instance(MEDIA.instance).verdict is Verdict.STOPPED
