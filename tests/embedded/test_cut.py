"""Power loss at any byte: whatever part of the write-ahead log has reached the disk, the daemon goes on from it.

SQLite's promise is that a log that ends anywhere counts up to its last whole transaction. Here it is held against what
the daemon makes of that: it opens, it reads everything, and what it had recorded before it acted is still recorded.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from hero_livekit_units.embedded.children import boot_id
from hero_livekit_units.embedded.lifecycle import JobState
from hero_livekit_units.embedded.records import Job, Service
from hero_livekit_units.embedded.spec import parse_action, parse_service
from hero_livekit_units.embedded.store import Store
from tests.embedded.running import child, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.embedded.running import Daemon

PAGE = 4096
HEADER, FRAME = 32, 24 + PAGE  # of a write-ahead log (sqlite.org/fileformat2.html, section 4)

State = tuple[bool | None, tuple[tuple[JobState, bool, bool], ...]]


def state_of(store: Store) -> State:
    """Whether the service is wanted; of each job its state, whether it is spawning, whether it was signalled."""
    _, services, _, jobs = store.load()
    wanted = services["s"].wanted if "s" in services else None
    return wanted, tuple((job.state, job.spawning, job.stop_sent) for job in jobs.values())


def history(path: Path) -> list[tuple[int, State]]:
    """Write the life of a job: after each write the size of the log, and the state that was written."""
    action = parse_action({"name": "a", "script": "sleep 1", "is_process": True})
    service = Service(parse_service({"name": "s", "actions": ["a"]}), "core", wanted=True)
    job = Job(1, 1, "s", "core", action, "/log", 0, boot_id())
    running = evolve(job, state=JobState.RUNNING, pid=4242, pid_start=1, attempt=1)
    stopping = evolve(running, state=JobState.STOPPING, stop_sent=True, stop_requested_ms=5)
    written: list[tuple[int, State]] = []
    with closing(Store.open(str(path))) as store:
        for write in (
            lambda: None,
            lambda: store.save_action("core", action),
            lambda: store.save_service(service),
            lambda: store.add_run("s", "s", 0),
            lambda: store.save_jobs([job]),
            lambda: store.save_jobs([evolve(job, spawning=True)]),
            lambda: store.save_jobs([running]),
            lambda: store.save_service(evolve(service, wanted=False)),
            lambda: store.save_jobs([stopping]),
            lambda: store.save_jobs([evolve(stopping, state=JobState.CANCELLED, pid=None, pid_start=None)]),
        ):
            write()
            written.append((os.stat(f"{path}-wal").st_size, state_of(store)))  # noqa: PTH116
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", path.with_name(f"copy{suffix}"))
    return written


def cut(folder: Path, length: int, tail: bytes = b"") -> Store:
    """The store as it is after a power loss that left so much of the log, and then perhaps something else."""
    shutil.copyfile(folder / "copy", folder / "cut")
    (folder / "cut-wal").write_bytes((folder / "copy-wal").read_bytes()[:length] + tail)
    (folder / "cut-shm").unlink(missing_ok=True)
    return Store.open(str(folder / "cut"))


def test_the_log_cut_anywhere(tmp_path: Path) -> None:
    """Around each boundary of the log, and within frames, the state is that of the last whole write before the cut."""
    written = history(tmp_path / "db")
    first, last = written[0][0], written[-1][0]
    assert len({size for size, _ in written}) == len(written), "every write makes the log longer"
    cuts = {
        edge + step
        for edge in range(HEADER, last + 1, FRAME)
        for step in (-FRAME // 2, -1, 0, 1, 23, 24, 25)
        if first <= edge + step <= last
    }
    for length in sorted(cuts):
        expected = [state for size, state in written if size <= length][-1]
        with closing(cut(tmp_path, length)) as store:
            assert state_of(store) == expected, f"cut at {length}"


@pytest.mark.parametrize("junk", [b"\0" * FRAME, b"\xff" * FRAME, b"\0" * 100], ids=["zeros", "ones", "part"])
def test_garbage_after_the_cut(junk: bytes, tmp_path: Path) -> None:
    """A disk that made room for a write but did not write it gives bytes that were never written; they do not count."""
    for length, expected in history(tmp_path / "db"):
        with closing(cut(tmp_path, length, junk)) as store:
            assert state_of(store) == expected, f"cut at {length}"


def test_what_callers_are_promised_is_synced(tmp_path: Path) -> None:
    """Specs, what is wanted and secrets are on the disk when the call returns; the rest is about processes."""
    levels: list[tuple[str, int]] = []
    action = parse_action({"name": "a", "script": "x"})
    service = Service(parse_service({"name": "s", "actions": ["a"]}), "core", wanted=False)
    with closing(Store.open(str(tmp_path / "db"))) as store:
        for name, write in (
            ("action", lambda: store.save_action("core", action)),
            ("run", lambda: store.add_run("s", "s", 0)),
            ("wanted", lambda: store.save_service(service)),
            ("log", lambda: store.add_log("core", "s", 0, 3, [], "x")),
            ("secret", lambda: store.save_secret("core", "k", "v", if_absent=False)),
        ):
            write()
            levels.append((name, store._db.execute("PRAGMA synchronous").fetchone()[0]))
    full, normal = 2, 1  # sqlite.org/pragma.html
    assert levels == [("action", full), ("run", normal), ("wanted", full), ("log", normal), ("secret", full)]


@pytest.mark.servers
def test_a_daemon_on_every_state_of_a_stop(daemon: Daemon) -> None:
    """The database as it was after each write of a stop, beside the live process: no second copy, and the stop goes on.

    A signal follows on its record. So where there is no record of one, none was sent, and it is sent now; here it was,
    as all states come after it. A crash loses no write, and no process outlives what would.

    All states are cut out of one log, which grows while a reader keeps it from being moved into the database.
    """
    notes = daemon.folder / "notes"
    database = daemon.state / "hero_proc.db"
    with closing(sqlite3.connect(database)) as db:  # holds the log back from being moved into the database
        db.execute("BEGIN")
        db.execute("SELECT * FROM meta").fetchall()
        daemon.keep("s", child("count", notes), stop_kill=False)
        until(lambda: notes.exists() and "ready" in notes.read_text(), "the child is ready")
        started = database.with_name("hero_proc.db-wal").stat().st_size
        daemon.call("service.stop", name="s")
        until(lambda: "15" in notes.read_text(), "the signal arrived")
        daemon.crash()
        main, log = database.read_bytes(), database.with_name("hero_proc.db-wal").read_bytes()
    (pid,) = daemon.copies()
    ends = _commits(log, started)
    assert len(ends) >= 3, "what is wanted, and the stop, are two writes"
    assert ends[0] == started
    signals = 1
    for length in ends:
        for suffix in ("-wal", "-shm"):
            database.with_name(f"hero_proc.db{suffix}").unlink(missing_ok=True)
        database.write_bytes(main)
        database.with_name("hero_proc.db-wal").write_bytes(log[:length])
        daemon.start()
        assert daemon.copies() == [pid]
        assert (daemon.state_of("s"), daemon.job("s")["pid"]) == ("running" if length == started else "stopping", pid)
        signals += started < length < ends[-1]
        until(lambda: notes.read_text().split()[1:] == ["15"] * signals, "it got its signal")  # noqa: B023  at once
        daemon.crash()


def _commits(log: bytes, since: int) -> list[int]:
    """Where the transactions of a log end, from a length on: a frame with a size in its head is the last of one."""
    ends = [
        at + FRAME
        for at in range(HEADER, len(log) - FRAME + 1, FRAME)
        if int.from_bytes(log[at + 4 : at + 8], "big") and log[at + 8 : at + 16] == log[16:24]
    ]
    return [end for end in ends if end >= since]
