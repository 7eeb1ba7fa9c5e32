"""A rotation on a host in memory: what each program has in each phase, and the same end after a crash anywhere."""

from __future__ import annotations

import json
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import yaml

from hero_livekit_units.backend.settings import read_env_file
from hero_livekit_units.earlier import execute, foresee
from hero_livekit_units.ensure import ensure
from hero_livekit_units.errors import PlanRefused, PlanStale, RegistryError, RegistryProtocolError, UnitsError
from hero_livekit_units.livekit import keys
from hero_livekit_units.livekit.desired import desired_state
from hero_livekit_units.livekit.rotation import RECORD, Phase, Rotated
from hero_livekit_units.look import Clock, Wish, World
from hero_livekit_units.media import Media
from hero_livekit_units.model.desired import Desired
from hero_livekit_units.model.plain import plain
from hero_livekit_units.model.plan import Action, Goal
from hero_livekit_units.model.settings import BackendSettings, Settings
from hero_livekit_units.places import Places
from tests.fakes.registry import Fault, MemoryRegistry, ReflectingObserver
from tests.launches import launch_file
from tests.strategies import UNSTEERED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.plan import Plan
    from hero_livekit_units.model.receipt import Receipt

MEDIA, BACKEND = "livekit-server@a", "lk-backend"
LIFETIME_S = 50
SETTINGS = Settings(backend=BackendSettings(token_ttl_s=LIFETIME_S))

# What each rotation asks of the supervisor up to the overlap, and then from its end on.
TO_OVERLAP = {
    Rotated.API_KEY: [
        "store_secret rotation",
        f"register {MEDIA}",
        f"restart {MEDIA}",
        "store_secret rotation",
        f"register {BACKEND}",
        f"restart {BACKEND}",
        "store_secret rotation",
        "record",
    ],
    Rotated.BACKEND_SECRET: [
        "store_secret rotation",
        f"register {BACKEND}",
        f"restart {BACKEND}",
        "store_secret rotation",
        f"register {BACKEND}",
        f"restart {BACKEND}",
        "store_secret rotation",
        "record",
    ],
}
TO_THE_END = {
    Rotated.API_KEY: [
        "store_secret rotation",
        f"register {MEDIA}",
        f"restart {MEDIA}",
        "store_secret api_key",
        "store_secret api_secret",
        "delete_secret rotation",
        "record",
    ],
    Rotated.BACKEND_SECRET: [
        "store_secret rotation",
        f"register {BACKEND}",
        f"restart {BACKEND}",
        "store_secret backend_secret",
        "delete_secret rotation",
        "record",
    ],
}
ALL = [(what, at) for what in Rotated for at in range(1, len(TO_OVERLAP[what]) + len(TO_THE_END[what]) + 1)]


class Host:
    """A running group in memory, with a clock that is moved by hand."""

    def __init__(self, catalog: Catalog, home: Path) -> None:
        self.registry = MemoryRegistry()
        self.observer = ReflectingObserver(self.registry)
        self.media = Media(self.registry, Places(home, home, home, home), catalog)
        self._steered = partial(desired_state, catalog, SETTINGS, home=str(home), python=sys.executable)
        self.home = home
        self.now_s = 10_000.0
        self.monotonic_s = 0.0
        self.ensure()
        self.registry.acted.clear()
        self.before = dict(self.registry.stored)

    def desired(self, *, secrets: Mapping[str, Any] | None) -> Desired:
        """What should run, in place: nothing here sends joins to another slot."""
        return Desired(self._steered(secrets=secrets).by_slot, UNSTEERED)

    def _wish(self, goal: Goal = Goal.RUN) -> Wish:
        return Wish(lambda secrets: self.desired(secrets=secrets), goal, token_ttl_s=LIFETIME_S)

    def _world(self) -> World:
        clock = Clock(now_s=lambda: self.now_s, monotonic_s=lambda: self.monotonic_s, sleep=self._sleep)
        return World(self.registry, self.observer, self.home, clock)

    def _sleep(self, seconds: float) -> None:
        self.monotonic_s += seconds

    def ensure(self, goal: Goal = Goal.RUN, *, people: int | None = 0) -> Receipt:
        """One ensure."""
        self.observer.people = people
        return ensure(self._wish(goal), self._world())

    def plan(self) -> Plan:
        """One plan."""
        return foresee(self._wish(), self._world())

    def execute(self, found: Plan) -> Receipt:
        """Do one that was made earlier."""
        return execute(found, self._wish(), self._world())

    def begin(self, what: Rotated = Rotated.API_KEY) -> None:
        """What `rotate_secret` does before its ensure."""
        keys.begin_rotation(self.registry, what, lifetime_s=LIFETIME_S, now_s=self.now_s)

    def phase(self) -> Phase | None:
        """Of the rotation that lasts."""
        lasting = keys.read_all(self.registry).rotation
        return lasting.phase if lasting else None

    def livekit(self) -> dict[str, Any]:
        """What livekit-server's file says."""
        return dict(yaml.safe_load(launch_file(self.home / "slots" / "a", "livekit.yaml").read_text()))

    def backend(self) -> dict[str, str]:
        """What lk-backend's file says."""
        return read_env_file(launch_file(self.home / "backend", "backend.env"))

    def runtime(self) -> dict[str, str]:
        """What callers are told."""
        return dict(json.loads((self.home / "runtime.json").read_text()))

    def pids(self) -> dict[str, int]:
        """Who runs."""
        return {name: entry.process.pid for name, entry in self.registry.entries.items() if entry.process}

    def everything(self) -> str:
        """All that lies on the disk."""
        return "".join(path.read_text(errors="replace") for path in self.home.rglob("*") if path.is_file())


@pytest.fixture
def host(catalog: Catalog, tmp_path: Path) -> Host:
    """Everything runs, nothing is being rotated."""
    return Host(catalog, tmp_path / "home")


def test_a_rotation_of_the_api_key(host: Host) -> None:
    """Phase by phase: who has which keys, who was restarted for it, and at the end the old key is nowhere."""
    old, pids = host.before, host.pids()
    host.begin()
    receipt = host.ensure()
    assert host.registry.acted == TO_OVERLAP[Rotated.API_KEY]
    assert (receipt.converged, receipt.changed) == (True, True)
    assert [note.instance for note in receipt.notes] == ["secrets"]
    overlap = host.livekit()
    (first, first_secret), (second, second_secret) = overlap["keys"].items()
    assert (first, first_secret) == (old["api_key"], old["api_secret"])
    assert overlap["webhook"]["api_key"] == old["api_key"]
    backend = host.backend()
    assert (backend["LIVEKIT_API_KEY"], backend["LIVEKIT_API_SECRET"]) == (second, second_secret)
    assert backend["BACKEND_SECRET"] == old["backend_secret"]
    assert "OLD_BACKEND_SECRET" not in backend
    assert (host.runtime()["api_key"], host.runtime()["api_secret"]) == (second, second_secret)

    host.now_s += LIFETIME_S - 1
    host.registry.acted.clear()
    assert not host.ensure().changed
    assert host.registry.acted == []

    host.now_s += 1
    middle = host.pids()
    assert host.ensure().converged
    assert host.registry.acted == TO_THE_END[Rotated.API_KEY]
    assert host.livekit()["keys"] == {second: second_secret}
    assert host.livekit()["webhook"]["api_key"] == second
    assert host.registry.stored == {
        "api_key": second,
        "api_secret": second_secret,
        "backend_secret": old["backend_secret"],
    }
    assert not any(old[name] in host.everything() for name in ("api_key", "api_secret"))
    assert {name for name, pid in host.pids().items() if pid != middle[name]} == {MEDIA}
    assert {name for name, pid in middle.items() if pid != pids[name]} == {MEDIA, BACKEND}
    assert not host.ensure().changed


def test_a_rotation_of_the_backend_secret(host: Host) -> None:
    """livekit-server is never touched, people or not; callers with either secret are served in between."""
    old, media = host.before["backend_secret"], host.pids()[MEDIA]
    host.begin(Rotated.BACKEND_SECRET)
    assert host.ensure(people=9).converged
    assert host.registry.acted == TO_OVERLAP[Rotated.BACKEND_SECRET]
    new = host.runtime()["backend_secret"]
    assert new != old
    assert (host.backend()["BACKEND_SECRET"], host.backend()["OLD_BACKEND_SECRET"]) == (new, old)
    host.now_s += LIFETIME_S
    host.registry.acted.clear()
    assert host.ensure(people=9).converged
    assert host.registry.acted == TO_THE_END[Rotated.BACKEND_SECRET]
    assert host.registry.stored["backend_secret"] == new
    assert old not in host.everything()
    assert host.pids()[MEDIA] == media


def test_livekit_is_the_same_in_introduce_and_overlap(host: Host) -> None:
    """Byte for byte, so that it need not be restarted when lk-backend changes over."""
    host.begin()
    texts = []

    class Watching(MemoryRegistry):
        def store_secret(self, name: str, value: str) -> None:
            if name == RECORD:
                texts.append(launch_file(host.home / "slots" / "a", "livekit.yaml").read_bytes())
            super().store_secret(name, value)

    host.registry.__class__ = Watching
    host.ensure()
    assert len(texts) == 2
    assert texts[0] == texts[1]
    assert len(yaml.safe_load(texts[0])["keys"]) == 2


@pytest.mark.parametrize(("people", "told"), [(2, "cut off 2 people"), (None, "who is in a call is unknown")])
@pytest.mark.parametrize("phase", [Phase.INTRODUCE, Phase.RETIRE])
def test_people_in_calls_are_waited_for(phase: Phase, people: int | None, told: str, host: Host) -> None:
    """No file and no process of livekit-server changes, in plain words; when they have left it goes on by itself."""
    host.begin()
    if phase is Phase.RETIRE:
        host.ensure()
        host.now_s += LIFETIME_S
    pid, config = host.pids()[MEDIA], host.livekit()
    receipt = host.ensure(people=people)
    assert [refusal.instance for refusal in receipt.refusals] == [MEDIA]
    assert told in receipt.refusals[0].because
    assert "while nobody is in a call" in receipt.notes[-1].text
    assert (host.pids()[MEDIA], host.livekit(), host.phase()) == (pid, config, phase)
    assert host.ensure().converged
    host.now_s += LIFETIME_S
    host.ensure()
    assert host.phase() is None


def test_ensure_begins_nothing(host: Host) -> None:
    """However often, and however old the keys."""
    host.now_s += 1e9
    assert not host.ensure().changed
    assert host.registry.stored == host.before


@pytest.mark.parametrize("goal", [Goal.CONFIGURE, Goal.STOP])
def test_other_goals_do_not_go_on_with_it(goal: Goal, host: Host) -> None:
    """Preparing and stopping leave a rotation where it is; the next run goes on with it."""
    host.begin()
    host.ensure(goal)
    host.ensure(goal)
    assert host.phase() is Phase.INTRODUCE
    assert host.ensure().converged
    assert host.phase() is Phase.OVERLAP


def test_a_plan_looks_ahead(host: Host) -> None:
    """It shows what ensure would do, restarts and all, and changes nothing."""
    assert host.plan().converged
    host.begin()
    assert [step.instance for step in host.plan().steps if step.action is Action.RESTART] == [MEDIA]
    host.ensure()
    waiting = host.plan()
    assert waiting.converged
    assert "not before 1970-01-01T02:47:30Z: livekit-server forgets the old key" in waiting.notes[-1].text
    host.now_s += LIFETIME_S
    acted, files = list(host.registry.acted), host.everything()
    due = host.plan()
    assert [(str(step.action), step.instance) for step in due.steps] == [
        ("write-files", MEDIA),
        ("register", MEDIA),
        ("restart", MEDIA),
    ]
    assert (host.registry.acted, host.everything()) == (acted, files)


def finish(host: Host) -> None:
    """Call ensure as its callers do, time and again, until there is no rotation any more."""
    for _ in range(6):
        host.ensure()
        host.now_s += LIFETIME_S
    assert host.phase() is None


def check_the_end(host: Host, what: Rotated) -> None:
    """All agree on one new secret, and the other ones are as they were."""
    stored, old = host.registry.stored, host.before
    rotated = {Rotated.API_KEY: {"api_key", "api_secret"}, Rotated.BACKEND_SECRET: {"backend_secret"}}[what]
    assert stored.keys() == old.keys()
    assert {name for name in stored if stored[name] != old[name]} == rotated
    assert host.livekit()["keys"] == {stored["api_key"]: stored["api_secret"]}
    assert host.backend()["LIVEKIT_API_SECRET"] == host.runtime()["api_secret"] == stored["api_secret"]
    assert host.backend()["BACKEND_SECRET"] == host.runtime()["backend_secret"] == stored["backend_secret"]
    assert not any(old[name] in host.everything() for name in rotated)
    wanted = {
        spec.instance: spec.launch_digest
        for spec in host.desired(secrets=keys.read_all(host.registry).values).preferred
    }
    assert {name: spec.launch_digest for name, spec in host.registry.running.items()} == wanted
    assert not host.ensure().changed


@pytest.mark.parametrize("what", list(Rotated))
def test_a_plan_from_earlier_goes_over_the_phases_that_were_due(what: Rotated, host: Host) -> None:
    """It looks ahead to what comes next, and so its execution goes there too, and no further than it said."""
    host.begin(what)
    turned = []
    while (before := host.phase()) is not None:
        host.registry.acted.clear()
        found = host.plan()
        assert host.registry.acted == []
        if found.steps:
            receipt = host.execute(found)
            assert [done.step.action for done in receipt.done] == [step.action for step in found.steps]
            turned.append((before, host.phase()))
        else:
            host.ensure()
        host.now_s += LIFETIME_S
    assert turned == [
        (Phase.INTRODUCE, Phase.INTRODUCE),
        (Phase.INTRODUCE, Phase.OVERLAP),
        (Phase.OVERLAP, Phase.RETIRE),
    ]


def test_a_plan_from_before_a_rotation_is_stale(host: Host) -> None:
    """Nothing of the rotation goes on for the sake of a plan that does not fit all the same."""
    host.begin()
    found = host.plan()
    host.ensure()
    host.now_s += LIFETIME_S
    host.ensure()
    host.begin(Rotated.BACKEND_SECRET)
    stored, phase = dict(host.registry.stored), host.phase()
    host.registry.acted.clear()
    with pytest.raises(PlanStale, match="it should run in another way by now"):
        host.execute(found)
    assert (host.registry.acted, host.registry.stored, host.phase()) == ([], stored, phase)


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize(("what", "at"), ALL, ids=[f"{what}-{at}" for what, at in ALL])
def test_a_fault_at_each_call_to_the_supervisor(what: Rotated, at: int, fault: Fault, host: Host) -> None:
    """Refused, or done with the answer lost: going on reaches the same end, with one new secret."""
    host.registry._faults = {at: fault}
    met = []
    for again in (True, True, False, False):
        try:
            if again and host.phase() is None and host.registry.stored == host.before:
                host.begin(what)
            host.ensure()
            host.now_s += LIFETIME_S
        except RegistryError as error:
            met.append(error)
    acts = [*TO_OVERLAP[what], *TO_THE_END[what]]
    # The history is a convenience, and whether a step was done is looked up.
    seen = acts[at - 1].startswith(("register", "restart")) and fault is Fault.LOST
    assert len(met) == (acts[at - 1] != "record" and not seen)
    finish(host)
    check_the_end(host, what)


class Killed(BaseException):
    """As if the process had ended here."""


EFFECTS = ["mkstemp", "replace"]


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("at", range(1, 5))
@pytest.mark.parametrize("what", list(Rotated))
def test_a_death_at_each_file(what: Rotated, at: int, effect: str, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before a file is begun or before it takes the place of the old one; what it left behind goes as well."""
    import tempfile  # noqa: PLC0415

    left, writes = [], 0

    def dying(real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        nonlocal writes
        writes += 1
        if writes == at:
            if effect == "replace":
                # A death runs no clean-up: what was written stays under another name.
                left.append(Path(str(args[0]).replace(".hlu-new", "x.hlu-new")))
                left[0].write_bytes(Path(args[0]).read_bytes())
            raise Killed
        return real(*args, **kwargs)

    host.begin(what)
    with monkeypatch.context() as patched:
        if effect == "mkstemp":
            patched.setattr(tempfile, "mkstemp", partial(dying, tempfile.mkstemp))
        else:
            real = Path.replace
            patched.setattr(Path, "replace", lambda *args: dying(real, *args))
        try:
            for _ in range(3):
                host.ensure()
                host.now_s += LIFETIME_S
        except Killed:
            pass
        assert writes == at
    finish(host)
    check_the_end(host, what)
    assert not any(path.exists() for path in left)


def test_many_at_once_make_one_new_key(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes second goes on with the rotation of the first."""
    together = threading.Barrier(8)
    found = []
    media = host.media
    monkeypatch.setattr(media, "_desired", lambda _, secrets: host.desired(secrets=secrets))
    media._observer = host.observer
    media.places.settings_file.write_text(f"[backend]\ntoken_ttl_s = {LIFETIME_S}\n")

    def call() -> None:
        together.wait(10.0)
        found.append(media.rotate_secret().converged)

    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [True] * 8
    assert host.registry.acted == TO_OVERLAP[Rotated.API_KEY]
    assert len(host.livekit()["keys"]) == 2


def test_two_rotations_at_a_time_are_refused(host: Host) -> None:
    """The one that lasts is named, and goes on."""
    host.begin()
    record = host.registry.stored[RECORD]
    with pytest.raises(PlanRefused, match="the rotation of the api-key is not over yet") as caught:
        host.media.rotate_secret(Rotated.BACKEND_SECRET)
    assert "`hlu secret rotate api-key`" in caught.value.hint
    assert host.registry.stored[RECORD] == record


def test_a_group_that_does_not_run_is_not_started(host: Host) -> None:
    """Its files get the new key beside the old one; who starts it goes on with the rotation."""
    host.media._observer = host.observer
    host.media.places.settings_file.write_text(f"[backend]\ntoken_ttl_s = {LIFETIME_S}\n")
    host.ensure(Goal.STOP)
    host.media.rotate_secret()
    assert host.pids() == {}
    assert len(host.livekit()["keys"]) == 2
    assert any(step.action is Action.START for step in host.plan().steps)
    finish(host)
    check_the_end(host, Rotated.API_KEY)


def test_a_record_that_cannot_be_understood_stops_everything_but_the_calls(host: Host) -> None:
    """Guessing about keys would drop people: neither plan nor ensure nor rotate does anything."""
    host.registry.stored[RECORD] = '{"format": 99, "new": "secret-of-tomorrow"}'
    attempts: list[Callable[[], object]] = [host.ensure, host.plan, host.begin, host.media.rotate_secret]
    for attempt in attempts:
        with pytest.raises(RegistryProtocolError) as caught:
            attempt()
        assert "secret-of-tomorrow" not in f"{caught.value}{caught.value.hint}"
    assert host.registry.acted == []
    assert host.ensure(Goal.STOP).converged


def test_a_missing_secret_is_not_made_while_its_rotation_lasts(host: Host) -> None:
    """The record has it; another one would come between."""
    host.begin()
    new = keys.read_all(host.registry).rotation
    del host.registry.stored["api_secret"]
    finish(host)
    assert new is not None
    assert {name: host.registry.stored[name] for name in new.new} == new.new


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_a_secret_that_changes_between_writing_and_starting(verb: str, host: Host) -> None:
    """The 401 of the past: no program starts on files that do not match the supervisor's secrets."""

    class Changing(MemoryRegistry):
        def register(self, spec: Any) -> bool:
            known = super().register(spec)
            self.stored["api_secret"] = "somebody else's, 0123456789abcdef0123"
            return known

    if verb == "start":
        host.registry.crash(MEDIA)
        host.registry.entries[MEDIA] = attrs.evolve(host.registry.entries[MEDIA], digest="")
    else:
        host.registry.stored["api_secret"] = "another one, 0123456789abcdef0123"
    pids = host.pids()
    host.registry.__class__ = Changing
    with pytest.raises(UnitsError, match=rf"cannot {verb} livekit-server@a: .*livekit\.yaml changed since"):
        host.ensure()
    assert f"{verb} {MEDIA}" not in host.registry.acted
    assert host.pids() == pids
    host.registry.__class__ = MemoryRegistry
    assert host.ensure().converged
    assert host.livekit()["keys"] == {host.before["api_key"]: "somebody else's, 0123456789abcdef0123"}


def test_a_supervisor_that_keeps_what_it_should_delete(host: Host) -> None:
    """It ends all the same; the rotation is still there to be seen, and nobody is restarted for it again and again."""

    class Keeping(MemoryRegistry):
        def delete_secret(self, name: str) -> None:
            """Say yes and do nothing."""

    host.begin()
    host.ensure()
    host.now_s += LIFETIME_S
    host.registry.__class__ = Keeping
    assert host.ensure().converged
    pids = host.pids()
    assert host.ensure().converged
    assert (host.phase(), host.pids()) == (Phase.RETIRE, pids)
    host.registry.__class__ = MemoryRegistry
    host.ensure()
    check_the_end(host, Rotated.API_KEY)


def test_no_value_is_said_anywhere(host: Host) -> None:
    """Receipts, plans, statuses, the history and every file but the three hold none of them, old or new."""
    host.media._observer = host.observer
    host.media.places.settings_file.write_text(f"[backend]\ntoken_ttl_s = {LIFETIME_S}\n")
    host.registry.stored["redis_password"] = "hunter2-and-more"
    said: list[Any] = []
    values = set(host.registry.stored.values())
    for what in Rotated:
        host.begin(what)
        for _ in range(3):
            said += [plain(host.plan()), plain(host.ensure(people=1)), host.media.secret_status(), repr(host.media)]
            lasting = keys.read_all(host.registry).rotation
            values |= {*lasting.new.values(), *lasting.old.values()} if lasting else set()
            said += [repr(lasting), plain(host.ensure()), host.media.secret_status()]
            host.now_s += LIFETIME_S
    said += [host.registry.recorded, host.registry.acted, list(host.registry.specs.values())]
    ours = {"livekit.yaml", "backend.env", "runtime.json"}
    said += [path.read_text() for path in host.home.rglob("*") if path.is_file() and path.name not in ours]
    assert len(values) == 7
    assert not [value for value in values if value in str(said)]
