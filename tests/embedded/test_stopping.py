"""A stop signal is sent once, not too early, and what follows is what the action says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.embedded.running import child, lives, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.embedded.running import Daemon

pytestmark = pytest.mark.servers


def counting(daemon: Daemon, **fields: object) -> Path:
    """Start a child that counts its SIGTERMs and ends on none; the file of its count."""
    notes = daemon.folder / "notes"
    daemon.keep("s", child("count", notes), **fields)
    until(lambda: notes.exists() and "ready" in notes.read_text(), "the child is ready")
    return notes


def test_repeated_stops_signal_once(daemon: Daemon) -> None:
    """However often a stop is asked for, the process gets one signal."""
    notes = counting(daemon, stop_kill=False)
    for _ in range(5):
        daemon.call("service.stop", name="s")
    until(lambda: "15" in notes.read_text(), "the signal arrived")
    daemon.call("service.stop", name="s", timeout_ms=300)
    assert notes.read_text().split() == ["ready", "15"]
    assert (daemon.state_of("s"), daemon.job("s")["stop_sent"]) == ("stopping", True)


def test_a_stop_is_not_repeated_after_a_crash(daemon: Daemon) -> None:
    """A new daemon goes on waiting for an end that the old one asked for, without a second signal."""
    notes = counting(daemon, stop_kill=False)
    daemon.call("service.stop", name="s")
    until(lambda: "15" in notes.read_text(), "the signal arrived")
    requested = daemon.job("s")["stop_requested_ms"]
    daemon.restart()
    daemon.call("service.stop", name="s", timeout_ms=300)
    assert notes.read_text().split() == ["ready", "15"]
    assert (daemon.state_of("s"), daemon.job("s")["stop_requested_ms"]) == ("stopping", requested)


def test_the_window_goes_on_after_a_crash(daemon: Daemon) -> None:
    """The kill at the end of the stop window comes also from a daemon that did not open it."""
    counting(daemon, stop_timeout_ms=1500)
    pid = daemon.job("s")["pid"]
    daemon.call("service.stop", name="s")
    daemon.restart()
    daemon.until_state("s", "inactive")
    assert not lives(pid)


def test_it_is_killed_after_its_window(daemon: Daemon) -> None:
    """With stop_kill the process is killed after stop_timeout_ms, and the job says so."""
    counting(daemon, stop_timeout_ms=200)
    assert daemon.call("service.stop", name="s", timeout_ms=10_000)["ok"]
    job = daemon.job("s")
    assert (job["state"], job["signal"], job["last_error"]) == (
        "cancelled",
        9,
        "killed: it did not end within 200 ms",
    )


def test_without_stop_kill_it_is_waited_for(daemon: Daemon) -> None:
    """Without stop_kill nothing happens after the window, and other calls are answered meanwhile."""
    counting(daemon, stop_timeout_ms=50, stop_kill=False)
    pid = daemon.job("s")["pid"]
    answer = daemon.call("service.stop", name="s", timeout_ms=400)
    assert (answer["ok"], answer["state"]) == (False, "stopping")
    assert lives(pid)


def test_a_stop_waits_for_the_minimum_age(daemon: Daemon) -> None:
    """A program that loses early signals gets its signal when it is old enough, and ends by it."""
    daemon.keep("s", child("lose-early", 0.3), stop_min_age_ms=1000, stop_kill=False)
    daemon.call("service.stop", name="s")
    assert (daemon.state_of("s"), daemon.job("s")["stop_sent"]) == ("stopping", False)
    daemon.until_state("s", "inactive")
    assert daemon.job("s")["signal"] == 15


def test_a_waiting_stop_survives_a_crash(daemon: Daemon) -> None:
    """A stop that was recorded but not sent yet is sent by the next daemon."""
    daemon.keep("s", child("lose-early", 0.3), stop_min_age_ms=1500, stop_kill=False)
    daemon.call("service.stop", name="s")
    daemon.restart()
    daemon.until_state("s", "inactive")


def test_a_start_before_the_signal_withdraws_the_stop(daemon: Daemon) -> None:
    """Until the signal is sent the process can be kept: the same one runs on, and no signal ever comes."""
    notes = counting(daemon, stop_min_age_ms=1500, stop_kill=False)
    before = daemon.job("s")
    daemon.call("service.stop", name="s")
    assert (daemon.state_of("s"), daemon.job("s")["stop_sent"]) == ("stopping", False)
    daemon.call("service.start", name="s")
    until(lambda: time.time() * 1000 > before["started_ms"] + 2000, "the signal would have come")
    after = daemon.job("s")
    assert (after["state"], after["pid"], after["stop_requested_ms"]) == ("running", before["pid"], None)
    assert notes.read_text().split() == ["ready"]
    daemon.call("service.stop", name="s")
    until(lambda: "15" in notes.read_text(), "a later stop signals")


def test_a_withdrawn_stop_is_withdrawn_after_a_crash_too(daemon: Daemon) -> None:
    """The next daemon finds a process that runs and is wanted."""
    notes = counting(daemon, stop_min_age_ms=1500, stop_kill=False)
    pid = daemon.job("s")["pid"]
    daemon.call("service.stop", name="s")
    daemon.call("service.start", name="s")
    daemon.restart()
    until(lambda: time.time() * 1000 > daemon.job("s")["started_ms"] + 2000, "the signal would have come")
    assert (daemon.state_of("s"), daemon.job("s")["pid"]) == ("running", pid)
    assert notes.read_text().split() == ["ready"]


def test_a_restart_before_the_signal_is_not_withdrawn(daemon: Daemon) -> None:
    """A restart asked for another process: a start after it is content with that."""
    daemon.keep("s", child("lose-early", 0.3), stop_min_age_ms=1000, stop_kill=False)
    pid = daemon.job("s")["pid"]
    daemon.call("service.restart", name="s")
    daemon.call("service.start", name="s")
    until(lambda: daemon.state_of("s") == "running" and daemon.job("s")["pid"] != pid, "another process runs")
    assert not lives(pid)


def test_a_stop_of_hours_blocks_nothing(daemon: Daemon) -> None:
    """While one ends in its own time, it is asked about, others come and go, and it can be killed by name."""
    counting(daemon, stop_timeout_ms=6 * 3600 * 1000)
    pid = daemon.job("s")["pid"]
    daemon.call("service.stop", name="s")
    for at in range(5):
        daemon.keep(f"other{at}", "sleep 1000")
        assert daemon.call("service.stop", name=f"other{at}", timeout_ms=10_000)["ok"]
    daemon.restart()
    assert (daemon.state_of("s"), lives(pid)) == ("stopping", True)
    daemon.call("service.stop", name="s")
    daemon.call("job.kill", job_id=daemon.job("s")["job_id"], signal="SIGKILL")
    daemon.until_state("s", "inactive")
    assert not lives(pid)


def test_what_is_left_of_the_group_goes_too(daemon: Daemon) -> None:
    """A stop does not leave behind what the process started in its group."""
    file = daemon.folder / "grandchild"
    daemon.keep("s", child("fork", file))
    grandchild = int(until(lambda: file.exists() and file.read_text(), "the child has forked"))
    daemon.call("service.stop", name="s", timeout_ms=10_000)
    until(lambda: not lives(grandchild), "the grandchild has gone")


def test_the_group_of_a_shell_is_signalled(daemon: Daemon) -> None:
    """A shell does not pass signals on, so its group gets the stop signal."""
    notes = daemon.folder / "notes"
    daemon.keep("s", f"{child('count', notes)}; true", interpreter="sh", stop_kill=False)
    until(lambda: notes.exists() and "ready" in notes.read_text(), "the child is ready")
    daemon.call("service.stop", name="s")
    until(lambda: "15" in notes.read_text(), "the signal arrived")


def test_a_stop_ends_the_backoff(daemon: Daemon) -> None:
    """A service between two lives is inactive at once when it is stopped, and stays so."""
    daemon.keep("s", child("exit", 1), retry_policy={"delay_ms": 300})
    until(lambda: daemon.job("s")["next_start_ms"], "the first life ended")
    daemon.call("service.stop", name="s", timeout_ms=1)
    assert (daemon.state_of("s"), daemon.job("s")["state"]) == ("inactive", "cancelled")
    daemon.restart()
    assert daemon.job("s")["attempt"] == 1


def test_stopping_what_is_stopped(daemon: Daemon) -> None:
    """It is fine, and changes nothing."""
    daemon.call("service.set", service={"name": "s"})
    assert daemon.call("service.stop", name="s", timeout_ms=1000) == {"ok": True, "run_id": 0, "state": "inactive"}
