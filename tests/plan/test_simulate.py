"""What should be after a step: that it leads to the goal, and that it is told from what was before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.model.drain import Drain, DrainSeen
from hero_livekit_units.model.observed import (
    CallsSeen,
    Entry,
    EntryState,
    Failed,
    InstanceSeen,
    Observed,
    PortSeen,
    ProbeSeen,
    ProcessId,
    ProcessSeen,
    Verdict,
)
from hero_livekit_units.model.plan import Action, Allowed, Effect, Goal, Interruption, Needs, Plan, Step
from hero_livekit_units.plan.planner import plan
from hero_livekit_units.plan.simulate import TO_BE, reached, simulate
from tests.plan.worlds import BEFORE, TAKEN, between_two_lives, not_ready
from tests.strategies import (
    BACKEND,
    BACKEND_B,
    DESIRED,
    FOLLOWED,
    MEDIA,
    MEDIA_B,
    STEERED,
    entry,
    healthy,
    process,
    stopped,
    without,
    world,
    worlds,
)

if TYPE_CHECKING:
    from hero_livekit_units.model.desired import Desired
    from hero_livekit_units.model.launch import LaunchSpec

NEXT = ProcessId(5151, 2_000_000)
ANYTHING_ALLOWED = st.frozensets(st.sampled_from(Allowed))


def done(observed: Observed, found: Plan, desired: Desired) -> Observed:
    """The world after all steps of a plan."""
    for step in found.steps:
        spec = desired.spec(step.instance, step.digest)
        assert spec is not None
        observed = simulated(observed, step, spec)
    return observed


def simulated(observed: Observed, step: Step, spec: LaunchSpec) -> Observed:
    """The world after a step that reached its end."""
    instances = tuple(
        simulate(seen, step, spec) if seen.spec.instance == step.instance else seen for seen in observed.instances
    )
    return attrs.evolve(observed, instances=instances)


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
            without(FOLLOWED, "two-slot"),
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


@given(
    worlds(),
    st.sampled_from([DESIRED, STEERED, without(STEERED, "two-slot"), without(FOLLOWED, "two-slot")]),
    ANYTHING_ALLOWED,
)
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


RUNS = ProcessSeen(
    TO_BE,
    suspended=False,
    age_s=0.0,
    command=MEDIA.argv[0],
    unit="livekit-server",
    slot="a",
    release=MEDIA.release,
    launch_digest=MEDIA.launch_digest,
)
UP: dict[str, Any] = {
    "ports": tuple(PortSeen(port, looked=True, held=True) for port in MEDIA.ports),
    "probes": tuple(ProbeSeen(probe, ok=True, says="", took_ms=0.0) for probe in MEDIA.probes),
    "calls": CallsSeen(0, 0, "nobody has joined yet"),
    "verdict": Verdict.HEALTHY,
    "because": "it is ready",
    "in_the_way": (),
}
DOWN: dict[str, Any] = {
    "process": None,
    "ports": tuple(PortSeen(port, looked=True, held=False) for port in MEDIA.ports),
    "probes": (),
    "calls": None,
    "verdict": Verdict.STOPPED,
    "because": "it does not run",
}
REGISTERED = entry(MEDIA, wanted=False, state=EntryState.STOPPED, process=None)
FOUND_STOPPED = stopped(MEDIA, entry=REGISTERED)
FOUND_OLD = healthy(MEDIA, people=3, process=BEFORE, in_the_way=TAKEN, entry=entry(MEDIA, launch_digest="1" * 16))


@pytest.mark.parametrize(
    ("found", "action", "expected"),
    [
        pytest.param(
            FOUND_STOPPED,
            Action.WRITE_FILES,
            {"files_differ": {**FOUND_STOPPED.files_differ, MEDIA.digest: ()}},
            id="files",
        ),
        pytest.param(
            stopped(MEDIA),
            Action.REGISTER,
            {"entry": REGISTERED},
            id="registered-the-first-time",
        ),
        pytest.param(
            healthy(MEDIA, entry=entry(MEDIA, digest="f" * 16, launch_digest="1" * 16)),
            Action.REGISTER,
            {"entry": entry(MEDIA)},
            id="registered-anew",
        ),
        pytest.param(
            FOUND_STOPPED,
            Action.START,
            UP | {"entry": entry(MEDIA, process=TO_BE), "process": RUNS},
            id="started",
        ),
        pytest.param(
            stopped(MEDIA),
            Action.START,
            UP | {"entry": entry(MEDIA, process=TO_BE, digest="", launch_digest=""), "process": RUNS},
            id="started-though-nobody-knew-it",
        ),
        *(
            pytest.param(
                FOUND_OLD,
                action,
                UP
                | {
                    "entry": entry(MEDIA, process=TO_BE, launch_digest="1" * 16),
                    "process": attrs.evolve(RUNS, launch_digest="1" * 16),
                },
                id=f"{action}-by-what-is-registered",
            )
            for action in (Action.RESTART, Action.SWAP)
        ),
        pytest.param(
            FOUND_OLD,
            Action.AWAIT_READY,
            UP
            | {
                "entry": entry(MEDIA, process=TO_BE, launch_digest="1" * 16),
                "process": attrs.evolve(RUNS, launch_digest=""),
            },
            id="whatever-launch-came-up",
        ),
        *(
            pytest.param(
                FOUND_OLD,
                action,
                DOWN | {"entry": attrs.evolve(REGISTERED, launch_digest="1" * 16)},
                id=f"{action}-ends-it",
            )
            for action in (Action.STOP, Action.KILL)
        ),
        pytest.param(
            between_two_lives(MEDIA),
            Action.STOP,
            DOWN | {"entry": REGISTERED},
            id="stop-between-two-lives",
        ),
    ],
)
def test_what_is_there_afterwards(found: InstanceSeen, action: Action, expected: dict[str, Any]) -> None:
    """Each step changes this of an instance and nothing else; what was not known of it before is as at its start."""
    assert simulate(found, step(action), MEDIA) == attrs.evolve(found, **expected)


def test_what_carries_no_calls_has_none_afterwards() -> None:
    """There is nothing to count in lk-backend."""
    assert simulate(stopped(BACKEND), step(Action.START), BACKEND).calls is None


def test_files_and_registration() -> None:
    """All ways of an instance read the same at their start, and one at a time is in force; what runs stays as it is."""
    found = stopped(BACKEND)
    live = tuple(file.path for file in BACKEND_B.live_files)
    written = simulate(found, attrs.evolve(step(Action.WRITE_FILES), digest=BACKEND_B.digest), BACKEND_B)
    assert (written.differ(BACKEND_B), written.differ(BACKEND)) == (live, live)
    updated = simulate(written, attrs.evolve(step(Action.UPDATE), digest=BACKEND_B.digest), BACKEND_B)
    assert (updated.differ(BACKEND_B), updated.differ(BACKEND)) == ((), live)
    assert updated.updated_for_s == 0.0
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


def _step(action: Action, *rooms: str) -> Step:
    return Step(action, MEDIA.instance, MEDIA.digest, "", Effect(Interruption.NONE, ""), Needs(), rooms)


def test_what_is_started_is_there_in_every_respect() -> None:
    """Each witness would say so."""
    before = stopped(MEDIA, in_the_way=(TAKEN,), failed=Failed(1.0, "it ended"))
    running = ProcessSeen(
        TO_BE,
        suspended=False,
        age_s=0.0,
        command=MEDIA.argv[0],
        unit=MEDIA.unit,
        slot=MEDIA.slot,
        release=MEDIA.release,
        launch_digest=MEDIA.launch_digest,
    )
    assert simulate(before, _step(Action.START), MEDIA) == attrs.evolve(
        before,
        entry=Entry(MEDIA.instance, wanted=True, state=EntryState.RUNNING, process=TO_BE, digest="", launch_digest=""),
        process=running,
        ports=tuple(PortSeen(port, looked=True, held=True) for port in MEDIA.ports),
        probes=tuple(ProbeSeen(probe, ok=True, says="", took_ms=0.0) for probe in MEDIA.probes),
        calls=CallsSeen(0, 0, "nobody has joined yet"),
        drain=None,
        verdict=Verdict.HEALTHY,
        because="it is ready",
        in_the_way=(),
        failed=None,
    )
    assert simulate(stopped(BACKEND), _step(Action.START), BACKEND).calls is None


def test_what_is_stopped_is_gone_in_every_respect() -> None:
    """Each witness would say so; what is registered of it stays."""
    before = healthy(MEDIA, people=2)
    assert before.entry is not None
    assert simulate(before, _step(Action.STOP), MEDIA) == attrs.evolve(
        before,
        entry=attrs.evolve(before.entry, wanted=False, state=EntryState.STOPPED, process=None),
        process=None,
        ports=tuple(PortSeen(port.port, looked=True, held=False) for port in before.ports),
        probes=(),
        calls=None,
        drain=None,
        verdict=Verdict.STOPPED,
        because="it does not run",
    )


def test_a_drain_in_every_respect() -> None:
    """It is noted who is alone since when; that all were told; and who is left when rooms were ended."""
    before = healthy(MEDIA, calls=CallsSeen(3, 4, "debug-rooms", lonely=("x", "y")))
    assert before.process is not None
    begun = simulate(before, _step(Action.DRAIN, "x", "y"), MEDIA)
    drain = Drain(before.process.id, "", 0.0, alone={"x": 0.0, "y": 0.0})
    assert begun == attrs.evolve(before, drain=DrainSeen(drain, 0.0))
    later = attrs.evolve(before, drain=DrainSeen(attrs.evolve(drain, alone={"x": 5.0}), 9.0))
    noted = simulate(later, _step(Action.DRAIN, "x", "y"), MEDIA)
    assert noted.drain == DrainSeen(attrs.evolve(drain, alone={"x": 5.0, "y": 9.0}), 9.0)
    told = simulate(later, _step(Action.ANNOUNCE), MEDIA)
    assert told.drain == DrainSeen(attrs.evolve(drain, alone={"x": 5.0}, announced=True), 9.0)
    ended = simulate(later, _step(Action.END_ROOMS, "y"), MEDIA)
    assert ended == attrs.evolve(later, calls=CallsSeen(2, 3, "debug-rooms", lonely=("x",)))
    uncounted = simulate(attrs.evolve(later, calls=CallsSeen(None, None, "x")), _step(Action.END_ROOMS, "y"), MEDIA)
    assert uncounted.calls == CallsSeen(None, None, "x", lonely=())
    assert simulate(later, _step(Action.CANCEL), MEDIA) == before
