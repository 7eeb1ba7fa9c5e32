"""Does the steps of a plan: check what a step needs, act, wait for what `simulate` says that it brings about."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Protocol

import attrs

from hero_livekit_units.errors import PlanStale, RegistryConflict, RegistryUnavailable, StepFailed, StepTimedOut
from hero_livekit_units.execute.comeback import Watch
from hero_livekit_units.execute.drains import DRAINING, Drains
from hero_livekit_units.execute.files import DISK, Disk
from hero_livekit_units.execute.gate import Gate
from hero_livekit_units.execute.lost import KERNEL, Kernel, Orphans
from hero_livekit_units.execute.needs import OTHER_FORM, unmet
from hero_livekit_units.execute.steering import move_rooms, steer
from hero_livekit_units.livekit.keys import ensure_secrets
from hero_livekit_units.livekit.roomservice import ROOM_SERVICE, RoomService
from hero_livekit_units.model.desired import Returning
from hero_livekit_units.model.drain import Terms
from hero_livekit_units.model.observed import EntryState, Failed, Verdict
from hero_livekit_units.model.plan import ENDING, Action, Interruption
from hero_livekit_units.model.receipt import StepDone
from hero_livekit_units.observe.observer import as_launched
from hero_livekit_units.plan.simulate import reached, simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hero_livekit_units.model.comeback import Attendance
    from hero_livekit_units.model.desired import Desired
    from hero_livekit_units.model.launch import LaunchFile, LaunchSpec
    from hero_livekit_units.model.observed import Entry, InstanceSeen, Observed, ProcessId, SupervisorSeen
    from hero_livekit_units.model.plan import Step
    from hero_livekit_units.registry.port import Registry

_LOOK_AGAIN_S = 0.02
_LOOK_AGAIN_AT_MOST_S = 0.25
# Who holds a token of just before joins in this time or is not on the way: a join is counted 2 to 70 ms after its token
# on one host (measured), and takes five ways there and back with TLS over a network.
SETTLE_S = 1.0
_LONGEST_END_S = 30.0  # an end that is waited for here; a livekit-server with people in it takes hours
_SURE_S = 5.0  # a probe of livekit-server fails when it has had no time for 4 s; one that goes on to fail has failed
_SPAWN_S = 0.5  # from the moment in which it was asked for to that in which a process exists, and is seen
_END_SEEN_S = 0.005
_KILLED_S = 2.0  # from SIGKILL to the moment in which the supervisor knows; the embedded one takes 5 ms
_STARTING = frozenset({Action.START, Action.RESTART, Action.SWAP})
_ASKED_BEFORE_S, _ASKED_AFTER_S = 1.0, 0.5  # for an answer to who is in the calls, before their server ends and after


class Progress(Protocol):
    """Hears what happens while it happens."""

    def step(self, step: Step) -> None:
        """A step begins."""

    def waiting(self, instance: str, what: str) -> None:
        """It is still being waited for; `what` is the latest verdict in words."""


class Silent:
    """A Progress that keeps quiet."""

    def step(self, step: Step) -> None:
        """Say nothing."""

    def waiting(self, instance: str, what: str) -> None:
        """Say nothing."""


class Executor:
    """Acts through the registry. The caller holds the acting lock.

    Args:
        registry: the supervisor.
        observe: looks at instances.
        progress: hears each step.
        home: the folder with the files of the group.
        desired: all that should run.
        attend: tells who is in the calls of an instance, within so many seconds; None when that cannot be told.
        disk: where files are.
        kernel: ends what the supervisor has lost.
        rooms: how something is done to rooms.
        now_s: seconds since the epoch.
        clock, sleep: seconds of the kernel's monotonic clock, and to let them pass.
    """

    def __init__(
        self,
        registry: Registry,
        observe: Callable[[Sequence[LaunchSpec]], Observed],
        progress: Progress,
        home: Path,
        *,
        desired: Desired | None = None,
        attend: Callable[[LaunchSpec, float], Attendance | None] = lambda _spec, _timeout_s: None,
        disk: Disk = DISK,
        kernel: Kernel = KERNEL,
        rooms: RoomService = ROOM_SERVICE,
        now_s: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._registry = registry
        self._observe = observe
        self._progress = progress
        self._desired = desired
        self._attend = attend
        self._disk = disk
        self._orphans = Orphans(registry, kernel, clock, sleep)
        self._drains = Drains(registry, disk, rooms, desired.terms if desired else Terms(), now_s)
        self._supervisor: SupervisorSeen | None = None
        self._now_s = now_s
        self._clock = clock
        self._sleep = sleep
        self._gate = Gate(home, disk, clock)

    def do(self, step: Step, spec: LaunchSpec) -> StepDone:
        """Do one step for the instance of `spec`.

        Raises:
            PlanStale: what the step needs does not hold any more; nothing was done.
            StepFailed: it could not be done; the world is as it was.
            StepTimedOut: it was done, but what it should bring about did not show in time.
            RegistryError: the supervisor could not be asked or said no.
        """
        began = self._clock()
        self._progress.step(step)
        watch = None
        if step.effect.kind is Interruption.RECONNECT:
            watch = self._watch(step, spec)
        outcome = self._act(step, spec, watch)
        took_ms = (self._clock() - began) * 1000
        if watch is None:
            return StepDone(step, outcome, took_ms)
        self._progress.waiting(step.instance, f"{outcome}; {watch.people} people come back")
        return StepDone(step, outcome, took_ms, watch.finish())

    def _watch(self, step: Step, spec: LaunchSpec) -> Watch | None:
        """Who is in the calls that the step cuts off; None where nobody is, or nobody says who."""
        process = self._look(spec).process
        asked = as_launched(spec, process) if process else spec
        there = self._attend(asked, _ASKED_BEFORE_S)
        heir = next((one for one in self._media() if one.instance == step.to), spec)
        if there is None or not there.tracks:
            return None
        within_s = (self._desired.returning if self._desired else Returning()).within_s
        return Watch(there, partial(self._attend, heir, _ASKED_AFTER_S), within_s, self._clock, self._sleep)

    def _media(self) -> Sequence[LaunchSpec]:
        return tuple(self._desired.media.values()) if self._desired else ()

    def _act(self, step: Step, spec: LaunchSpec, watch: Watch | None) -> str:
        if step.action is Action.WRITE_FILES:
            self._disk.remove_unread(self._look(spec), spec)
            return self._write(spec.start_files)
        if step.action is Action.UPDATE:
            return self._update(step, spec)
        if step.action is Action.AWAIT_READY:
            return self._await(step, spec, self._look(spec), None, self._sleep)
        before = self._look(spec)
        self._check(step, spec, before)
        if step.action is Action.REGISTER:
            return self._register(step, spec)
        if step.action is Action.QUIET:
            return self._orphans.quiet(step, spec, self._lost_by_supervisor(before))
        if step.action in DRAINING:
            return self._drains.do(step, spec, before)
        if step.action is Action.RECORD_FAILURE:
            return self._record_failure(step, spec, before)
        if step.action in _STARTING:
            self._disk.begin(spec)
        if _swaps_idle(step, spec, before):
            return self._swap_idle(step, spec)
        lost = self._ask(step, spec, before, watch)
        return self._await(step, spec, before, lost, watch.pass_time if watch else self._sleep)

    def _swap_idle(self, step: Step, spec: LaunchSpec) -> str:
        """Replace what nobody is in, and let nobody have a token between the last look and the next one's readiness."""
        try:
            self._gate.shut(f"{spec.instance} is being replaced")
            before = self._settle(step, spec)
            if not self._gate.is_shut:
                raise PlanStale(f"{step.action} {step.instance}", ["looking took so long that the gate is open again"])
            lost = self._ask(step, spec, before, None)
            return self._await(step, spec, before, lost, self._sleep)
        finally:
            self._gate.open()

    def _settle(self, step: Step, spec: LaunchSpec) -> InstanceSeen:
        """Let those arrive who are on their way with a token; the last look.

        Raises:
            PlanStale: somebody has come.
        """
        self._progress.waiting(spec.instance, "token requests are held, and joins on their way waited for")
        settled_s = self._clock() + SETTLE_S
        while True:
            self._sleep(_LOOK_AGAIN_AT_MOST_S)
            seen = self._look(spec)
            self._check(step, spec, seen)
            if self._clock() >= settled_s:
                return seen

    def _register(self, step: Step, spec: LaunchSpec) -> str:
        try:
            return "registered" if self._registry.register(spec) else "was registered like this already"
        except RegistryConflict as error:
            raise PlanStale(f"{step.action} {step.instance}", [OTHER_FORM]) from error
        except RegistryUnavailable:
            entry = self._look(spec).entry
            if entry is None or entry.digest != spec.digest:
                raise
            return "registered; the answer to it was lost"

    def _record_failure(self, step: Step, spec: LaunchSpec, seen: InstanceSeen) -> str:
        until = self._clock() + _SURE_S
        while seen.verdict is Verdict.UNHEALTHY and not seen.closed and seen.process and self._clock() < until:
            self._progress.waiting(spec.instance, seen.because)
            self._sleep(_LOOK_AGAIN_AT_MOST_S)
            seen = self._look(spec)
            if seen.verdict is Verdict.HEALTHY:
                raise PlanStale(f"{step.action} {step.instance}", ["it is ready now"])
        pid = seen.process.id.pid if seen.process else 0
        self._disk.record_failed(spec, Failed(self._now_s(), step.because, seen.log_line, pid))
        return "written down"

    def _check(self, step: Step, spec: LaunchSpec, seen: InstanceSeen) -> None:
        """What a step needs is looked at in the very moment of acting, as people join at any time."""
        if changes := unmet(step, seen):
            raise PlanStale(f"{step.action} {step.instance}", changes)
        if step.action not in _STARTING:
            return
        # No program starts on files with other secrets than the supervisor holds: that was the 401 of the past.
        read = attrs.evolve(spec, files=spec.start_files)
        differ = self._disk.differ(read, ensure_secrets(self._registry))
        if differ is None or differ:
            what = f"{', '.join(differ)} changed since it was written" if differ else "its files cannot be read"
            raise StepFailed(f"{step.action} {spec.instance}", what, hint="ensure again; it writes them anew")

    def _ask(
        self, step: Step, spec: LaunchSpec, before: InstanceSeen, watch: Watch | None
    ) -> RegistryUnavailable | None:
        """Tell the supervisor. An answer that did not arrive is returned: whether it acted, the world says."""
        try:
            if orphan := self._lost_by_supervisor(before):
                self._orphans.end(step, spec, orphan, self._drains.signalling(step, spec, before))
            else:
                self._tell(step, spec, before, watch)
        except RegistryUnavailable as error:
            return error
        return None

    def _tell(self, step: Step, spec: LaunchSpec, before: InstanceSeen, watch: Watch | None) -> None:
        match step.action:
            case Action.START:
                self._registry.start(spec.instance)
            case Action.RESTART:
                self._registry.restart(spec.instance)
            case Action.SWAP:
                if watch:
                    watch.begin()
                self._end_at_once(spec, before)
                self._registry.start(spec.instance)
            case Action.STOP:
                with self._drains.signalling(step, spec, before):
                    self._registry.stop(spec.instance)
            case Action.KILL:
                self._move_rooms(step, spec)
                self._registry.stop(spec.instance)
                if watch:
                    watch.begin()
                self._registry.kill(spec.instance)
            case _:
                raise AssertionError(f"{step.action} asks the supervisor for nothing")

    def _lost_by_supervisor(self, seen: InstanceSeen) -> ProcessId | None:
        return self._orphans.which(seen, self._supervisor) if self._supervisor else None

    def _move_rooms(self, step: Step, spec: LaunchSpec) -> None:
        """Have what stands before the slots send the rooms of an instance to the one that takes over."""
        for heir in self._media():
            if self._desired and heir.instance == step.to:
                for front in self._desired.by_slot[heir.slot]:
                    if front.new_rooms:
                        move_rooms(front, spec.slot, heir.slot)

    def _end_at_once(self, spec: LaunchSpec, before: InstanceSeen) -> None:
        """Kill a process, and wait until the supervisor has seen its end: what it believes to run it does not start."""
        lost = None
        try:
            self._registry.kill(spec.instance)
        except RegistryUnavailable as error:
            lost = error
        until = self._clock() + _KILLED_S
        while self._clock() < until:
            # Its word alone: people are without a server meanwhile, and a look at everything takes ten times as long.
            entries = self._registry.survey([spec.instance]).entries
            if entries is not None and not _still_has(entries.get(spec.instance), before):
                return
            self._sleep(_END_SEEN_S)
        if lost is not None:
            raise lost

    def _update(self, step: Step, spec: LaunchSpec) -> str:
        if spec.new_rooms and self._look(spec).process is not None:
            return steer(spec, step.rooms, lambda: self._write(spec.live_files))
        return self._write(spec.live_files)

    def _write(self, files: Sequence[LaunchFile]) -> str:
        self._disk.write(files, ensure_secrets(self._registry))
        return f"wrote {', '.join(file.path for file in files)}"

    def _await(
        self,
        step: Step,
        spec: LaunchSpec,
        before: InstanceSeen,
        lost: RegistryUnavailable | None,
        pass_time: Callable[[float], None],
    ) -> str:
        """Wait for the postcondition; after a lost answer as long, and then it is that error."""
        after = simulate(before, step, spec)
        old = before.process.id if before.process and step.action in ENDING else None
        until = self._clock() + _window_s(step, spec, before) + (0.0 if step.action in ENDING else _SPAWN_S)
        pause_s = _LOOK_AGAIN_S
        while True:
            seen = self._look(spec)
            if reached(seen, after, unlike=old):
                if step.action in _STARTING or step.action in ENDING:
                    self._disk.remove_unread(seen, spec)
                return _outcome(seen) + ("; the answer to it was lost" if lost else "")
            if (
                step.action is Action.STOP
                and spec.carries_calls
                and step.needs.people_at_most is None
                and _is_ending(seen)
            ):
                return "asked to end; it ends with its last call"
            if seen.verdict is Verdict.FOREIGN:
                what = f"see {spec.instance} after {step.action}"
                raise StepFailed(what, seen.because, hint="nothing of that process was touched")
            if self._clock() >= until:
                if lost is not None:
                    raise lost
                window = f"within {_window_s(step, spec, before):g} s"
                raise StepTimedOut(f"{step.action} {spec.instance} {window}", _why(seen), hint=_where(seen))
            self._gate.renew()
            self._progress.waiting(spec.instance, seen.because)
            pass_time(pause_s)
            pause_s = min(2 * pause_s, _LOOK_AGAIN_AT_MOST_S)

    def _look(self, spec: LaunchSpec) -> InstanceSeen:
        found = self._observe([spec])
        self._supervisor = found.supervisor
        return found.instances[0]


def _still_has(entry: Entry | None, before: InstanceSeen) -> bool:
    """Whether the supervisor believes that the process of before runs; some do not know when a process started."""
    if entry is None or entry.process is None or before.process is None:
        return False
    old = before.process.id
    return entry.process.pid == old.pid and entry.process.start_time in {0, old.start_time}


def _window_s(step: Step, spec: LaunchSpec, before: InstanceSeen) -> float:
    """How long a step may take until its end shows."""
    ending_s = min(spec.stop.window_s, _LONGEST_END_S) + spec.stop.minimum_age_s
    if step.action in {Action.STOP, Action.KILL}:
        return ending_s
    replaced = before.process is not None and step.action is Action.RESTART
    return spec.restart.ready_within_s + (ending_s if replaced else 0.0)


def _swaps_idle(step: Step, spec: LaunchSpec, before: InstanceSeen) -> bool:
    """Whether a step ends a livekit-server that may only end while nobody is in it, and starts it again."""
    idle = spec.carries_calls and step.needs.people_at_most == 0
    return step.action is Action.RESTART and idle and before.process is not None


def _is_ending(seen: InstanceSeen) -> bool:
    return seen.entry is not None and seen.entry.state is EntryState.STOPPING


def _outcome(seen: InstanceSeen) -> str:
    return f"ready as pid {seen.process.id.pid}" if seen.process else "ended"


def _why(seen: InstanceSeen) -> str:
    last = seen.entry.last_error if seen.entry else ""
    return f"{seen.because}; its last end: {last}" if last and last not in seen.because else seen.because


def _where(seen: InstanceSeen) -> str:
    return f"its log: {seen.entry.log_file}" if seen.entry and seen.entry.log_file else ""
