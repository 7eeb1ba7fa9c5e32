"""What a supervisor has lost is ended by its identity, and only what it really has lost."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import attrs
import pytest

from hero_livekit_units.errors import PlanStale, StepTimedOut
from hero_livekit_units.execute.executor import Executor
from hero_livekit_units.execute.lost import KERNEL, Kernel
from hero_livekit_units.livekit.desired import desired_specs
from hero_livekit_units.model.observed import InstanceSeen, Observed, ProcessId, Verdict
from hero_livekit_units.model.plan import Action, Effect, Interruption, Needs, Step
from hero_livekit_units.model.settings import Settings
from hero_livekit_units.procfs import start_time_of
from tests.fakes.registry import MemoryRegistry, ReflectingObserver
from tests.strategies import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.launch import LaunchSpec

BACKEND = "lk-backend"
ORPHAN = ProcessId(5_900_000, 7)


class Body(Kernel):
    """A process that nobody owns: what was sent to it, and what it ends by."""

    def __init__(self, *ends_by: str) -> None:
        self.sent: list[str] = []
        self._ends_by = ends_by

    def send(self, process: ProcessId, name: str) -> None:
        """Heard."""
        assert process == ORPHAN
        self.sent.append(name)

    def lives(self, process: ProcessId) -> bool:
        """Until it is sent what it ends by."""
        assert process == ORPHAN
        return not set(self.sent) & set(self._ends_by)


class Stage:
    """A supervisor that adopts nothing, which runs a copy of what serves."""

    def __init__(self, spec: LaunchSpec, home: Path, body: Body) -> None:
        self.spec = spec
        self.body = body
        self.adopts = False
        self.registry = MemoryRegistry()
        self._observer = ReflectingObserver(self.registry)
        self._observer.distort = self._distort
        self._now_s = 0.0
        self.executor = Executor(
            self.registry,
            self._observe,
            _Quiet(),
            home,
            kernel=body,
            clock=lambda: self._now_s,
            sleep=self._sleep,
        )
        self.executor.do(self.step(Action.WRITE_FILES), spec)
        self.registry.register(spec)
        self.registry.start(BACKEND)
        self.registry.acted.clear()

    def step(self, action: Action) -> Step:
        """A step for the orphan and no other."""
        needs = Needs() if action is Action.WRITE_FILES else Needs(process=ORPHAN)
        return Step(action, BACKEND, "", "a reason", Effect(Interruption.NONE, "none"), needs)

    def do(self, action: Action) -> str:
        """Do a step; its outcome."""
        return self.executor.do(self.step(action), self.spec).outcome

    def _sleep(self, seconds: float) -> None:
        self._now_s += seconds

    def _observe(self, specs: Sequence[LaunchSpec]) -> Observed:
        found = self._observer.observe(specs)
        return attrs.evolve(found, supervisor=attrs.evolve(found.supervisor, adopts=self.adopts))

    def _distort(self, found: InstanceSeen) -> InstanceSeen:
        if not self.body.lives(ORPHAN):
            return found
        there = found.process or process(self.spec)
        return attrs.evolve(found, process=attrs.evolve(there, id=ORPHAN), verdict=Verdict.HEALTHY)


class _Quiet:
    def step(self, step: Step) -> None:
        """Say nothing."""

    def waiting(self, instance: str, what: str) -> None:
        """Say nothing."""


@pytest.fixture
def spec(catalog: Catalog, tmp_path: Path) -> LaunchSpec:
    """A unit that is killed when it does not end in its time."""
    return desired_specs(catalog, Settings(), home=str(tmp_path), python=sys.executable)[1]


@pytest.fixture
def body() -> Body:
    """One that ends by its stop signal."""
    return Body("SIGTERM")


@pytest.fixture
def stage(spec: LaunchSpec, tmp_path: Path, body: Body) -> Stage:
    """A copy at the supervisor, an orphan that serves."""
    return Stage(spec, tmp_path, body)


def test_quieting_stops_the_copy_alone(stage: Stage, body: Body) -> None:
    """The orphan gets no signal."""
    assert stage.do(Action.QUIET) == "its copy is not wanted any more"
    assert stage.registry.acted == [f"stop {BACKEND}"]
    assert body.sent == []


def test_nothing_is_quieted_that_the_supervisor_may_find_again(stage: Stage, body: Body) -> None:
    """Then its copy may be the one that serves: the plan was made for another world."""
    stage.adopts = True
    with pytest.raises(PlanStale, match="the supervisor has it again"):
        stage.do(Action.QUIET)
    assert (stage.registry.acted, body.sent) == ([], [])


def test_a_restart_ends_the_orphan_before_the_next_one_starts(stage: Stage, body: Body) -> None:
    """The copy first, as it would take the port; then the orphan, by its stop signal, once."""
    assert stage.do(Action.RESTART).startswith("ready as pid ")
    assert stage.registry.acted == [f"stop {BACKEND}", f"start {BACKEND}"]
    assert body.sent == ["SIGTERM"]


def test_one_that_does_not_end_is_killed_where_its_definition_says_so(spec: LaunchSpec, tmp_path: Path) -> None:
    """After its window, and not before."""
    stage = Stage(spec, tmp_path, Body("SIGKILL"))
    assert spec.stop.kill_after_window
    stage.do(Action.RESTART)
    assert stage.body.sent == ["SIGTERM", "SIGKILL"]


def test_one_that_does_not_end_and_may_not_be_killed_is_told(spec: LaunchSpec, tmp_path: Path) -> None:
    """Nothing is started beside it."""
    stop = attrs.evolve(spec.stop, kill_after_window=False)
    stage = Stage(attrs.evolve(spec, stop=stop), tmp_path, Body("SIGKILL"))
    with pytest.raises(StepTimedOut, match="was asked to end, and lives"):
        stage.do(Action.RESTART)
    assert stage.registry.acted == [f"stop {BACKEND}"]


@pytest.mark.parametrize(("action", "signal"), [(Action.STOP, "SIGTERM"), (Action.KILL, "SIGKILL")])
def test_an_end_is_for_copy_and_orphan(action: Action, signal: str, spec: LaunchSpec, tmp_path: Path) -> None:
    """Neither lives after it."""
    stage = Stage(spec, tmp_path, Body(signal))
    assert stage.do(action) == "ended"
    assert stage.registry.acted == [f"stop {BACKEND}"]
    assert stage.body.sent == [signal]


def test_a_swap_of_what_was_lost_since_is_not_done(stage: Stage, body: Body) -> None:
    """The supervisor would kill its copy."""
    with pytest.raises(PlanStale, match="the supervisor has lost it since"):
        stage.do(Action.SWAP)
    assert (stage.registry.acted, body.sent) == ([], [])


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A real process."""
    with subprocess.Popen(["sleep", "60"]) as running:
        yield running
        running.kill()


def test_a_signal_goes_to_the_process_that_was_meant(child: subprocess.Popen[bytes]) -> None:
    """Not to one that has its pid and started at another time; one that is gone is no fault."""
    started = start_time_of(child.pid)
    assert started is not None
    KERNEL.send(ProcessId(child.pid, started - 1), "SIGKILL")
    assert KERNEL.lives(ProcessId(child.pid, started))
    KERNEL.send(ProcessId(child.pid, started), "SIGKILL")
    assert child.wait() == -9
    KERNEL.send(ProcessId(child.pid, started), "SIGKILL")
    assert not KERNEL.lives(ProcessId(child.pid, started))
