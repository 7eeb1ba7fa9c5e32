"""The daemon becomes another version of itself: same process, children and socket; when it cannot, it says so."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.embedded.upgrade import CHECK_WITHIN_S
from hero_livekit_units.errors import RegistryError
from hero_livekit_units.version import VERSION
from tests.embedded.running import DEADLINE_S, ROOT, Callers, child, lives, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.embedded.running import Daemon

pytestmark = pytest.mark.servers

PACKAGE = "hero_livekit_units"
SERVES = "        version = self._version\n"


def other(folder: Path, name: str, **replaced: tuple[str, str]) -> str:
    """A virtual environment with a copy of the package in which one text of some files of `embedded` is replaced."""
    copy = folder / name / PACKAGE
    shutil.copytree(ROOT / PACKAGE, copy)
    for module, (old, new) in replaced.items():
        file = copy / ("version.py" if module == "version" else f"embedded/{module}.py")
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))
    base = Path(sys.executable).resolve()
    (folder / name / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    (folder / name / "bin").mkdir()
    (folder / name / "bin" / "python").symlink_to(base)
    packages = folder / name / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    packages.mkdir(parents=True)
    # Before PYTHONPATH, which leads to the package under test.
    first = f"import sys; sys.path.insert(0, {str(folder / name)!r})"
    (packages / "packages.pth").write_text(f"{first}\n{sysconfig.get_path('purelib')}\n")
    return str(folder / name)


def newer(folder: Path, **replaced: tuple[str, str]) -> str:
    """A virtual environment, as it were, with version 9.8.7."""
    return other(folder, "newer", version=(f'"{VERSION}"', '"9.8.7"'), **replaced)


def upgraded(daemon: Daemon, to: str | None = None) -> dict[str, Any]:
    """Upgrade, and what the next program says of itself."""
    before = daemon.call("system.ping")
    assert daemon.client.call("system.upgrade", {"to": to}, deadline_s=CHECK_WITHIN_S)["ok"]
    again: dict[str, Any] = until(
        lambda: found if (found := daemon.call("system.ping"))["generation"] != before["generation"] else None,
        "the next program answers",
    )
    assert (again["pid"], again["pid_start"]) == (daemon.pid, before["pid_start"])
    return again


def test_it_becomes_another_version(daemon: Daemon) -> None:
    """Same pid, another version, the units as they were and not adopted; it says which it was and is."""
    daemon.keep("s", "sleep 1000")
    before = daemon.job("s")
    venv = newer(daemon.folder)
    answer = daemon.call("system.upgrade", to=venv)
    assert answer == {"ok": True, "from": VERSION, "to": "9.8.7", "interpreter": f"{venv}/bin/python"}
    until(lambda: daemon.call("system.ping")["version"] == "9.8.7", "the next version answers")
    assert {key: value for key, value in daemon.job("s").items() if key != "uptime_ms"} == {
        key: value for key, value in before.items() if key != "uptime_ms"
    }
    assert not daemon.job("s")["adopted"]
    again = upgraded(daemon, sys.executable)
    assert (again["version"], again["generation"]) == (VERSION, 2)
    assert [before["pid"]] == daemon.copies()


def test_callers_notice_nothing(daemon: Daemon) -> None:
    """Two upgrades in a row under clients that call all the time: no call is refused or cut off."""
    daemon.keep("s", "sleep 1000")
    pid = daemon.job("s")["pid"]
    with Callers(daemon.socket) as callers:
        for generation in range(1, 3):
            assert upgraded(daemon)["generation"] == generation
    assert callers.faults == []
    assert (daemon.job("s")["pid"], daemon.copies()) == (pid, [pid])
    print(f"{callers.calls} calls over 2 upgrades, longest {callers.longest_s * 1000:.0f} ms")  # noqa: T201  a figure


def test_exit_codes_are_kept(daemon: Daemon) -> None:
    """A child of the time before is a child still: its exit status is known, and so is the signal that kills it."""
    os.mkfifo(daemon.folder / "go")
    daemon.keep("status", "sh -c 'read x <go; exit 7'", cwd=str(daemon.folder))
    daemon.keep("signal", "sleep 1000")
    upgraded(daemon)
    (daemon.folder / "go").write_text("go\n")
    os.kill(daemon.job("signal")["pid"], signal.SIGKILL)
    names = ("status", "signal")
    until(lambda: all(daemon.job(name)["last_error"] for name in names), "both ends are seen")
    assert [daemon.job(name)["last_error"] for name in names] == ["exit status 7", "killed by signal 9 (SIGKILL)"]


def test_what_ends_during_the_exec_is_reaped_with_its_code(daemon: Daemon) -> None:
    """A child that ends when nobody looks, between two programs, is asked by the next one."""
    script = "sh -c 'while read x <go; do exit 5; done'"
    os.mkfifo(daemon.folder / "go")
    daemon.keep("s", script, cwd=str(daemon.folder), retry_policy={"max_attempts": 1})
    pid = daemon.job("s")["pid"]
    go = daemon.folder / "go"
    hold = f"import pathlib; pathlib.Path({str(go)!r}).write_text('go\\n'); time.sleep(0.3)"
    venv = newer(daemon.folder, command=("def obey(", f"import time\n{_ONLY_AFTER_EXEC}    {hold}\n\n\ndef obey("))
    upgraded(daemon, venv)
    job = daemon.job("s")
    assert (job["state"], job["exit_code"], job["last_error"]) == ("failed", 5, "exit status 5")
    assert not Path(f"/proc/{pid}").exists()


_ONLY_AFTER_EXEC = "if '--check' not in sys.argv:\n"


def test_a_request_in_flight_is_answered(daemon: Daemon) -> None:
    """Who waits for the end of a long stop is told that its time is up; the stop goes on, signalled once."""
    notes = daemon.folder / "notes"
    daemon.keep("s", child("count", notes), stop_kill=False)
    until(lambda: notes.exists() and "ready" in notes.read_text(), "the child is ready")
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(daemon.call("service.stop", name="s", timeout_ms=15_000)))
    waiting.start()
    until(lambda: "15" in notes.read_text(), "the signal arrived")
    requested = daemon.job("s")["stop_requested_ms"]
    upgraded(daemon)
    waiting.join()
    assert [(answer["ok"], answer["state"]) for answer in answers] == [(False, "stopping")]
    daemon.call("service.stop", name="s", timeout_ms=200)
    assert notes.read_text().split() == ["ready", "15"]
    assert daemon.job("s")["stop_requested_ms"] == requested


HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"


@contextmanager
def connected(daemon: Daemon) -> Iterator[socket.socket]:
    """A connection that waits for its answers no longer than a test may."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(DEADLINE_S)
        connection.connect(daemon.socket)
        yield connection


def health(connection: socket.socket) -> None:
    """Ask on a connection, which has to be answered."""
    connection.sendall(HEALTH)
    assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_connections_go_on(daemon: Daemon) -> None:
    """Who keeps a connection, or has only opened one, is answered on it by the next program, whichever that is."""
    with connected(daemon) as kept, connected(daemon) as silent:
        health(kept)
        for to in (None, newer(daemon.folder), sys.executable):
            upgraded(daemon, to)
            health(kept)
        fails = (SERVES, f"        raise RuntimeError('on purpose')\n{SERVES}")
        failing = other(daemon.folder, "failing", daemon=fails)
        assert upgraded(daemon, failing)["upgrade_failed"]
        health(kept)
        health(silent)
        left = daemon.call("system.ping")
        assert len(list(Path(f"/proc/{left['pid']}/fd").iterdir())) < 20  # nothing piles up


def test_kept_connections_notice_nothing(daemon: Daemon) -> None:
    """Upgrades under clients that ask again at once on the connection that they keep: each request has its answer."""
    over = threading.Event()
    faults: list[str] = []
    asked = [0] * 4

    def ask(at: int) -> None:
        while not over.is_set() and not faults:
            with connected(daemon) as kept:
                closing = False
                while not (closing or faults or over.is_set()):
                    try:
                        kept.sendall(HEALTH)
                        answer = kept.recv(65536)
                    except OSError as error:
                        answer = str(error).encode()
                    if not answer.startswith(b"HTTP/1.1 200 "):
                        faults.append(answer.decode())
                    closing = b"connection: close" in answer.lower()
                    asked[at] += 1

    def ask_on(before: list[int]) -> bool:
        return bool(faults) or all(now > then for now, then in zip(asked, before, strict=True))

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(len(asked))]
    for thread in threads:
        thread.start()
    for generation in range(1, 6):
        before = list(asked)
        assert upgraded(daemon)["generation"] == generation
        until(partial(ask_on, before), "all ask on")
    over.set()
    for thread in threads:
        thread.join()
    assert faults == []


def test_half_a_request_does_not_hold_it_up(daemon: Daemon) -> None:
    """Who has said half of something, and not the rest, is cut off."""
    with connected(daemon) as half:
        half.sendall(HEALTH[:9])
        upgraded(daemon)
        assert half.recv(65536) == b""


@pytest.mark.parametrize(
    ("replaced", "says"),
    [
        ({"daemon": ("import asyncio\n", "import no_such_module\n")}, "No module named 'no_such_module'"),
        ({"store": ("SCHEMA = 1\n", "SCHEMA = 0\n")}, f"it has schema 1 of version {VERSION}, version 9.8.7 knows 0"),
        ({"handover": ("PROTOCOL = 2\n", "PROTOCOL = 3\n")}, "hands over by protocol 3, this one by 2"),
        ({"command": ("arguments.check:", "arguments.check and 1 / 0:")}, "ZeroDivisionError"),
    ],
    ids=["import", "downgrade", "protocol", "crash"],
)
def test_what_would_not_work_is_refused_beforehand(
    daemon: Daemon, replaced: dict[str, tuple[str, str]], says: str
) -> None:
    """The check says why, and the daemon goes on as what it was."""
    daemon.keep("s", "sleep 1000")
    pid = daemon.job("s")["pid"]
    refused = daemon.refusal("system.upgrade", to=newer(daemon.folder, **replaced))
    assert (refused.code, says in str(refused)) == (-32007, True), str(refused)
    assert (daemon.call("system.ping")["generation"], daemon.job("s")["pid"]) == (0, pid)
    assert upgraded(daemon)["generation"] == 1


@pytest.mark.parametrize(
    ("to", "says"),
    [("bin/python", "not an absolute path"), ("/nonexistent", "not a program"), ("/bin/true", "--check")],
    ids=["relative", "missing", "another program"],
)
def test_what_is_no_interpreter_is_refused(daemon: Daemon, to: str, says: str) -> None:
    """It is named."""
    refused = daemon.refusal("system.upgrade", to=to)
    assert (refused.code, says in str(refused), to in str(refused)) == (-32007, True, True)


@pytest.mark.parametrize(
    "replaced",
    [
        {"daemon": (SERVES, f"        raise RuntimeError('on purpose')\n{SERVES}")},
        {"command": ("def obey(", f"{_ONLY_AFTER_EXEC}    raise RuntimeError('on purpose')\n\n\ndef obey(")},
    ],
    ids=["start", "import"],
)
def test_one_that_fails_all_the_same_makes_room(daemon: Daemon, replaced: dict[str, tuple[str, str]]) -> None:
    """What passes the check and fails after the exec leads back to the version before, with all of its children."""
    daemon.keep("s", "sleep 1000")
    pid = daemon.job("s")["pid"]
    with Callers(daemon.socket) as callers:
        again = upgraded(daemon, newer(daemon.folder, **replaced))
    assert callers.faults == []
    assert (again["version"], again["upgrade_failed"]) == (VERSION, "RuntimeError: on purpose")
    assert (daemon.job("s")["pid"], daemon.job("s")["adopted"]) == (pid, False)
    assert upgraded(daemon)["upgrade_failed"] is None


def test_one_that_dies_at_once_loses_no_child(daemon: Daemon) -> None:
    """When the new program is killed before it serves, the units go on and the next start adopts them."""
    daemon.keep("s", "sleep 1000")
    pid = daemon.job("s")["pid"]
    venv = newer(daemon.folder, daemon=(SERVES, f"        os.kill(os.getpid(), 9)\n{SERVES}"))
    assert daemon.call("system.upgrade", to=venv)["ok"]
    assert daemon.process is not None
    assert daemon.process.wait(DEADLINE_S) == -signal.SIGKILL
    assert lives(pid)
    daemon.start()
    assert (daemon.job("s")["pid"], daemon.job("s")["adopted"], daemon.copies()) == (pid, True, [pid])


def test_only_one_upgrade_at_a_time(daemon: Daemon) -> None:
    """Of two that ask at once one is refused or comes after the other; the daemon stays one process."""
    results: list[str] = []

    def ask() -> None:
        try:
            results.append(str(daemon.call("system.upgrade")["ok"]))
        except RegistryError as error:
            results.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "True" in results
    assert all(result == "True" or "under way already" in result for result in results), results
    assert daemon.call("system.ping")["pid"] == daemon.pid


def test_an_end_after_an_upgrade_is_an_end(daemon: Daemon) -> None:
    """The next program ends on SIGTERM as ever, removes its socket, and leaves what it has started."""
    daemon.keep("s", "sleep 1000")
    pid = daemon.job("s")["pid"]
    upgraded(daemon)
    assert daemon.end() == 0
    assert lives(pid)
    assert not Path(daemon.socket).exists()


def test_nothing_is_handed_over_to_units(daemon: Daemon) -> None:
    """A unit that the next program starts inherits neither the socket nor the locks, and no signal is held back."""
    upgraded(daemon)
    daemon.keep("s", "sleep 1000")
    pid = daemon.job("s")["pid"]
    assert {entry.name for entry in Path(f"/proc/{pid}/fd").iterdir()} == {"0", "1", "2"}
    status = Path(f"/proc/{pid}/status").read_text()
    assert "SigBlk:\t0000000000000000" in status
    assert b"HANDOVER" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_the_second_daemon_is_refused_after_an_upgrade(daemon: Daemon) -> None:
    """Both locks are held on."""
    upgraded(daemon)
    others = [daemon.launch(state=str(daemon.folder / "other")), daemon.launch(socket=f"{daemon.folder}/o/rpc.sock")]
    assert [process.wait(DEADLINE_S) for process in others] == [1, 1]


def test_the_check_changes_nothing(daemon: Daemon) -> None:
    """It prints its version, and neither the database nor the daemon is another."""
    before = (daemon.state / "hero_proc.db").read_bytes()
    command = [sys.executable, "-m", f"{PACKAGE}.embedded", "--socket", daemon.socket, "--state", str(daemon.state)]
    done = subprocess.run([*command, "--check"], capture_output=True, text=True, check=True)
    assert f'"version": "{VERSION}"' in done.stdout
    assert (daemon.state / "hero_proc.db").read_bytes() == before
    assert daemon.call("system.ping")["pid"] == daemon.pid
