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

from hero_livekit_units.earlier import execute, foresee
from hero_livekit_units.ensure import ensure
from hero_livekit_units.errors import PlanStale, RegistryError, StepFailed, StepTimedOut
from hero_livekit_units.execute.lock import acting_lock
from hero_livekit_units.livekit.desired import desired_state
from hero_livekit_units.livekit.keys import read_all
from hero_livekit_units.look import Clock, Wish, World
from hero_livekit_units.model.desired import Desired
from hero_livekit_units.model.observed import CallsSeen, EntryState, InstanceSeen, Verdict
from hero_livekit_units.model.plain import plain
from hero_livekit_units.model.plan import Action, Allowed, Goal, Wait
from hero_livekit_units.model.settings import BackendSettings, LivekitSettings, LogLevel, Settings
from hero_livekit_units.observe.files import files_that_differ
from hero_livekit_units.plan.planner import plan
from tests.fakes.registry import Fault, MemoryRegistry, ReflectingObserver
from tests.strategies import UNSTEERED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.plan import Plan, Step
    from hero_livekit_units.model.receipt import Receipt
    from hero_livekit_units.registry.port import Recorded

MEDIA, BACKEND = "livekit-server@a", "lk-backend"

# What an ensure on an empty host asks of the supervisor, in this order.
ACTS = [
    "store_secret api_key",
    "store_secret api_secret",
    "store_secret backend_secret",
    f"register {MEDIA}",
    f"register {BACKEND}",
    f"start {MEDIA}",
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
        self.monotonic_s = 0.0
        self.restart: dict[str, Any] = {}  # what differs from the definitions' [restart]

    def desired(self, secrets: Mapping[str, Any] | None) -> Desired:
        """The desired state, given the secrets."""
        home, python = str(self.home), sys.executable
        found = desired_state(self.catalog, self.settings, home=home, python=python, secrets=secrets)
        return Desired({slot: tuple(map(self._hurried, specs)) for slot, specs in found.by_slot.items()}, UNSTEERED)

    def _hurried(self, spec: LaunchSpec) -> LaunchSpec:
        return attrs.evolve(spec, restart=attrs.evolve(spec.restart, **self.restart))

    @property
    def world(self) -> World:
        """Where it is done, with its own observer."""
        clock = Clock(monotonic_s=lambda: self.monotonic_s, sleep=self._sleep)
        return World(self.registry, ReflectingObserver(self.registry), self.home, clock)

    def _sleep(self, seconds: float) -> None:
        self.monotonic_s += seconds

    @property
    def specs(self) -> tuple[LaunchSpec, ...]:
        """The desired state as it is now."""
        return self.desired(read_all(self.registry).values).preferred

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
        wish = Wish(self.desired, goal, frozenset({Allowed.DROP} if allow_drop else ()))
        return ensure(wish, attrs.evolve(self.world, observer=looking))

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
    actions = [*["write-files"] * 2, "update", *["register"] * 2, *["start"] * 2]
    assert [str(done.step.action) for done in receipt.done] == actions
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
        observer.people = 4 if looks >= 3 else 0
        return found

    observer.distort = count
    receipt = host.ensure(observer=observer)
    assert [refusal.instance for refusal in receipt.refusals] == [MEDIA]
    assert "cut off 4 people" in receipt.refusals[0].because
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
    host.restart = {"ready_within_s": 0.05}
    act = ACTS[at - 1]
    if act == "record":
        assert host.ensure().converged  # the history is a convenience
    elif act.startswith(("start", "register")) and fault is Fault.LOST:
        # It is looked up whether it was done, and not asked for again.
        assert [done.outcome.endswith("the answer to it was lost") for done in host.ensure().done].count(True) == 1
        assert host.registry.acted.count(act) == 1
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
    host.restart = {"ready_within_s": 0.05}
    if fault is Fault.LOST:
        assert host.ensure().converged
    else:
        with pytest.raises(RegistryError):
            host.ensure()
    assert host.ensure().converged
    assert host.converged()
    assert all(entry.process != before[name] for name, entry in host.registry.entries.items())


@pytest.mark.parametrize("at", [0, 1], ids=[MEDIA, BACKEND])
def test_a_file_that_cannot_be_written(at: int, host: Host) -> None:
    """A disk that is full, or a folder in the way: nothing of that unit is started; then it is mended and goes on."""
    host.ensure(Goal.CONFIGURE)  # where the files lie depends on the secrets
    host.settings = Settings(network=attrs.evolve(Settings().network, bind="127.0.0.2"))
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
        found,
        files_differ=dict.fromkeys(found.files_differ, (found.spec.files[0].path,))
        if found.spec.instance == BACKEND
        else found.files_differ,
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


def test_a_plan_is_done_as_it_was_made(host: Host) -> None:
    """Exactly its steps, and all is as wanted; the receipt is in the history."""
    host.ensure(Goal.CONFIGURE)  # what is right depends on the secrets, which are made now
    found = foresee(Wish(host.desired), host.world)
    receipt = execute(found, Wish(host.desired), host.world)
    assert tuple(done.step.action for done in receipt.done) == tuple(step.action for step in found.steps)
    assert receipt.converged
    assert host.converged()
    assert json.loads(host.registry.recorded[-1][1])["id"] == receipt.id


def upgrade(host: Host) -> Plan:
    """The plan of a changed setting, for a group that runs."""
    host.ensure()
    host.settings = Settings(livekit=LivekitSettings(log_level=LogLevel.DEBUG))
    host.registry.acted.clear()
    return foresee(Wish(host.desired), host.world)


def test_a_plan_for_another_process_is_stale(host: Host) -> None:
    """What it was made for has gone: not even its first step is done."""
    found = upgrade(host)
    old = host.registry.entries[MEDIA].process
    host.registry.crash(MEDIA)
    host.registry.start(MEDIA)
    host.registry.acted.clear()
    with pytest.raises(PlanStale, match="it was pid 5000001, and is pid 5000003 now") as caught:
        execute(found, Wish(host.desired), host.world)
    assert old is not None
    assert caught.value.retryable
    assert host.registry.acted == []


def test_a_plan_is_stale_when_somebody_joined(host: Host) -> None:
    """Nobody was there when it was made."""
    found = upgrade(host)
    world = host.world
    busy = ReflectingObserver(host.registry)
    busy.people = 2
    with pytest.raises(PlanStale, match="2 people are in a call now"):
        execute(found, Wish(host.desired), attrs.evolve(world, observer=busy))
    assert host.registry.acted == []


def test_a_plan_that_gets_stale_on_the_way(host: Host) -> None:
    """Somebody joins between two steps: it stops there, and the history says what was done."""
    found = upgrade(host)
    observer = ReflectingObserver(host.registry)

    def late(seen: InstanceSeen) -> InstanceSeen:
        joined = seen.calls is not None and f"register {MEDIA}" in host.registry.acted
        return attrs.evolve(seen, calls=CallsSeen(1, 2, "debug-rooms")) if joined else seen

    observer.distort = late
    with pytest.raises(PlanStale, match="2 people are in a call now") as caught:
        execute(found, Wish(host.desired), attrs.evolve(host.world, observer=observer))
    assert host.registry.acted == [f"register {MEDIA}", "record"]
    failed = json.loads(host.registry.recorded[-1][1])
    assert [did["step"]["action"] for did in failed["done"]] == ["write-files", "register"]
    assert failed["failed"] == str(caught.value)


def test_a_plan_for_an_empty_host(host: Host) -> None:
    """The secrets are made when it is executed, and it is the same plan for all that."""
    found = foresee(Wish(host.desired), host.world)
    assert host.registry.acted == []
    receipt = execute(found, Wish(host.desired), host.world)
    assert receipt.converged
    assert [(done.step.action, done.step.instance) for done in receipt.done] == [
        (step.action, step.instance) for step in found.steps
    ]
    assert host.registry.acted == ACTS
    assert host.converged()


def test_a_plan_to_stop(host: Host) -> None:
    """A stop needs no secrets, and makes none."""
    host.ensure()
    found = foresee(Wish(host.desired, Goal.STOP), host.world)
    host.registry.stored.clear()
    receipt = execute(found, Wish(host.desired), host.world)
    assert (receipt.goal, receipt.converged) == (Goal.STOP, True)
    assert (host.runs(), host.registry.stored) == ({}, {})


def test_a_plan_is_stale_when_another_one_registered(host: Host) -> None:
    """What stands there is neither what the plan saw nor what it wants."""
    found = upgrade(host)
    host.registry.entries[MEDIA] = attrs.evolve(host.registry.entries[MEDIA], digest="f" * 16)
    with pytest.raises(PlanStale, match="somebody else has registered it in another form since"):
        execute(found, Wish(host.desired), host.world)
    assert [act for act in host.registry.acted if act != "record"] == []


def test_a_plan_is_stale_when_media_toml_changed(host: Host) -> None:
    """Nothing is done by a definition that nobody wants any more."""
    found = upgrade(host)
    host.settings = Settings(livekit=LivekitSettings(log_level=LogLevel.ERROR))
    with pytest.raises(PlanStale, match="it should run in another way by now"):
        execute(found, Wish(host.desired), host.world)
    assert host.registry.acted == []


@pytest.mark.parametrize("at", range(6))
def test_ctrl_c_at_each_step(at: int, host: Host) -> None:
    """The history says where it stood, and the next ensure goes on from there to the same end."""

    class Impatient:
        """Interrupts the beginning of a step."""

        def __init__(self) -> None:
            self.begun = 0

        def step(self, _step: Step) -> None:
            """A step begins."""
            self.begun += 1
            if self.begun > at:
                raise KeyboardInterrupt

        def waiting(self, instance: str, what: str) -> None:
            """Nothing of interest."""

    with pytest.raises(KeyboardInterrupt):
        ensure(Wish(host.desired), host.world, Impatient())
    told = [json.loads(text) for _, text in host.registry.recorded]
    assert [receipt["failed"].startswith("interrupted at ") for receipt in told] == [True] * bool(at)
    assert [len(receipt["done"]) for receipt in told] == [at] * bool(at)
    assert host.ensure().converged
    assert host.converged()
    assert [act for act in host.registry.acted if act != "record"] == [act for act in ACTS if act != "record"]


class Waiting(World):
    """Somebody else has the lock first, and does something with it."""

    def lock(self) -> AbstractContextManager[None]:
        """Wait for it."""
        MEANWHILE.pop()()
        return super().lock()


MEANWHILE: list[Callable[[], object]] = []


def test_who_waited_is_told_who_did_it(host: Host) -> None:
    """The loser of a race has the number of the winner's receipt, and did nothing."""
    won: list[Receipt] = []
    MEANWHILE.append(lambda: won.append(host.ensure()))
    world = host.world
    lost = ensure(Wish(host.desired), Waiting(world.registry, world.observer, world.home))
    assert (lost.converged, lost.changed, lost.done_by) == (True, False, won[0].id)
    assert won[0].done_by == ""


def test_who_waited_does_not_undo_what_the_other_wanted(host: Host) -> None:
    """A conflict names the other and what it did; asked again, the call is the user's own word."""
    host.ensure(Goal.CONFIGURE)  # with the secrets there, only the wish is another one
    other = Host(host.catalog, host.home)
    other.registry = host.registry
    other.settings = Settings(livekit=LivekitSettings(log_level=LogLevel.DEBUG))
    MEANWHILE.append(other.ensure)
    world = host.world
    did = f"pid {os.getpid()} of user {os.geteuid()} did "
    with pytest.raises(PlanStale, match=did) as caught:
        ensure(Wish(host.desired), Waiting(world.registry, world.observer, world.home))
    assert "by another definition meanwhile" in str(caught.value)
    assert other.converged()
    assert host.ensure().converged
    assert host.converged()


def test_the_winner_is_in_the_history_before_the_next_one_looks(host: Host) -> None:
    """The receipt is recorded while the lock is held."""

    class Held(MemoryRegistry):
        def record(self, source: str, text: str) -> None:
            with pytest.raises(StepTimedOut), acting_lock(host.home, timeout_s=0.0):
                pass
            super().record(source, text)

    host.registry = Held()
    host.ensure()
    host.settings = Settings(livekit=LivekitSettings(log_level=LogLevel.DEBUG))
    execute(foresee(Wish(host.desired), host.world), Wish(host.desired), host.world)
    assert len(host.registry.recorded) == 2


@pytest.mark.parametrize(("first", "second"), [(Goal.STOP, Goal.RUN), (Goal.RUN, Goal.STOP)])
def test_a_stop_is_no_other_definition(first: Goal, second: Goal, host: Host) -> None:
    """Who waited while somebody stopped it starts it, and the other way round: the last word counts."""
    host.ensure()
    if first is Goal.RUN:
        host.registry.crash(BACKEND)
    MEANWHILE.append(lambda: host.ensure(first))
    if second is Goal.RUN:
        host.registry.crash(BACKEND)
    world = host.world
    receipt = ensure(Wish(host.desired, second), Waiting(world.registry, world.observer, world.home))
    assert receipt.converged
    assert receipt.done_by
    assert list(host.runs()) == ([MEDIA, BACKEND] if second is Goal.RUN else [])


def test_a_winner_that_failed_decides_nothing(host: Host) -> None:
    """What it left half done by its own wish is not spared."""
    host.ensure(Goal.CONFIGURE)
    other = Host(host.catalog, host.home)
    other.registry = host.registry
    other.settings = Settings(livekit=LivekitSettings(log_level=LogLevel.DEBUG))

    def fail() -> None:
        observer = ReflectingObserver(other.registry)
        observer.distort = lambda seen: attrs.evolve(seen, verdict=Verdict.STARTING) if seen.process else seen
        with pytest.raises(StepTimedOut):
            other.ensure(observer=observer)

    other.restart = {"ready_within_s": 0.05}
    MEANWHILE.append(fail)
    world = host.world
    receipt = ensure(Wish(host.desired), Waiting(world.registry, world.observer, world.home))
    assert (receipt.converged, receipt.done_by) == (True, "")


@pytest.mark.parametrize("seconds", [14.0, 16.0])
def test_what_is_soon_over_is_waited_for(seconds: float, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to a quarter of a minute; what takes longer is for another call."""
    host.ensure()
    slept: list[float] = []
    real = plan

    def with_wait(*args: Any, **options: Any) -> Plan:
        found = real(*args, **options)
        return found if slept else attrs.evolve(found, waits=(Wait(MEDIA, "joins", "then", seconds),))

    monkeypatch.setattr("hero_livekit_units.look.plan", with_wait)
    receipt = ensure(Wish(host.desired), attrs.evolve(host.world, clock=Clock(sleep=slept.append)))
    assert slept == ([14.0] if seconds == 14.0 else [])
    assert receipt.converged is bool(slept)
    assert [wait.seconds for wait in receipt.waits] == ([] if slept else [16.0])


def test_a_supervisor_without_history_can_be_worked_with(host: Host) -> None:
    """Reading it back is a convenience."""

    class Forgetful(MemoryRegistry):
        def history(self, source: str, lines: int) -> list[Recorded]:  # noqa: ARG002
            raise RegistryError("logs.get", "no such method")

    host.registry = Forgetful()
    assert host.ensure().converged


def test_no_step_needs_what_its_plan_did_not_see(host: Host) -> None:
    """Ending steps are bound to the very process."""
    found = upgrade(host)
    (restart,) = [step for step in found.steps if step.action is Action.RESTART]
    assert restart.needs.process == host.registry.entries[MEDIA].process
    assert restart.needs.people_at_most == 0
