"""Logs stay within their limits while processes write to them, and lose nothing that the limits keep."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.embedded.logfile import tail
from hero_livekit_units.embedded.logtrim import LogLimits, LogTrimmer
from tests.embedded.running import child, until

if TYPE_CHECKING:
    from tests.embedded.running import Daemon

DAY_S = 86400.0


def numbered(first: int, last: int) -> bytes:
    """Lines of 20 bytes."""
    return b"".join(b"%019d\n" % at for at in range(first, last))


def kept(path: Path) -> list[int]:
    """The numbers in a log, which have to be whole lines that follow each other."""
    lines = path.read_bytes().lstrip(b"\0").splitlines(keepends=True)
    assert all(len(line) == 20 and line.endswith(b"\n") for line in lines)
    found = [int(line) for line in lines]
    assert found == list(range(found[0], found[-1] + 1)) if found else True
    return found


def sweep(folder: Path, limits: LogLimits, at_s: float = 0.0) -> None:
    """Look at all files as a daemon does at some time."""
    asyncio.run(LogTrimmer(str(folder), limits, list, wall=lambda: at_s).sweep())


def test_a_log_within_its_limits_is_left_alone(tmp_path: Path) -> None:
    """Not a byte is given up."""
    log = tmp_path / "s.a.log"
    log.write_bytes(numbered(0, 1000))
    sweep(tmp_path, LogLimits(largest=64 * 1024))
    assert log.read_bytes() == numbered(0, 1000)


def test_the_newest_lines_are_kept(tmp_path: Path) -> None:
    """Of a log that is too large three quarters of the limit remain, in whole lines; offsets and inode stay."""
    log = tmp_path / "s.a.log"
    log.write_bytes(numbered(0, 100_000))
    before = log.stat()
    sweep(tmp_path, LogLimits(largest=400_000))
    after, lines = log.stat(), kept(log)
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    assert (lines[0], lines[-1]) == (100_000 - 300_000 // 20, 99_999)
    assert after.st_blocks * 512 <= 400_000 + 4096
    assert tail(str(log), 2) == [f"{at:019d}" for at in (99_998, 99_999)]


def test_a_line_longer_than_the_limit(tmp_path: Path) -> None:
    """A log without ends of lines is cut all the same: the limit is one for the disk."""
    log = tmp_path / "s.a.log"
    log.write_bytes(b"x" * 8_000_000)
    sweep(tmp_path, LogLimits(largest=400_000))
    assert log.read_bytes().lstrip(b"\0") == b"x" * 300_000


def test_a_log_is_trimmed_under_its_writer(tmp_path: Path) -> None:
    """A writer that holds the file goes on at its end; the lines that remain are whole and follow each other."""
    log = tmp_path / "s.a.log"
    count, done = 200_000, threading.Event()

    def write() -> None:
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for at in range(0, count, 20):
            os.write(descriptor, numbered(at, at + 20))
        os.close(descriptor)
        done.set()

    async def trim() -> int:
        trimmer, times = LogTrimmer(str(tmp_path), LogLimits(largest=200_000), list), 0
        while not done.is_set():
            await trimmer.trim(str(log))
            times += 1
        await trimmer.trim(str(log))
        return times

    writer = threading.Thread(target=write)
    writer.start()
    times = asyncio.run(trim())
    writer.join()
    lines = kept(log)
    assert times > 1
    assert lines[-1] == count - 1
    assert 150_000 // 20 <= len(lines) <= (200_000 + 4096) // 20


def test_old_lines_are_given_up(tmp_path: Path) -> None:
    """What was written longer ago than the limit goes, what came after the mark stays; a new daemon knows the marks."""
    log, limits = tmp_path / "s.a.log", LogLimits(age_s=10 * DAY_S)
    log.write_bytes(numbered(0, 100))
    sweep(tmp_path, limits, 0.0)
    with log.open("ab") as file:
        file.write(numbered(100, 200))
    sweep(tmp_path, limits, 9 * DAY_S)
    assert kept(log)[0] == 0
    sweep(tmp_path, limits, 11 * DAY_S)
    assert (kept(log)[0], kept(log)[-1]) == (100, 199)
    sweep(tmp_path, limits, 20 * DAY_S)
    assert kept(log) == []


def test_a_log_that_was_put_aside_keeps_its_age(tmp_path: Path) -> None:
    """Its marks follow it; the new file of its old name is not taken for it."""
    log, limits = tmp_path / "s.a.log", LogLimits(age_s=10 * DAY_S)
    log.write_bytes(numbered(0, 100))
    sweep(tmp_path, limits, 0.0)
    log.rename(tmp_path / "s.a.log.1")
    log.write_bytes(numbered(100, 300))
    sweep(tmp_path, limits, 5 * DAY_S)
    sweep(tmp_path, limits, 11 * DAY_S)
    assert (kept(tmp_path / "s.a.log.1"), kept(log)[0]) == ([], 100)


def test_unreadable_marks_are_begun_anew(tmp_path: Path) -> None:
    """Nothing is given up early for them."""
    log, limits = tmp_path / "s.a.log", LogLimits(age_s=10 * DAY_S)
    log.write_bytes(numbered(0, 100))
    (tmp_path / "marks.json").write_text('{"s.a.log": 5}')
    sweep(tmp_path, limits, 100 * DAY_S)
    assert len(kept(log)) == 100


def test_a_filesystem_that_cannot(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once for each file, and the file is left as it is."""
    log = tmp_path / "s.a.log"
    log.write_bytes(numbered(0, 100_000))

    def refuse(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    trimmer = LogTrimmer(str(tmp_path), LogLimits(largest=400_000), list, punch=refuse)
    for _ in range(2):
        asyncio.run(trimmer.sweep())
    assert log.read_bytes() == numbered(0, 100_000)
    (record,) = caplog.records
    assert f"the log {log} is too large, and its filesystem cannot free the beginning" in record.getMessage()


@pytest.mark.servers
def test_nothing_is_lost_when_the_daemon_is_killed(resting: Daemon) -> None:
    """A daemon that is killed again and again while a fast writer exceeds a small limit loses the eldest lines only.

    The writer lives on, and the newest lines are what job.logs gives.
    """
    resting.arguments = ("--log-mib", "1")
    resting.start()
    count = 500_000
    resting.keep("s", child("number", count, 0.002))
    job = resting.job("s")
    log = Path(job["log_file"])
    kills = 0
    while log.stat().st_size < count * 20:
        size = log.stat().st_size
        until(lambda size=size: log.stat().st_size >= min(size + 500_000, count * 20), "it writes on")  # type: ignore[misc]
        resting.restart()
        kills += 1
    until(lambda: log.stat().st_blocks * 512 <= 2**20, "it is within its limit")
    lines = kept(log)
    assert kills > 2
    assert (resting.job("s")["pid"], lines[-1]) == (job["pid"], count - 1)
    assert len(lines) >= 2**20 * 3 // 4 // 20
    newest = resting.call("job.logs", job_id=job["job_id"], lines=5)
    assert [int(row["line"]) for row in newest] == lines[-5:]
