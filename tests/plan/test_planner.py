"""The planner: least harm first, nothing destructive from what is unknown, and a reason for all of it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.model.desired import Desired
from hero_livekit_units.model.observed import EntryState, InstanceSeen, Observed, PortSeen, ProcessSeen, Verdict
from hero_livekit_units.model.plan import ENDING, Action, Allowed, Goal, Interruption, Plan, Way
from hero_livekit_units.plan.planner import JOIN_GRACE_S, explain, plan
from hero_livekit_units.plan.serial import plan_text
from tests.strategies import (
    ANSWERING,
    BACKEND,
    BACKEND_B,
    BACKEND_BEHIND_FRONT,
    DESIRED,
    FRONT,
    FULL,
    MEDIA,
    MEDIA_B,
    MEDIA_ON_REDIS,
    REDIS,
    SILENT,
    STEERED,
    entry,
    healthy,
    ports,
    probes,
    process,
    seen,
    stopped,
    with_media,
    without,
    world,
    worlds,
)

CHANGED = "it runs with another configuration"
NOT_READY = "pid 4242 is alive, but answers said False"
NOT_OWNED = "pid 4242 answers; the supervisor does not know it"
OLD_REDIS = process(REDIS, launch_digest="0" * 16)
OLDER = process(MEDIA, launch_digest="0" * 16)
BEFORE = process(MEDIA, launch_digest="0" * 16, release="1.13.4-r1")
BEFORE_B = process(MEDIA_B, launch_digest="0" * 16, release="1.13.4-r1")
OTHER_RELEASE = process(MEDIA, launch_digest="0" * 16, release="1.9.12-r1")
OLD_BACKEND = process(BACKEND, launch_digest="0" * 16)
TAKEN = (PortSeen(MEDIA.port("debug"), looked=True, held=True, owner_pid=666, owner_command="httpd"),)
STOPPING = entry(MEDIA, state=EntryState.STOPPING)
BETWEEN_LIVES = entry(MEDIA, state=EntryState.WAITING, process=None)
BLOCKED = with_media(DESIRED, blocked="it panics")
STEERED_BLOCKED = with_media(STEERED, blocked="it panics")
RECONNECT, DRAIN, DROP = frozenset({Allowed.RECONNECT}), frozenset({Allowed.DRAIN}), frozenset({Allowed.DROP})
NOTHING_ALLOWED: frozenset[Allowed] = frozenset()
ANYTHING_ALLOWED = st.frozensets(st.sampled_from(Allowed))
DESIRABLE = st.sampled_from(
    [DESIRED, STEERED, BLOCKED, STEERED_BLOCKED, without(STEERED, "two-slot"), without(DESIRED, "idle-swap", "swap")]
)


def said(found: Plan) -> list[str]:
    """Steps, refusals and waits in short."""
    return [
        *(f"{step.action} {step.instance}" for step in found.steps),
        *(f"refuse {refusal.instance}: {refusal.because}" for refusal in found.refusals),
        *(f"wait {wait.instance}: {wait.because}" for wait in found.waits),
    ]


def notes(found: Plan) -> list[str]:
    """What is noted."""
    return [f"{note.instance}: {note.text}" for note in found.notes]


def not_ready(**changes: Any) -> InstanceSeen:
    """The media, alive and not ready."""
    return seen(MEDIA, entry=entry(MEDIA), process=process(MEDIA, **changes), probes=probes(MEDIA, ok=False))


def unknown(spec: Any, found: ProcessSeen | None = None) -> InstanceSeen:
    """Alive and owned, but a probe could not be asked."""
    return seen(spec, entry=entry(spec), process=found or process(spec), probes=probes(spec, ok=None))


def everything(people: int = 0, **changes: Any) -> Observed:
    """The media with all that may stand beside it."""
    by_name = {
        "redis": healthy(REDIS),
        "front": healthy(FRONT),
        "server": healthy(MEDIA_ON_REDIS, people=people),
        "backend": healthy(BACKEND_BEHIND_FRONT),
    }
    return Observed(ANSWERING, tuple((by_name | changes).values()), 1.0)


@pytest.mark.parametrize(
    ("observed", "desired", "expected"),
    [
        pytest.param(world(healthy(MEDIA), healthy(BACKEND)), DESIRED, [], id="all-well-nothing"),
        pytest.param(world(healthy(MEDIA, people=9), healthy(BACKEND)), DESIRED, [], id="people-in-calls-nothing"),
        pytest.param(
            world(stopped(MEDIA), stopped(BACKEND)),
            DESIRED,
            [
                "write-files livekit-server@a",
                "write-files lk-backend",
                "register livekit-server@a",
                "register lk-backend",
                "start livekit-server@a",
                "start lk-backend",
            ],
            id="first-time",
        ),
        pytest.param(
            world(stopped(MEDIA), healthy(BACKEND)),
            BLOCKED,
            ["refuse livekit-server@a: release 1.13.5-r1 is blocked: it panics"],
            id="a-blocked-release-is-not-started",
        ),
        pytest.param(
            world(healthy(MEDIA, process=BEFORE), healthy(BACKEND)),
            BLOCKED,
            ["refuse livekit-server@a: release 1.13.5-r1 is blocked: it panics"],
            id="a-blocked-release-takes-no-place",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3), healthy(BACKEND)),
            BLOCKED,
            [],
            id="a-blocked-release-that-runs-is-left-to-its-calls",
        ),
        pytest.param(
            world(healthy(MEDIA, process=BEFORE), healthy(BACKEND)),
            DESIRED,
            ["restart livekit-server@a"],
            id="the-release-before-and-nobody-there",
        ),
        pytest.param(
            world(healthy(MEDIA, process=BEFORE, in_the_way=TAKEN), healthy(BACKEND)),
            DESIRED,
            ["refuse livekit-server@a: release 1.13.4-r1 runs, but port 6800 is held by pid 666 (httpd)"],
            id="a-stranger-on-a-port-of-the-next-release",
        ),
        pytest.param(
            world(stopped(MEDIA, program_missing="/srv/media/bin/x"), healthy(BACKEND)),
            DESIRED,
            ["refuse livekit-server@a: its program is not there: /srv/media/bin/x"],
            id="not-installed",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3, process=OLDER), healthy(BACKEND)),
            DESIRED,
            [f"refuse livekit-server@a: {CHANGED}, but a restart would cut off 3 people in 1 rooms"],
            id="changed-configuration-while-in-use",
        ),
        pytest.param(
            world(healthy(MEDIA, people=0, process=OLDER), healthy(BACKEND)),
            DESIRED,
            ["restart livekit-server@a"],
            id="changed-configuration-while-idle",
        ),
        pytest.param(
            world(healthy(MEDIA, people=None, process=OLDER), healthy(BACKEND)),
            DESIRED,
            [f"refuse livekit-server@a: {CHANGED}, but who is in a call is unknown (debug-rooms)"],
            id="changed-configuration-and-nobody-can-count",
        ),
        pytest.param(
            world(healthy(MEDIA, process=OLDER, entry=None), healthy(BACKEND)),
            DESIRED,
            [f"refuse livekit-server@a: {CHANGED}, but pid 4242 answers"],
            id="changed-configuration-of-an-orphan",
        ),
        pytest.param(
            world(healthy(MEDIA, people=2, process=BEFORE, entry=STOPPING), healthy(BACKEND)),
            DESIRED,
            ["wait livekit-server@a: 2 people in 1 rooms are on it"],
            id="draining-already",
        ),
        pytest.param(
            world(healthy(MEDIA, process=OTHER_RELEASE), healthy(BACKEND)),
            DESIRED,
            ["refuse livekit-server@a: release 1.9.12-r1 runs, and 1.13.5-r1 is not declared to replace it"],
            id="release-without-lineage",
        ),
        pytest.param(
            world(healthy(MEDIA), healthy(BACKEND, process=OLD_BACKEND)),
            DESIRED,
            ["restart lk-backend"],
            id="backend-restarts-plainly",
        ),
        pytest.param(
            world(healthy(MEDIA, people=5), healthy(BACKEND, process=OLD_BACKEND)),
            DESIRED,
            ["restart lk-backend"],
            id="backend-restarts-while-calls-go-on",
        ),
        pytest.param(
            world(healthy(MEDIA), healthy(BACKEND, process=OLD_BACKEND, entry=None)),
            DESIRED,
            [f"refuse lk-backend: {CHANGED}, but pid 4242 answers"],
            id="backend-that-the-supervisor-has-lost",
        ),
        pytest.param(
            world(healthy(MEDIA), healthy(BACKEND, process=OLD_BACKEND, in_the_way=TAKEN)),
            DESIRED,
            [f"refuse lk-backend: {CHANGED}, but port 6800 is held by pid 666 (httpd)"],
            id="backend-whose-next-port-is-taken",
        ),
        pytest.param(
            world(healthy(MEDIA), healthy(BACKEND, process=OLD_BACKEND, program_missing="/x")),
            DESIRED,
            ["refuse lk-backend: its program is not there: /x"],
            id="backend-whose-program-is-gone",
        ),
        pytest.param(
            world(healthy(MEDIA), healthy(BACKEND, process=attrs.evolve(OLD_BACKEND, release="0.0.9-r1"))),
            DESIRED,
            ["refuse lk-backend: release 0.0.9-r1 runs, and 0.1.0-r1 is not declared to replace it"],
            id="backend-without-lineage",
        ),
        pytest.param(
            world(unknown(MEDIA), healthy(BACKEND, process=OLD_BACKEND)),
            DESIRED,
            [
                "refuse livekit-server@a: its state is unknown: answers said None",
                f"refuse lk-backend: {CHANGED}, but the state of livekit-server@a is unknown",
            ],
            id="nothing-ends-while-the-media-cannot-be-seen",
        ),
        pytest.param(
            world(unknown(MEDIA, BEFORE), healthy(BACKEND)),
            DESIRED,
            ["refuse livekit-server@a: release 1.13.4-r1 runs, but the state of livekit-server@a is unknown"],
            id="the-release-before-cannot-be-seen",
        ),
        pytest.param(
            world(stopped(MEDIA), healthy(BACKEND_B), unknown(MEDIA_B, BEFORE_B)),
            without(DESIRED, "two-slot"),
            ["refuse livekit-server@b: release 1.13.4-r1 runs, but the state of livekit-server@b is unknown"],
            id="the-other-slot-cannot-be-seen",
        ),
        pytest.param(everything(redis=healthy(REDIS, process=OLD_REDIS)), FULL, ["restart livekit-redis"], id="redis"),
        pytest.param(
            everything(people=3, redis=healthy(REDIS, process=OLD_REDIS)),
            FULL,
            [f"refuse livekit-redis: {CHANGED}, but a restart would cut off 3 people in 1 rooms"],
            id="redis-stays-as-it-is-while-calls-need-it",
        ),
        pytest.param(
            everything(redis=healthy(REDIS, process=OLD_REDIS), server=healthy(MEDIA_ON_REDIS, calls=None)),
            FULL,
            [f"refuse livekit-redis: {CHANGED}, but who is in a call is unknown (not counted)"],
            id="redis-stays-as-it-is-while-nobody-counts",
        ),
        pytest.param(
            everything(people=3, front=healthy(FRONT, process=process(FRONT, launch_digest="0" * 16))),
            FULL,
            [f"refuse livekit-front: {CHANGED}, but a restart would cut off 3 people in 1 rooms"],
            id="the-front-stays-as-it-is-while-calls-need-it",
        ),
        pytest.param(
            world(healthy(MEDIA, entry=entry(MEDIA, digest="f" * 16)), healthy(BACKEND)),
            DESIRED,
            ["register livekit-server@a"],
            id="live-part-changed",
        ),
        pytest.param(
            world(healthy(MEDIA, files_differ={MEDIA.digest: ("/x",)}), healthy(BACKEND)),
            DESIRED,
            ["write-files livekit-server@a"],
            id="file-edited-by-hand",
        ),
        pytest.param(
            world(healthy(MEDIA, files_differ={}), healthy(BACKEND)),
            DESIRED,
            ["write-files livekit-server@a"],
            id="files-that-cannot-be-compared",
        ),
        pytest.param(
            world(healthy(MEDIA, entry=None), healthy(BACKEND)), DESIRED, [], id="orphan-that-serves-is-left-alone"
        ),
        pytest.param(
            world(healthy(MEDIA, process=process(MEDIA, launch_digest="")), healthy(BACKEND)),
            DESIRED,
            [],
            id="without-marks-it-is-taken-for-ours",
        ),
        pytest.param(
            world(seen(MEDIA, entry=BETWEEN_LIVES), healthy(BACKEND)),
            DESIRED,
            ["await-ready livekit-server@a"],
            id="supervisor-is-restarting-it",
        ),
        pytest.param(
            world(not_ready(age_s=0.1), healthy(BACKEND)), DESIRED, ["await-ready livekit-server@a"], id="just-started"
        ),
        pytest.param(
            world(not_ready(), healthy(BACKEND)),
            DESIRED,
            [f"refuse livekit-server@a: {NOT_READY}; it may carry calls, so it is not restarted"],
            id="not-ready-media-is-not-restarted",
        ),
        pytest.param(
            world(
                healthy(MEDIA),
                seen(BACKEND, entry=entry(BACKEND), process=process(BACKEND), probes=probes(BACKEND, ok=False)),
            ),
            DESIRED,
            ["restart lk-backend"],
            id="broken-backend-is-restarted",
        ),
        pytest.param(
            world(healthy(MEDIA), seen(BACKEND, process=process(BACKEND), probes=probes(BACKEND, ok=False))),
            DESIRED,
            [f"refuse lk-backend: {NOT_READY}; and the supervisor does not own it"],
            id="broken-backend-that-the-supervisor-has-lost",
        ),
        pytest.param(
            everything(
                people=3, front=seen(FRONT, entry=entry(FRONT), process=process(FRONT), probes=probes(FRONT, ok=False))
            ),
            FULL,
            [f"refuse livekit-front: {NOT_READY}, but a restart would cut off 3 people in 1 rooms"],
            id="broken-front-that-calls-need",
        ),
        pytest.param(
            world(
                unknown(MEDIA),
                seen(BACKEND, entry=entry(BACKEND), process=process(BACKEND), probes=probes(BACKEND, ok=False)),
            ),
            DESIRED,
            [
                "refuse livekit-server@a: its state is unknown: answers said None",
                f"refuse lk-backend: {NOT_READY}, but the state of livekit-server@a is unknown",
            ],
            id="broken-backend-beside-media-that-cannot-be-seen",
        ),
        pytest.param(
            world(
                seen(MEDIA, ports=ports(MEDIA, 666, "nginx")),
                stopped(BACKEND),
                seen(MEDIA_B, ports=ports(MEDIA_B, 666, "nginx")),
            ),
            DESIRED,
            [
                "refuse livekit-server@a: port 6800 (debug) is held by pid 666 (nginx)",
                "refuse lk-backend: not started, as livekit-server@a cannot be",
            ],
            id="stranger-on-both-slots-nothing-is-started",
        ),
        pytest.param(
            world(healthy(MEDIA, people=5), healthy(BACKEND), supervisor=SILENT),
            DESIRED,
            [f"refuse hero_proc: the supervisor cannot be asked ({SILENT.says}), so what it does next is unknown"],
            id="no-supervisor",
        ),
    ],
)
def test_run(observed: Observed, desired: Desired, expected: list[str]) -> None:
    """What is observed leads to these steps, refusals and waits, and no others."""
    assert expected == said(plan(observed, desired))


@pytest.mark.parametrize(
    ("observed", "goal_of", "allowed", "expected"),
    [
        pytest.param(
            world(healthy(MEDIA), healthy(BACKEND)),
            DESIRED,
            NOTHING_ALLOWED,
            ["stop lk-backend", "stop livekit-server@a"],
            id="idle",
        ),
        pytest.param(
            world(healthy(MEDIA, people=2), healthy(BACKEND)),
            DESIRED,
            NOTHING_ALLOWED,
            [
                "stop lk-backend",
                "refuse livekit-server@a: stop was asked for, but a restart would cut off 2 people in 1 rooms",
            ],
            id="in-use",
        ),
        pytest.param(
            world(healthy(MEDIA, people=2), stopped(BACKEND)), DESIRED, DROP, ["kill livekit-server@a"], id="dropped"
        ),
        pytest.param(
            world(healthy(MEDIA, people=2), healthy(BACKEND), healthy(MEDIA_B)),
            DESIRED,
            DROP,
            ["stop lk-backend", "kill livekit-server@b", "kill livekit-server@a"],
            id="both-slots-dropped",
        ),
        pytest.param(
            world(healthy(MEDIA), healthy(BACKEND), healthy(MEDIA_B)),
            DESIRED,
            NOTHING_ALLOWED,
            ["stop lk-backend", "stop livekit-server@b", "stop livekit-server@a"],
            id="both-slots-idle",
        ),
        pytest.param(
            world(healthy(MEDIA), healthy(BACKEND), healthy(MEDIA_B, people=1)),
            DESIRED,
            NOTHING_ALLOWED,
            [
                "stop lk-backend",
                "stop livekit-server@a",
                "refuse livekit-server@b: stop was asked for, but a restart would cut off 1 people in 1 rooms",
            ],
            id="one-slot-in-use",
        ),
        pytest.param(
            everything(),
            FULL,
            NOTHING_ALLOWED,
            ["stop lk-backend", "stop livekit-server@a", "stop livekit-front", "stop livekit-redis"],
            id="all-idle",
        ),
        pytest.param(
            everything(people=2),
            FULL,
            NOTHING_ALLOWED,
            [
                "stop lk-backend",
                "refuse livekit-server@a: stop was asked for, but a restart would cut off 2 people in 1 rooms",
                "refuse livekit-front: it stays while livekit-server@a does",
                "refuse livekit-redis: it stays while livekit-server@a does",
            ],
            id="what-calls-need-stays-with-them",
        ),
        pytest.param(
            everything(
                front=stopped(FRONT),
                backend=stopped(BACKEND_BEHIND_FRONT),
                server=healthy(MEDIA_ON_REDIS, entry=entry(MEDIA_ON_REDIS, state=EntryState.STOPPING)),
            ),
            FULL,
            NOTHING_ALLOWED,
            ["refuse livekit-redis: it stays while livekit-server@a does"],
            id="what-ends-by-itself-is-waited-for",
        ),
        pytest.param(
            everything(people=2),
            FULL,
            DROP,
            ["stop lk-backend", "kill livekit-server@a", "stop livekit-front", "stop livekit-redis"],
            id="all-in-use-and-allowed",
        ),
        pytest.param(world(healthy(MEDIA, entry=STOPPING), stopped(BACKEND)), DESIRED, DROP, [], id="no-second-signal"),
        pytest.param(world(stopped(MEDIA), stopped(BACKEND)), DESIRED, NOTHING_ALLOWED, [], id="nothing-runs"),
        pytest.param(
            world(seen(MEDIA, entry=BETWEEN_LIVES), stopped(BACKEND)),
            DESIRED,
            NOTHING_ALLOWED,
            ["stop livekit-server@a"],
            id="between-two-lives-it-is-no-longer-wanted",
        ),
        pytest.param(
            world(healthy(MEDIA, entry=None), stopped(BACKEND)),
            DESIRED,
            DROP,
            ["refuse livekit-server@a: the supervisor does not own it: pid 4242 answers"],
            id="an-orphan-is-stopped-by-its-owner",
        ),
        pytest.param(
            world(unknown(MEDIA), stopped(BACKEND)),
            DESIRED,
            NOTHING_ALLOWED,
            ["refuse livekit-server@a: its state is unknown: answers said None"],
            id="unknown",
        ),
        pytest.param(
            world(unknown(MEDIA), stopped(BACKEND)), DESIRED, DROP, ["kill livekit-server@a"], id="unknown-and-dropped"
        ),
        pytest.param(
            world(healthy(MEDIA), unknown(BACKEND)),
            DESIRED,
            NOTHING_ALLOWED,
            ["stop livekit-server@a", "refuse lk-backend: its state is unknown: answers said None"],
            id="unknown-beside-the-media",
        ),
        pytest.param(
            world(seen(MEDIA, ports=ports(MEDIA, 666, "nginx")), stopped(BACKEND)),
            DESIRED,
            DROP,
            [],
            id="stranger-is-not-stopped",
        ),
    ],
)
def test_stop(observed: Observed, goal_of: Desired, allowed: frozenset[Allowed], expected: list[str]) -> None:
    """Stopping ends things in the reverse order of start, and cuts nobody off unless that was allowed by name."""
    assert expected == said(plan(observed, goal_of, Goal.STOP, allowed=allowed))


def test_stopping_goes_step_by_step() -> None:
    """One ends after the other: what calls need is there until they have ended."""
    waves = plan(everything(), FULL, Goal.STOP).waves
    assert [[step.instance for step in wave.steps] for wave in waves] == [
        ["lk-backend"],
        ["livekit-server@a"],
        ["livekit-front"],
        ["livekit-redis"],
    ]


@pytest.mark.parametrize(
    ("calls", "says"),
    [
        ({"people": 2}, "2 people are cut off; their clients try to come back for 20 s"),
        ({"people": None}, "an unknown number of people are cut off; their clients try to come back for 20 s"),
        ({"calls": None}, "an unknown number of people are cut off; their clients try to come back for 20 s"),
    ],
)
def test_what_dropping_does(calls: dict[str, Any], says: str) -> None:
    """Who is cut off, and that it is for good, is said before it is done."""
    (step,) = plan(world(healthy(MEDIA, **calls), stopped(BACKEND)), DESIRED, Goal.STOP, allowed=DROP).steps
    assert (step.effect.kind, step.effect.says, step.effect.people, step.effect.seconds) == (
        Interruption.DROP,
        says,
        calls.get("people"),
        None,
    )


def test_configure() -> None:
    """Only files and registration, whatever runs."""
    observed = world(stopped(MEDIA), healthy(BACKEND, process=OLD_BACKEND, entry=entry(BACKEND, digest="f" * 16)))
    assert said(plan(observed, DESIRED, Goal.CONFIGURE)) == [
        "write-files livekit-server@a",
        "register livekit-server@a",
        "register lk-backend",
    ]


def test_a_strangers_slot_is_left_to_it() -> None:
    """Where somebody else holds the ports of one slot, ours starts in the other, and joins are sent there."""
    found = plan(world(seen(MEDIA, ports=ports(MEDIA, 666, "nginx")), stopped(BACKEND)), DESIRED)
    assert (found.slot, [step.instance for step in found.steps if step.action is Action.START]) == (
        "b",
        ["livekit-server@b", "lk-backend"],
    )
    assert {step.digest for step in found.steps if step.instance == "lk-backend"} == {BACKEND_B.digest}
    assert "livekit-server@a" not in {step.instance for step in found.steps}
    assert notes(found) == ["livekit-server@a: not touched: port 6800 (debug) is held by pid 666 (nginx)"]


def test_a_second_slot_that_cannot_be_seen_holds_back_the_start_of_the_first() -> None:
    """What cannot be seen may serve calls already, and a room must not be on two slots."""
    lost = stopped(MEDIA_B, verdict=Verdict.UNKNOWN, because="the kernel does not tell")
    found = plan(world(stopped(MEDIA), healthy(BACKEND), lost), DESIRED)
    assert said(found) == ["refuse livekit-server@a: the state of livekit-server@b is unknown"]
    assert notes(found) == ["livekit-server@b: left alone, as its state is unknown: the kernel does not tell"]


BACKEND_B_RUNS = healthy(BACKEND_B)


@pytest.mark.parametrize(
    ("observed", "desired", "allowed", "slot", "expected"),
    [
        pytest.param(
            world(healthy(MEDIA, people=3, process=BEFORE), healthy(BACKEND)),
            STEERED,
            NOTHING_ALLOWED,
            "b",
            [
                "write-files livekit-server@b",
                "register livekit-server@b",
                "register lk-backend",
                "start livekit-server@b",
                "restart lk-backend",
                "wait livekit-server@a: new rooms come to it until the other is ready",
            ],
            id="the-new-release-starts-in-the-free-slot",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3, process=BEFORE), BACKEND_B_RUNS, healthy(MEDIA_B)),
            STEERED,
            NOTHING_ALLOWED,
            "b",
            ["wait livekit-server@a: 3 people in 1 rooms are on it"],
            id="the-old-slot-keeps-its-people",
        ),
        pytest.param(
            world(healthy(MEDIA, people=None, process=BEFORE), BACKEND_B_RUNS, healthy(MEDIA_B)),
            STEERED,
            RECONNECT,
            "b",
            ["wait livekit-server@a: who is in its calls is unknown"],
            id="the-old-slot-is-kept-while-nobody-counts",
        ),
        pytest.param(
            world(healthy(MEDIA, process=BEFORE), BACKEND_B_RUNS, healthy(MEDIA_B)),
            STEERED,
            NOTHING_ALLOWED,
            "b",
            ["stop livekit-server@a"],
            id="the-old-slot-ends-when-it-is-empty",
        ),
        pytest.param(
            world(healthy(MEDIA, process=BEFORE, entry=STOPPING), BACKEND_B_RUNS, healthy(MEDIA_B)),
            STEERED,
            NOTHING_ALLOWED,
            "b",
            ["wait livekit-server@a: 0 people in 0 rooms are on it"],
            id="the-old-slot-gets-no-second-signal",
        ),
        pytest.param(
            world(healthy(MEDIA, process=BEFORE, entry=None), BACKEND_B_RUNS, healthy(MEDIA_B)),
            STEERED,
            NOTHING_ALLOWED,
            "b",
            [],
            id="an-orphan-in-the-old-slot-is-left-alone",
        ),
        pytest.param(
            world(seen(MEDIA, entry=BETWEEN_LIVES), BACKEND_B_RUNS, healthy(MEDIA_B)),
            STEERED,
            NOTHING_ALLOWED,
            "b",
            ["stop livekit-server@a"],
            id="the-old-slot-does-not-come-back",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3, process=BEFORE), BACKEND_B_RUNS, healthy(MEDIA_B)),
            without(STEERED, "two-slot"),
            RECONNECT,
            "b",
            ["kill livekit-server@a"],
            id="rooms-that-may-not-run-beside-it-move",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3, process=BEFORE), BACKEND_B_RUNS, healthy(MEDIA_B)),
            without(STEERED, "two-slot"),
            NOTHING_ALLOWED,
            "b",
            ["wait livekit-server@a: 3 people in 1 rooms are on it"],
            id="rooms-move-only-when-that-is-accepted",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3, process=BEFORE), BACKEND_B_RUNS, unknown(MEDIA_B)),
            without(STEERED, "two-slot"),
            RECONNECT,
            "a",
            [
                "refuse livekit-server@b: its state is unknown: answers said None",
                f"refuse lk-backend: {CHANGED}, but the state of livekit-server@b is unknown",
                "wait livekit-server@a: new rooms come to it until the other is ready",
            ],
            id="nobody-is-moved-to-what-cannot-be-seen",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3), BACKEND_B_RUNS, healthy(MEDIA_B, people=1)),
            STEERED,
            NOTHING_ALLOWED,
            "b",
            ["wait livekit-server@a: 3 people in 1 rooms are on it"],
            id="both-are-right-and-joins-stay-where-they-go",
        ),
        pytest.param(
            world(healthy(MEDIA), healthy(BACKEND), healthy(MEDIA_B)),
            STEERED,
            NOTHING_ALLOWED,
            "a",
            ["stop livekit-server@b"],
            id="both-are-right-and-the-other-is-empty",
        ),
        pytest.param(
            world(healthy(MEDIA), stopped(BACKEND_B), healthy(MEDIA_B)),
            STEERED,
            NOTHING_ALLOWED,
            "a",
            [
                "write-files lk-backend",
                "register lk-backend",
                "start lk-backend",
                "wait livekit-server@b: new rooms come to it until the other is ready",
            ],
            id="both-are-right-and-nothing-sends-joins-yet",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3, process=BEFORE), healthy(BACKEND), healthy(MEDIA_B, process=BEFORE_B)),
            STEERED,
            NOTHING_ALLOWED,
            "a",
            [
                "stop livekit-server@b",
                "refuse livekit-server@a: release 1.13.4-r1 runs, but a restart would cut off 3 people in 1 rooms",
            ],
            id="both-are-old-and-the-unused-one-makes-room",
        ),
        pytest.param(
            world(
                healthy(MEDIA, people=3, process=BEFORE),
                healthy(BACKEND),
                attrs.evolve(healthy(MEDIA_B), verdict=Verdict.UNHEALTHY, because="it says 406"),
            ),
            STEERED,
            NOTHING_ALLOWED,
            "a",
            [
                "refuse livekit-server@b: it says 406; it may carry calls, so it is not restarted",
                "wait livekit-server@a: new rooms come to it until the other is ready",
            ],
            id="new-rooms-stay-on-the-old-slot-while-the-new-one-is-not-ready",
        ),
        pytest.param(
            world(
                healthy(MEDIA, people=3, process=BEFORE),
                healthy(BACKEND),
                seen(MEDIA_B, entry=attrs.evolve(BETWEEN_LIVES, instance=MEDIA_B.instance)),
            ),
            STEERED,
            NOTHING_ALLOWED,
            "a",
            [
                "await-ready livekit-server@b",
                "wait livekit-server@a: new rooms come to it until the other is ready",
            ],
            id="the-new-slot-comes-back-by-itself",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3, process=BEFORE), healthy(BACKEND)),
            STEERED_BLOCKED,
            NOTHING_ALLOWED,
            "a",
            ["refuse livekit-server@b: release 1.13.5-r1 is blocked: it panics"],
            id="joins-are-not-sent-to-a-slot-that-is-not-started",
        ),
        pytest.param(
            world(healthy(MEDIA, process=BEFORE), healthy(BACKEND), healthy(MEDIA_B)),
            STEERED,
            NOTHING_ALLOWED,
            "b",
            [
                "register lk-backend",
                "restart lk-backend",
                "wait livekit-server@a: new rooms come to it until the other is ready",
            ],
            id="who-was-sent-to-the-old-slot-until-now-may-still-come",
        ),
    ],
)
def test_two_slots(
    observed: Observed, desired: Desired, allowed: frozenset[Allowed], slot: str, expected: list[str]
) -> None:
    """New rooms go to the new release once it is ready; the old slot ends with its last room, and never before."""
    found = plan(observed, desired, allowed=allowed)
    assert (found.slot, said(found)) == (slot, expected)


def test_two_slot_goes_in_waves() -> None:
    """Joins are sent to the new slot only after it is ready."""
    found = plan(world(healthy(MEDIA, people=3, process=BEFORE), healthy(BACKEND)), STEERED)
    assert [[f"{step.action} {step.digest}" for step in wave.steps] for wave in found.waves] == [
        [f"write-files {MEDIA_B.digest}"],
        [f"register {MEDIA_B.digest}", f"register {BACKEND_B.digest}"],
        [f"start {MEDIA_B.digest}"],
        [f"restart {BACKEND_B.digest}"],
    ]


@pytest.mark.parametrize(
    ("media_s", "backend_s", "left_s"),
    [(4.0, 3600.0, JOIN_GRACE_S - 4.0), (3600.0, 2.5, JOIN_GRACE_S - 2.5), (10.0, 10.0, None)],
    ids=["new-media", "joins-sent-here-a-moment-ago", "long-enough"],
)
def test_the_grace_of_an_empty_slot(media_s: float, backend_s: float, left_s: float | None) -> None:
    """An empty slot ends when nobody can be on the way to it any more; how long that takes is said."""
    observed = world(
        healthy(MEDIA, process=BEFORE),
        healthy(BACKEND_B, process=process(BACKEND_B, age_s=backend_s)),
        healthy(MEDIA_B, process=process(MEDIA_B, age_s=media_s)),
    )
    found = plan(observed, STEERED)
    assert [wait.seconds for wait in found.waits] == ([left_s] if left_s is not None else [])
    assert [step.action for step in found.steps] == ([Action.STOP] if left_s is None else [])


def test_a_slot_is_stopped_while_it_is_empty_only() -> None:
    """Somebody may come between the look and the signal."""
    (step,) = plan(world(healthy(MEDIA, process=BEFORE), BACKEND_B_RUNS, healthy(MEDIA_B)), STEERED).steps
    assert (step.needs.process, step.needs.people_at_most) == (BEFORE.id, 0)
