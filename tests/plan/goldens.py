"""Golden plans: worlds with the whole plan that follows, in one file each of `tests/cases/plans`.

A file says what was asked and seen, what is done in which order, the plan in sentences, and its JSON, byte for byte.
Digests stand there by name, as their figures follow from the definitions. `python -m tests.plan.goldens` makes the
files anew; read what it changed, as a file is right only when a person who knows the world would do the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from hero_livekit_units.model.ability import Ability
from hero_livekit_units.model.desired import Desired
from hero_livekit_units.model.drain import Drain, DrainSeen, Signal, Then
from hero_livekit_units.model.observed import (
    CallsSeen,
    EntryState,
    Failed,
    Foreign,
    IdleRoom,
    Observed,
    ProcessId,
    RoutesSeen,
    SupervisorSeen,
    Verdict,
)
from hero_livekit_units.model.plan import Allowed, Goal, Plan
from hero_livekit_units.model.unit import Strategy
from hero_livekit_units.plan.explain import explain
from hero_livekit_units.plan.planner import plan
from hero_livekit_units.plan.serial import plan_text
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
    RETRY,
    STEERED_BLOCKED,
    STOPPING,
    TAKEN,
    between_two_lives,
    everything,
    lost,
    not_ready,
    stranger,
    unknown,
    with_backend,
)
from tests.strategies import (
    ANSWERING,
    BACKEND,
    BACKEND_B,
    BACKEND_BEHIND_FRONT,
    DESIRED,
    FRONT,
    FRONTED,
    FULL,
    MEDIA,
    MEDIA_B,
    MEDIA_ON_REDIS,
    NODES,
    NODES_BEHIND_FRONT,
    OLD_MEDIA,
    REDIS,
    SILENT,
    STEERED,
    entry,
    healthy,
    ports,
    process,
    seen,
    stopped,
    without,
    world,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import InstanceSeen
    from hero_livekit_units.model.plan import InstanceState, Wave

FOLDER = Path(__file__).parents[1] / "cases" / "plans"


@frozen
class Case:
    """A world, what is wanted of it, and in a sentence what the plan should come to."""

    summary: str
    observed: Observed
    desired: Desired = DESIRED
    goal: Goal = Goal.RUN
    allowed: frozenset[Allowed] = NOTHING_ALLOWED

    def plan(self) -> Plan:
        """What the planner makes of it."""
        return plan(self.observed, self.desired, self.goal, allowed=self.allowed)

    def text(self) -> str:
        """The golden file."""
        found = self.plan()
        asked = f"{self.goal}, with {', '.join(sorted(self.allowed)) or 'nothing'} allowed"
        heads = [f"asked: {asked}", *(f"seen:  {_state(state)}" for state in found.world)]
        heads += [f"wave:  {_wave(wave)}" for wave in found.waves]
        parts = [self.summary, "\n".join(heads), "\n".join(explain(found)), plan_text(found)]
        return self._named("\n\n".join(parts)) + "\n"

    def _named(self, text: str) -> str:
        for slot, specs in reversed(tuple(self.desired.by_slot.items())):
            for spec in specs:
                text = text.replace(spec.digest, _name(spec, slot)).replace(spec.launch_digest, "<launch>")
        return text


def _name(spec: LaunchSpec, slot: str) -> str:
    """A name for the digest of what runs when new rooms go to a slot; most of it is the same for all slots."""
    return f"<{spec.instance} for {slot}>"


def _state(state: InstanceState) -> str:
    release = f", {state.release}" if state.release else ""
    people = f", people: {state.people}" if state.people is not None else ""
    return f"{state.instance} {state.verdict}{release}{people}: {state.because}"


def _wave(wave: Wave) -> str:
    return ", ".join(f"{step.action} {step.instance}" for step in wave.steps)


# -- parts of worlds that only stand here


def _old_server(found: InstanceSeen, calls: CallsSeen | None) -> InstanceSeen:
    """A stranger that is described, with the calls that were counted on it."""
    return attrs.evolve(found, foreign=attrs.evolve(OLD_MEDIA, calls=calls))


def _on(spec: LaunchSpec, *, age_s: float | None = None, **changes: Any) -> InstanceSeen:
    """The media of before on a slot: another release, that the supervisor owns."""
    before = BEFORE if spec.slot == "a" else BEFORE_B
    return healthy(spec, process=before if age_s is None else attrs.evolve(before, age_s=age_s), **changes)


def _blind(spec: LaunchSpec) -> InstanceSeen:
    """Nobody could look whether it runs."""
    return stopped(spec, verdict=Verdict.UNKNOWN, because="who holds its ports cannot be seen at the moment")


def _front(slot: str, *idle: IdleRoom, certificate_shown: bool | None = None) -> InstanceSeen:
    """The front, which sends new rooms to a slot."""
    routes = RoutesSeen(slot, "m" * 16, idle, certificate_shown)
    return healthy(FRONTED.by_slot[slot][0], routes=routes)


BEHIND_A, BEHIND_B = FRONTED.media.values()
BACKEND_BEHIND = FRONTED.preferred[-1]
UNASKED_FRONT = healthy(FRONTED.by_slot["b"][0])
GONE = "/srv/media/bin/livekit-server"
THIRD = attrs.evolve(MEDIA, slot="c", digest="c" * 16)
THREE_SLOTS = Desired({**STEERED.by_slot, "c": (THIRD, BACKEND)}, STEERED.steering)
NO_TWO_SLOT = without(STEERED, "two-slot")
NODE_A, NODE_B = NODES.media.values()
_, FRONT_A, NODE_A_BEHIND, BESIDE_FRONT = NODES_BEHIND_FRONT.preferred
BESIDE_A, BESIDE_B = (NODES.by_slot[slot][-1] for slot in ("a", "b"))
FRONTED_NO_TWO_SLOT = without(FRONTED, "two-slot")
ENDED = entry(MEDIA, wanted=False, state=EntryState.STOPPED, process=None)
CROWD = CallsSeen(2, 7, "debug-rooms")
EMPTY = CallsSeen(0, 0, "debug-rooms")
RELAYED = CallsSeen(0, 1, "prometheus on port 6789")
UNCOUNTED = CallsSeen(None, None, "debug-rooms: no answer; prometheus: no answer")
OLD_BACKEND_RELEASE = attrs.evolve(OLD_BACKEND, release="0.0.9-r1")
UNSEEN_STRANGER = Foreign(None, "sshd", "root", 0, 0, (), "its owner ends it", None)
YOUNG_B = process(MEDIA_B, age_s=4.0)
ENDS = "exit status 0: could not parse config"
WAITING_B = entry(MEDIA_B, state=EntryState.WAITING, process=None, restarts=3, last_error=ENDS)
CRASHING = attrs.evolve(between_two_lives(MEDIA_B), entry=WAITING_B)
OTHER_CRASHING = attrs.evolve(WAITING_B, launch_digest="0" * 16)
UP_AGAIN = healthy(
    MEDIA_B, process=YOUNG_B, entry=entry(MEDIA_B, restarts=1, last_error="killed by signal 9 (SIGKILL)")
)
NEVER_READY = attrs.evolve(not_ready(MEDIA_B), ports=ports(MEDIA_B, None), log_line="could not reach the node")
FAILED_BEFORE = attrs.evolve(
    seen(MEDIA_B, entry=entry(MEDIA_B, wanted=False, state=EntryState.STOPPED, process=None)),
    failed=Failed(1_795_676_462.0, "livekit-server@b did not become ready within 15 s: could not reach the node"),
)


def _backend(**changes: Any) -> InstanceSeen:
    return healthy(BACKEND, process=OLD_BACKEND, **changes)


# -- the cases

RUN = {
    "nothing-to-do": Case(
        "Everything runs as it should, with people in calls: nothing happens.",
        world(healthy(MEDIA, calls=CROWD), healthy(BACKEND)),
    ),
    "nothing-to-do-without-marks": Case(
        "A process without marks that the supervisor owns is taken for what was launched: nothing happens.",
        world(healthy(MEDIA, process=process(MEDIA, launch_digest="")), healthy(BACKEND)),
    ),
    "first-time": Case(
        "Nothing is there yet: files and registrations first, then the server, then what needs it.",
        world(stopped(MEDIA), stopped(BACKEND)),
    ),
    "first-time-with-everything": Case(
        "Redis and the front start before the server that needs them, lk-backend comes last.",
        everything(
            redis=stopped(REDIS),
            front=stopped(FRONT),
            server=stopped(MEDIA_ON_REDIS),
            backend=stopped(BACKEND_BEHIND_FRONT),
        ),
        FULL,
    ),
    "registered-and-stopped": Case(
        "It was stopped by somebody: its files and its registration are right, so it is only started.",
        world(seen(MEDIA, entry=ENDED), healthy(BACKEND)),
    ),
    "supervisor-away": Case(
        "The supervisor does not answer: nothing is done, and how to get it back is said.",
        world(healthy(MEDIA, calls=CROWD), healthy(BACKEND), supervisor=SILENT),
    ),
    "file-edited-by-hand": Case(
        "A file differs: it is written anew, and nothing restarts.",
        world(healthy(MEDIA, files_differ={MEDIA.digest: (MEDIA.files[0].path,)}), healthy(BACKEND)),
    ),
    "files-not-compared": Case(
        "Nobody could compare the files: they are written, which is harmless.",
        world(healthy(MEDIA, files_differ={MEDIA.digest: None}), healthy(BACKEND)),
    ),
    "registration-differs": Case(
        "The supervisor holds another registration of a server that is right: it is replaced, and nothing restarts.",
        world(healthy(MEDIA, entry=entry(MEDIA, digest="f" * 16)), healthy(BACKEND)),
    ),
    "orphan-serves": Case(
        "The server serves, but the supervisor has lost it: to start it again would be a second copy.",
        world(lost(MEDIA), healthy(BACKEND)),
    ),
    "coming-up": Case(
        "The server was started a moment ago: it is waited for.",
        world(not_ready(age_s=0.1), healthy(BACKEND)),
    ),
    "coming-up-by-somebody-else": Case(
        "A server that the supervisor does not own comes up: it is left alone, and waited for.",
        world(attrs.evolve(not_ready(age_s=0.1), entry=None), healthy(BACKEND)),
    ),
    "between-two-lives": Case(
        "The server has crashed and the supervisor starts it again: that is waited for.",
        world(between_two_lives(MEDIA), healthy(BACKEND)),
    ),
    "given-up": Case(
        "The supervisor has given the server up: it is started once more.",
        world(
            seen(MEDIA, entry=entry(MEDIA, state=EntryState.FAILED, process=None, last_error="exit status 1")),
            healthy(BACKEND),
        ),
    ),
    "server-not-ready": Case(
        "The server is not ready but may carry calls: nobody restarts it.",
        world(not_ready(), healthy(BACKEND)),
    ),
    "server-never-ready": Case(
        "The server has opened no port in its time: nobody can be in it, so it is tried once more.",
        world(attrs.evolve(not_ready(), ports=ports(MEDIA, None)), healthy(BACKEND)),
    ),
    "server-unknown": Case(
        "The server cannot be looked at: nothing is done to it, and it is said.",
        world(unknown(MEDIA), healthy(BACKEND)),
    ),
    "server-program-missing": Case(
        "The program of the server is not there: it is not started, and what provides it is said.",
        world(
            stopped(MEDIA, program_missing=GONE),
            healthy(BACKEND),
            stopped(MEDIA_B, program_missing=GONE),
        ),
    ),
    "release-blocked": Case(
        "The wanted release is blocked: it is not started, and lk-backend is.",
        world(stopped(MEDIA), stopped(BACKEND)),
        BLOCKED,
    ),
    "release-blocked-and-runs": Case(
        "The release that runs was blocked later: it is left to its calls, and that is noted.",
        world(healthy(MEDIA, calls=CROWD), healthy(BACKEND)),
        BLOCKED,
    ),
}
BESIDE = {
    "backend-changed": Case(
        "lk-backend restarts with its new configuration while calls go on.",
        world(healthy(MEDIA, calls=CROWD), _backend(entry=entry(BACKEND, digest="f" * 16))),
    ),
    "backend-release-undeclared": Case(
        "lk-backend runs a release that the wanted one is not declared to replace: refused.",
        world(healthy(MEDIA), healthy(BACKEND, process=OLD_BACKEND_RELEASE)),
    ),
    "backend-release-by-no-restart": Case(
        "The wanted lk-backend is declared to replace the one that runs, but not by a restart: refused.",
        world(healthy(MEDIA), healthy(BACKEND, process=OLD_BACKEND_RELEASE)),
        with_backend(replaces=(attrs.evolve(MEDIA.replaces[0], start="0.0.9-r1"),)),
    ),
    "backend-release-declared": Case(
        "The wanted lk-backend may replace the one that runs by a restart: done.",
        world(healthy(MEDIA), healthy(BACKEND, process=OLD_BACKEND_RELEASE)),
        with_backend(replaces=(attrs.evolve(MEDIA.replaces[0], start="0.0.9-r1", strategies=(Strategy.RESTART,)),)),
    ),
    "backend-blocked": Case(
        "The wanted lk-backend is blocked: the one that runs stays.",
        world(healthy(MEDIA), _backend()),
        with_backend(blocked="it leaks"),
    ),
    "backend-program-missing": Case(
        "The program of the wanted lk-backend is not there: the one that runs stays.",
        world(healthy(MEDIA), _backend(program_missing="/usr/bin/python3")),
    ),
    "backend-lost": Case(
        "lk-backend should change, but the supervisor does not own it: refused.",
        world(healthy(MEDIA), lost(BACKEND, OLD_BACKEND)),
    ),
    "backend-port-taken": Case(
        "A port of the changed lk-backend is held by a stranger: the old one stays.",
        world(healthy(MEDIA), _backend(in_the_way=TAKEN)),
    ),
    "backend-and-a-blind-slot": Case(
        "A slot cannot be looked at and may have calls: lk-backend is not restarted.",
        world(healthy(MEDIA), _backend(), _blind(MEDIA_B)),
    ),
    "backend-broken": Case(
        "lk-backend does not answer its probe: it is restarted.",
        world(healthy(MEDIA, calls=CROWD), not_ready(BACKEND)),
    ),
    "backend-broken-and-lost": Case(
        "A broken lk-backend that the supervisor does not own is left to its end.",
        world(healthy(MEDIA), attrs.evolve(not_ready(BACKEND), entry=None)),
    ),
    "backend-broken-and-a-blind-slot": Case(
        "A slot cannot be looked at: even a broken lk-backend is not restarted.",
        world(healthy(MEDIA), not_ready(BACKEND), _blind(MEDIA_B)),
    ),
    "backend-unknown": Case(
        "lk-backend cannot be looked at: nothing is done to it.",
        world(healthy(MEDIA), unknown(BACKEND)),
    ),
    "backend-port-of-a-stranger": Case(
        "A stranger holds the port of lk-backend: the server is not started alone.",
        world(stopped(MEDIA), stranger(BACKEND)),
    ),
    "redis-changed-while-idle": Case(
        "Nobody is in a call: Redis restarts with its new configuration.",
        everything(redis=healthy(REDIS, process=OLD_REDIS)),
        FULL,
    ),
    "redis-changed-while-in-use": Case(
        "Calls need Redis: it stays as it is until everybody has left.",
        everything(redis=healthy(REDIS, process=OLD_REDIS), server=healthy(MEDIA_ON_REDIS, calls=CROWD)),
        FULL,
    ),
    "redis-changed-and-nobody-counts": Case(
        "Whether calls need Redis is unknown: it stays as it is.",
        everything(redis=healthy(REDIS, process=OLD_REDIS), server=healthy(MEDIA_ON_REDIS, calls=UNCOUNTED)),
        FULL,
    ),
    "redis-changed-and-nobody-looked": Case(
        "Calls were not looked at: Redis stays as it is.",
        everything(redis=healthy(REDIS, process=OLD_REDIS), server=healthy(MEDIA_ON_REDIS, calls=None)),
        FULL,
    ),
    "redis-changed-under-the-backend": Case(
        "lk-backend needs Redis as well but carries no calls: it keeps nobody from restarting Redis.",
        everything(
            redis=healthy(REDIS, process=OLD_REDIS),
            backend=healthy(attrs.evolve(BACKEND_BEHIND_FRONT, after=("livekit-redis",))),
        ),
        FULL,
    ),
    "redis-changed-under-the-front": Case(
        "The front needs Redis as well but carries no calls; the server behind it does, so that Redis stays.",
        everything(
            redis=healthy(REDIS, process=OLD_REDIS),
            front=healthy(attrs.evolve(FRONT, after=("livekit-redis",))),
            server=healthy(MEDIA_ON_REDIS, calls=CROWD),
        ),
        FULL,
    ),
    "front-broken-while-in-use": Case(
        "The front is broken, but people are in calls behind it: it is not restarted.",
        everything(front=not_ready(FRONT), server=healthy(MEDIA_ON_REDIS, calls=CROWD)),
        FULL,
    ),
    "front-broken-while-idle": Case(
        "The front is broken and nobody is in a call: it is restarted.",
        everything(front=not_ready(FRONT)),
        FULL,
    ),
}
STRANGERS = {
    "stranger-in-one-slot": Case(
        "A stranger holds the ports of slot a: ours start in slot b, and the stranger is not touched.",
        world(stranger(MEDIA), stopped(BACKEND)),
    ),
    "stranger-with-calls-in-one-slot": Case(
        "The stranger in slot a has calls: ours start in slot b, and its last room is waited for.",
        world(_old_server(stranger(MEDIA), CROWD), stopped(BACKEND)),
    ),
    "stranger-without-calls-in-one-slot": Case(
        "The stranger in slot a has no calls: it is only noted, with what would end it.",
        world(_old_server(stranger(MEDIA), EMPTY), healthy(BACKEND_B), healthy(MEDIA_B)),
    ),
    "stranger-that-cannot-be-counted": Case(
        "Whether the stranger in slot a has calls is unknown: it is only noted.",
        world(_old_server(stranger(MEDIA), UNCOUNTED), healthy(BACKEND_B), healthy(MEDIA_B)),
    ),
    "stranger-of-another-kind": Case(
        "What holds a port of slot a carries no calls at all: it is only noted.",
        world(attrs.evolve(stranger(MEDIA), foreign=UNSEEN_STRANGER), healthy(BACKEND_B), healthy(MEDIA_B)),
    ),
    "strangers-in-both-slots": Case(
        "Strangers hold both slots: nothing is started, half a group serves nobody.",
        world(stranger(MEDIA), stopped(BACKEND), stranger(MEDIA_B)),
    ),
}
REPLACE = {
    "configuration-changed-while-idle": Case(
        "The configuration has changed and nobody is in a call: restart in place.",
        world(healthy(MEDIA, process=OLDER, entry=entry(MEDIA, digest="f" * 16)), healthy(BACKEND)),
    ),
    "configuration-changed-while-in-use": Case(
        "The configuration has changed, people are in calls and nothing was accepted: it stays as it is.",
        world(healthy(MEDIA, process=OLDER, calls=CROWD), healthy(BACKEND)),
    ),
    "configuration-changed-and-nobody-counts": Case(
        "The configuration has changed and who is in a call is unknown: it stays as it is, whatever was accepted.",
        world(healthy(MEDIA, process=OLDER, calls=UNCOUNTED), healthy(BACKEND)),
        allowed=RECONNECT | DRAIN,
    ),
    "configuration-changed-of-an-orphan": Case(
        "The configuration has changed, but the supervisor has lost the server: it stays as it is.",
        world(lost(MEDIA, OLDER), healthy(BACKEND)),
    ),
    "release-idle-swap": Case(
        "The release before runs and nobody is in a call: restart in place with the wanted one.",
        world(_on(MEDIA), healthy(BACKEND)),
    ),
    "front-upgrade-begins": Case(
        "Behind the front: the new release starts in the free slot, and then the front sends new rooms there.",
        world(healthy(BEHIND_A, process=BEFORE, calls=CROWD), _front("a"), healthy(BACKEND_BEHIND)),
        FRONTED,
    ),
    "front-slot-is-left": Case(
        "People are in the old slot still; of its rooms those that are over are forgotten, so that they begin anew.",
        world(
            healthy(BEHIND_A, process=BEFORE, calls=CROWD),
            _front("b", IdleRoom("over", "a", 31.0), IdleRoom("pause", "a", 5.0)),
            healthy(BACKEND_BEHIND),
            healthy(BEHIND_B),
        ),
        FRONTED,
    ),
    "front-slot-is-empty": Case(
        "Nobody is in the old slot: the front forgets all its rooms, in that moment, and the slot ends.",
        world(
            healthy(BEHIND_A, process=BEFORE),
            _front("b", IdleRoom("pause", "a", 5.0), IdleRoom("new", "b", 5.0)),
            healthy(BACKEND_BEHIND),
            healthy(BEHIND_B),
        ),
        FRONTED,
    ),
    "front-slot-has-ended": Case(
        "The old slot ended before the front forgot its rooms: it does now, or the next meeting would wait for it.",
        world(
            stopped(BEHIND_A),
            _front("b", IdleRoom("pause", "a", 5.0), IdleRoom("new", "b", 5.0)),
            healthy(BACKEND_BEHIND),
            healthy(BEHIND_B),
        ),
        FRONTED,
    ),
    "front-sends-to-a-slot-that-has-ended": Case(
        "New rooms are sent to a slot that has ended: the front is told at once, before anything else is started.",
        world(healthy(BEHIND_A, calls=CROWD), _front("b"), stopped(BACKEND_BEHIND), stopped(BEHIND_B)),
        FRONTED,
    ),
    "front-cannot-be-asked": Case(
        "Where the front sends new rooms is not known: the old slot is kept, empty or not.",
        world(
            healthy(BEHIND_A, process=BEFORE),
            healthy(FRONTED.by_slot["b"][0]),
            healthy(BACKEND_BEHIND),
            healthy(BEHIND_B),
        ),
        FRONTED,
    ),
    "front-certificate-renewed": Case(
        "The user's certificate is another one now: new connections are shown it, and nobody is cut off.",
        world(healthy(BEHIND_A, calls=CROWD), _front("a", certificate_shown=False), healthy(BACKEND_BEHIND)),
        FRONTED,
    ),
    "front-configured-anew": Case(
        "The front has read another configuration: it is reloaded, while people are in calls.",
        world(
            healthy(BEHIND_A, calls=CROWD),
            attrs.evolve(
                _front("a"),
                files_differ=dict.fromkeys(_front("a").files_differ, (FRONTED.by_slot["a"][0].live_files[0].path,)),
            ),
            healthy(BACKEND_BEHIND),
        ),
        FRONTED,
    ),
    "new-slot-fails": Case(
        "The new release keeps ending by itself: new rooms go back to the old one at once, and then it is waited for.",
        world(
            _on(MEDIA, calls=CROWD),
            BACKEND_B_RUNS,
            CRASHING,
        ),
        STEERED,
    ),
    "new-slot-never-ready": Case(
        "The new release has opened no port in its time: nobody can be in it, so that is written down, and it ends.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), NEVER_READY),
        STEERED,
    ),
    "new-slot-never-ready-by-another-wish": Case(
        "What never got ready in slot b is not wanted any more: it makes room, and nothing is written down.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), attrs.evolve(NEVER_READY, process=BEFORE_B)),
        STEERED,
    ),
    "new-slot-ended-in-its-first-minutes": Case(
        "The new release ended once, 20 s after its start, and is up again: joins go back, and it ends in a moment.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), attrs.evolve(UP_AGAIN, began_for_s=24.0)),
        STEERED,
    ),
    "new-slot-ended-in-its-first-minutes-and-has-people": Case(
        "The same with people who came back to it: they stay in it until they leave.",
        world(
            _on(MEDIA, calls=CROWD),
            healthy(BACKEND),
            attrs.evolve(UP_AGAIN, began_for_s=24.0, calls=CallsSeen(1, 2, "debug-rooms")),
        ),
        STEERED,
    ),
    "new-slot-between-lives-by-another-wish": Case(
        "In slot b something is between two lives that is not wanted any more: it makes room for what is.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), attrs.evolve(CRASHING, entry=OTHER_CRASHING)),
        STEERED,
    ),
    "new-slot-failed-before": Case(
        "The last start of what is wanted failed: it is not tried again, neither beside nor in place of what serves.",
        world(_on(MEDIA, calls=EMPTY), healthy(BACKEND), FAILED_BEFORE),
        STEERED,
    ),
    "new-slot-failed-before-and-retry": Case(
        "The same, and the user wants it tried again.",
        world(_on(MEDIA, calls=EMPTY), healthy(BACKEND), FAILED_BEFORE),
        STEERED,
        allowed=RETRY,
    ),
    "new-slot-failed-before-and-nothing-serves": Case(
        "The last start failed, and nothing serves: it is tried, as there is nothing to lose.",
        world(stopped(MEDIA), healthy(BACKEND), FAILED_BEFORE),
        STEERED,
    ),
    "new-slot-failed-before-and-the-old-one-is-not-ready": Case(
        "The last start failed, and what serves is not ready itself: another try beside it cannot harm.",
        world(attrs.evolve(not_ready(), process=BEFORE), healthy(BACKEND), FAILED_BEFORE),
        STEERED,
    ),
    "new-slot-is-up-again": Case(
        "The new release is up once more for 4 s after it ended by itself: new rooms stay with the old one for now.",
        world(
            _on(MEDIA, calls=CROWD),
            healthy(BACKEND),
            healthy(MEDIA_B, process=YOUNG_B, entry=entry(MEDIA_B, restarts=3)),
        ),
        STEERED,
    ),
    "new-slot-is-up-again-after-an-error": Case(
        "The new release ended by itself once, with an error, and is up again: that is said with the error.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), UP_AGAIN),
        STEERED,
    ),
    "the-left-slot-has-just-ended": Case(
        "The process of the slot that was left is gone, and the supervisor has not learnt it yet: that is waited for.",
        world(
            healthy(MEDIA),
            healthy(BACKEND),
            stopped(MEDIA_B, entry=entry(MEDIA_B, state=EntryState.STOPPING, wanted=False)),
        ),
    ),
    "spare-slot-with-old-files": Case(
        "The slot that was left still holds what its last launch has read, perhaps with old secrets: it is removed.",
        world(healthy(MEDIA), healthy(BACKEND), stopped(MEDIA_B, left=("/srv/media/slots/b/launch-0",))),
    ),
    "release-after-a-crash": Case(
        "The release before has started anew 2.5 s ago: nobody is in a call yet, and that means nothing for 3.5 s.",
        world(healthy(MEDIA, process=attrs.evolve(BEFORE, age_s=2.5)), healthy(BACKEND)),
    ),
    "stop-after-a-crash": Case(
        "A stop is asked for 2.5 s after the server has started anew: who was in a call may be on the way back.",
        world(healthy(MEDIA, process=process(MEDIA, age_s=2.5)), healthy(BACKEND)),
        goal=Goal.STOP,
    ),
    "release-swap": Case(
        "People are in calls and accept to reconnect: the server is killed and started at once on the same ports.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND)),
        allowed=RECONNECT,
    ),
    "release-drain": Case(
        "People are in calls, and a drain was accepted: nobody joins any more, and the last call is waited for.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND)),
        allowed=DRAIN,
    ),
    "release-draining-already": Case(
        "The server is ending with its last call already: it gets no second signal.",
        world(_on(MEDIA, calls=CROWD, entry=STOPPING), healthy(BACKEND)),
        allowed=DRAIN,
    ),
    "release-draining-and-nobody-counts": Case(
        "The server is ending already, and who is still on it is unknown.",
        world(_on(MEDIA, calls=UNCOUNTED, entry=STOPPING), healthy(BACKEND)),
    ),
    "release-no-way-is-open": Case(
        "People are in calls and nothing was accepted: refused, with each way and why it is not open.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND)),
        allowed=DROP,
    ),
    "release-undeclared": Case(
        "The wanted release is not declared to replace the one that runs: refused, with where a way is shown.",
        world(healthy(MEDIA, process=OTHER_RELEASE), healthy(BACKEND)),
        allowed=RECONNECT | DRAIN,
    ),
    "release-by-no-strategy": Case(
        "The wanted release is declared, but by no way that would do: refused.",
        world(_on(MEDIA), healthy(BACKEND)),
        without(STEERED, "two-slot", "idle-swap", "move", "swap", "drain"),
        allowed=RECONNECT | DRAIN,
    ),
    "release-blocked-takes-no-place": Case(
        "The wanted release is blocked: the one that runs stays.",
        world(_on(MEDIA), healthy(BACKEND)),
        BLOCKED,
    ),
    "release-program-missing": Case(
        "The program of the wanted release is not there: the one that runs stays.",
        world(_on(MEDIA, program_missing=GONE), healthy(BACKEND)),
    ),
    "release-port-taken": Case(
        "A port of the wanted release is held by a stranger: the one that runs stays, whatever was accepted.",
        world(_on(MEDIA, calls=CROWD, in_the_way=TAKEN), healthy(BACKEND)),
        allowed=RECONNECT | DRAIN,
    ),
    "release-unknown": Case(
        "The server that should be replaced cannot be looked at: it stays, whatever was accepted.",
        world(unknown(MEDIA, BEFORE), healthy(BACKEND)),
        allowed=RECONNECT | DRAIN,
    ),
    "release-and-a-blind-slot": Case(
        "The other slot cannot be looked at and may have calls: the old server stays, whatever was accepted.",
        world(_on(MEDIA), healthy(BACKEND), _blind(MEDIA_B)),
        allowed=RECONNECT | DRAIN,
    ),
    "release-not-ready-and-in-use": Case(
        "The old server is not ready and may have calls: how many is unknown, so it stays.",
        world(attrs.evolve(not_ready(), process=BEFORE), healthy(BACKEND)),
        allowed=RECONNECT,
    ),
}
ON_REDIS = {
    "redis-two-slot-begins": Case(
        "Both slots are nodes of one Redis: the new release starts beside the old one, as without it.",
        world(healthy(REDIS), _on(NODE_A, calls=CROWD), stopped(NODE_B), healthy(BESIDE_A)),
        NODES,
    ),
    "redis-two-slot-relayed": Case(
        "No room is on the old slot, but the signals of somebody whose room is elsewhere: it stays, as they need it.",
        world(healthy(REDIS), _on(NODE_A, calls=RELAYED), healthy(NODE_B), healthy(BESIDE_B)),
        NODES,
    ),
    "redis-two-slot-ends": Case(
        "Nobody is in a room of the old slot, nor connected to it: it ends.",
        world(healthy(REDIS), _on(NODE_A), healthy(NODE_B), healthy(BESIDE_B)),
        NODES,
    ),
    "redis-crashed-and-they-are-coming": Case(
        "The server crashed 10 s ago: with Redis clients may still be on their way back, so it does not count as idle.",
        world(healthy(REDIS), _on(NODE_A, age_s=10.0), stopped(NODE_B), healthy(BESIDE_A)),
        without(NODES, "two-slot"),
    ),
    "redis-swaps": Case(
        "A reconnect was accepted: with Redis it takes longer, and that is said.",
        world(healthy(REDIS), _on(NODE_A, calls=CROWD), stopped(NODE_B), healthy(BESIDE_A)),
        without(NODES, "two-slot", "move"),
        allowed=RECONNECT,
    ),
    "redis-changes-with-what-needs-it": Case(
        "As when its password is another one: a server with the new one could not start beside the old Redis.",
        world(
            healthy(REDIS, process=OLD_REDIS),
            healthy(NODE_A, process=OLDER, calls=CROWD),
            stopped(NODE_B),
            healthy(BESIDE_A),
        ),
        NODES,
    ),
    "redis-changes-with-what-needs-it-and-a-reconnect-is-accepted": Case(
        "The same: people would lose their server, and the new one could not start.",
        world(
            healthy(REDIS, process=OLD_REDIS),
            healthy(NODE_A, process=OLDER, calls=CROWD),
            stopped(NODE_B),
            healthy(BESIDE_A),
        ),
        NODES,
        allowed=RECONNECT | DRAIN,
    ),
    "redis-changes-with-what-needs-it-while-idle": Case(
        "Nobody is in a call: first Redis, then the server in its place.",
        world(healthy(REDIS, process=OLD_REDIS), healthy(NODE_A, process=OLDER), stopped(NODE_B), healthy(BESIDE_A)),
        NODES,
    ),
    "redis-behind-the-front": Case(
        "The front cannot tell a node where to put a room: the upgrade waits until everybody has left.",
        world(
            healthy(REDIS),
            healthy(FRONT_A, routes=RoutesSeen("a", "m" * 16, (), None)),
            _on(NODE_A_BEHIND, calls=CROWD),
            healthy(BESIDE_FRONT),
        ),
        NODES_BEHIND_FRONT,
    ),
}
TWO_SLOTS = {
    "two-slot-begins": Case(
        "The new release starts in the free slot, then joins are sent there; the old slot keeps its people.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND)),
        STEERED,
    ),
    "two-slot-program-missing": Case(
        "The program of the new release is not there: no slot is free for it, and the old one stays.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), stopped(MEDIA_B, program_missing=GONE)),
        STEERED,
    ),
    "two-slot-blocked": Case(
        "The new release is blocked: joins stay where they go.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND)),
        STEERED_BLOCKED,
    ),
    "two-slot-coming-up": Case(
        "The new release is coming up in slot b: it is waited for before the joins go there.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), not_ready(MEDIA_B, age_s=0.1)),
        STEERED,
    ),
    "two-slot-crashed": Case(
        "The new release has crashed in slot b and comes back by itself: joins stay with the old one.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), between_two_lives(MEDIA_B)),
        STEERED,
    ),
    "two-slot-not-ready": Case(
        "The new release is not ready in slot b: joins stay with the old one.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), not_ready(MEDIA_B)),
        STEERED,
    ),
    "two-slot-ready": Case(
        "The new release is ready in slot b: lk-backend restarts and sends the joins there.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), healthy(MEDIA_B)),
        STEERED,
    ),
    "two-slot-ready-and-the-backend-lost": Case(
        "The new release is ready, but the supervisor has lost lk-backend, which still sends joins to slot a.",
        world(_on(MEDIA, calls=EMPTY), lost(BACKEND), healthy(MEDIA_B)),
        STEERED,
    ),
    "two-slot-people-stay": Case(
        "Joins go to slot b: the old slot keeps its people and ends with its last room.",
        world(_on(MEDIA, calls=CROWD), BACKEND_B_RUNS, healthy(MEDIA_B)),
        STEERED,
    ),
    "two-slot-people-stay-even-if-a-reconnect-is-accepted": Case(
        "Rooms can run beside the new release, so that nobody is moved although it was accepted.",
        world(_on(MEDIA, calls=CROWD), BACKEND_B_RUNS, healthy(MEDIA_B)),
        STEERED,
        allowed=RECONNECT,
    ),
    "two-slot-nobody-counts": Case(
        "Who is on the old slot is unknown: it stays.",
        world(_on(MEDIA, calls=UNCOUNTED), BACKEND_B_RUNS, healthy(MEDIA_B)),
        STEERED,
        allowed=RECONNECT,
    ),
    "two-slot-nobody-looked": Case(
        "The calls of the old slot were not looked at: it stays.",
        world(_on(MEDIA, calls=None), BACKEND_B_RUNS, healthy(MEDIA_B)),
        STEERED,
    ),
    "two-slot-grace": Case(
        "The old slot is empty, but joins were sent to it until 4 s ago: it stays for 6 s more.",
        world(_on(MEDIA), BACKEND_B_RUNS, healthy(MEDIA_B, process=YOUNG_B)),
        STEERED,
    ),
    "two-slot-ends": Case(
        "The old slot is empty and nobody is on the way to it: it ends, after everything else.",
        world(_on(MEDIA), healthy(BACKEND_B, entry=entry(BACKEND_B, digest="f" * 16)), healthy(MEDIA_B)),
        STEERED,
    ),
    "two-slot-ending": Case(
        "The old slot is ending already: it gets no second signal.",
        world(_on(MEDIA, calls=CROWD, entry=STOPPING), BACKEND_B_RUNS, healthy(MEDIA_B)),
        STEERED,
    ),
    "two-slot-orphan": Case(
        "The supervisor has lost the old slot: it is left alone.",
        world(lost(MEDIA, BEFORE), BACKEND_B_RUNS, healthy(MEDIA_B)),
        STEERED,
    ),
    "two-slot-does-not-come-back": Case(
        "The old slot crashed and would come back, but joins go elsewhere: it is no longer wanted.",
        world(between_two_lives(MEDIA), BACKEND_B_RUNS, healthy(MEDIA_B)),
        STEERED,
    ),
    "two-slot-comes-back-while-blind": Case(
        "Slot b cannot be looked at: slot a, which crashed, may come back.",
        world(between_two_lives(MEDIA), BACKEND_B_RUNS, unknown(MEDIA_B)),
        STEERED,
    ),
    "two-slot-moves": Case(
        "Rooms may not run beside the new release, and a reconnect was accepted: behind the front they move to slot b.",
        world(
            healthy(BEHIND_A, process=BEFORE, calls=CROWD),
            _front("b"),
            healthy(BACKEND_BEHIND, entry=entry(BACKEND_BEHIND, digest="f" * 16)),
            healthy(BEHIND_B),
        ),
        FRONTED_NO_TWO_SLOT,
        allowed=RECONNECT,
    ),
    "two-slot-does-not-move-without-the-front": Case(
        "Rooms may not run beside the new release, but who is in them has the address of slot a only: they stay.",
        world(_on(MEDIA, calls=CROWD), BACKEND_B_RUNS, healthy(MEDIA_B)),
        NO_TWO_SLOT,
        allowed=RECONNECT,
    ),
    "two-slot-does-not-move": Case(
        "Rooms may not run beside the new release, and nobody accepted a reconnect: they stay.",
        world(healthy(BEHIND_A, process=BEFORE, calls=CROWD), _front("b"), healthy(BACKEND_BEHIND), healthy(BEHIND_B)),
        FRONTED_NO_TWO_SLOT,
        allowed=DRAIN,
    ),
    "two-slot-may-not-move": Case(
        "The new release may neither run beside the old one nor move its rooms: they stay.",
        world(healthy(BEHIND_A, process=BEFORE, calls=CROWD), _front("b"), healthy(BACKEND_BEHIND), healthy(BEHIND_B)),
        without(FRONTED, "two-slot", "move"),
        allowed=RECONNECT,
    ),
    "move-begins": Case(
        "Two slots with rooms are not allowed, but behind the front a move is: the new release starts first.",
        world(healthy(BEHIND_A, process=BEFORE, calls=CROWD), _front("a"), healthy(BACKEND_BEHIND)),
        FRONTED_NO_TWO_SLOT,
        allowed=RECONNECT,
    ),
    "move-without-the-front": Case(
        "Two slots with rooms are not allowed, and without the front nobody would come to the other slot: a swap.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND)),
        NO_TWO_SLOT,
        allowed=RECONNECT,
    ),
    "both-right-people-in-both": Case(
        "Both slots are right, as after an upgrade that was taken back: joins stay with b, a keeps its people.",
        world(healthy(MEDIA, calls=CROWD), BACKEND_B_RUNS, healthy(MEDIA_B, calls=CROWD)),
        STEERED,
    ),
    "both-right-one-empty": Case(
        "Both slots are right and joins go to a: the empty b ends.",
        world(healthy(MEDIA, calls=CROWD), healthy(BACKEND), healthy(MEDIA_B)),
        STEERED,
    ),
    "both-right-one-not-ready": Case(
        "Both slots are right, but a, where joins go, is not ready: they are sent to b, and a is kept.",
        world(not_ready(), healthy(BACKEND), healthy(MEDIA_B)),
        STEERED,
    ),
    "both-old-one-not-ready": Case(
        "Both slots run the old release, and a, where joins go, is not ready: b is the one to be replaced.",
        world(attrs.evolve(not_ready(), process=BEFORE), healthy(BACKEND), _on(MEDIA_B, calls=CROWD)),
        STEERED,
    ),
    "both-right-backend-stopped": Case(
        "Both slots are right and nothing sends joins yet: lk-backend starts, b is kept until it does.",
        world(healthy(MEDIA), stopped(BACKEND_B), healthy(MEDIA_B)),
        STEERED,
    ),
    "both-old": Case(
        "Both slots run the old release: the empty one makes room, then the new one can start there.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), _on(MEDIA_B)),
        STEERED,
    ),
    "both-old-joins-go-to-b": Case(
        "Both slots run the old release and joins go to b: a ends when it is empty.",
        world(_on(MEDIA), BACKEND_B_RUNS, _on(MEDIA_B, calls=CROWD)),
        STEERED,
    ),
    "both-old-and-in-use": Case(
        "Both slots run the old release with people: nothing can be done without harm.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), _on(MEDIA_B, calls=CROWD)),
        STEERED,
    ),
    "blind-slot-holds-back-the-start": Case(
        "Slot b cannot be looked at and may serve already: slot a is not started.",
        world(stopped(MEDIA), healthy(BACKEND), _blind(MEDIA_B)),
    ),
    "blind-slot-and-nothing-else": Case(
        "Slot a cannot be looked at and may serve already, and nothing else runs: slot b is not started.",
        world(_blind(MEDIA), stopped(BACKEND)),
    ),
    "blind-slots": Case(
        "No slot can be looked at: no server is started.",
        world(_blind(MEDIA), healthy(BACKEND), _blind(MEDIA_B)),
    ),
    "one-slot-only": Case(
        "There is only one slot: two-slot and move are out of the question.",
        Observed(ANSWERING, (_on(MEDIA, calls=CROWD), healthy(BACKEND)), 1.0),
        Desired({"a": STEERED.by_slot["a"]}, STEERED.steering),
    ),
    "three-slots-begin": Case(
        "Of three slots the first that is free is taken.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), stopped(MEDIA_B), stopped(THIRD)),
        THREE_SLOTS,
    ),
    "three-slots-one-blind": Case(
        "The third slot cannot be looked at and may have calls: the new release is not started in the free one.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), stopped(MEDIA_B), _blind(THIRD)),
        THREE_SLOTS,
    ),
    "three-slots-one-blind-one-empty": Case(
        "The third slot cannot be looked at: not even the empty old one ends.",
        world(_on(MEDIA), BACKEND_B_RUNS, healthy(MEDIA_B), _blind(THIRD)),
        THREE_SLOTS,
    ),
    "three-slots": Case(
        "Of three slots none is free, and it is said of each why.",
        world(
            _on(MEDIA, calls=CROWD),
            healthy(BACKEND),
            stranger(MEDIA_B),
            stopped(THIRD, program_missing=GONE),
        ),
        THREE_SLOTS,
    ),
}
STOP = {
    "stop-idle": Case(
        "Nobody is in a call: everything ends, one after the other, what calls need last.",
        everything(),
        FULL,
        Goal.STOP,
    ),
    "stop-in-use": Case(
        "People are in calls: only lk-backend ends, and what the calls need stays with them.",
        everything(server=healthy(MEDIA_ON_REDIS, calls=CROWD)),
        FULL,
        Goal.STOP,
    ),
    "stop-in-use-and-dropped": Case(
        "People are in calls and dropping them was accepted: the server is killed, the rest is stopped.",
        everything(server=healthy(MEDIA_ON_REDIS, calls=CROWD)),
        FULL,
        Goal.STOP,
        DROP,
    ),
    "stop-and-nobody-counts": Case(
        "Who is in a call is unknown: the server stays.",
        world(healthy(MEDIA, calls=UNCOUNTED), healthy(BACKEND)),
        goal=Goal.STOP,
    ),
    "stop-and-nobody-counts-and-dropped": Case(
        "Who is in a call is unknown and dropping them was accepted: the server is killed.",
        world(healthy(MEDIA, calls=UNCOUNTED), stopped(BACKEND)),
        goal=Goal.STOP,
        allowed=DROP,
    ),
    "stop-and-nobody-looked": Case(
        "Calls were not looked at: the server stays.",
        world(healthy(MEDIA, calls=None), stopped(BACKEND)),
        goal=Goal.STOP,
    ),
    "stop-and-nobody-looked-and-dropped": Case(
        "Calls were not looked at and dropping them was accepted: the server is killed.",
        world(healthy(MEDIA, calls=None), stopped(BACKEND)),
        goal=Goal.STOP,
        allowed=DROP,
    ),
    "stop-both-slots": Case(
        "Both slots run, b with people: a ends, b stays.",
        world(healthy(MEDIA), healthy(BACKEND), healthy(MEDIA_B, calls=CROWD)),
        goal=Goal.STOP,
    ),
    "stop-both-slots-in-use": Case(
        "People are in both slots: both stay.",
        Observed(
            everything().supervisor,
            (
                *everything(server=healthy(MEDIA_ON_REDIS, calls=CROWD)).instances,
                healthy(MEDIA_B, calls=CROWD),
            ),
            1.0,
        ),
        Desired(
            {"a": FULL.by_slot["a"], "b": (REDIS, FRONT, MEDIA_B, BACKEND_BEHIND_FRONT)},
            FULL.steering,
        ),
        Goal.STOP,
    ),
    "stop-ending-already": Case(
        "The server is ending already: it gets no second signal, and what it needs stays until it has ended.",
        everything(
            server=healthy(MEDIA_ON_REDIS, calls=CROWD, entry=entry(MEDIA_ON_REDIS, state=EntryState.STOPPING)),
        ),
        FULL,
        Goal.STOP,
    ),
    "stop-ending-already-and-dropped": Case(
        "The server is ending already and dropping was accepted: the rest ends as well.",
        everything(
            server=healthy(MEDIA_ON_REDIS, calls=CROWD, entry=entry(MEDIA_ON_REDIS, state=EntryState.STOPPING)),
        ),
        FULL,
        Goal.STOP,
        DROP,
    ),
    "stop-nothing-runs": Case(
        "Nothing runs and nothing is wanted: nothing happens.",
        world(stopped(MEDIA), stopped(BACKEND)),
        goal=Goal.STOP,
    ),
    "stop-between-two-lives": Case(
        "The server would come back: it is no longer wanted.",
        world(between_two_lives(MEDIA), stopped(BACKEND)),
        goal=Goal.STOP,
    ),
    "stop-orphan": Case(
        "The supervisor does not own the server: whoever owns it stops it, even if dropping was accepted.",
        world(lost(MEDIA), healthy(BACKEND)),
        goal=Goal.STOP,
        allowed=DROP,
    ),
    "stop-unknown": Case(
        "The server cannot be looked at: it stays.",
        world(unknown(MEDIA), healthy(BACKEND)),
        goal=Goal.STOP,
    ),
    "stop-unknown-keeps-what-it-needs": Case(
        "The server cannot be looked at and may have calls: what they would need stays.",
        everything(server=unknown(MEDIA_ON_REDIS)),
        FULL,
        Goal.STOP,
    ),
    "stop-orphan-keeps-what-it-needs": Case(
        "The supervisor does not own the server: what its calls need stays while it does.",
        everything(server=lost(MEDIA_ON_REDIS)),
        FULL,
        Goal.STOP,
    ),
    "stop-unknown-and-dropped": Case(
        "The server cannot be looked at, but the supervisor owns it and dropping was accepted: it is killed.",
        world(unknown(MEDIA), healthy(BACKEND)),
        goal=Goal.STOP,
        allowed=DROP,
    ),
    "stop-blind-and-dropped": Case(
        "Nobody can tell whether the server runs: there is nothing to kill, whatever was accepted.",
        world(_blind(MEDIA), healthy(BACKEND)),
        goal=Goal.STOP,
        allowed=DROP,
    ),
    "stop-backend-unknown": Case(
        "lk-backend cannot be looked at: it stays, and the idle server ends.",
        world(healthy(MEDIA), unknown(BACKEND)),
        goal=Goal.STOP,
    ),
    "stop-half-of-it-is-stopped": Case(
        "People are in calls and the front does not run: it is not wanted any more, Redis stays.",
        everything(
            server=healthy(MEDIA_ON_REDIS, calls=CROWD),
            front=between_two_lives(FRONT),
            backend=stopped(BACKEND_BEHIND_FRONT),
        ),
        FULL,
        Goal.STOP,
    ),
    "stop-supervisor-away": Case(
        "The supervisor does not answer: nothing ends, whatever was accepted.",
        world(healthy(MEDIA), healthy(BACKEND), supervisor=SILENT),
        goal=Goal.STOP,
        allowed=DROP,
    ),
    "stop-strangers": Case(
        "Strangers are not touched, whatever was accepted.",
        world(stranger(MEDIA), stranger(BACKEND)),
        goal=Goal.STOP,
        allowed=DROP,
    ),
}
CONFIGURE = {
    "configure-first-time": Case(
        "Files and registrations are made, and nothing is started.",
        world(stopped(MEDIA), stopped(BACKEND)),
        goal=Goal.CONFIGURE,
    ),
    "configure-what-runs": Case(
        "Whatever runs goes on: only files and registrations change.",
        world(
            healthy(MEDIA, process=OLDER, calls=CROWD, files_differ={MEDIA.digest: (MEDIA.files[0].path,)}),
            _backend(entry=entry(BACKEND, digest="f" * 16)),
        ),
        goal=Goal.CONFIGURE,
    ),
    "configure-nothing-to-do": Case(
        "Files and registrations are right: nothing happens.",
        world(healthy(MEDIA), healthy(BACKEND)),
        goal=Goal.CONFIGURE,
    ),
    "configure-orphan": Case(
        "The supervisor has lost the server: to register it would start a second copy with its next life.",
        world(lost(MEDIA), stopped(BACKEND)),
        goal=Goal.CONFIGURE,
    ),
    "configure-blind": Case(
        "Whether any server runs is unknown and the supervisor knows none: none is registered blindly.",
        world(_blind(MEDIA), healthy(BACKEND), _blind(MEDIA_B)),
        goal=Goal.CONFIGURE,
    ),
    "configure-beside-a-blind-slot": Case(
        "Slot a cannot be looked at: slot b is made ready, in which a server would be started.",
        world(_blind(MEDIA), stopped(BACKEND)),
        goal=Goal.CONFIGURE,
    ),
    "configure-unknown": Case(
        "The server cannot be looked at, but the supervisor owns it: its files and registration may change.",
        world(attrs.evolve(unknown(MEDIA), entry=entry(MEDIA, digest="f" * 16)), healthy(BACKEND)),
        goal=Goal.CONFIGURE,
    ),
    "configure-two-slots": Case(
        "What is configured is what will run: the free slot with the new release.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND)),
        STEERED,
        Goal.CONFIGURE,
    ),
}


def _drained(found: InstanceSeen, for_s: float = 600.0, **changes: Any) -> InstanceSeen:
    """It gets no new rooms for that long, and that is recorded."""
    assert found.process is not None
    drain = Drain(found.process.id, "pid 77 of user 1000", 1_000_000.0)
    return attrs.evolve(found, drain=DrainSeen(attrs.evolve(drain, **changes), 1_000_000.0 + for_s))


_CROWDED = CallsSeen(3, 8, "debug-rooms", longest_s=7380.0, lonely=("tab",))
_LEFT = _on(MEDIA, calls=_CROWDED)
_OVER = {"until_s": 1_000_500.0}


def _behind_front(**changes: Any) -> Observed:
    """The front sends new rooms to b, and a is drained until its rooms move."""
    old = _drained(healthy(BEHIND_A, process=BEFORE, calls=_CROWDED), then=Then.MOVE, **changes)
    return world(old, _front("b"), healthy(BACKEND_BEHIND), healthy(BEHIND_B))


DRAINS = {
    "drain-goes-on": Case(
        "The old slot was left ten minutes ago, and ends with its last room.",
        world(_drained(_LEFT), BACKEND_B_RUNS, healthy(MEDIA_B)),
        STEERED,
    ),
    "drain-and-nothing-else": Case(
        "Only what is drained is gone on with: the changed backend is left alone, the empty slot ends.",
        world(_drained(_on(MEDIA, calls=EMPTY)), BACKEND_B_RUNS, healthy(MEDIA_B)),
        STEERED,
        Goal.DRAIN,
    ),
    "drain-and-nothing-else-while-it-is-full": Case(
        "Only what is drained is gone on with, and waited for while people are in it.",
        world(_drained(_LEFT, idle_room_s=300.0), BACKEND_B_RUNS, healthy(MEDIA_B)),
        STEERED,
        Goal.DRAIN,
    ),
    "drain-and-nobody-knows-where-rooms-go": Case(
        "lk-backend is away, so that new rooms may go anywhere: nothing of the drained slot is ended.",
        world(_drained(_on(MEDIA, calls=EMPTY)), stopped(BACKEND_B), healthy(MEDIA_B)),
        STEERED,
        Goal.DRAIN,
    ),
    "drain-where-nothing-is-drained": Case(
        "Nothing is drained: nothing is done, whatever should run.",
        world(_LEFT, healthy(BACKEND)),
        STEERED,
        Goal.DRAIN,
    ),
    "drain-until-then-move": Case(
        "The deadline is ahead: people stay until then.",
        _behind_front(until_s=1_003_600.0),
        FRONTED,
    ),
    "drain-moves": Case(
        "The deadline is over, and somebody asked by name that the rooms move then.",
        _behind_front(**_OVER),
        FRONTED,
        Goal.DRAIN,
    ),
    "drain-cannot-move": Case(
        "The front is gone, and with it the way of people to another slot: they stay, deadline or not.",
        world(_drained(_LEFT, then=Then.MOVE, **_OVER), BACKEND_B_RUNS, healthy(MEDIA_B)),
        STEERED,
    ),
    "drain-announces": Case(
        "The deadline is over: the rooms are told, once.",
        world(_drained(_LEFT, then=Then.ANNOUNCE, **_OVER), BACKEND_B_RUNS, healthy(MEDIA_B)),
        STEERED,
    ),
    "drain-has-announced": Case(
        "The rooms were told already: people stay.",
        world(_drained(_LEFT, then=Then.ANNOUNCE, announced=True, **_OVER), BACKEND_B_RUNS, healthy(MEDIA_B)),
        STEERED,
    ),
    "drain-begins-to-watch-idle-rooms": Case(
        "Somebody is alone in a room, and there is a limit for that: since when is noted.",
        world(_drained(_LEFT, idle_room_s=300.0), BACKEND_B_RUNS, healthy(MEDIA_B)),
        STEERED,
    ),
    "drain-watches-idle-rooms": Case(
        "Somebody is alone in a room for a while, but not for long enough.",
        world(_drained(_LEFT, idle_room_s=300.0, alone={"tab": 1_000_590.0}), BACKEND_B_RUNS, healthy(MEDIA_B)),
        STEERED,
    ),
    "drain-ends-idle-rooms": Case(
        "Somebody is alone in a room for longer than the user wants: that room is ended, the others stay.",
        world(_drained(_LEFT, idle_room_s=300.0, alone={"tab": 1_000_100.0}), BACKEND_B_RUNS, healthy(MEDIA_B)),
        STEERED,
    ),
    "drain-cannot-tell-rooms-apart": Case(
        "Who is alone in a room is not known: nobody has to leave.",
        world(_drained(_on(MEDIA, calls=CROWD), idle_room_s=300.0), BACKEND_B_RUNS, healthy(MEDIA_B)),
        STEERED,
    ),
    "drain-was-asked-for": Case(
        "Somebody asked that the slot is drained, though it runs as it should: the other one is started.",
        world(_drained(healthy(MEDIA, calls=CROWD), asked=True), healthy(BACKEND)),
        STEERED,
    ),
    "drain-was-asked-for-and-no-slot-is-free": Case(
        "Somebody asked that the slot is drained, and new rooms have nowhere to go: it stays.",
        world(_drained(healthy(MEDIA, calls=CROWD), asked=True), healthy(BACKEND), stranger(MEDIA_B)),
        STEERED,
    ),
    "drain-in-place": Case(
        "Joins cannot be steered, and somebody accepted that they are refused until the last call ends.",
        world(_drained(healthy(MEDIA, calls=CROWD), asked=True, refusing=True), healthy(BACKEND)),
    ),
    "drain-may-have-been-signalled": Case(
        "Who sent the stop signal may have died in that moment: nobody sends a second one.",
        world(
            _drained(healthy(MEDIA, calls=CROWD), asked=True, refusing=True, signal=Signal.SENDING), healthy(BACKEND)
        ),
    ),
    "drain-is-over": Case(
        "New rooms come to the slot again, as its drain was cancelled: the record goes.",
        world(_drained(healthy(MEDIA, calls=CROWD)), healthy(BACKEND)),
        STEERED,
    ),
}
FORGETS = attrs.evolve(ANSWERING, kind="zinit", version="0.3.9", adopts=False)
LOST = {
    "lost-by-zinit-and-in-use": Case(
        "zinit has lost a livekit-server with people in it: its copy is quieted, and it serves on.",
        world(
            healthy(MEDIA, calls=CROWD, entry=entry(MEDIA, process=ProcessId(4300, 0))),
            healthy(BACKEND),
            supervisor=FORGETS,
        ),
    ),
    "lost-by-zinit-and-empty": Case(
        "Nobody is in what zinit has lost: it is replaced in its place, and is zinit's again.",
        world(healthy(MEDIA, entry=None), healthy(BACKEND), supervisor=FORGETS),
    ),
    "lost-by-zinit-with-another-configuration": Case(
        "What zinit has lost should run otherwise, and no slot is beside it: it is swapped while it is empty.",
        world(
            healthy(MEDIA, process=process(MEDIA, launch_digest="0" * 16), entry=entry(MEDIA, process=None)),
            healthy(BACKEND),
            supervisor=FORGETS,
        ),
    ),
    "lost-by-zinit-and-unfit": Case(
        "The program of what zinit has lost is gone: whoever ended it could not start it again.",
        world(healthy(MEDIA, entry=None, program_missing="/gone"), healthy(BACKEND), supervisor=FORGETS),
    ),
    "lost-backend-of-zinit": Case(
        "lk-backend carries no calls: what zinit has lost of it is replaced at once.",
        world(
            healthy(MEDIA, calls=CROWD),
            healthy(BACKEND, entry=entry(BACKEND, process=None, state=EntryState.FAILED)),
            supervisor=FORGETS,
        ),
    ),
}


def _without(*abilities: Ability) -> SupervisorSeen:
    return attrs.evolve(ANSWERING, lacks=frozenset(abilities))


LACKS = {
    "supervisor-shares-its-group": Case(
        "The units of the supervisor share its process group: no media are entrusted to it, and lk-backend is started.",
        world(stopped(MEDIA), stopped(BACKEND), supervisor=_without(Ability.OWN_GROUP)),
    ),
    "supervisor-ends-units-with-clients": Case(
        "The supervisor ends its units with its clients: nothing is replaced by media that would end with us.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), supervisor=_without(Ability.OUTLIVES_CLIENT)),
        STEERED,
    ),
    "supervisor-restarts-what-is-set": Case(
        "The supervisor would restart what is registered anew, with people in it: that waits until nobody is.",
        world(
            healthy(MEDIA, calls=CROWD, entry=entry(MEDIA, digest="f" * 16)),
            healthy(BACKEND),
            supervisor=_without(Ability.SET_LEAVES_ALONE),
        ),
    ),
    "supervisor-restarts-what-is-set-and-empty": Case(
        "The supervisor would restart what is registered anew, and nobody is in it: it is registered.",
        world(
            healthy(MEDIA, calls=EMPTY, entry=entry(MEDIA, digest="f" * 16)),
            healthy(BACKEND),
            supervisor=_without(Ability.SET_LEAVES_ALONE),
        ),
    ),
    "supervisor-restarts-what-carries-no-calls": Case(
        "The supervisor will restart lk-backend when that is registered anew: calls go on, and that is said.",
        world(
            healthy(MEDIA, calls=CROWD),
            healthy(BACKEND, entry=entry(BACKEND, digest="f" * 16)),
            supervisor=_without(Ability.SET_LEAVES_ALONE),
        ),
    ),
    "supervisor-says-dead-runs": Case(
        "The supervisor would not start again what was killed: no swap, though it was allowed.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), supervisor=_without(Ability.NOTICES_DEATH)),
        allowed=RECONNECT,
    ),
    "supervisor-signals-twice": Case(
        "A second stop by anybody would cut everybody off: no drain in place, though it was allowed.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), supervisor=_without(Ability.STOPS_ONCE)),
        allowed=DRAIN,
    ),
    "supervisor-keeps-no-window": Case(
        "The supervisor would kill what drains: no drain in place, and two slots need none.",
        world(_on(MEDIA, calls=CROWD), healthy(BACKEND), stopped(MEDIA_B), supervisor=_without(Ability.KEEPS_WINDOW)),
        STEERED,
        allowed=DRAIN,
    ),
    "supervisor-not-examined": Case(
        "A hero_proc that is not ours, and nobody has looked what it does: that is said, and how to look.",
        world(healthy(MEDIA), healthy(BACKEND), supervisor=attrs.evolve(ANSWERING, kind="hero_proc")),
    ),
    "supervisor-examined": Case(
        "A hero_proc that is not ours, and does all that is needed: nothing is said.",
        world(healthy(MEDIA), healthy(BACKEND), supervisor=attrs.evolve(_without(), kind="hero_proc")),
    ),
    "supervisor-without-the-rest": Case(
        "What nothing can be done about is noted.",
        world(
            healthy(MEDIA, calls=CROWD),
            healthy(BACKEND),
            supervisor=_without(Ability.RESTARTS_AFTER_ZERO, Ability.ADOPTS),
        ),
    ),
}
CASES = LACKS | LOST | DRAINS | RUN | BESIDE | STRANGERS | REPLACE | TWO_SLOTS | ON_REDIS | STOP | CONFIGURE


def files() -> Iterator[tuple[Path, str]]:
    """Each golden file, and what should stand there."""
    return ((FOLDER / f"{name}.txt", case.text()) for name, case in CASES.items())


def main() -> None:
    """Make them anew."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    for path, text in files():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
