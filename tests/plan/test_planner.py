"""The planner: least harm first, nothing destructive from what is unknown, and a reason for all of it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.model.desired import Desired
from hero_livekit_units.model.observed import Entry, EntryState, Failed, InstanceSeen, Observed, Verdict
from hero_livekit_units.model.plan import (
    ENDING,
    Action,
    Allowed,
    Goal,
    Interruption,
    Plan,
    Way,
)
from hero_livekit_units.plan.explain import explain
from hero_livekit_units.plan.planner import plan
from hero_livekit_units.plan.serial import plan_text
from hero_livekit_units.plan.slots import in_use
from tests.plan.worlds import (
    BACKEND_B_RUNS,
    BEFORE,
    BEFORE_B,
    BLOCKED,
    DRAIN,
    DROP,
    NOTHING_ALLOWED,
    OLD_BACKEND,
    OLD_REDIS,
    OLDER,
    OTHER_RELEASE,
    RECONNECT,
    STEERED_BLOCKED,
    STOPPING,
    TAKEN,
    between_two_lives,
    everything,
    not_ready,
    stranger,
    unknown,
)
from tests.strategies import (
    BACKEND,
    BACKEND_B,
    BACKEND_BEHIND_FRONT,
    DESIRED,
    FOLLOWED,
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
    probes,
    process,
    seen,
    stopped,
    without,
    world,
    worlds,
)

CHANGED = "it runs with another configuration"
NOT_READY = "pid 4242 is alive, but answers said False"
NOT_OWNED = "pid 4242 answers; the supervisor does not know it"
ANYTHING_ALLOWED = st.frozensets(st.sampled_from(Allowed))
FAILING = "livekit-server@b fails its probes (it says 406)"
DESIRABLE = st.sampled_from(
    [
        DESIRED,
        STEERED,
        BLOCKED,
        STEERED_BLOCKED,
        without(STEERED, "two-slot"),
        without(FOLLOWED, "two-slot"),
        without(DESIRED, "idle-swap", "swap"),
    ]
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
                "update lk-backend",
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
            [f"refuse livekit-server@a: {CHANGED}, but that would cut off 3 people in 1 room"],
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
            ["wait livekit-server@a: in its calls: 2 people in 1 room"],
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
            everything(
                redis=healthy(REDIS, process=OLD_REDIS),
                backend=healthy(attrs.evolve(BACKEND_BEHIND_FRONT, after=("livekit-redis",))),
            ),
            FULL,
            ["restart livekit-redis"],
            id="redis-restarts-under-what-carries-no-calls",
        ),
        pytest.param(
            everything(people=3, redis=healthy(REDIS, process=OLD_REDIS)),
            FULL,
            [f"refuse livekit-redis: {CHANGED}, but that would cut off 3 people in 1 room"],
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
            [f"refuse livekit-front: {CHANGED}, but that would cut off 3 people in 1 room"],
            id="the-front-stays-as-it-is-while-calls-need-it",
        ),
        pytest.param(
            world(healthy(MEDIA, entry=entry(MEDIA, digest="f" * 16)), healthy(BACKEND)),
            DESIRED,
            ["register livekit-server@a"],
            id="live-part-changed",
        ),
        pytest.param(
            world(healthy(MEDIA, files_differ={MEDIA.digest: (MEDIA.files[0].path,)}), healthy(BACKEND)),
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
            world(between_two_lives(MEDIA), healthy(BACKEND)),
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
                not_ready(BACKEND),
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
            everything(people=3, front=not_ready(FRONT)),
            FULL,
            [f"refuse livekit-front: {NOT_READY}, but that would cut off 3 people in 1 room"],
            id="broken-front-that-calls-need",
        ),
        pytest.param(
            world(
                unknown(MEDIA),
                not_ready(BACKEND),
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
                stranger(MEDIA),
                stopped(BACKEND),
                stranger(MEDIA_B),
            ),
            DESIRED,
            [
                "refuse livekit-server@a: port 6800 (debug) is held by pid 666 (nginx)",
                "refuse lk-backend: half a group serves nobody, and livekit-server@a cannot be started",
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
                "refuse livekit-server@a: stop was asked for, but that would cut off 2 people in 1 room",
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
                "refuse livekit-server@b: stop was asked for, but that would cut off 1 person in 1 room",
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
                "refuse livekit-server@a: stop was asked for, but that would cut off 2 people in 1 room",
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
            world(between_two_lives(MEDIA), stopped(BACKEND)),
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
            world(stranger(MEDIA), stopped(BACKEND)),
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
    found = plan(world(stranger(MEDIA), stopped(BACKEND)), DESIRED)
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
                "update lk-backend",
                "wait livekit-server@a: new rooms come to it while the other is not ready",
            ],
            id="the-new-release-starts-in-the-free-slot",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3, process=BEFORE), BACKEND_B_RUNS, healthy(MEDIA_B)),
            STEERED,
            NOTHING_ALLOWED,
            "b",
            ["drain livekit-server@a", "wait livekit-server@a: in its calls: 3 people in 1 room"],
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
            ["wait livekit-server@a: in its calls: nobody"],
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
            world(between_two_lives(MEDIA), BACKEND_B_RUNS, healthy(MEDIA_B)),
            STEERED,
            NOTHING_ALLOWED,
            "b",
            ["stop livekit-server@a"],
            id="the-old-slot-does-not-come-back",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3, process=BEFORE), BACKEND_B_RUNS, healthy(MEDIA_B)),
            without(FOLLOWED, "two-slot"),
            RECONNECT,
            "b",
            ["kill livekit-server@a"],
            id="rooms-that-may-not-run-beside-it-move",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3, process=BEFORE), BACKEND_B_RUNS, healthy(MEDIA_B)),
            without(STEERED, "two-slot"),
            RECONNECT,
            "b",
            ["drain livekit-server@a", "wait livekit-server@a: in its calls: 3 people in 1 room"],
            id="rooms-whose-people-have-the-address-of-the-slot-stay",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3, process=BEFORE), BACKEND_B_RUNS, healthy(MEDIA_B)),
            without(FOLLOWED, "two-slot"),
            NOTHING_ALLOWED,
            "b",
            ["drain livekit-server@a", "wait livekit-server@a: in its calls: 3 people in 1 room"],
            id="rooms-move-only-when-that-is-accepted",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3, process=BEFORE), BACKEND_B_RUNS, unknown(MEDIA_B)),
            without(FOLLOWED, "two-slot"),
            RECONNECT,
            "b",
            [
                "refuse livekit-server@b: its state is unknown: answers said None",
                "wait livekit-server@a: in its calls: 3 people in 1 room",
            ],
            id="nobody-is-moved-to-what-cannot-be-seen",
        ),
        pytest.param(
            world(healthy(MEDIA, people=3), BACKEND_B_RUNS, healthy(MEDIA_B, people=1)),
            STEERED,
            NOTHING_ALLOWED,
            "b",
            ["drain livekit-server@a", "wait livekit-server@a: in its calls: 3 people in 1 room"],
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
                "update lk-backend",
                "register lk-backend",
                "start lk-backend",
                "wait livekit-server@b: new rooms come to it while the other is not ready",
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
                "refuse livekit-server@a: release 1.13.4-r1 runs, but that would cut off 3 people in 1 room",
            ],
            id="both-are-old-and-the-unused-one-makes-room",
        ),
        pytest.param(
            world(
                healthy(MEDIA, people=3, process=BEFORE),
                healthy(BACKEND),
                attrs.evolve(healthy(MEDIA_B, people=2), verdict=Verdict.UNHEALTHY, because="it says 406"),
            ),
            STEERED,
            NOTHING_ALLOWED,
            "a",
            [
                f"refuse livekit-server@a: release 1.13.4-r1 runs, but new rooms stay on slot a: {FAILING}",
                f"wait livekit-server@b: {FAILING}; in its calls: 2 people in 1 room",
            ],
            id="new-rooms-stay-on-the-old-slot-while-the-new-one-is-not-ready",
        ),
        pytest.param(
            world(
                healthy(MEDIA, people=3, process=BEFORE),
                healthy(BACKEND),
                between_two_lives(MEDIA_B),
            ),
            STEERED,
            NOTHING_ALLOWED,
            "a",
            [
                "await-ready livekit-server@b",
                "wait livekit-server@a: new rooms come to it while the other is not ready",
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
                "update lk-backend",
                "wait livekit-server@a: new rooms come to it while the other is not ready",
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
        [f"update {BACKEND_B.digest}"],
    ]


@pytest.mark.parametrize(
    ("media_s", "sent_s", "left_s"),
    [
        (4.0, 3600.0, STEERED.steering.grace_s - 4.0),
        (3600.0, 2.5, STEERED.steering.grace_s - 2.5),
        (9.5, 9.5, STEERED.steering.grace_s - 9.5),
        (10.0, 10.0, None),
    ],
    ids=["new-media", "joins-sent-here-a-moment-ago", "the-last-moment", "long-enough"],
)
def test_the_grace_of_an_empty_slot(media_s: float, sent_s: float, left_s: float | None) -> None:
    """An empty slot ends when nobody can be on the way to it any more; how long that takes is said."""
    observed = world(
        healthy(MEDIA, process=BEFORE),
        healthy(BACKEND_B, updated_for_s=sent_s),
        healthy(MEDIA_B, process=process(MEDIA_B, age_s=media_s)),
    )
    found = plan(observed, STEERED)
    assert [wait.seconds for wait in found.waits] == ([left_s] if left_s is not None else [])
    assert [step.action for step in found.steps] == ([Action.STOP] if left_s is None else [])


def test_a_slot_is_stopped_while_it_is_empty_only() -> None:
    """Somebody may come between the look and the signal."""
    (step,) = plan(world(healthy(MEDIA, process=BEFORE), BACKEND_B_RUNS, healthy(MEDIA_B)), STEERED).steps
    assert (step.needs.process, step.needs.people_at_most) == (BEFORE.id, 0)


WAY_OUT = "release 1.13.4-r1 runs"
LIVE = "livekit-server takes over another release or configuration only at its start"
NO_STEERING = DESIRED.steering.because
NO_FRONT = (
    "who is in a call has the address of its slot, and would not come back to another;"
    " behind the front it would ([front] enabled = true)"
)
CUT_OFF = "that would cut off 3 people in 1 room"
NO_RECONNECT = "nobody accepted that people reconnect (--allow-reconnect)"
NO_DRAIN = "nobody accepted that joins are refused until the last call ends (--allow-drain)"


@pytest.mark.parametrize(
    ("desired", "people", "allowed", "way", "actions", "passed_over"),
    [
        pytest.param(STEERED, 3, NOTHING_ALLOWED, Way.TWO_SLOT, [Action.START], [], id="two-slot"),
        pytest.param(DESIRED, 0, NOTHING_ALLOWED, Way.IDLE_SWAP, [Action.RESTART], [NO_STEERING], id="idle-swap"),
        pytest.param(
            without(STEERED, "two-slot"),
            3,
            RECONNECT,
            Way.SWAP,
            [Action.SWAP],
            ["1.13.5-r1 may not replace 1.13.4-r1 by two-slot", CUT_OFF, NO_FRONT],
            id="swap-as-nobody-would-come-to-the-other-slot",
        ),
        pytest.param(
            without(FOLLOWED, "two-slot"),
            3,
            RECONNECT,
            Way.MOVE,
            [Action.START],
            ["1.13.5-r1 may not replace 1.13.4-r1 by two-slot", CUT_OFF],
            id="move",
        ),
        pytest.param(DESIRED, 3, RECONNECT, Way.SWAP, [Action.SWAP], [NO_STEERING, CUT_OFF, NO_STEERING], id="swap"),
        pytest.param(
            DESIRED,
            3,
            DRAIN,
            Way.DRAIN,
            [Action.STOP],
            [NO_STEERING, CUT_OFF, NO_STEERING, NO_RECONNECT],
            id="drain",
        ),
        pytest.param(
            DESIRED, 3, DROP, None, [], [NO_STEERING, CUT_OFF, NO_STEERING, NO_RECONNECT, NO_DRAIN], id="none-is-open"
        ),
    ],
)
def test_the_gentlest_way_is_chosen(
    desired: Desired,
    people: int,
    allowed: frozenset[Allowed],
    way: Way | None,
    actions: list[Action],
    passed_over: list[str],
) -> None:
    """The first way that is open is taken, and each gentler one has its reason."""
    backend = healthy(BACKEND_B if way in {Way.TWO_SLOT, Way.MOVE} else BACKEND)
    found = plan(world(healthy(MEDIA, people=people, process=BEFORE), backend), desired, allowed=allowed)
    (choice,) = found.choices
    assert (choice.instance, choice.way, choice.because) == ("livekit-server@a", way, WAY_OUT)
    assert [step.action for step in found.steps if step.action in ENDING | {Action.START}] == actions
    assert [(passed.way, passed.because) for passed in choice.passed_over] == list(
        zip(Way, [WAY_OUT, LIVE, *passed_over], strict=False)
    )


NO_SLOT = "no other slot is free: livekit-server@b: "


@pytest.mark.parametrize(
    ("old", "other", "desired", "reasons"),
    [
        pytest.param(
            healthy(MEDIA, people=3, process=OTHER_RELEASE),
            stopped(MEDIA_B),
            STEERED,
            dict.fromkeys(
                [Way.TWO_SLOT, Way.IDLE_SWAP, Way.MOVE, Way.SWAP, Way.DRAIN],
                "1.13.5-r1 is not declared to replace 1.9.12-r1",
            ),
            id="no-edge",
        ),
        pytest.param(
            healthy(MEDIA, people=3, process=BEFORE),
            stopped(MEDIA_B),
            without(STEERED, "two-slot", "idle-swap", "move", "swap", "drain"),
            {
                way: f"1.13.5-r1 may not replace 1.13.4-r1 by {way}"
                for way in (Way.TWO_SLOT, Way.IDLE_SWAP, Way.MOVE, Way.SWAP, Way.DRAIN)
            },
            id="an-edge-without-strategies",
        ),
        pytest.param(
            healthy(MEDIA, people=3, process=BEFORE),
            healthy(MEDIA_B, process=BEFORE_B),
            STEERED,
            {Way.TWO_SLOT: f"{NO_SLOT}pid 4242 answers"},
            id="the-other-slot-is-occupied",
        ),
        pytest.param(
            healthy(MEDIA, people=3, process=BEFORE),
            stranger(MEDIA_B),
            STEERED,
            {Way.TWO_SLOT: f"{NO_SLOT}port {MEDIA_B.port('debug').number} (debug) is held by pid 666 (nginx)"},
            id="a-stranger-holds-the-other-slot",
        ),
        pytest.param(
            healthy(MEDIA, people=3, process=BEFORE),
            stopped(MEDIA_B, program_missing="/x"),
            STEERED,
            {Way.TWO_SLOT: f"{NO_SLOT}its program is not there: /x"},
            id="the-program-is-not-there",
        ),
        pytest.param(
            healthy(MEDIA, people=3, process=BEFORE),
            stopped(MEDIA_B),
            Desired({"a": STEERED.by_slot["a"]}, STEERED.steering),
            {Way.TWO_SLOT: "there is only one slot", Way.MOVE: "there is only one slot"},
            id="one-slot",
        ),
        pytest.param(
            healthy(MEDIA, process=BEFORE, entry=None, because=NOT_OWNED),
            stopped(MEDIA_B),
            DESIRED,
            dict.fromkeys([Way.IDLE_SWAP, Way.SWAP, Way.DRAIN], NOT_OWNED) | {Way.MOVE: NO_STEERING},
            id="not-owned",
        ),
        pytest.param(
            healthy(MEDIA, process=BEFORE, in_the_way=TAKEN),
            stopped(MEDIA_B),
            without(FOLLOWED, "two-slot"),
            {Way.IDLE_SWAP: "port 6800 is held by pid 666 (httpd)", Way.MOVE: NO_RECONNECT},
            id="a-stranger-on-a-port-does-not-matter-to-the-other-slot",
        ),
        pytest.param(
            healthy(MEDIA, people=2, process=BEFORE, entry=STOPPING),
            stopped(MEDIA_B),
            DESIRED,
            dict.fromkeys([Way.IDLE_SWAP, Way.SWAP, Way.DRAIN], "it is ending already"),
            id="draining",
        ),
        pytest.param(
            unknown(MEDIA, BEFORE),
            stopped(MEDIA_B),
            DESIRED,
            dict.fromkeys([Way.IDLE_SWAP, Way.SWAP, Way.DRAIN], "its state is unknown: answers said None"),
            id="unknown",
        ),
        pytest.param(
            healthy(MEDIA, people=None, process=BEFORE),
            stopped(MEDIA_B),
            DESIRED,
            dict.fromkeys([Way.IDLE_SWAP, Way.SWAP, Way.DRAIN], "who is in a call is unknown (debug-rooms)"),
            id="nobody-counts",
        ),
        pytest.param(
            healthy(MEDIA, process=BEFORE, calls=None),
            stopped(MEDIA_B),
            DESIRED,
            dict.fromkeys([Way.IDLE_SWAP, Way.SWAP, Way.DRAIN], "who is in a call is unknown (not counted)"),
            id="calls-that-nobody-looked-at",
        ),
    ],
)
def test_why_a_way_is_passed_over(
    old: InstanceSeen, other: InstanceSeen, desired: Desired, reasons: dict[Way, str]
) -> None:
    """What speaks against a way is told for that way, and nothing ends."""
    found = plan(world(old, healthy(BACKEND), other), desired)
    (choice,) = found.choices
    told = {passed.way: passed.because for passed in choice.passed_over}
    assert {way: told.get(way) for way in reasons} == reasons
    assert [step for step in found.steps if step.action in ENDING and step.instance == MEDIA.instance] == []


@pytest.mark.parametrize(
    ("old", "when"),
    [
        pytest.param(healthy(MEDIA, process=BEFORE, entry=None), "the supervisor owns it again", id="not-owned"),
        pytest.param(healthy(MEDIA, process=BEFORE, in_the_way=TAKEN), "it is free", id="port"),
        pytest.param(healthy(MEDIA, process=BEFORE, people=None), "calls can be counted", id="not-counted"),
        pytest.param(healthy(MEDIA, process=BEFORE, people=1), "everybody has left", id="people"),
        pytest.param(unknown(MEDIA, BEFORE), "it can be looked at again", id="unknown"),
        pytest.param(healthy(MEDIA, process=OTHER_RELEASE), "media.toml asks for a release on the way", id="no-edge"),
    ],
)
def test_when_it_would_be_possible(old: InstanceSeen, when: str) -> None:
    """Each refusal says what to wait for or to do."""
    (refusal,) = plan(world(old, healthy(BACKEND)), DESIRED).refusals
    assert refusal.possible_when.startswith(when)


def test_what_a_swap_does() -> None:
    """How many people are hit, and for how long, is said before it is done."""
    (step,) = plan(world(healthy(MEDIA, people=3, process=BEFORE), healthy(BACKEND)), DESIRED, allowed=RECONNECT).steps
    assert (step.action, step.needs.process) == (Action.SWAP, BEFORE.id)
    assert (step.effect.kind, step.effect.rooms, step.effect.people) == (Interruption.RECONNECT, 1, 3)
    assert (
        step.effect.says == f"3 people lose the sound for about {step.effect.seconds:g} s and come back by themselves"
    )


def test_a_blocked_release_that_runs_is_noted() -> None:
    """It is left to its calls, but not passed over in silence."""
    (note,) = notes(plan(world(healthy(MEDIA), healthy(BACKEND)), BLOCKED))
    assert note == "livekit-server@a: release 1.13.5-r1 is blocked, and runs: it panics; choose another version"


# -- properties


@given(worlds(), DESIRABLE, st.sampled_from(Goal), ANYTHING_ALLOWED)
def test_nobody_in_a_call_is_cut_off_without_being_asked(
    observed: Observed, desired: Desired, goal: Goal, allowed: frozenset[Allowed]
) -> None:
    """No step ends a media process that carries people, or of which that is unknown, unless it was allowed by name."""
    for step in plan(observed, desired, goal, allowed=allowed).steps:
        found = observed.instance(step.instance)
        if step.action not in ENDING or not found.spec.carries_calls or found.process is None:
            continue
        assert step.needs.process == found.process.id
        if step.action in {Action.SWAP, Action.KILL}:
            accepted = Allowed.DROP if goal is Goal.STOP else Allowed.RECONNECT
            assert accepted in allowed
            if step.action is Action.KILL and goal is Goal.RUN:
                assert desired.steering.follows
                assert observed.instance(step.to).verdict is Verdict.HEALTHY
        elif step.effect.kind is Interruption.JOINS_REFUSED:
            assert Allowed.DRAIN in allowed
        else:
            assert found.calls is not None
            assert (found.calls.people, step.needs.people_at_most) == (0, 0)


@given(worlds(), DESIRABLE, st.sampled_from(Goal), ANYTHING_ALLOWED)
def test_nothing_ends_because_of_what_is_unknown_or_foreign(
    observed: Observed, desired: Desired, goal: Goal, allowed: frozenset[Allowed]
) -> None:
    """While the supervisor or a slot cannot be seen nothing ends, but what the user wants ended; strangers never do."""
    unsure = any(observed.instance(spec.instance).verdict is Verdict.UNKNOWN for spec in desired.media.values())
    for step in plan(observed, desired, goal, allowed=allowed).steps:
        assert observed.supervisor.verdict is Verdict.HEALTHY
        found = observed.instance(step.instance)
        if step.action in ENDING:
            assert goal is Goal.STOP or not unsure
            assert (
                found.verdict is not Verdict.UNKNOWN
                or (step.action is Action.KILL and Allowed.DROP in allowed)
                or (not found.spec.carries_calls and Allowed.DROP in allowed)
            )
        if step.action in ENDING | {Action.START, Action.AWAIT_READY}:
            assert found.verdict is not Verdict.FOREIGN


@given(worlds(), DESIRABLE, ANYTHING_ALLOWED)
def test_a_second_copy_is_never_started(observed: Observed, desired: Desired, allowed: frozenset[Allowed]) -> None:
    """A start is planned only for what was looked for everywhere and not found."""
    for step in plan(observed, desired, allowed=allowed).steps:
        if step.action is Action.START:
            found = observed.instance(step.instance)
            assert found.process is None
            assert found.registry_looked
            assert not any(port.held for port in found.ports)
            assert step.needs.absent


@given(worlds(), ANYTHING_ALLOWED)
def test_a_room_is_never_on_two_slots(observed: Observed, allowed: frozenset[Allowed]) -> None:
    """Without anything that knows which room is where, no slot is started beside one that may have rooms."""
    started = {step.instance for step in plan(observed, DESIRED, allowed=allowed).steps if step.action is Action.START}
    for spec in DESIRED.media.values():
        others = [other for other in DESIRED.media.values() if other is not spec]
        if spec.instance in started:
            seen_there = [observed.instance(other.instance) for other in others]
            assert all(found.process is None or found.verdict is Verdict.FOREIGN for found in seen_there)
            assert all(found.verdict is not Verdict.UNKNOWN for found in seen_there)


@given(worlds(), DESIRABLE, st.sampled_from(Goal), ANYTHING_ALLOWED)
def test_the_plan_is_a_pure_function(
    observed: Observed, desired: Desired, goal: Goal, allowed: frozenset[Allowed]
) -> None:
    """Equal input gives a byte-equal plan, and everything in it says why."""
    one = plan(observed, desired, goal, allowed=allowed)
    again = plan(attrs.evolve(observed), Desired(dict(desired.by_slot), desired.steering), goal, allowed=allowed)
    assert plan_text(one) == plan_text(again)
    assert all(step.because and step.effect.says for step in one.steps)
    assert all(refusal.because and refusal.possible_when for refusal in one.refusals)
    assert all(wait.because and wait.until for wait in one.waits)
    assert all(passed.because for choice in one.choices for passed in choice.passed_over)


@given(worlds(), DESIRABLE, st.sampled_from(Goal), ANYTHING_ALLOWED, st.randoms(use_true_random=False))
def test_the_order_of_looking_does_not_matter(
    observed: Observed, desired: Desired, goal: Goal, allowed: frozenset[Allowed], random: Any
) -> None:
    """The same world leads to the same waves, whatever was looked at first."""
    shuffled = list(observed.instances)
    random.shuffle(shuffled)
    again = attrs.evolve(observed, instances=tuple(shuffled))
    assert plan(observed, desired, goal, allowed=allowed).waves == plan(again, desired, goal, allowed=allowed).waves


@given(worlds(), DESIRABLE, st.sampled_from(Goal), ANYTHING_ALLOWED)
def test_every_instance_is_explained(
    observed: Observed, desired: Desired, goal: Goal, allowed: frozenset[Allowed]
) -> None:
    """A sentence at least for each instance; all that is planned, refused, waited for or noted is in there."""
    found = plan(observed, desired, goal, allowed=allowed)
    text = "\n".join(explain(found))
    assert {line.partition(": ")[0] for line in text.splitlines()} >= {one.spec.instance for one in observed.instances}
    assert all(f"{step.instance}: {step.action}, because {step.because}" in text for step in found.steps)
    assert all(f"{refusal.instance}: refused: {refusal.because}" in text for refusal in found.refusals)
    assert all(f"{wait.instance}: waits until {wait.until}" in text for wait in found.waits)
    assert all(f"{note.instance}: {note.text}" in text for note in found.notes)
    assert all(passed.because in text for choice in found.choices for passed in choice.passed_over)


@given(worlds(), DESIRABLE, ANYTHING_ALLOWED)
def test_everything_is_accounted_for(observed: Observed, desired: Desired, allowed: frozenset[Allowed]) -> None:
    """Of what is wanted, an instance that is not healthy is never passed over in silence."""
    found = plan(observed, desired, allowed=allowed)
    named = {step.instance for step in found.steps} | {refusal.instance for refusal in found.refusals}
    named |= {wait.instance for wait in found.waits} | {note.instance for note in found.notes}
    for spec in desired.by_slot[found.slot]:
        if observed.instance(spec.instance).verdict is not Verdict.HEALTHY:
            assert spec.instance in named or "hero_proc" in named


@given(worlds(), DESIRABLE, st.sampled_from(Goal), ANYTHING_ALLOWED)
def test_nothing_to_do_means_nothing_is_done(
    observed: Observed, desired: Desired, goal: Goal, allowed: frozenset[Allowed]
) -> None:
    """A plan is converged exactly when it has no waves, refusals and waits; no wave is empty."""
    found = plan(observed, desired, goal, allowed=allowed)
    assert found.converged == (not found.steps and not found.refusals and not found.waits)
    assert all(wave.steps for wave in found.waves)


@given(worlds(), DESIRABLE, ANYTHING_ALLOWED)
def test_before_a_start_come_files_and_registration(
    observed: Observed, desired: Desired, allowed: frozenset[Allowed]
) -> None:
    """Nothing is started from files or a registration that are known to be wrong."""
    steps = plan(observed, desired, allowed=allowed).steps
    for at, step in enumerate(steps):
        if step.action in {Action.START, Action.RESTART, Action.SWAP}:
            found, spec = observed.instance(step.instance), desired.spec(step.instance, step.digest)
            assert spec is not None
            earlier = [other.action for other in steps[:at] if other.instance == step.instance]
            # Where new rooms go is told when all are up.
            earlier += [other.action for other in steps[at:] if other.instance == step.instance == "lk-backend"]
            differ = found.differ(spec)
            for action, files in ((Action.WRITE_FILES, spec.start_files), (Action.UPDATE, spec.live_files)):
                wrong = bool(files) if differ is None else any(file.path in differ for file in files)
                assert (action in earlier) == wrong
            assert (Action.REGISTER in earlier) == (found.entry is None or found.entry.digest != spec.digest)


# -- what is shown


@pytest.mark.parametrize(
    "left",
    [None, entry(MEDIA_B, wanted=False, state=EntryState.STOPPED, process=None)],
    ids=["never-used", "stopped-by-somebody"],
)
def test_a_spare_slot_is_not_shown(left: Entry | None) -> None:
    """A slot that is neither wanted nor used is none of a user's business, whether it is registered or not."""
    shown = in_use(world(healthy(MEDIA), healthy(BACKEND), seen(MEDIA_B, entry=left)), DESIRED)
    assert (shown.slot, [one.spec.instance for one in shown.instances]) == ("a", ["livekit-server@a", "lk-backend"])


@pytest.mark.parametrize(
    "other",
    [
        healthy(MEDIA_B),
        between_two_lives(MEDIA_B),
        seen(MEDIA_B, entry=entry(MEDIA_B, state=EntryState.FAILED, process=None)),
        stranger(MEDIA_B),
    ],
    ids=["runs", "comes-back", "wanted-and-given-up", "stranger"],
)
def test_a_slot_that_is_used_is_shown(other: InstanceSeen) -> None:
    """Whatever uses a slot, the user sees it."""
    observed = world(healthy(MEDIA), healthy(BACKEND), other)
    assert in_use(observed, DESIRED).instances == observed.instances


def test_the_slot_that_is_shown_is_the_one_that_serves() -> None:
    """What is planned is one thing, where new rooms go now is another."""
    observed = world(healthy(MEDIA, people=3, process=BEFORE), healthy(BACKEND))
    assert (in_use(observed, STEERED).slot, plan(observed, STEERED).slot) == ("a", "b")


def test_a_slot_in_which_the_start_failed_is_shown_while_that_matters() -> None:
    """Where the wanted launch is not tried again, the user sees why; where it runs elsewhere, that is of the past."""
    failed = attrs.evolve(stopped(MEDIA_B), failed=Failed(0.0, "it did not become ready"))
    kept = world(healthy(MEDIA, people=3, process=BEFORE), healthy(BACKEND), failed)
    assert in_use(kept, STEERED).instances == kept.instances
    past = in_use(world(healthy(MEDIA), healthy(BACKEND), failed), STEERED)
    assert [one.spec.instance for one in past.instances] == ["livekit-server@a", "lk-backend"]


@pytest.mark.parametrize("people", [0, 3])
def test_a_slot_that_cannot_be_seen_keeps_the_other_from_being_ended(people: int) -> None:
    """It may hold a server with calls: nothing is replaced, whatever is allowed, and that slot is named."""
    unseen = attrs.evolve(stopped(MEDIA_B), verdict=Verdict.UNKNOWN, because="the kernel does not tell")
    found = plan(
        world(healthy(MEDIA, people=people, process=BEFORE), unseen, healthy(BACKEND)),
        DESIRED,
        allowed=RECONNECT | DRAIN,
    )
    assert found.steps == ()
    assert [choice.way for choice in found.choices] == [None]
    assert said(found) == [
        "refuse livekit-server@a: release 1.13.4-r1 runs, but the state of livekit-server@b is unknown"
    ]
