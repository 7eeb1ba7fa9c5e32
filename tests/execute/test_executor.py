"""Each step: what it needs, what it does, and what it waits for."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from hero_livekit_units.errors import EntryNotFound, RegistryUnavailable, StepFailed, StepTimedOut
from hero_livekit_units.execute.executor import Executor, Silent
from hero_livekit_units.livekit.desired import desired_specs
from hero_livekit_units.model.observed import InstanceSeen, Verdict
from hero_livekit_units.model.plan import AwaitReady, Register, Restart, Start, Step, Stop, WriteFiles
from hero_livekit_units.model.settings import Settings
from tests.fakes.registry import Fault, MemoryRegistry, ReflectingObserver

if TYPE_CHECKING:
    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.launch import LaunchSpec

MEDIA = "livekit-server@a"


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
        self.registry = MemoryRegistry(dict(faults))
        self.observer = ReflectingObserver(self.registry)
        self.heard = Heard()
        self.executor = Executor(self.registry, self.observer.observe, self.heard)

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
    stage.executor.do(WriteFiles(MEDIA, "missing"), spec)
    stage.registry.acted.clear()
    stage.heard.steps.clear()
    return stage


def never_ready(found: InstanceSeen) -> InstanceSeen:
    """As if it did not answer."""
    return attrs.evolve(found, verdict=Verdict.STARTING, because="pid 1 is 0.1 s old and not ready: no answer")


def test_write_files(stage: Stage, spec: LaunchSpec) -> None:
    """The files are there with their secrets, for the owner alone; the secrets were made first."""
    path = Path(spec.files[0].path)
    assert stage.do(WriteFiles(MEDIA, "missing")) == f"wrote {path}"
    assert stage.registry.stored["api_secret"] in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_write_files_says_no_secret(stage: Stage) -> None:
    """Neither the outcome nor what is heard holds one."""
    outcome = stage.do(WriteFiles(MEDIA, "missing"))
    assert not any(value in f"{outcome}{stage.heard.steps}" for value in stage.registry.stored.values())


def test_register(stage: Stage) -> None:
    """A second time there is nothing to write, and that is told."""
    assert stage.do(Register(MEDIA, "not known")) == "registered"
    assert stage.do(Register(MEDIA, "not known")) == "was registered like this already"
    assert stage.registry.acted == [f"register {MEDIA}"]


@pytest.mark.parametrize(
    "step", [Start(MEDIA, "", ""), Restart(MEDIA, "", "", idle_only=False)], ids=["start", "restart"]
)
def test_no_start_on_files_with_other_secrets(step: Step, stage: Stage) -> None:
    """A key that changed after the files were written would be a 401 for everybody: nothing is started on it."""
    stage.run()
    stage.registry.stored["api_key"] = "APIother"
    with pytest.raises(StepFailed, match=r"livekit\.yaml changed since it was written"):
        stage.do(step)
    assert stage.registry.acted == []


def test_start(stage: Stage) -> None:
    """It is started, and waited for until it is ready."""
    stage.do(Register(MEDIA, "not known"))
    step = Start(MEDIA, "it does not run", "new calls become possible")
    assert stage.do(step) == f"ready as pid {stage.pid()}"
    assert stage.heard.steps[-1] == step


def test_start_of_what_is_not_registered(stage: Stage) -> None:
    """The supervisor's word goes to the caller as it is."""

    class Forgetful(MemoryRegistry):
        def start(self, instance: str) -> None:
            raise EntryNotFound("service.start", f"service not found: {instance}", code=-32000)

    registry = Forgetful()
    registry.stored = stage.registry.stored
    executor = Executor(registry, stage.observer.observe, Silent())
    with pytest.raises(EntryNotFound, match="service not found"):
        executor.do(Start(MEDIA, "it does not run", ""), stage.spec)


def test_start_that_does_not_get_ready(stage: Stage) -> None:
    """The error says for how long it was waited, why it is not ready, how it ended last, and where its log is."""
    stage.do(Register(MEDIA, "not known"))
    stage.observer.distort = lambda found: attrs.evolve(
        never_ready(found), entry=attrs.evolve(found.entry, last_error="exit status 0") if found.entry else None
    )
    with pytest.raises(StepTimedOut) as caught:
        stage.do(Start(MEDIA, "it does not run", ""))
    assert str(caught.value) == (
        f"cannot see {MEDIA} be ready within 0.15 s: pid 1 is 0.1 s old and not ready: no answer; "
        "its last end: exit status 0"
    )
    assert caught.value.hint == "its log: /logs/it.log"
    assert set(stage.heard.waits) == {(MEDIA, "pid 1 is 0.1 s old and not ready: no answer")}


def test_start_while_a_stranger_takes_the_port(stage: Stage) -> None:
    """There is no point in waiting, and the stranger is left alone."""
    stage.do(Register(MEDIA, "not known"))
    stage.observer.distort = lambda found: attrs.evolve(found, verdict=Verdict.FOREIGN, because="held by pid 666")
    with pytest.raises(StepFailed, match="held by pid 666") as caught:
        stage.do(Start(MEDIA, "it does not run", ""))
    assert caught.value.hint == "nothing of that process was touched"
    assert stage.registry.acted == [f"register {MEDIA}", f"start {MEDIA}"]


def test_ready_is_only_what_the_supervisor_owns(stage: Stage) -> None:
    """A healthy process that the supervisor does not hold is not the one that was started."""
    stage.run()
    stage.observer.distort = lambda found: attrs.evolve(found, entry=None)
    with pytest.raises(StepTimedOut):
        stage.do(AwaitReady(MEDIA, "it is starting"))


def test_await_ready(stage: Stage) -> None:
    """It only waits."""
    stage.run()
    looks = iter([never_ready, never_ready])

    def late(found: InstanceSeen) -> InstanceSeen:
        change = next(looks, None)
        return change(found) if change else found

    stage.observer.distort = late
    assert stage.do(AwaitReady(MEDIA, "it is starting")) == f"ready as pid {stage.pid()}"
    assert stage.registry.acted == []
    assert len(stage.heard.waits) == 2


def test_restart(stage: Stage) -> None:
    """Ready means that another process is ready, not that the old one still is."""
    stage.run()
    before = stage.pid()
    assert stage.do(Restart(MEDIA, "another release", "", idle_only=True)) == f"ready as pid {stage.pid()}"
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
        Executor(deaf, stage.observer.observe, Silent()).do(Restart(MEDIA, "", "", idle_only=False), stage.spec)


@pytest.mark.parametrize(
    ("people", "reason"), [(3, "3 people are in a call now"), (None, "who is in a call is unknown now")]
)
@pytest.mark.parametrize(
    "step", [Restart(MEDIA, "", "", idle_only=True), Stop(MEDIA, "", "", idle_only=True)], ids=["restart", "stop"]
)
def test_people_join_between_plan_and_step(step: Step, people: int | None, reason: str, stage: Stage) -> None:
    """What may only happen while nobody is in a call is checked in the moment of acting; then nothing is touched."""
    stage.run()
    stage.observer.people = people
    with pytest.raises(StepFailed, match=reason) as caught:
        stage.do(step)
    assert caught.value.hint == "ensure again later"
    assert stage.registry.acted == []


def test_stop(stage: Stage) -> None:
    """One stop, and the end is waited for; nothing is killed."""
    stage.run()
    assert stage.do(Stop(MEDIA, "asked for", "", idle_only=True)) == "ended"
    assert stage.registry.acted == [f"stop {MEDIA}"]


def test_forced_stop(stage: Stage) -> None:
    """With people in calls, by the user's word: the signal first, so that it is not wanted any more, then the kill."""
    stage.run()
    stage.observer.people = 5
    assert stage.do(Stop(MEDIA, "asked for", "", idle_only=False, force=True)) == "ended"
    assert stage.registry.acted == [f"stop {MEDIA}", f"kill {MEDIA}"]


def test_stop_that_takes_too_long(stage: Stage) -> None:
    """It gets no second signal."""
    stage.run()
    old = stage.observer.observe([stage.spec]).instances[0]
    stage.observer.distort = lambda _: old
    with pytest.raises(StepTimedOut, match=f"cannot see {MEDIA} end within 0.15 s"):
        stage.do(Stop(MEDIA, "asked for", "", idle_only=False))
    assert stage.registry.acted == [f"stop {MEDIA}"]


def test_unseen_is_not_ended(stage: Stage) -> None:
    """When nobody can look, the end is not concluded."""
    stage.run()
    stage.observer.distort = lambda found: attrs.evolve(found, verdict=Verdict.UNKNOWN, because="could not look")
    with pytest.raises(StepTimedOut, match="could not look"):
        stage.do(Stop(MEDIA, "asked for", "", idle_only=False))


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize(
    "step",
    [
        Register(MEDIA, "not known"),
        Start(MEDIA, "", ""),
        Restart(MEDIA, "", "", idle_only=False),
        Stop(MEDIA, "", "", idle_only=False),
        WriteFiles(MEDIA, "missing"),
    ],
    ids=lambda step: type(step).__name__,
)
def test_a_supervisor_that_goes_away_within_a_step(step: Any, fault: Fault, spec: LaunchSpec) -> None:
    """The caller hears it, whether the supervisor acted before or not."""
    number = 1 if isinstance(step, Register | WriteFiles) else 3
    stage = Stage(spec, (number, fault))
    if number == 3:
        stage.registry.register(spec)
        stage.registry.start(MEDIA)
    with pytest.raises(RegistryUnavailable):
        stage.do(step)
    assert len(stage.registry.acted) == number
