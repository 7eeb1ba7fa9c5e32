"""`hlu hero-proc`: the embedded hero_proc in the background."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.errors import RegistryError
from hero_livekit_units.herosocket.client import HeroClient
from hero_livekit_units.model.observed import ProcessId
from hero_livekit_units.observe.kernel import is_alive, see_process
from tests.fakes.plugins import write_plugin

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.cli.conftest import CommandLine
    from tests.fakes.hero import FakeHero

pytestmark = pytest.mark.servers


@pytest.fixture
def own(hlu: CommandLine) -> Iterator[CommandLine]:
    """A command line whose daemons are gone at the end."""
    yield hlu
    client = HeroClient(str(hlu.places.socket("hero_proc")))
    try:
        found = client.call("system.ping")
        client.call("system.shutdown", {"keep_children": False, "force": True})
    except RegistryError:
        return
    while is_alive(ProcessId(found["pid"], found["pid_start"])):
        threading.Event().wait(0.01)


def data(run: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    """What a command printed, decoded."""
    assert (run.returncode, run.stderr) == (code, "")
    return json.loads(run.stdout)


def test_doctor(own: CommandLine) -> None:
    """Examines it once, telling what it looks at; what is missing is an exit code, and is in the status."""
    data(own.run("hero-proc", "start", "--json"))
    first = own.run("doctor", "--json")
    report = json.loads(first.stdout)
    assert (first.returncode, report["well"], len(report["checks"])) == (0, True, 8)
    assert first.stderr.startswith("looking: a few units that harm nobody are started\n")
    assert data(own.run("doctor", "--json")) == report
    file = own.places.home / "doctor.json"
    missed = {"holds": False, "says": "two stops sent SIGTERM and SIGTERM", "disables": "drain in place"}
    report["checks"] = [check | (missed if check["ability"] == "stops-once" else {}) for check in report["checks"]]
    file.write_text(json.dumps(report))
    run = own.run("doctor")
    assert (run.returncode, run.stderr) == (3, "")
    assert "without stops-once: drain in place" in run.stdout.splitlines()
    status = json.loads(own.run("status", "--json").stdout)
    assert status["supervisor"]["lacks"] == ["stops-once"]
    assert "without stops-once: see `hlu doctor`" in own.run("status").stdout


def test_doctor_without_a_supervisor(own: CommandLine) -> None:
    """There is nobody to examine."""
    run = own.run("doctor")
    assert (run.returncode, run.stdout) == (5, "")
    assert "cannot reach" in run.stderr or "cannot call" in run.stderr, run.stderr
    assert not (own.places.home / "doctor.json").exists()


def test_start_status_stop(own: CommandLine) -> None:
    """Once started it runs by itself, in a session of its own; a second start changes nothing; stop ends it."""
    started = data(own.run("hero-proc", "start", "--json"))
    assert (started["started"], started["kind"]) == (True, "embedded")
    pid = started["pid"]
    assert os.getsid(pid) == pid
    again = data(own.run("hero-proc", "start", "--json"))
    assert (again["started"], again["pid"]) == (False, pid)
    status = data(own.run("hero-proc", "status", "--json"))
    assert (status["running"], status["pid"]) == (True, pid)
    stopped = data(own.run("hero-proc", "stop", "--json"))
    assert (stopped["stopped"], stopped["pid"]) == (True, pid)
    assert not is_alive(ProcessId(pid, started["pid_start"]))
    assert data(own.run("hero-proc", "stop", "--json")) == {"stopped": False}


def test_several_starts_at_once(own: CommandLine) -> None:
    """One of them starts it, the others find it; all succeed and name the same process."""
    together = threading.Barrier(4)
    runs: list[subprocess.CompletedProcess[str]] = []

    def start() -> None:
        together.wait(10.0)
        runs.append(own.run("hero-proc", "start", "--json"))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [data(run) for run in runs]
    assert len({each["pid"] for each in found}) == 1
    assert [each["started"] for each in found].count(True) == 1
    # Nor does one that came second wait for its chance.
    mark = str(own.root).encode()
    daemons = [path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline") if mark in read(path)]
    assert daemons == [str(found[0]["pid"])]


def read(path: Path) -> bytes:
    """What a file of /proc holds, nothing when its process has gone."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_start_after_a_crash(own: CommandLine) -> None:
    """`kill -9` leaves a socket and a lock file; neither is in the way."""
    first = data(own.run("hero-proc", "start", "--json"))
    os.kill(first["pid"], signal.SIGKILL)
    second = data(own.run("hero-proc", "start", "--json"))
    assert second["started"] is True
    assert see_process(first["pid"]) is None


def test_upgrade(own: CommandLine) -> None:
    """It takes the place of itself: same pid. What is no interpreter is refused with the reason, and it goes on."""
    pid = data(own.run("hero-proc", "start", "--json"))["pid"]
    upgraded = data(own.run("hero-proc", "upgrade", "--json"))
    assert (upgraded["upgraded"], upgraded["pid"], upgraded["generation"]) == (True, pid, 1)
    refused = own.run("hero-proc", "upgrade", "--to", "/nonexistent")
    assert (refused.returncode, "/nonexistent is not a program" in refused.stderr) == (6, True), refused.stderr
    assert data(own.run("hero-proc", "status", "--json"))["pid"] == pid


def test_in_the_foreground(own: CommandLine) -> None:
    """`run` becomes the daemon: the same process, ended by Ctrl-C."""
    daemon = own.start("hero-proc", "run")
    try:
        while own.run("hero-proc", "status").returncode != 0:
            assert daemon.poll() is None
        assert data(own.run("hero-proc", "status", "--json"))["pid"] == daemon.pid
        daemon.send_signal(signal.SIGINT)
        daemon.communicate(timeout=20.0)
    finally:
        daemon.kill()
        daemon.communicate()
    assert daemon.returncode == 0


def test_start_that_cannot(own: CommandLine) -> None:
    """The daemon's own last word is the reason, and its log is named."""
    state = own.places.hero_proc
    state.mkdir(parents=True)
    (state / "hero_proc.db").write_text("this is no database, and long enough to be looked at as one\n" * 20)
    run = own.run("hero-proc", "start")
    assert run.returncode == 6
    assert run.stderr.startswith("cannot start hero_proc: ")
    assert "hero_proc.db" in run.stderr
    assert f"hint: its log: {state}/daemon.log" in run.stderr


def test_plugins(own: CommandLine, tmp_path: Path) -> None:
    """What hero_proc has loaded; 0 when all is whole, 3 when something is broken, 5 when it cannot be asked."""
    assert own.run("hero-proc", "plugins").returncode == 5
    assert own.run("hero-proc", "start").returncode == 0
    found = data(own.run("hero-proc", "plugins", "--json"))
    assert [(plugin["name"], plugin["error"]) for plugin in found["plugins"]] == [("hero_livekit", None)]
    assert own.run("hero-proc", "stop").returncode == 0

    write_plugin(tmp_path, "odd", "raise RuntimeError('for the test')")
    assert own.run("hero-proc", "start", PYTHONPATH=str(tmp_path)).returncode == 0
    run = own.run("hero-proc", "plugins")
    assert (run.returncode, run.stderr) == (3, "")
    assert run.stdout.splitlines()[-1].split() == ["✗", "odd", "odd", "1.0", "RuntimeError:", "for", "the", "test"]


def test_plugins_of_something_else(hlu: CommandLine, hero: FakeHero) -> None:
    """A hero_proc that has no such method, or another one, is a supervisor that cannot be asked."""
    assert hlu.run("hero-proc", "plugins").returncode == 5
    hero.methods["unit.plugins"] = lambda _: {"state": "loaded", "plugins": [{}]}
    run = hlu.run("hero-proc", "plugins")
    assert (run.returncode, run.stdout) == (5, "")
    assert "an answer of another shape" in run.stderr


def test_ensure_tells_why_a_unit_does_not_start(own: CommandLine) -> None:
    """A livekit-server that ends at once: what is waited for is told, Ctrl-C leaves it, and the status says why."""
    assert own.run("install", "--livekit-server", str(own.livekit_server())).returncode == 0
    assert own.run("hero-proc", "start").returncode == 0
    command = own.start("ensure", "--json")
    try:
        assert command.stderr is not None
        told = []
        for line in command.stderr:
            told.append(line)
            if "waiting for livekit-server@a" in line:
                break
        assert [line.split(" ")[0] for line in told[:6]] == [
            "write-files",
            "write-files",
            "update",
            "register",
            "register",
            "start",
        ]
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=20.0)
    finally:
        command.kill()
        command.communicate()
    assert command.returncode == 130
    report = data(own.run("status", "--json"), code=3)
    assert [unit["verdict"] for unit in report["units"]] == ["unhealthy", "stopped"]
    assert report["units"][0]["because"].startswith("it ended by itself and the supervisor is starting it again")
    assert report["units"][0]["log_file"].startswith(str(own.places.hero_proc))
