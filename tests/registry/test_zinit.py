"""The client of zinit against a fake one with its hazards: nothing of it ever meets one."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
import time
from pathlib import Path
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
    assert zinit.configs[SERVICE]["lifecycle"]["restart"] == "always"


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


def test_another_form_touches_nothing_that_runs(zinit: FakeZinit, registry: ZinitRegistry, short_folder: Path) -> None:
    """It is kept, and is what the next start reads; zinit hears nothing of it."""
    registry.register(MEDIA)
    registry.start(MEDIA.instance)
    zinit.asked.clear()
    assert registry.register(OTHER)
    assert zinit.asked == []
    assert entry(registry).digest == "other"
    registry.restart(MEDIA.instance)
    assert zinit.asked == [f"service.{what} {SERVICE}" for what in ("stop", "start")]
    assert "export MORE=1\n" in script(short_folder)
    assert (zinit.hazards, zinit.signals) == ([], [f"SIGTERM {SERVICE}"])


def test_other_rules_make_another_service(zinit: FakeZinit, registry: ZinitRegistry, short_folder: Path) -> None:
    """Rules of start and stop stand at zinit alone, where none may change: the old service is left to do nothing."""
    registry.register(MEDIA)
    registry.start(MEDIA.instance)
    pid = zinit.states[SERVICE]["pid"]
    registry.register(attrs.evolve(MEDIA, stop=attrs.evolve(MEDIA.stop, signal="SIGINT")))
    found = entry(registry)
    assert found.process is not None
    assert found.process.pid == pid
    registry.restart(MEDIA.instance)
    again = f"{SERVICE}_again_2"
    assert (zinit.hazards, zinit.signals) == ([], [f"SIGTERM {SERVICE}"])
    assert (zinit.states[SERVICE]["pid"], zinit.states[again]["state"]) == (0, "running")
    assert zinit.configs[again]["lifecycle"]["stop_signal"] == "SIGINT"
    assert ends_at_once(script(short_folder))
    assert not ends_at_once(script(short_folder, again))
    found = entry(registry)
    assert (found.state, found.wanted) == (EntryState.RUNNING, True)
    registry.stop(MEDIA.instance)
    assert zinit.signals[1:] == [f"SIGTERM {again}"]
    assert ends_at_once(script(short_folder, again))


def test_what_is_stopped_stays_stopped(zinit: FakeZinit, registry: ZinitRegistry, short_folder: Path) -> None:
    """The next life of zinit starts all that it has a file of, also what was stopped: its script ends at once."""
    registry.register(MEDIA)
    registry.start(MEDIA.instance)
    assert not ends_at_once(script(short_folder))
    registry.stop(MEDIA.instance)
    found = entry(registry)
    assert (found.state, found.wanted, found.digest) == (EntryState.STOPPED, False, MEDIA.digest)
    assert ends_at_once(script(short_folder))
    registry.start(MEDIA.instance)
    assert entry(registry).state is EntryState.RUNNING
    assert not ends_at_once(script(short_folder))
    assert zinit.hazards == []


def test_a_stop_between_two_lives_is_for_good(zinit: FakeZinit, registry: ZinitRegistry, short_folder: Path) -> None:
    """A timer of zinit starts also what was stopped meanwhile: its script ends at once."""
    registry.register(MEDIA)
    registry.start(MEDIA.instance)
    zinit.end(SERVICE, "failed", exit_code=1)
    found = entry(registry)
    assert (found.state, found.last_error) == (EntryState.WAITING, "exit status 1")
    registry.stop(MEDIA.instance)
    assert ends_at_once(script(short_folder))
    assert entry(registry).state is EntryState.STOPPED
    assert (zinit.signals, zinit.hazards) == ([], [])


def test_what_ends_slowly_is_signalled_once(zinit: FakeZinit, registry: ZinitRegistry) -> None:
    """A stop of hours: it is started by nobody before its end."""
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


def test_a_service_that_zinit_has_lost_sight_of_is_told(
    zinit: FakeZinit, registry: ZinitRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else has deleted a service, and zinit has not noticed an end since: it would start nothing."""
    registry.register(MEDIA)
    registry.start(MEDIA.instance)
    monkeypatch.setattr("hero_livekit_units.registry.zinit._LEARNT_S", 0.05)
    zinit.states[SERVICE]["pid"] = 5_000_000  # above the highest pid of Linux
    with pytest.raises(RegistryRefused, match="lost sight of") as raised:
        registry.start(MEDIA.instance)
    assert "restart zinit when nobody is in a call" in raised.value.hint
    registry.stop(MEDIA.instance)
    assert zinit.asked == [f"service.set {SERVICE}"], "nor does it signal a pid that is no more"


class Script:
    """The script of an instance for which `sleep` stands, run by a real shell."""

    def __init__(self, folder: Path, *, wanted: bool = True) -> None:
        self.spec = attrs.evolve(
            MEDIA, argv=("/bin/sh", "-c", 'echo "$$ $IT" && exec sleep 1000'), folder=str(folder), env=(("IT", "it's"),)
        )
        self._file = folder / "it.sh"
        self.log = folder / "output.log"
        kept = zinit_wire.registration(self.spec, str(folder), name="it", wanted=wanted)
        self._file.write_text(kept.script_of(self.spec.instance))

    def run(self) -> subprocess.Popen[bytes]:
        """As zinit runs it."""
        return subprocess.Popen(["/bin/sh", "-c", f"/bin/sh -c : && exec /bin/sh {self._file}"], cwd="/")


@pytest.fixture
def script_of_sleep(short_folder: Path) -> Iterator[tuple[Script, subprocess.Popen[bytes]]]:
    """A script, and a process of it that runs."""
    made = Script(short_folder)
    process = made.run()
    try:
        deadline = time.monotonic() + 10.0
        while not (made.log.exists() and made.log.read_text()) and time.monotonic() < deadline:
            time.sleep(0.01)
        yield made, process
    finally:
        process.kill()
        process.wait()


def test_the_program_takes_the_place_of_the_script(script_of_sleep: tuple[Script, subprocess.Popen[bytes]]) -> None:
    """Its pid is the one that zinit knows; it has its variables and writes to its log."""
    made, process = script_of_sleep
    assert made.log.read_text() == f"{process.pid} it's\n"
    marks = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    assert f"HLU_DIGEST={made.spec.launch_digest}".encode() in marks


def test_a_script_starts_no_second_copy(script_of_sleep: tuple[Script, subprocess.Popen[bytes]]) -> None:
    """As long as the first lives, whoever started it; after its end the next one starts, also beside its zombie."""
    made, first = script_of_sleep
    for _ in range(3):
        assert made.run().wait(timeout=10.0) == 75
    assert made.log.read_text() == f"{first.pid} it's\n"
    first.kill()
    until = time.monotonic() + 10.0
    while b"Z" not in Path(f"/proc/{first.pid}/stat").read_bytes().rpartition(b")")[2] and time.monotonic() < until:
        time.sleep(0.01)
    second = made.run()
    try:
        while len(made.log.read_text().splitlines()) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert made.log.read_text().splitlines()[1:] == [f"{second.pid} it's"]
    finally:
        second.kill()
        second.wait()


@pytest.mark.parametrize("was", ["", "12", "{pid} another-boot 1", "{pid} {boot} 1", "-1 x", "* *", "$(exit)"])
def test_a_pid_alone_is_no_life(short_folder: Path, was: str) -> None:
    """After a restart of the machine, or much later, another process may have the pid that was written down."""
    made = Script(short_folder)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (short_folder / f"{SERVICE}.life").write_text(was.format(pid=os.getpid(), boot=boot) + "\n")
    process = made.run()
    try:
        until = time.monotonic() + 10.0
        while not (made.log.exists() and made.log.read_text()) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_script_of_what_is_not_wanted_does_nothing(short_folder: Path) -> None:
    """It ends with status 0, and leaves nothing behind."""
    assert Script(short_folder, wanted=False).run().wait(timeout=10.0) == 0
    assert [path.name for path in short_folder.iterdir()] == ["it.sh"]


def script(folder: Path, name: str = SERVICE) -> str:
    """What a service runs."""
    return (folder / "kept" / f"{name}.sh").read_text()


def ends_at_once(text: str) -> bool:
    """Whether a script starts nothing."""
    return "exec" not in text


def test_a_drain_of_hours_is_not_cut_short() -> None:
    """Where a definition says that nothing is killed, zinit's window is longer than anybody waits."""
    service = zinit_wire.registration(MEDIA, "/f", name="m", wanted=True).service
    assert not MEDIA.stop.kill_after_window
    assert service["lifecycle"]["stop_timeout_ms"] > 1000 * MEDIA.stop.window_s
    backend = zinit_wire.registration(BACKEND, "/f", name="b", wanted=True).service
    assert backend["lifecycle"]["stop_timeout_ms"] == 1000 * BACKEND.stop.window_s
