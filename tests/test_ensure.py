"""The loop: a no-op that touches nothing, one start whatever the number of callers, the same end after any fault."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from hero_livekit_units.ensure import ensure
from hero_livekit_units.errors import RegistryError, StepFailed, StepTimedOut
from hero_livekit_units.execute.lock import acting_lock
from hero_livekit_units.livekit.desired import desired_specs
from hero_livekit_units.livekit.keys import read_all
from hero_livekit_units.model.observed import EntryState, InstanceSeen, Verdict
from hero_livekit_units.model.plain import plain
from hero_livekit_units.model.plan import Goal
from hero_livekit_units.model.settings import BackendSettings, LivekitSettings, LogLevel, Settings
from hero_livekit_units.observe.files import files_that_differ
from tests.fakes.registry import Fault, MemoryRegistry, ReflectingObserver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.receipt import Receipt

MEDIA, BACKEND = "livekit-server@a", "lk-backend"

# What an ensure on an empty host asks of the supervisor, in this order.
ACTS = [
    "store_secret api_key",
    "store_secret api_secret",
    "store_secret backend_secret",
    f"register {MEDIA}",
    f"start {MEDIA}",
    f"register {BACKEND}",
    f"start {BACKEND}",
    "record",
]


class Host:
    """A host in memory: its folder, its supervisor, what is wanted of it."""

    def __init__(self, catalog: Catalog, home: Path) -> None:
        self.catalog = catalog
        self.home = home
        self.registry = MemoryRegistry()
        self.settings = Settings()
        self.restart: dict[str, Any] = {}  # what differs from the definitions' [restart]

    def desired(self, secrets: Mapping[str, Any] | None) -> tuple[LaunchSpec, ...]:
        """The desired state, given the secrets."""
        home, python = str(self.home), sys.executable
        specs = desired_specs(self.catalog, self.settings, home=home, python=python, secrets=secrets)
        return tuple(attrs.evolve(spec, restart=attrs.evolve(spec.restart, **self.restart)) for spec in specs)

    @property
    def specs(self) -> tuple[LaunchSpec, ...]:
        """The desired state as it is now."""
        return self.desired(read_all(self.registry).values)

    def ensure(
        self,
        goal: Goal = Goal.RUN,
        *,
        people: int | None = 0,
        observer: ReflectingObserver | None = None,
        allow_drop: bool = False,
    ) -> Receipt:
        """One ensure, as a caller of its own."""
        looking = observer or ReflectingObserver(self.registry)
        looking.people = people
        return ensure(
            self.desired,
            registry=self.registry,
            observer=looking,
            home=self.home,
            goal=goal,
            allow_drop=allow_drop,
        )

    def runs(self) -> dict[str, str]:
        """The launch digest of everything that runs."""
        return {
            name: self.registry.running[name].launch_digest
            for name, entry in self.registry.entries.items()
            if entry.process is not None and entry.state is EntryState.RUNNING
        }

    def converged(self) -> bool:
        """Whether all is as wanted: processes, entries and files."""
        secrets = read_all(self.registry).values
        wanted = {spec.instance: spec.launch_digest for spec in self.specs}
        entries = {spec.instance: spec.digest for spec in self.specs}
        return (
            self.runs() == wanted
            and {name: entry.digest for name, entry in self.registry.entries.items()} == entries
            and [files_that_differ(spec, secrets) for spec in self.specs] == [(), ()]
        )

    def files(self) -> dict[str, tuple[int, int, int]]:
        """Inode, time of change and mode of all that lies in the folder."""
        found = [(path, path.stat()) for path in [self.home, *self.home.rglob("*")]]
        return {str(path): (stat.st_ino, stat.st_mtime_ns, stat.st_mode) for path, stat in found}


@pytest.fixture
def host(catalog: Catalog, tmp_path: Path) -> Host:
    """Nothing is there."""
    return Host(catalog, tmp_path / "home")


def test_an_empty_host(host: Host) -> None:
    """Secrets, files, entries, processes, in this order; then all is as wanted, and the receipt says so."""
    receipt = host.ensure()
    assert host.registry.acted == ACTS
    assert host.converged()
    assert (receipt.converged, receipt.changed, receipt.refusals) == (True, True, ())
    assert [plain(done.step)["step"] for done in receipt.done] == ["write-files", "register", "start"] * 2
    assert [state.verdict for state in receipt.before] == [Verdict.STOPPED, Verdict.STOPPED]
    assert [state.verdict for state in receipt.after] == [Verdict.HEALTHY, Verdict.HEALTHY]
    assert [state.people for state in receipt.after] == [0, None]


def test_a_no_op_touches_nothing(host: Host) -> None:
    """No write to the supervisor, no file rewritten, not even the lock is taken; and one look is enough."""
    host.ensure()
    acted, files = list(host.registry.acted), host.files()
    receipt = host.ensure(people=7)
    assert (receipt.converged, receipt.changed, receipt.done, receipt.looks) == (True, False, (), 1)
    assert host.registry.acted == acted
    assert host.files() == files


def test_a_no_op_needs_no_lock(host: Host) -> None:
    """While somebody acts, who has nothing to do is not kept waiting."""
    host.ensure()
    with acting_lock(host.home, timeout_s=0.0):
        assert host.ensure().looks == 1


def test_configure_starts_nothing(host: Host) -> None:
    """Files and entries only; a run afterwards has only to start."""
    host.ensure(Goal.CONFIGURE)
    assert host.runs() == {}
    assert [files_that_differ(spec, read_all(host.registry).values) for spec in host.specs] == [(), ()]
    host.registry.acted.clear()
    host.ensure()
    assert host.registry.acted == [f"start {MEDIA}", f"start {BACKEND}", "record"]


def test_the_history_is_kept_by_the_supervisor(host: Host) -> None:
    """What was done is on record, without a secret."""
    receipt = host.ensure()
    ((source, text),) = host.registry.recorded
    assert source == "hero_livekit.ensure"
    assert json.loads(text) == json.loads(json.dumps(plain(receipt)))
    assert not any(value in text for value in host.registry.stored.values())


def test_a_crashed_unit_is_started_again_and_the_other_left_alone(host: Host) -> None:
    """Only what does not run gets a step."""
    host.ensure()
    backend = host.registry.entries[BACKEND].process
    host.registry.crash(MEDIA)
    host.registry.acted.clear()
    host.ensure()
    assert host.registry.acted == [f"start {MEDIA}", "record"]
    assert host.registry.entries[BACKEND].process == backend


def test_a_changed_setting_of_the_backend(host: Host) -> None:
    """lk-backend carries no calls: it is replaced, and the media are not touched, people or not."""
    host.ensure()
    media = host.registry.entries[MEDIA].process
    host.settings = Settings(backend=BackendSettings(ports={"http": 8090}))
    host.registry.acted.clear()
    receipt = host.ensure(people=9)
    assert host.registry.acted == [f"register {BACKEND}", f"restart {BACKEND}", "record"]
    assert receipt.converged
    assert host.registry.entries[MEDIA].process == media
    assert host.converged()


@pytest.mark.parametrize(("people", "told"), [(2, "cut off 2 people"), (None, "who is in a call is unknown")])
def test_a_changed_setting_of_media_in_use(people: int | None, told: str, host: Host) -> None:
    """With people in calls, or perhaps with people, the running process stays and the refusal says why."""
    host.ensure()
    media = host.registry.entries[MEDIA].process
    host.settings = Settings(livekit=LivekitSettings(log_level=LogLevel.DEBUG))
    receipt = host.ensure(people=people)
    assert not receipt.converged
    assert [refusal.instance for refusal in receipt.refusals] == [MEDIA]
    assert told in receipt.refusals[0].because
    assert host.registry.entries[MEDIA].process == media
    assert host.ensure(people=0).converged
    assert host.registry.entries[MEDIA].process != media
    assert host.converged()


def test_people_join_between_look_and_act(host: Host) -> None:
    """The plan was made when nobody was there; in the moment of acting somebody is, and is not cut off."""
    host.ensure()
    media = host.registry.entries[MEDIA].process
    host.settings = Settings(livekit=LivekitSettings(log_level=LogLevel.DEBUG))
    observer = ReflectingObserver(host.registry)
    looks = 0

    def count(found: InstanceSeen) -> InstanceSeen:
        nonlocal looks
        looks += found.spec.instance == MEDIA
        observer.people = 4 if looks >= 2 else 0
        return found

    observer.distort = count
    with pytest.raises(StepFailed, match="4 people are in a call now"):
        host.ensure(observer=observer)
    assert host.registry.entries[MEDIA].process == media


def test_stop(host: Host) -> None:
    """The backend first, so that nobody joins what is ending; a second stop has nothing to do."""
    host.ensure()
    host.registry.acted.clear()
    assert host.ensure(Goal.STOP).converged
    assert host.registry.acted == [f"stop {BACKEND}", f"stop {MEDIA}", "record"]
    assert host.runs() == {}
    assert not host.ensure(Goal.STOP).changed


def test_stop_with_people_in_calls(host: Host) -> None:
    """Refused for the media, unless the user says the word."""
    host.ensure()
    receipt = host.ensure(Goal.STOP, people=3)
    assert [refusal.instance for refusal in receipt.refusals] == [MEDIA]
    assert list(host.runs()) == [MEDIA]
    host.registry.acted.clear()
    assert host.ensure(Goal.STOP, people=3, allow_drop=True).converged
    assert host.registry.acted == [f"stop {MEDIA}", f"kill {MEDIA}", "record"]


@pytest.mark.parametrize("goal", list(Goal))
def test_without_the_supervisor_nothing_is_done(goal: Goal, host: Host) -> None:
    """Unknown is not stopped: nothing is started, stopped or written."""
    host.ensure()
    acted, files = list(host.registry.acted), host.files()
    host.registry.answers = False
    receipt = host.ensure(goal)
    assert not receipt.converged
    assert [refusal.instance for refusal in receipt.refusals] == ["hero_proc"]
    assert (host.registry.acted, host.files()) == (acted, files)


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("at", range(1, len(ACTS) + 1), ids=[act.replace(" ", "-") for act in ACTS])
def test_a_fault_at_each_call(at: int, fault: Fault, host: Host) -> None:
    """Refused, or done with the answer lost: ensure again reaches the same end, each unit started once."""
    host.registry = MemoryRegistry({at: fault})
    if ACTS[at - 1] == "record":
        assert host.ensure().converged  # the history is a convenience
    else:
        with pytest.raises(RegistryError):
            host.ensure()
        secrets = dict(host.registry.stored)
        assert host.ensure().converged
        assert secrets.items() <= host.registry.stored.items()
    assert host.converged()
    given = {entry.process.pid for entry in host.registry.entries.values() if entry.process}
    assert given == {5_000_001, 5_000_002}
    assert not host.ensure().changed


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_fault_at_each_call_of_an_upgrade(at: int, fault: Fault, host: Host) -> None:
    """As above, with a running group whose settings change."""
    host.ensure()
    before = {name: entry.process for name, entry in host.registry.entries.items()}
    host.registry._faults = {len(host.registry.acted) + at: fault}
    network = attrs.evolve(Settings().network, bind="127.0.0.2")
    host.settings = Settings(network=network)
    with pytest.raises(RegistryError):
        host.ensure()
    assert host.ensure().converged
    assert host.converged()
    assert all(entry.process != before[name] for name, entry in host.registry.entries.items())


@pytest.mark.parametrize("at", [0, 1], ids=[MEDIA, BACKEND])
def test_a_file_that_cannot_be_written(at: int, host: Host) -> None:
    """A disk that is full, or a folder in the way: nothing of that unit is started; then it is mended and goes on."""
    blocked = Path(host.specs[at].files[0].path)
    blocked.mkdir(parents=True)
    blocked.joinpath("something").touch()
    with pytest.raises(StepFailed, match=f"cannot write {blocked}"):
        host.ensure()
    assert host.specs[at].instance not in host.runs()
    blocked.joinpath("something").unlink()
    blocked.rmdir()
    assert host.ensure().converged
    assert host.converged()


def test_a_unit_that_does_not_get_ready(host: Host) -> None:
    """The error comes when its time is up; ensure again waits for it and starts no second copy."""
    host.restart = {"ready_within_s": 0.05}
    slow = ReflectingObserver(host.registry)
    slow.distort = lambda found: (
        attrs.evolve(found, verdict=Verdict.STARTING, because="not ready yet") if found.process else found
    )
    with pytest.raises(StepTimedOut, match="not ready yet"):
        host.ensure(observer=slow)
    process = host.registry.entries[MEDIA].process
    assert process is not None
    assert host.ensure().converged
    assert host.registry.entries[MEDIA].process == process


@pytest.mark.parametrize("callers", [2, 8])
def test_many_at_once(callers: int, host: Host) -> None:
    """One acts, the others find it done: one process a unit, every secret made once, and all of them succeed."""
    together = threading.Barrier(callers)
    receipts: list[Receipt] = []

    def call() -> None:
        together.wait(10.0)
        receipts.append(host.ensure())

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [receipt.converged for receipt in receipts] == [True] * callers
    assert [receipt.changed for receipt in receipts].count(True) == 1
    assert host.registry.acted == ACTS
    assert host.converged()


def test_a_world_that_never_settles(host: Host) -> None:
    """Somebody else changes things as fast as we do: it ends, and does not claim to have converged."""
    host.ensure()
    observer = ReflectingObserver(host.registry)
    observer.distort = lambda found: attrs.evolve(
        found, files_differ=(found.spec.files[0].path,) if found.spec.instance == BACKEND else found.files_differ
    )
    receipt = host.ensure(observer=observer)
    assert not receipt.converged
    assert receipt.changed
    assert receipt.looks <= 10


def test_a_home_that_cannot_be_made(host: Host) -> None:
    """One of our errors, before anything was asked of the supervisor."""
    host.home.touch()
    with pytest.raises(StepFailed, match="cannot act on the media group"):
        host.ensure()
    assert host.registry.acted == []
    assert os.path.getsize(host.home) == 0  # noqa: PTH202


def test_who_meets_a_unit_in_between_two_states_looks_again_when_its_turn_has_come(host: Host) -> None:
    """A refusal that rests on a moment in which somebody else was acting is not the last word."""
    host.ensure()
    observer = ReflectingObserver(host.registry)
    looked = []

    def in_between(found: InstanceSeen) -> InstanceSeen:
        looked.append(found)
        return attrs.evolve(found, verdict=Verdict.UNKNOWN) if len(looked) == 1 else found

    observer.distort = in_between
    receipt = host.ensure(observer=observer)
    assert (receipt.converged, receipt.changed, receipt.looks) == (True, False, 2)
