"""Each step: what it needs, what it does, and what it waits for."""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from hero_livekit_units.errors import (
    EntryNotFound,
    PlanStale,
    RegistryConflict,
    RegistryUnavailable,
    StepFailed,
    StepTimedOut,
)
from hero_livekit_units.execute.executor import Executor, Silent
from hero_livekit_units.execute.files import Disk
from hero_livekit_units.livekit.desired import desired_specs, desired_state
from hero_livekit_units.livekit.roomservice import RoomService
from hero_livekit_units.model.comeback import Attendance, Sign
from hero_livekit_units.model.desired import Desired, Steering
from hero_livekit_units.model.drain import Drain, Signal, Terms, Then
from hero_livekit_units.model.observed import EntryState, InstanceSeen, ProcessId, Verdict
from hero_livekit_units.model.plan import Action, Effect, Interruption, Needs, Step
from hero_livekit_units.model.settings import FrontSettings, Settings
from hero_livekit_units.observe.files import drain_file, read_failed, recorded_drain
from tests.fakes.registry import Fault, MemoryRegistry, ReflectingObserver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.launch import LaunchSpec, Port

MEDIA = "livekit-server@a"
IDLE = Needs(people_at_most=0)
NOW = Needs(people_at_most=1000)


def step(action: Action, needs: Needs = Needs()) -> Step:  # noqa: B008  a value
    """A step of this kind."""
    return Step(action, MEDIA, "", "a reason", Effect(Interruption.NONE, "none"), needs)


class Heard:
    """A Progress that keeps what it hears."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.waits: list[tuple[str, str]] = []

    def step(self, step: Step) -> None:
        """A step begins."""
        self.steps.append(step)

    def waiting(self, instance: str, what: str) -> None:
        """It is still being waited for."""
        self.waits.append((instance, what))


class Stage:
    """A supervisor in memory, what is seen of it, and an executor on both."""

    def __init__(self, spec: LaunchSpec, *faults: tuple[int, Fault]) -> None:
        self.spec = spec
        self.home = Path(spec.folder).parents[1]
        self.registry = MemoryRegistry(dict(faults))
        self.observer = ReflectingObserver(self.registry)
        self.heard = Heard()
        self.executor = Executor(self.registry, self.observer.observe, self.heard, self.home)

    def do(self, step: Step) -> str:
        """Do one step; its outcome."""
        done = self.executor.do(step, self.spec)
        assert done.step == step
        assert done.took_ms >= 0.0
        return done.outcome

    def run(self) -> None:
        """Have it running."""
        self.registry.register(self.spec)
        self.registry.start(MEDIA)
        self.registry.acted.clear()

    def pid(self) -> int:
        """Of the process that runs now."""
        process = self.registry.entries[MEDIA].process
        assert process is not None
        return process.pid


@pytest.fixture
def spec(catalog: Catalog, tmp_path: Path) -> LaunchSpec:
    """The media unit with little patience."""
    media, _ = desired_specs(catalog, Settings(), home=str(tmp_path), python=sys.executable)
    restart = attrs.evolve(media.restart, ready_within_s=0.15)
    return attrs.evolve(media, restart=restart, stop=attrs.evolve(media.stop, window_s=0.15, minimum_age_s=0.0))


@pytest.fixture
def stage(spec: LaunchSpec) -> Stage:
    """Files written, nothing registered yet."""
    stage = Stage(spec)
    stage.executor.do(step(Action.WRITE_FILES), spec)
    stage.registry.acted.clear()
    stage.heard.steps.clear()
    return stage


def never_ready(found: InstanceSeen) -> InstanceSeen:
    """As if it did not answer."""
    return attrs.evolve(found, verdict=Verdict.STARTING, because="pid 1 is 0.1 s old and not ready: no answer")


def test_write_files(stage: Stage, spec: LaunchSpec) -> None:
    """The files are there with their secrets, for the owner alone; the secrets were made first."""
    path = Path(spec.files[0].path)
    assert stage.do(step(Action.WRITE_FILES)) == f"wrote {path}"
    assert stage.registry.stored["api_secret"] in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_write_files_leaves_what_is_written_once(stage: Stage, spec: LaunchSpec) -> None:
    """It is the unit's own from the first time on."""
    files = tuple(attrs.evolve(file, once=True) for file in spec.files)
    path = Path(files[0].path)
    path.write_text("the unit's own")
    stage.executor.do(step(Action.WRITE_FILES), attrs.evolve(spec, files=files))
    assert path.read_text() == "the unit's own"
    path.unlink()
    stage.executor.do(step(Action.WRITE_FILES), attrs.evolve(spec, files=files))
    assert path.read_text() != "the unit's own"


def test_write_files_says_no_secret(stage: Stage) -> None:
    """Neither the outcome nor what is heard holds one."""
    outcome = stage.do(step(Action.WRITE_FILES))
    assert not any(value in f"{outcome}{stage.heard.steps}" for value in stage.registry.stored.values())


def test_register(stage: Stage) -> None:
    """A second time there is nothing to write, and that is told."""
    assert stage.do(step(Action.REGISTER)) == "registered"
    assert stage.do(step(Action.REGISTER)) == "was registered like this already"
    assert stage.registry.acted == [f"register {MEDIA}"]


@pytest.mark.parametrize("asked", [step(Action.START), step(Action.RESTART)], ids=["start", "restart"])
def test_no_start_on_files_with_other_secrets(asked: Step, stage: Stage) -> None:
    """A key that changed after the files were written would be a 401 for everybody: nothing is started on it."""
    stage.run()
    stage.registry.stored["api_key"] = "APIother"
    with pytest.raises(StepFailed, match=r"livekit\.yaml changed since it was written"):
        stage.do(asked)
    assert stage.registry.acted == []


def test_start(stage: Stage) -> None:
    """It is started, and waited for until it is ready."""
    stage.do(step(Action.REGISTER))
    start = step(Action.START)
    assert stage.do(start) == f"ready as pid {stage.pid()}"
    assert stage.heard.steps[-1] == start


def test_start_of_what_is_not_registered(stage: Stage) -> None:
    """The supervisor's word goes to the caller as it is."""

    class Forgetful(MemoryRegistry):
        def start(self, instance: str) -> None:
            raise EntryNotFound("service.start", f"service not found: {instance}", code=-32000)

    registry = Forgetful()
    registry.stored = stage.registry.stored
    executor = Executor(registry, stage.observer.observe, Silent(), stage.home)
    with pytest.raises(EntryNotFound, match="service not found"):
        executor.do(step(Action.START), stage.spec)


def test_start_that_does_not_get_ready(stage: Stage) -> None:
    """The error says for how long it was waited, why it is not ready, how it ended last, and where its log is."""
    stage.do(step(Action.REGISTER))
    stage.observer.distort = lambda found: attrs.evolve(
        never_ready(found), entry=attrs.evolve(found.entry, last_error="exit status 0") if found.entry else None
    )
    with pytest.raises(StepTimedOut) as caught:
        stage.do(step(Action.START))
    assert str(caught.value) == (
        f"cannot start {MEDIA} within 0.15 s: pid 1 is 0.1 s old and not ready: no answer; its last end: exit status 0"
    )
    assert caught.value.hint == "its log: /logs/it.log"
    assert set(stage.heard.waits) == {(MEDIA, "pid 1 is 0.1 s old and not ready: no answer")}


def test_a_failure_is_written_down_and_gone_with_the_next_start(stage: Stage) -> None:
    """When, why, the last line of the log and the process; nobody else may read it."""
    stage.run()
    pid = stage.pid()
    stage.observer.distort = lambda found: attrs.evolve(found, log_line="no node")
    record = attrs.evolve(step(Action.RECORD_FAILURE, Needs(process=ProcessId(pid, pid))), because="it failed: no node")
    began_s = time.time()
    stage.do(record)
    failed = read_failed(stage.spec)
    assert failed is not None
    assert began_s <= failed.at_s <= time.time()
    assert (failed.because, failed.line, failed.pid) == ("it failed: no node", "no node", pid)
    assert stat.S_IMODE(Path(stage.spec.failed_file).stat().st_mode) == 0o600
    start_file = Path(stage.spec.start_files[0].path)
    os.utime(start_file, (0, 0))
    stage.registry.stop(MEDIA)
    stage.do(step(Action.START))
    assert read_failed(stage.spec) is None
    assert start_file.stat().st_mtime > began_s - 1.0


def test_no_failure_of_another_process_is_written_down(stage: Stage) -> None:
    """It is another one by now."""
    stage.run()
    with pytest.raises(PlanStale):
        stage.do(step(Action.RECORD_FAILURE, Needs(process=ProcessId(1, 1))))
    assert read_failed(stage.spec) is None


@pytest.mark.parametrize("looks", [3, 1000])
def test_one_probe_that_fails_is_no_failure(looks: int, stage: Stage) -> None:
    """It is looked at for 5 s: what is ready by then has not failed."""
    stage.run()
    seen: list[InstanceSeen] = []
    now_s = [0.0]

    def distort(found: InstanceSeen) -> InstanceSeen:
        seen.append(found)
        return attrs.evolve(found, verdict=Verdict.UNHEALTHY) if len(seen) <= looks else found

    stage.observer.distort = distort
    executor = Executor(
        stage.registry,
        stage.observer.observe,
        stage.heard,
        stage.home,
        clock=lambda: now_s[0],
        sleep=lambda seconds: now_s.__setitem__(0, now_s[0] + seconds),
    )
    if looks == 1000:
        executor.do(step(Action.RECORD_FAILURE), stage.spec)
        assert now_s[0] == 5.0
    else:
        with pytest.raises(PlanStale, match="it is ready now"):
            executor.do(step(Action.RECORD_FAILURE), stage.spec)
    assert (read_failed(stage.spec) is not None) == (looks == 1000)


def test_a_launch_that_cannot_begin_anew_is_not_started(stage: Stage) -> None:
    """Its record cannot be removed: the supervisor is not asked."""
    stage.do(step(Action.REGISTER))
    Path(stage.spec.failed_file).mkdir()
    with pytest.raises(StepFailed, match=f"cannot begin the launch of {MEDIA}"):
        stage.do(step(Action.START))
    assert stage.registry.acted == [f"register {MEDIA}"]


def test_what_has_no_port_open_is_empty(stage: Stage) -> None:
    """Nobody can be in it, though nobody can count; of what has one open an unknown count is no zero."""
    stage.run()
    stage.observer.people = None
    closed = [True]

    def distort(found: InstanceSeen) -> InstanceSeen:
        ports = tuple(attrs.evolve(port, held=not closed[0]) for port in found.ports)
        return attrs.evolve(found, verdict=Verdict.UNHEALTHY, ports=ports) if found.process else found

    stage.observer.distort = distort
    stop = step(Action.STOP, IDLE)
    closed[0] = False
    with pytest.raises(PlanStale, match="who is in a call is unknown now"):
        stage.do(stop)
    closed[0] = True
    assert stage.do(stop) == "ended"


def test_start_while_a_stranger_takes_the_port(stage: Stage) -> None:
    """There is no point in waiting, and the stranger is left alone."""
    stage.do(step(Action.REGISTER))
    stage.observer.distort = lambda found: attrs.evolve(found, verdict=Verdict.FOREIGN, because="held by pid 666")
    with pytest.raises(StepFailed, match="held by pid 666") as caught:
        stage.do(step(Action.START))
    assert caught.value.hint == "nothing of that process was touched"
    assert stage.registry.acted == [f"register {MEDIA}", f"start {MEDIA}"]


def test_ready_is_only_what_the_supervisor_owns(stage: Stage) -> None:
    """A healthy process that the supervisor does not hold is not the one that was started."""
    stage.run()
    stage.observer.distort = lambda found: attrs.evolve(found, entry=None)
    with pytest.raises(StepTimedOut):
        stage.do(step(Action.AWAIT_READY))


def test_await_ready(stage: Stage) -> None:
    """It only waits."""
    stage.run()
    looks = iter([never_ready, never_ready, never_ready])

    def late(found: InstanceSeen) -> InstanceSeen:
        change = next(looks, None)
        return change(found) if change else found

    stage.observer.distort = late
    assert stage.do(step(Action.AWAIT_READY)) == f"ready as pid {stage.pid()}"
    assert stage.registry.acted == []
    assert len(stage.heard.waits) == 2


def test_restart(stage: Stage) -> None:
    """Ready means that another process is ready, not that the old one still is."""
    stage.run()
    before = stage.pid()
    assert stage.do(step(Action.RESTART, IDLE)) == f"ready as pid {stage.pid()}"
    assert stage.pid() != before


def test_restart_that_did_not_happen(stage: Stage) -> None:
    """The old process goes on: the step did not reach its end, however healthy that process is."""
    stage.run()

    class Deaf(MemoryRegistry):
        def restart(self, instance: str) -> None:
            """Say yes and do nothing."""

    deaf = Deaf()
    deaf.stored = stage.registry.stored
    with pytest.raises(StepTimedOut):
        Executor(deaf, stage.observer.observe, Silent(), stage.home).do(step(Action.RESTART), stage.spec)


@pytest.mark.parametrize(
    ("people", "reason"), [(3, "3 people are in a call now"), (None, "who is in a call is unknown now")]
)
@pytest.mark.parametrize("asked", [step(Action.RESTART, IDLE), step(Action.STOP, IDLE)], ids=["restart", "stop"])
def test_people_join_between_plan_and_step(asked: Step, people: int | None, reason: str, stage: Stage) -> None:
    """What may only happen while nobody is in a call is checked in the moment of acting; then nothing is touched."""
    stage.run()
    stage.observer.people = people
    with pytest.raises(PlanStale, match=reason) as caught:
        stage.do(asked)
    assert caught.value.changes == (reason,)
    assert stage.registry.acted == []


def test_stop(stage: Stage) -> None:
    """One stop, and the end is waited for; nothing is killed."""
    stage.run()
    assert stage.do(step(Action.STOP, IDLE)) == "ended"
    assert stage.registry.acted == [f"stop {MEDIA}"]


def test_forced_stop(stage: Stage) -> None:
    """With people in calls, by the user's word: the signal first, so that it is not wanted any more, then the kill."""
    stage.run()
    stage.observer.people = 5
    assert stage.do(step(Action.KILL)) == "ended"
    assert stage.registry.acted == [f"stop {MEDIA}", f"kill {MEDIA}"]


WEEKLY = Attendance({("weekly", "anna"): 1, ("weekly", "ben"): 1}, {("weekly", "anna", "ben"): 1})


class Attending:
    """Tells who is in the calls; after the end of the server they come back when it was asked three times."""

    def __init__(self, stage: Stage, before: Attendance | None = WEEKLY) -> None:
        self.asked: list[tuple[str, float]] = []
        self._stage = stage
        self._before = before

    def __call__(self, spec: LaunchSpec, timeout_s: float) -> Attendance | None:
        """Who is there."""
        self.asked.append((spec.instance, timeout_s))
        if not self._stage.registry.acted:
            return self._before
        return self._before if len(self.asked) > 4 else None


def reconnecting(action: Action, to: str = "") -> Step:
    """A step of this kind that people are expected back from."""
    return attrs.evolve(step(action, NOW), effect=Effect(Interruption.RECONNECT, "they come back"), to=to)


@pytest.mark.parametrize("action", [Action.SWAP, Action.KILL])
def test_who_comes_back_is_told(action: Action, stage: Stage, catalog: Catalog) -> None:
    """Asked is the server before, and then the one that takes over; the step itself is done as ever."""
    stage.run()
    attending = Attending(stage)
    desired = desired_state(catalog, Settings(), home=str(Path(stage.spec.folder).parent), python=sys.executable)
    executor = Executor(
        stage.registry, stage.observer.observe, stage.heard, stage.home, desired=desired, attend=attending, disk=Disk()
    )
    done = executor.do(reconnecting(action, "livekit-server@b" if action is Action.KILL else ""), stage.spec)
    assert stage.registry.acted == [f"{word} {MEDIA}" for word in ASKED[action]]
    assert done.comeback is not None
    assert (done.comeback.people, done.comeback.back, done.comeback.sign) == (2, 2, Sign.SOUND)
    heir = MEDIA if action is Action.SWAP else "livekit-server@b"
    assert [instance for instance, _ in attending.asked] == [MEDIA, *[heir] * 4]
    assert stage.heard.waits[-1] == (MEDIA, f"{done.outcome}; 2 people come back")


@pytest.mark.parametrize("before", [None, Attendance({}, {})], ids=["nobody-tells", "nobody-is-there"])
def test_nobody_is_waited_for(before: Attendance | None, stage: Stage) -> None:
    """Where nobody is known to be in a call, nobody is looked for."""
    stage.run()
    attending = Attending(stage, before)
    executor = Executor(stage.registry, stage.observer.observe, stage.heard, stage.home, attend=attending)
    assert executor.do(reconnecting(Action.SWAP), stage.spec).comeback is None
    assert len(attending.asked) == 1


def test_nobody_is_waited_for_whom_a_stop_cuts_off(stage: Stage) -> None:
    """Who is cut off for good is not looked for."""
    stage.run()
    attending = Attending(stage)
    executor = Executor(stage.registry, stage.observer.observe, stage.heard, stage.home, attend=attending)
    assert executor.do(step(Action.KILL, NOW), stage.spec).comeback is None
    assert attending.asked == []


def test_rooms_are_not_moved_past_a_front_that_is_silent(stage: Stage, catalog: Catalog, tmp_path: Path) -> None:
    """Who lost the old slot would be sent to it again: so nothing is ended."""
    stage.run()
    fronted = Settings(front=FrontSettings(enabled=True))
    desired = desired_state(catalog, fronted, home=str(tmp_path), python=sys.executable)
    executor = Executor(stage.registry, stage.observer.observe, stage.heard, stage.home, desired=desired)
    with pytest.raises(StepFailed, match="cannot move the rooms of slot a: the front could not be asked"):
        executor.do(reconnecting(Action.KILL, "livekit-server@b"), stage.spec)
    assert stage.registry.acted == []


def test_stop_that_takes_too_long(stage: Stage) -> None:
    """It gets no second signal."""
    stage.run()
    old = stage.observer.observe([stage.spec]).instances[0]
    stage.observer.distort = lambda _: old
    with pytest.raises(StepTimedOut, match=f"cannot stop {MEDIA} within 0.15 s"):
        stage.do(step(Action.STOP, NOW))
    assert stage.registry.acted == [f"stop {MEDIA}"]


def test_unseen_is_not_ended(stage: Stage) -> None:
    """When nobody can look, the end is not concluded."""
    stage.run()
    stage.observer.distort = lambda found: attrs.evolve(found, verdict=Verdict.UNKNOWN, because="could not look")
    with pytest.raises(StepTimedOut, match="could not look"):
        stage.do(step(Action.STOP, NOW))


@pytest.mark.parametrize(
    ("action", "fault"),
    [(Action.WRITE_FILES, Fault.REFUSED), (Action.WRITE_FILES, Fault.LOST), (Action.REGISTER, Fault.REFUSED)],
)
def test_a_supervisor_that_goes_away_before_anything_runs(action: Action, fault: Fault, spec: LaunchSpec) -> None:
    """The caller hears it, whether a secret was stored before or not."""
    stage = Stage(spec, (1, fault))
    with pytest.raises(RegistryUnavailable):
        stage.do(step(action))
    assert len(stage.registry.acted) == 1


def test_a_lost_answer_to_a_registration(spec: LaunchSpec) -> None:
    """It stands there as it should, so it is not told again."""
    stage = Stage(spec, (1, Fault.LOST))
    assert stage.do(Step(Action.REGISTER, MEDIA, spec.digest, "new", Effect(Interruption.NONE, "none"))) == (
        "registered; the answer to it was lost"
    )
    assert stage.registry.acted == [f"register {MEDIA}"]


@pytest.mark.parametrize("fault", list(Fault))
def test_a_lost_answer_in_the_middle_of_a_swap(fault: Fault, stage: Stage) -> None:
    """It was killed: then it is started at once as ever. It was not: nothing is started, and the error says so."""
    stage.run()
    stage.registry._faults = {1: fault}
    if fault is Fault.LOST:
        assert stage.do(step(Action.SWAP)).startswith("ready as pid ")
        assert stage.registry.acted == [f"kill {MEDIA}", f"start {MEDIA}"]
    else:
        with pytest.raises(RegistryUnavailable):
            stage.do(step(Action.SWAP))
        assert stage.registry.acted == [f"kill {MEDIA}"]


def test_what_cannot_be_seen_is_not_absent(stage: Stage) -> None:
    """Where nobody can tell whether it runs, nothing that needs its absence is started."""
    stage.do(step(Action.REGISTER))
    stage.observer.distort = lambda found: attrs.evolve(found, verdict=Verdict.UNKNOWN, because="could not look")
    with pytest.raises(PlanStale, match="it did not run, and whether it runs is unknown now"):
        stage.do(step(Action.START, Needs(absent=True)))
    assert stage.registry.acted == [f"register {MEDIA}"]


@pytest.mark.parametrize("action", [Action.START, Action.RESTART, Action.SWAP, Action.STOP, Action.KILL])
def test_files_of_older_launches(action: Action, stage: Stage) -> None:
    """They are gone once another launch runs; its own, those of what is registered and all others stay."""
    if action is not Action.START:
        stage.run()
    else:
        stage.registry.register(stage.spec)
    old, kept = (Path(stage.spec.folder, name) for name in ("launch-0123456789abcdef", "backend.sqlite"))
    old.mkdir()
    (old / "livekit.yaml").write_text("keys: {}")
    kept.touch()
    stage.do(step(action))
    assert not old.exists()
    assert kept.exists()
    assert Path(stage.spec.files[0].path).exists()


@pytest.mark.parametrize("action", [Action.REGISTER, Action.UPDATE, Action.AWAIT_READY])
def test_files_that_are_of_no_matter_to_a_step(action: Action, stage: Stage) -> None:
    """Only who writes files, or has another launch running, tidies up."""
    stage.run()
    old = Path(stage.spec.folder, "launch-0123456789abcdef")
    old.mkdir()
    stage.do(step(action))
    assert old.exists()


def test_files_that_may_be_read_again(stage: Stage) -> None:
    """While a supervisor is about to start something once more, it may be an older launch."""
    stage.run()
    stage.registry.crash(MEDIA)
    old = Path(stage.spec.folder, "launch-0123456789abcdef")
    old.mkdir()
    stage.do(step(Action.WRITE_FILES))
    assert old.exists()
    stage.registry.start(MEDIA)
    stage.do(step(Action.WRITE_FILES))
    assert not old.exists()


ASKED = {
    Action.START: ["start"],
    Action.RESTART: ["restart"],
    Action.SWAP: ["kill", "start"],
    Action.STOP: ["stop"],
    Action.KILL: ["stop", "kill"],
}


@pytest.mark.parametrize("action", ASKED)
def test_what_each_step_asks_for(action: Action, stage: Stage) -> None:
    """Nothing else, and in this order."""
    stage.run()
    stage.do(step(action, NOW))
    assert stage.registry.acted == [f"{word} {MEDIA}" for word in ASKED[action]]


@pytest.mark.parametrize("action", [Action.START, Action.RESTART, Action.STOP])
def test_a_lost_answer_is_looked_up(action: Action, stage: Stage) -> None:
    """It was done: the step has reached its end, is not asked for again, and the outcome says what was lost."""
    stage.run()
    stage.registry._faults = {1: Fault.LOST}
    assert stage.do(step(action, NOW)).endswith("; the answer to it was lost")
    assert len(stage.registry.acted) == 1


@pytest.mark.parametrize("action", [Action.RESTART, Action.STOP])
def test_an_answer_that_stays_away(action: Action, stage: Stage) -> None:
    """It was not done: after the time that it may take the caller hears that the supervisor went away."""
    stage.run()
    stage.registry._faults = {1: Fault.REFUSED}
    with pytest.raises(RegistryUnavailable):
        stage.do(step(action, NOW))
    assert len(stage.registry.acted) == 1


def test_another_process_than_the_planned_one(stage: Stage) -> None:
    """It is not touched, and both are named."""
    stage.run()
    with pytest.raises(PlanStale, match=rf"it was pid 7, and is pid {stage.pid()} now"):
        stage.do(step(Action.STOP, Needs(process=ProcessId(7, 7))))
    assert stage.registry.acted == []


def test_a_process_where_none_was(stage: Stage) -> None:
    """What is to be started runs already: that is for another plan."""
    stage.run()
    with pytest.raises(PlanStale, match=rf"it did not run, and is pid {stage.pid()} now"):
        stage.do(step(Action.START, Needs(absent=True)))
    assert stage.registry.acted == []


def test_a_gone_process(stage: Stage) -> None:
    """Nothing is left to be stopped."""
    stage.do(step(Action.REGISTER))
    with pytest.raises(PlanStale, match="it was pid 7, and is gone now"):
        stage.do(step(Action.STOP, Needs(process=ProcessId(7, 7))))


def test_drain(stage: Stage) -> None:
    """With people in it a livekit-server only begins to end: that is the end of the step."""
    stage.run()
    old = stage.observer.observe([stage.spec]).instances[0]
    assert old.entry is not None
    ending = attrs.evolve(old, entry=attrs.evolve(old.entry, state=EntryState.STOPPING))
    stage.observer.distort = lambda _: old if "stop" not in str(stage.registry.acted) else ending
    assert stage.do(step(Action.STOP)) == "asked to end; it ends with its last call"
    assert stage.registry.acted == [f"stop {MEDIA}"]


def test_a_registration_that_somebody_else_was_faster_with(stage: Stage) -> None:
    """The supervisor saw it: nothing was written, and the plan is stale."""

    class Contested(MemoryRegistry):
        def register(self, spec: LaunchSpec) -> bool:
            raise RegistryConflict("action.set", f"{spec.instance} is not as expected", code=-32009)

    with pytest.raises(PlanStale, match="somebody else has registered it in another form since"):
        Executor(Contested(), stage.observer.observe, Silent(), stage.home).do(step(Action.REGISTER), stage.spec)


class Told(RoomService):
    """A RoomService that keeps what is asked of it; one room has somebody else in it by now."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def tell(self, server: Port, api_keys: Mapping[str, str], message: Mapping[str, Any]) -> int:
        """Keep it."""
        self.asked.append(("tell", server.name, list(api_keys), message["type"]))
        return 2

    def end_lonely(self, server: Port, api_keys: Mapping[str, str], room: str) -> bool:
        """Keep it."""
        self.asked.append(("end", server.name, list(api_keys), room))
        return room != "met"


def record_of(spec: LaunchSpec) -> Drain:
    """The drain that is recorded."""
    found = recorded_drain(spec)
    assert found is not None
    return found


def test_a_drain_is_recorded_once(stage: Stage, spec: LaunchSpec) -> None:
    """Since when and on whose word stays; who is alone in a room since when is kept for those who still are."""
    stage.run()
    now = [1000.0]
    desired = Desired({}, Steering(possible=True), Terms(within_s=60.0, then=Then.ANNOUNCE))
    executor = Executor(
        stage.registry,
        stage.observer.observe,
        stage.heard,
        stage.home,
        desired=desired,
        rooms=Told(),
        now_s=lambda: now[0],
    )
    executor.do(attrs.evolve(step(Action.DRAIN), rooms=("x", "y")), spec)
    now[0] = 1010.0
    executor.do(attrs.evolve(step(Action.DRAIN), rooms=("y", "z")), spec)
    found = record_of(spec)
    assert (found.process.pid, found.since_s, found.until_s, found.then) == (stage.pid(), 1000.0, 1060.0, Then.ANNOUNCE)
    assert found.by == f"pid {os.getpid()} of user {os.geteuid()}"
    assert found.alone == {"y": 1000.0, "z": 1010.0}
    assert stat.S_IMODE(drain_file(spec).stat().st_mode) == 0o600
    assert stage.registry.acted == []


def test_a_drain_of_what_does_not_run(stage: Stage) -> None:
    """There is nothing to drain."""
    stage.do(step(Action.REGISTER))
    with pytest.raises(PlanStale, match="does not run"):
        stage.do(step(Action.DRAIN))


def test_rooms_are_told_and_ended_and_a_drain_is_forgotten(stage: Stage, spec: LaunchSpec) -> None:
    """Over the port of the API, with the keys of the group; that they were told is recorded."""
    stage.run()
    told, now = Told(), [1000.0]
    desired = Desired({}, Steering(possible=True), Terms(idle_room_s=10.0))
    executor = Executor(
        stage.registry,
        stage.observer.observe,
        stage.heard,
        stage.home,
        desired=desired,
        rooms=told,
        now_s=lambda: now[0],
    )
    key = stage.registry.stored["api_key"]
    executor.do(attrs.evolve(step(Action.DRAIN), rooms=("met", "tab")), spec)
    now[0] = 1005.0
    executor.do(attrs.evolve(step(Action.DRAIN), rooms=("met", "tab", "new")), spec)
    now[0] = 1010.0
    assert executor.do(step(Action.ANNOUNCE), spec).outcome == "told 2 rooms"
    assert record_of(spec).announced is True
    ended = executor.do(attrs.evolve(step(Action.END_ROOMS), rooms=("met", "tab", "new", "gone")), spec)
    assert ended.outcome == "ended tab"
    assert told.asked == [
        ("tell", "http", [key], "drain"),
        ("end", "http", [key], "met"),
        ("end", "http", [key], "tab"),
    ]
    executor.do(step(Action.CANCEL), spec)
    assert recorded_drain(spec) is None
    executor.do(step(Action.CANCEL), spec)


def test_a_stop_signal_to_people_is_recorded_before_and_after(stage: Stage, spec: LaunchSpec) -> None:
    """Who dies in between leaves word that it may have been sent."""
    stage.run()
    signals = []

    class Watching(MemoryRegistry):
        def stop(self, instance: str) -> None:
            signals.append(record_of(spec).signal)
            super().stop(instance)
            signals.append(record_of(spec).signal)

    stage.registry.__class__ = Watching
    stage.do(step(Action.STOP))
    assert signals == [Signal.SENDING, Signal.SENDING]
    assert recorded_drain(spec) is None  # it has ended, and its drain with it


def test_a_stop_of_what_nobody_is_in_needs_no_record(stage: Stage, spec: LaunchSpec) -> None:
    """Nobody can be hit by a second one."""
    stage.run()
    drain_file(spec).unlink(missing_ok=True)
    stage.do(step(Action.STOP, IDLE))
    assert not drain_file(spec).exists()
