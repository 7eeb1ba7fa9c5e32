"""The client of zinit against a fake one with its hazards: nothing of it ever meets one."""

from __future__ import annotations

import stat
import threading
import time
from typing import TYPE_CHECKING

import attrs
import pytest

from hero_livekit_units.errors import EntryNotFound, RegistryProtocolError, RegistryRefused, RegistryUnavailable
from hero_livekit_units.model.observed import EntryState, Verdict
from hero_livekit_units.registry import zinit_wire
from hero_livekit_units.registry.choice import registry_at
from hero_livekit_units.registry.hero_proc import HeroProcRegistry
from hero_livekit_units.registry.zinit import ZinitRegistry
from hero_livekit_units.registry.zinit_client import speaks_zinit
from tests.fakes.hero import FakeHero
from tests.fakes.zinit import FakeZinit
from tests.strategies import BACKEND, MEDIA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import Entry

SERVICE = "hero_livekit_media_a"
OTHER = attrs.evolve(MEDIA, digest="other", env=(*MEDIA.env, ("MORE", "1")))


@pytest.fixture
def zinit(short_folder: Path) -> Iterator[FakeZinit]:
    """A fake zinit that serves."""
    with FakeZinit(short_folder / "zinit.sock") as serving:
        yield serving


@pytest.fixture
def registry(zinit: FakeZinit, short_folder: Path) -> ZinitRegistry:
    """Our client of it."""
    return ZinitRegistry(zinit.path, short_folder / "kept")


def entry(registry: ZinitRegistry, spec: LaunchSpec = MEDIA) -> Entry:
    """What it says of an instance."""
    found = registry.survey([spec.instance]).entries
    assert found is not None
    return found[spec.instance]


def test_registering_starts_nothing(zinit: FakeZinit, registry: ZinitRegistry) -> None:
    """A `service.set` would start it at once: zinit hears of it when it is to run, and not twice of the same."""
    assert registry.register(MEDIA)
    assert not registry.register(MEDIA)
    assert zinit.asked == []
    found = entry(registry)
    assert (found.state, found.wanted, found.process) == (EntryState.STOPPED, False, None)
    assert (found.digest, found.launch_digest) == (MEDIA.digest, MEDIA.launch_digest)


def test_starting_sets_once(zinit: FakeZinit, registry: ZinitRegistry) -> None:
    """However often it is asked for: the second `service.set` of a name dead-locks zinit."""
    registry.register(MEDIA)
    registry.start(MEDIA.instance)
    pid = zinit.states[SERVICE]["pid"]
    registry.start(MEDIA.instance)
    assert zinit.asked == [f"service.set {SERVICE}"]
    found = entry(registry)
    assert (found.state, found.wanted) == (EntryState.RUNNING, True)
    assert found.process is not None
    assert found.process.pid == pid
    assert zinit.configs[SERVICE] == zinit_wire.registration(MEDIA, wanted=True).service


def test_a_hundred_callers_at_once_set_once(zinit: FakeZinit, registry: ZinitRegistry) -> None:
    """One writer at a time."""
    registry.register(MEDIA)
    callers = [threading.Thread(target=registry.start, args=(MEDIA.instance,)) for _ in range(100)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert zinit.asked == [f"service.set {SERVICE}"]
    assert not zinit.hang


def test_another_form_touches_nothing_that_runs(zinit: FakeZinit, registry: ZinitRegistry) -> None:
    """It is kept, and zinit is told with the next start: stop, end, delete, set."""
    registry.register(MEDIA)
    registry.start(MEDIA.instance)
    zinit.asked.clear()
    assert registry.register(OTHER)
    assert zinit.asked == []
    assert entry(registry).digest == "other"
    registry.restart(MEDIA.instance)
    assert zinit.asked == [f"service.{what} {SERVICE}" for what in ("stop", "delete", "set")]
    assert zinit.configs[SERVICE]["service"]["env"]["MORE"] == "1"
    assert (zinit.hazards, zinit.signals) == ([], [f"SIGTERM {SERVICE}"])


def test_what_is_stopped_is_deleted_and_stays_away(zinit: FakeZinit, registry: ZinitRegistry) -> None:
    """The next life of zinit starts all that it has a file of, also what was stopped."""
    registry.register(MEDIA)
    registry.start(MEDIA.instance)
    registry.stop(MEDIA.instance)
    zinit.crash()
    assert zinit.configs == {}
    found = entry(registry)
    assert (found.state, found.wanted, found.digest) == (EntryState.STOPPED, False, MEDIA.digest)
    registry.start(MEDIA.instance)
    assert entry(registry).state is EntryState.RUNNING


def test_a_stop_between_two_lives_is_for_good(zinit: FakeZinit, registry: ZinitRegistry) -> None:
    """A timer of zinit would start what was only stopped; what is deleted has none."""
    registry.register(MEDIA)
    registry.start(MEDIA.instance)
    zinit.end(SERVICE, "failed", exit_code=1)
    found = entry(registry)
    assert (found.state, found.last_error) == (EntryState.WAITING, "exit status 1")
    registry.stop(MEDIA.instance)
    assert zinit.configs == {}
    assert (zinit.signals, zinit.hazards) == ([], [])


def test_what_ends_slowly_is_signalled_once_and_never_deleted_while_it_lives(
    zinit: FakeZinit, registry: ZinitRegistry
) -> None:
    """A stop of hours: it is deleted by who looks after its end, and started by nobody before."""
    zinit.slow.add(SERVICE)
    registry.register(MEDIA)
    registry.start(MEDIA.instance)
    registry.stop(MEDIA.instance)
    registry.stop(MEDIA.instance)
    found = entry(registry)
    assert (found.state, found.wanted) == (EntryState.STOPPING, False)
    with pytest.raises(RegistryRefused, match="is ending"):
        registry.start(MEDIA.instance)
    assert (zinit.signals, zinit.hazards) == ([f"SIGTERM {SERVICE}"], [])
    registry.stop(MEDIA.instance)
    zinit.end(SERVICE)
    assert entry(registry).state is EntryState.STOPPED
    assert zinit.configs == {}
    assert zinit.hazards == []


def test_a_restart_that_lasts_too_long_says_so(zinit: FakeZinit, registry: ZinitRegistry) -> None:
    """It is neither killed nor started beside itself."""
    zinit.slow.add("hero_livekit_backend")
    spec = attrs.evolve(BACKEND, stop=attrs.evolve(BACKEND.stop, window_s=0.0))
    registry.register(spec)
    registry.start(spec.instance)
    with pytest.raises(RegistryRefused, match="has not ended within 1 s"):
        registry.restart(spec.instance)
    assert zinit.asked[-1] == "service.stop hero_livekit_backend"
    assert zinit.hazards == []


def test_a_kill_of_what_has_ended_is_done(zinit: FakeZinit, registry: ZinitRegistry) -> None:
    """And one of what runs is one signal."""
    registry.register(MEDIA)
    registry.start(MEDIA.instance)
    registry.kill(MEDIA.instance)
    registry.kill(MEDIA.instance)
    assert zinit.signals == [f"SIGKILL {SERVICE}"]
    assert entry(registry).last_error == "killed by signal 9"


def test_a_dead_locked_zinit_is_silence(zinit: FakeZinit, registry: ZinitRegistry) -> None:
    """It still answers a ping; that it says nothing of a unit means nothing, above all not that it is stopped."""
    registry.register(MEDIA)
    zinit.hang = True
    began = time.monotonic()
    survey = registry.survey([MEDIA.instance])
    assert time.monotonic() - began < 0.9
    assert survey.entries is None
    assert survey.supervisor.verdict is Verdict.UNKNOWN
    assert "did not answer within 0.5 s" in survey.supervisor.says


def test_the_supervisor_says_who_it_is(zinit: FakeZinit, registry: ZinitRegistry) -> None:
    """Its kind, and that it finds nothing again; its process by the kernel's word about the socket."""
    supervisor = registry.survey([]).supervisor
    assert (supervisor.kind, supervisor.version, supervisor.adopts) == ("zinit", "0.3.9", False)
    assert supervisor.process is not None
    assert supervisor.socket == zinit.path


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="end"),
        pytest.param(b'{"jsonrpc": "2.0", "id": 1, "result": {', id="half"),
        pytest.param(b"\x00\xff\n\n", id="garbage"),
        pytest.param(b"[" * 100_000 + b"\n\n", id="nested"),
        pytest.param(b"5\n5\n", id="numbers"),
        pytest.param(b'{"id": 7, "result": 1}\n' * 2, id="wrong-id"),
        pytest.param(b'{"id": 1, "error": "no"}\n' * 2, id="error-is-a-text"),
        pytest.param(b'{"id": 1, "result": {"version": "1"}}\n{"id": 2, "result": null}\n', id="status-is-null"),
        pytest.param(b'{"id": 1, "result": {"version": "1"}}\n{"id": 2, "result": {"pid": "x"}}\n', id="pid-is-a-word"),
        pytest.param(b'{"id": 1, "result": {}}\n{"id": 2, "result": {"pid": 0, "state": "exited"}}\n', id="no-version"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="http"),
    ],
)
def test_a_survey_never_raises(answer: bytes, zinit: FakeZinit, registry: ZinitRegistry) -> None:
    """What is not understood has told us nothing."""
    zinit.raw = answer
    survey = registry.survey([MEDIA.instance])
    assert survey.entries is None
    assert survey.supervisor.verdict is Verdict.UNKNOWN
    assert survey.supervisor.says


def test_a_state_that_is_not_known_is_unknown(zinit: FakeZinit, registry: ZinitRegistry) -> None:
    """A zinit of another version may have more of them."""
    registry.register(MEDIA)
    registry.start(MEDIA.instance)
    zinit.end(SERVICE, "asleep")
    assert entry(registry).state is EntryState.UNKNOWN


def test_nobody_there(short_folder: Path) -> None:
    """A look says so, an act fails."""
    registry = ZinitRegistry(str(short_folder / "none"), short_folder / "kept")
    assert registry.survey([]).supervisor.says == f"nobody listens on {short_folder}/none"
    with pytest.raises(RegistryUnavailable):
        registry.register(MEDIA)


def test_what_is_not_registered_is_not_known(zinit: FakeZinit, registry: ZinitRegistry) -> None:
    """What nobody described is not started."""
    assert registry.survey([MEDIA.instance]).entries == {}
    for act in (registry.start, registry.stop, registry.restart):
        with pytest.raises(EntryNotFound):
            act(MEDIA.instance)
    assert zinit.asked == []


def test_what_was_kept_may_be_lost(zinit: FakeZinit, registry: ZinitRegistry, short_folder: Path) -> None:
    """What zinit runs is still wanted then; it is registered anew, and nothing restarts."""
    registry.register(MEDIA)
    registry.start(MEDIA.instance)
    (short_folder / "kept" / "units.json").unlink()
    found = entry(registry)
    assert (found.state, found.wanted, found.digest) == (EntryState.RUNNING, True, "")
    assert registry.register(MEDIA)
    assert (entry(registry).wanted, entry(registry).digest) == (True, MEDIA.digest)
    assert zinit.asked == [f"service.set {SERVICE}"]


def test_secrets_lie_in_a_file_for_their_owner_alone(registry: ZinitRegistry, short_folder: Path) -> None:
    """And in no answer of zinit."""
    registry.store_secret("one", "s3cret")
    registry.store_secret("two", "2")
    registry.delete_secret("two")
    registry.delete_secret("two")
    assert registry.secrets(["one", "two"]) == {"one": "s3cret"}
    kept = short_folder / "kept"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert stat.S_IMODE((kept / "secrets.json").stat().st_mode) == 0o600
    (kept / "secrets.json").write_text('{"one": "s3cret"')
    with pytest.raises(RegistryProtocolError) as raised:
        registry.secrets(["one"])
    assert "s3cret" not in str(raised.value)


def test_the_log_is_kept(registry: ZinitRegistry, short_folder: Path) -> None:
    """By source, the newest last; half a line of somebody who was killed is passed over."""
    for text in ("a", "b", "c"):
        registry.record("x", text)
    registry.record("y", "d")
    with (short_folder / "kept" / "history.jsonl").open("a") as log:
        log.write('{"at_s": 1, "sour')
    registry.record("x", "e")
    assert [line.text for line in registry.history("x", 2)] == ["c", "e"]
    assert [line.text for line in registry.history("y", 9)] == ["d"]


def test_a_socket_says_whose_it_is(zinit: FakeZinit, short_folder: Path) -> None:
    """By its name, or by what answers on it."""
    odd = short_folder / "odd"
    odd.symlink_to(zinit.path)
    assert speaks_zinit(str(odd))
    assert isinstance(registry_at(str(odd), short_folder), ZinitRegistry)
    assert isinstance(registry_at("/nobody/zinit.sock", short_folder), ZinitRegistry)
    assert isinstance(registry_at("/nobody/rpc.sock", short_folder), HeroProcRegistry)
    with FakeHero(short_folder / "hero") as hero:
        assert isinstance(registry_at(hero.path, short_folder), HeroProcRegistry)


def test_the_line_that_zinit_runs() -> None:
    """The program takes the shell's place, and writes to a file; it is the first word, too."""
    line = zinit_wire.registration(MEDIA, wanted=True).service["service"]["exec"]
    program = MEDIA.argv[0]
    assert line.startswith(f"{program} --version >/dev/null 2>&1; exec {program} ")
    assert line.endswith(f" >> {MEDIA.folder}/output.log 2>&1")


def test_a_drain_of_hours_is_not_cut_short() -> None:
    """Where a definition says that nothing is killed, zinit's window is longer than anybody waits."""
    service = zinit_wire.registration(MEDIA, wanted=True).service
    assert not MEDIA.stop.kill_after_window
    assert service["lifecycle"]["stop_timeout_ms"] > 1000 * MEDIA.stop.window_s
    backend = zinit_wire.registration(BACKEND, wanted=True).service
    assert backend["lifecycle"]["stop_timeout_ms"] == 1000 * BACKEND.stop.window_s
