"""The gate while a livekit-server is replaced: shut before the last look, open again whatever becomes of the step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

import hero_livekit_units
from hero_livekit_units.backend.gate import GateFile
from hero_livekit_units.errors import PlanStale, StepFailed, StepTimedOut
from hero_livekit_units.execute.executor import SETTLE_S, Executor, Silent
from hero_livekit_units.execute.files import Disk
from hero_livekit_units.livekit.desired import desired_specs
from hero_livekit_units.livekit.gate import LEASE_S
from hero_livekit_units.model.observed import InstanceSeen, Observed, Verdict
from hero_livekit_units.model.plan import Action, Effect, Interruption, Needs, Step
from hero_livekit_units.model.settings import Settings
from tests.fakes.registry import MemoryRegistry, ReflectingObserver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.launch import LaunchSpec

MEDIA = "livekit-server@a"
SWAP = ["shut", "look", f"restart {MEDIA}", "look", "open"]


def step(action: Action = Action.RESTART, needs: Needs = Needs(people_at_most=0)) -> Step:  # noqa: B008  a value
    """A step of this kind; an idle swap if nothing else is said."""
    return Step(action, MEDIA, "", "a reason", Effect(Interruption.NONE, "none"), needs)


class Told(Disk):
    """The disk, and what was done to the gate."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    def write_text(self, path: Path, text: str) -> None:
        """Shut, or renewed."""
        super().write_text(path, text)
        self._log.append("shut")

    def remove(self, path: Path) -> None:
        """Opened."""
        super().remove(path)
        self._log.append("open")


class Stage:
    """A livekit-server that runs in a supervisor in memory, and a clock that goes on only while somebody sleeps.

    later: what happens at a time, once.
    """

    def __init__(self, spec: LaunchSpec, home: Path) -> None:
        self.spec = spec
        self.now_s = 5000.0
        self.registry = MemoryRegistry()
        self.log = self.registry.acted
        self.observer = ReflectingObserver(self.registry)
        self.later: dict[float, Callable[[], object]] = {}
        self.gate = GateFile(home / "gate.json", clock=lambda: self.now_s)
        self.executor = Executor(
            self.registry,
            self._observe,
            Silent(),
            home,
            disk=Told(self.log),
            clock=lambda: self.now_s,
            sleep=self._sleep,
        )
        self.executor.do(step(Action.WRITE_FILES), spec)
        self.registry.register(spec)
        self.registry.start(MEDIA)
        self.log.clear()

    def words(self) -> list[str]:
        """What was done, in order; several looks in a row are one."""
        return [word for at, word in enumerate(self.log) if at == 0 or word != "look" or self.log[at - 1] != "look"]

    def _observe(self, specs: Sequence[LaunchSpec]) -> Observed:
        if self.log:
            self.log.append("look")  # of those since the gate was shut
        return self.observer.observe(specs)

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds
        for at_s in [at_s for at_s in self.later if at_s <= self.now_s]:
            self.later.pop(at_s)()


@pytest.fixture
def stage(catalog: Catalog, tmp_path: Path) -> Stage:
    """Nobody is in a call."""
    media, _ = desired_specs(catalog, Settings(), home=str(tmp_path), python=sys.executable)
    return Stage(media, tmp_path)


def test_an_idle_swap(stage: Stage) -> None:
    """Shut, time for those on their way, the last look, the restart, ready, open."""
    shut: list[bool] = []
    stage.later[5000.0 + SETTLE_S] = lambda: shut.append(stage.gate.now() is not None)
    assert stage.executor.do(step(), stage.spec).outcome.startswith("ready as pid ")
    assert stage.words() == SWAP
    assert shut == [True]
    assert stage.gate.now() is None
    assert not list(Path(stage.spec.folder).parents[1].glob("*gate.json*"))


@pytest.mark.parametrize("people", [1, None])
def test_somebody_has_come_with_a_token_of_before(people: int | None, stage: Stage) -> None:
    """The server is left alone, and the gate is open at once: not only when all the time for them is over."""
    stage.later[5000.2] = lambda: setattr(stage.observer, "people", people)
    with pytest.raises(PlanStale, match=r"in a call"):
        stage.executor.do(step(), stage.spec)
    assert stage.words() == ["shut", "look", "open"]
    assert stage.now_s < 5000.0 + SETTLE_S / 2


def test_a_plan_that_is_stale_already_shuts_nothing(stage: Stage) -> None:
    """Nobody is held for it."""
    stage.observer.people = 2
    with pytest.raises(PlanStale):
        stage.executor.do(step(), stage.spec)
    assert stage.log == []


@pytest.mark.parametrize(
    ("asked", "runs"),
    [
        (step(Action.STOP), True),
        (step(needs=Needs()), True),
        (step(), False),
        (step(Action.START, Needs(absent=True)), False),
        (step(Action.SWAP), True),
    ],
    ids=["stop", "not-only-while-idle", "nothing-runs", "start", "swap"],
)
def test_other_steps_shut_nothing(asked: Step, stage: Stage, *, runs: bool) -> None:
    """Only an idle swap has a moment that a join must not come in."""
    if not runs:
        stage.registry.kill(MEDIA)
    stage.executor.do(asked, stage.spec)
    assert {"shut", "open"}.isdisjoint(stage.log)


def test_a_slow_start_renews_the_lease(stage: Stage) -> None:
    """It is shut all the time until the new one is ready, however many leases that takes."""
    patient = attrs.evolve(stage.spec, restart=attrs.evolve(stage.spec.restart, ready_within_s=100.0))

    def late(found: InstanceSeen) -> InstanceSeen:
        if f"restart {MEDIA}" not in stage.log or stage.now_s > 5040.0:
            return found
        assert stage.gate.now() is not None
        return attrs.evolve(found, verdict=Verdict.STARTING, because="not ready")

    stage.observer.distort = late
    stage.executor.do(step(), patient)
    assert stage.log.count("shut") == 1 + int(40.0 / (LEASE_S / 2))
    assert stage.log[-1] == "open"


def test_one_that_does_not_get_ready(stage: Stage) -> None:
    """The step fails, and joins are let through to wherever they get."""
    stage.observer.distort = lambda found: attrs.evolve(
        found, verdict=Verdict.STARTING if f"restart {MEDIA}" in stage.log else found.verdict
    )
    with pytest.raises(StepTimedOut):
        stage.executor.do(step(), stage.spec)
    assert stage.gate.now() is None
    assert stage.log[-1] == "open"


@pytest.mark.parametrize("at_s", [0.1, SETTLE_S + 0.1], ids=["before-the-restart", "after-it"])
def test_an_interrupted_one(at_s: float, stage: Stage) -> None:
    """Ctrl-C opens it."""

    def interrupt() -> None:
        assert stage.gate.now() is not None
        raise KeyboardInterrupt

    stage.observer.distort = lambda found: attrs.evolve(
        found, verdict=Verdict.STARTING if f"restart {MEDIA}" in stage.log else found.verdict
    )
    stage.later[5000.0 + at_s] = interrupt
    with pytest.raises(KeyboardInterrupt):
        stage.executor.do(step(), stage.spec)
    assert stage.log[-1] == "open"
    assert (f"restart {MEDIA}" in stage.log) is (at_s > SETTLE_S)


def test_one_that_was_frozen_until_the_lease_had_ended(stage: Stage) -> None:
    """Tokens were handed out since: what was looked at before does not count."""
    stage.later[5000.0 + SETTLE_S] = lambda: stage._sleep(LEASE_S)
    with pytest.raises(PlanStale, match="looking took so long that the gate is open again"):
        stage.executor.do(step(), stage.spec)
    assert stage.words() == ["shut", "look", "open"]


def test_a_gate_that_cannot_be_shut(stage: Stage, tmp_path: Path) -> None:
    """The server is left alone; there is another time for it."""
    (tmp_path / "gate.json").mkdir()
    with pytest.raises(StepFailed, match=r"cannot write .*gate\.json"):
        stage.executor.do(step(), stage.spec)
    assert stage.log == []


def test_a_crash_leaves_a_gate_that_is_open(tmp_path: Path) -> None:
    """Its lease lasts, and counts for nothing, as who shut it is dead: even before its parent has asked."""
    script = (
        "import os, signal, sys, time; from pathlib import Path;"
        "from hero_livekit_units.execute.files import DISK; from hero_livekit_units.execute.gate import Gate;"
        "Gate(Path(sys.argv[1]), DISK, time.monotonic).shut('a reason');"
        "sys.stdin.read(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = str(Path(hero_livekit_units.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], env={"PYTHONPATH": root}, stdin=subprocess.PIPE
    ) as holder:
        gate = GateFile(tmp_path / "gate.json")
        while gate.now() is None:
            assert holder.poll() is None
        assert holder.stdin is not None
        holder.stdin.close()
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
        assert gate.now() is None
        assert holder.wait() == -signal.SIGKILL
    assert (tmp_path / "gate.json").is_file()
    assert gate.now() is None
