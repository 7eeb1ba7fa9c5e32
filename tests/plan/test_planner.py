"""The planner: least harm first, nothing destructive from what is unknown, and a reason for all of it."""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.model.observed import EntryState, Observed, PortSeen, Verdict
from hero_livekit_units.model.plain import plain
from hero_livekit_units.model.plan import AwaitReady, Goal, Register, Restart, Start, Stop, WriteFiles
from hero_livekit_units.plan.planner import plan
from tests.strategies import (
    BACKEND,
    FRONT,
    MEDIA,
    MEDIA_ON_REDIS,
    REDIS,
    SILENT,
    entry,
    healthy,
    ports,
    probes,
    process,
    seen,
    stopped,
    world,
    worlds,
)

CHANGED = "it runs with another configuration"
NOT_READY = "pid 4242 is alive, but answers said False"
OLD_REDIS = process(REDIS, launch_digest="0" * 16)
OLDER = process(MEDIA, launch_digest="0" * 16)
BEFORE = process(MEDIA, launch_digest="0" * 16, release="1.13.4-r1")
TAKEN = (PortSeen(MEDIA.port("debug"), looked=True, held=True, owner_pid=666, owner_command="httpd"),)
OTHER_RELEASE = process(MEDIA, launch_digest="0" * 16, release="1.9.12-r1")


def words(observed: Observed, goal: Goal = Goal.RUN, *, allow_drop: bool = False) -> list[str]:
    """Steps and refusals in short."""
    found = plan(observed, goal, allow_drop=allow_drop)
    return [f"{plain(step)['step']} {step.instance}" for step in found.steps] + [
        f"refuse {refusal.instance}: {refusal.because}" for refusal in found.refusals
    ]


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        pytest.param(world(healthy(MEDIA), healthy(BACKEND)), [], id="all-well-nothing"),
        pytest.param(world(healthy(MEDIA, people=9), healthy(BACKEND)), [], id="people-in-calls-nothing"),
        pytest.param(
            world(stopped(MEDIA), stopped(BACKEND)),
            [
                "write-files livekit-server@a",
                "register livekit-server@a",
                "start livekit-server@a",
                "write-files lk-backend",
                "register lk-backend",
                "start lk-backend",
            ],
            id="first-time",
        ),
        pytest.param(
            world(stopped(attrs.evolve(MEDIA, blocked="it panics"))),
            ["refuse livekit-server@a: release 1.13.5-r1 is blocked: it panics"],
            id="a-blocked-release-is-not-started",
        ),
        pytest.param(
            world(healthy(attrs.evolve(MEDIA, blocked="it panics"), process=BEFORE)),
            ["refuse livekit-server@a: release 1.13.5-r1 is blocked: it panics"],
            id="a-blocked-release-takes-no-place",
        ),
        pytest.param(
            world(healthy(attrs.evolve(MEDIA, blocked="it panics"), people=3)),
            [],
            id="a-blocked-release-that-runs-is-left-to-its-calls",
        ),
        pytest.param(
            world(healthy(MEDIA, process=BEFORE), healthy(BACKEND)),
            ["restart livekit-server@a"],
            id="the-release-before-and-nobody-there",
        ),
        pytest.param(
            world(healthy(MEDIA, process=BEFORE, in_the_way=TAKEN), healthy(BACKEND)),
            ["refuse livekit-server@a: release 1.13.4-r1 runs, but port 6800 is held by pid 666 (httpd)"],
            id="a-stranger-on-a-port-of-the-next-release",
        ),
        pytest.param(
            world(stopped(MEDIA, program_missing="/srv/media/bin/x")),
            ["refuse livekit-server@a: its program is not there: /srv/media/bin/x"],
            id="not-installed",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3, process=OLDER)),
            [f"refuse livekit-server@a: {CHANGED}, but a restart would cut off 3 people in 1 rooms"],
            id="changed-configuration-while-in-use",
        ),
        pytest.param(
            world(healthy(MEDIA, people=0, process=OLDER)),
            ["restart livekit-server@a"],
            id="changed-configuration-while-idle",
        ),
        pytest.param(
            world(healthy(MEDIA, people=None, process=OLDER)),
            [f"refuse livekit-server@a: {CHANGED}, but who is in a call is unknown (debug-rooms)"],
            id="changed-configuration-and-nobody-can-count",
        ),
        pytest.param(
            world(healthy(MEDIA, process=OTHER_RELEASE)),
            ["refuse livekit-server@a: release 1.9.12-r1 runs, and 1.13.5-r1 is not declared to replace it"],
            id="release-without-lineage",
        ),
        pytest.param(
            world(healthy(BACKEND, process=process(BACKEND, launch_digest="0" * 16))),
            ["restart lk-backend"],
            id="backend-restarts-plainly",
        ),
        pytest.param(
            world(healthy(REDIS, process=OLD_REDIS), healthy(MEDIA_ON_REDIS)),
            ["restart livekit-redis"],
            id="redis-restarts-while-idle",
        ),
        pytest.param(
            world(healthy(REDIS, process=OLD_REDIS), healthy(MEDIA_ON_REDIS, people=3)),
            [f"refuse livekit-redis: {CHANGED}, but a restart would cut off 3 people in 1 rooms"],
            id="redis-stays-as-it-is-while-calls-need-it",
        ),
        pytest.param(
            world(healthy(FRONT, process=process(FRONT, launch_digest="0" * 16)), healthy(MEDIA_ON_REDIS, people=3)),
            [f"refuse livekit-front: {CHANGED}, but a restart would cut off 3 people in 1 rooms"],
            id="the-front-stays-as-it-is-while-calls-need-it",
        ),
        pytest.param(
            world(healthy(MEDIA, entry=entry(MEDIA, digest="f" * 16))),
            ["register livekit-server@a"],
            id="live-part-changed",
        ),
        pytest.param(
            world(healthy(MEDIA, files_differ=("/x",))), ["write-files livekit-server@a"], id="file-edited-by-hand"
        ),
        pytest.param(world(healthy(MEDIA, entry=None)), [], id="orphan-that-serves-is-left-alone"),
        pytest.param(
            world(seen(MEDIA, entry=entry(MEDIA, state=EntryState.WAITING, process=None))),
            ["await-ready livekit-server@a"],
            id="supervisor-is-restarting-it",
        ),
        pytest.param(
            world(seen(MEDIA, entry=entry(MEDIA), process=process(MEDIA, age_s=0.1), probes=probes(MEDIA, ok=False))),
            ["await-ready livekit-server@a"],
            id="just-started",
        ),
        pytest.param(
            world(seen(MEDIA, entry=entry(MEDIA), process=process(MEDIA), probes=probes(MEDIA, ok=False))),
            [f"refuse livekit-server@a: {NOT_READY}; it may carry calls, so it is not restarted"],
            id="not-ready-media-is-not-restarted",
        ),
        pytest.param(
            world(seen(BACKEND, entry=entry(BACKEND), process=process(BACKEND), probes=probes(BACKEND, ok=False))),
            ["restart lk-backend"],
            id="broken-backend-is-restarted",
        ),
        pytest.param(
            world(seen(MEDIA, ports=ports(MEDIA, 666, "nginx")), stopped(BACKEND)),
            [
                "refuse livekit-server@a: port 6800 (debug) is held by pid 666 (nginx)",
                "refuse lk-backend: not started, as livekit-server@a cannot be",
            ],
            id="stranger-on-the-port-nothing-is-started",
        ),
        pytest.param(
            world(healthy(MEDIA, people=5), supervisor=SILENT),
            [f"refuse hero_proc: the supervisor cannot be asked ({SILENT.says}), so what it does next is unknown"],
            id="no-supervisor",
        ),
    ],
)
def test_run(observed: Observed, expected: list[str]) -> None:
    """What is observed leads to these steps and refusals, and no others."""
    assert expected == words(observed)


@pytest.mark.parametrize(
    ("observed", "allow_drop", "expected"),
    [
        pytest.param(
            world(healthy(MEDIA), healthy(BACKEND)), False, ["stop lk-backend", "stop livekit-server@a"], id="idle"
        ),
        pytest.param(
            world(healthy(MEDIA, people=2), healthy(BACKEND)),
            False,
            [
                "stop lk-backend",
                "refuse livekit-server@a: stop was asked for, but a restart would cut off 2 people in 1 rooms",
            ],
            id="in-use",
        ),
        pytest.param(world(healthy(MEDIA, people=2)), True, ["stop livekit-server@a"], id="in-use-and-allowed"),
        pytest.param(
            world(healthy(REDIS), healthy(FRONT), healthy(MEDIA_ON_REDIS), healthy(BACKEND)),
            False,
            ["stop lk-backend", "stop livekit-server@a", "stop livekit-front", "stop livekit-redis"],
            id="all-idle",
        ),
        pytest.param(
            world(healthy(REDIS), healthy(FRONT), healthy(MEDIA_ON_REDIS, people=2), healthy(BACKEND)),
            False,
            [
                "stop lk-backend",
                "refuse livekit-server@a: stop was asked for, but a restart would cut off 2 people in 1 rooms",
                "refuse livekit-front: it stays while livekit-server@a does",
                "refuse livekit-redis: it stays while livekit-server@a does",
            ],
            id="what-calls-need-stays-with-them",
        ),
        pytest.param(
            world(healthy(REDIS), healthy(MEDIA_ON_REDIS, entry=entry(MEDIA_ON_REDIS, state=EntryState.STOPPING))),
            False,
            ["refuse livekit-redis: it stays while livekit-server@a does"],
            id="what-ends-by-itself-is-waited-for",
        ),
        pytest.param(
            world(healthy(REDIS), healthy(FRONT), healthy(MEDIA_ON_REDIS, people=2)),
            True,
            ["stop livekit-server@a", "stop livekit-front", "stop livekit-redis"],
            id="all-in-use-and-allowed",
        ),
        pytest.param(
            world(healthy(MEDIA, entry=entry(MEDIA, state=EntryState.STOPPING))), True, [], id="no-second-signal"
        ),
        pytest.param(world(stopped(MEDIA), stopped(BACKEND)), False, [], id="nothing-runs"),
        pytest.param(world(seen(MEDIA, ports=ports(MEDIA, 666, "nginx"))), True, [], id="stranger-is-not-stopped"),
    ],
)
def test_stop(observed: Observed, allow_drop: bool, expected: list[str]) -> None:  # noqa: FBT001
    """Stopping cuts nobody off unless that was allowed by name."""
    assert expected == words(observed, Goal.STOP, allow_drop=allow_drop)


@given(worlds(), st.sampled_from(Goal))
def test_nobody_in_a_call_is_cut_off_without_being_asked(observed: Observed, goal: Goal) -> None:
    """Whatever is observed, no step ends a media process that carries people, or of which that is unknown."""
    for step in plan(observed, goal).steps:
        found = observed.instance(step.instance)
        if isinstance(step, Restart | Stop) and found.spec.carries_calls and found.process is not None:
            assert found.calls is not None
            assert found.calls.people == 0
            assert step.idle_only


@given(worlds(), st.sampled_from(Goal), st.booleans())
def test_unknown_and_foreign_lead_to_nothing_destructive(observed: Observed, goal: Goal, allow_drop: bool) -> None:  # noqa: FBT001
    """A stranger's process is never touched, and no start or restart follows from not having been able to look."""
    for step in plan(observed, goal, allow_drop=allow_drop).steps:
        found = observed.instance(step.instance)
        if isinstance(step, Start | Restart | Stop | AwaitReady):
            assert found.verdict is not Verdict.FOREIGN
            assert found.verdict is not Verdict.UNKNOWN or isinstance(step, Stop)


@given(worlds())
def test_a_second_copy_is_never_started(observed: Observed) -> None:
    """A start is planned only for what was looked for everywhere and not found."""
    for step in plan(observed).steps:
        if isinstance(step, Start):
            found = observed.instance(step.instance)
            assert found.process is None
            assert found.registry_looked
            assert not any(port.held for port in found.ports)


@given(worlds(), st.sampled_from(Goal), st.booleans())
def test_the_plan_is_a_pure_function(observed: Observed, goal: Goal, allow_drop: bool) -> None:  # noqa: FBT001
    """Equal input gives a byte-equal plan, and every step says why."""
    one, other = plan(observed, goal, allow_drop=allow_drop), plan(attrs.evolve(observed), goal, allow_drop=allow_drop)
    assert json.dumps(plain(one)) == json.dumps(plain(other))
    assert all(step.because and step.effect for step in one.steps)
    assert all(refusal.because and refusal.possible_when for refusal in one.refusals)


@given(worlds())
def test_everything_is_accounted_for(observed: Observed) -> None:
    """An instance that is not healthy has a step or a refusal: nothing is passed over in silence."""
    found = plan(observed)
    named = {step.instance for step in found.steps} | {refusal.instance for refusal in found.refusals}
    for instance in observed.instances:
        if instance.verdict is not Verdict.HEALTHY:
            assert instance.spec.instance in named or "hero_proc" in named


@given(worlds())
def test_before_a_start_come_files_and_registration(observed: Observed) -> None:
    """Nothing is started from files or a registration that are known to be wrong."""
    steps = plan(observed).steps
    for at, step in enumerate(steps):
        if isinstance(step, Start | Restart):
            found = observed.instance(step.instance)
            earlier = [type(other) for other in steps[:at] if other.instance == step.instance]
            assert (WriteFiles in earlier) == (found.files_differ != ())
            assert (Register in earlier) == (found.entry is None or found.entry.digest != found.spec.digest)
