"""The death tally: what has died, how often and why, over starts, crashes and upgrades."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.embedded.deaths import KEPT, Death, Tally, parse_tally
from hero_livekit_units.embedded.store import Store
from tests.embedded.running import child, lives, until

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.embedded.running import Daemon


def tally_of(daemon: Daemon, name: str) -> dict[str, Any]:
    """The deaths of the action of a service of the same name."""
    found: dict[str, Any] = daemon.call("service.status", name=name)["deaths"][name]
    return found


def test_all_are_counted_and_the_last_are_kept() -> None:
    """The newest is the first; reasons have a length that a record can have."""
    tally = Tally()
    for at in range(KEPT + 3):
        tally = tally.after(Death(at, None, "x" * 10_000))
    assert (tally.count, [death.at_ms for death in tally.recent]) == (KEPT + 3, list(range(KEPT + 2, 2, -1)))
    assert {len(death.because) for death in tally.recent} == {500}
    assert parse_tally(tally.as_json()) == tally


def test_a_job_and_its_death_are_one_write(tmp_path: Path) -> None:
    """What is saved with a job is loaded; a service that is deleted takes its deaths along."""
    path = str(tmp_path / "db")
    tally = Tally().after(Death(1, 2, "exit status 3"))
    with closing(Store.open(path)) as store:
        store.save_jobs([], {("s", "a"): tally, ("t", "a"): tally})
    with closing(Store.open(path)) as store:
        assert store.tallies() == {("s", "a"): tally, ("t", "a"): tally}
        store.delete_service("s")
        assert set(store.tallies()) == {("t", "a")}


@pytest.mark.servers
def test_deaths_are_counted_over_starts_and_crashes(daemon: Daemon) -> None:
    """Exit 0 of a process that nobody asked to end is a death, with its last line; a crash and a new job lose none."""
    daemon.keep("s", child("exit", 0), retry_policy={"max_attempts": 2, "delay_ms": 10})
    daemon.until_state("s", "failed")
    daemon.restart()
    daemon.call("service.start", name="s")
    until(lambda: tally_of(daemon, "s")["count"] == 4, "two lives more")
    tally = tally_of(daemon, "s")
    assert [death["because"] for death in tally["recent"]] == ["exit status 0: my last word"] * 4
    assert [death["at_ms"] for death in tally["recent"]] == sorted(
        (it["at_ms"] for it in tally["recent"]), reverse=True
    )


@pytest.mark.servers
def test_a_stop_is_no_death(daemon: Daemon) -> None:
    """Nor is the kill at the end of its window."""
    daemon.keep("s", "sleep 1000")
    daemon.call("service.stop", name="s", timeout_ms=10_000)
    assert tally_of(daemon, "s") == {"count": 0, "recent": []}


@pytest.mark.servers
def test_the_death_of_an_adopted_child_is_seen_at_once(daemon: Daemon) -> None:
    """Its end is taken in before the answer to whoever asks after it; that its exit code is unknown is said."""
    daemon.keep("s", "sleep 1000", retry_policy={"delay_ms": 60_000})
    daemon.restart()
    pid = daemon.job("s")["pid"]
    pidfd = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGKILL)
        select.select([pidfd], [], [], 20)
        died_ms = time.time_ns() / 1_000_000
    finally:
        os.close(pidfd)
    job = daemon.job("s")
    assert (job["pid"], job["exit_code"], job["last_error"]) == (None, None, "exit code unknown (adopted)")
    print(f"seen {job['ended_ms'] - died_ms:.0f} ms after the death")  # noqa: T201  the figure is of interest
    assert [death["because"] for death in tally_of(daemon, "s")["recent"]] == ["exit code unknown (adopted)"]


@pytest.mark.servers
def test_a_clean_end_keeps_the_children(daemon: Daemon) -> None:
    """`system.shutdown` leaves what runs, running; the next daemon adopts it and is told of no death."""
    daemon.keep("s", "sleep 1000")
    pid = daemon.job("s")["pid"]
    assert daemon.call("system.shutdown", keep_children=True) == {"ok": True}
    assert daemon.process is not None
    assert daemon.process.wait(20) == 0
    assert lives(pid)
    daemon.start()
    assert (daemon.job("s")["pid"], daemon.job("s")["adopted"], tally_of(daemon, "s")["count"]) == (pid, True, 0)
