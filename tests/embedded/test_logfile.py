"""Reading the end of a log that somebody else writes."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.embedded.logfile import LARGEST_READ, LONGEST_LINE, last_line, tail
from hero_livekit_units.embedded.records import Life
from hero_livekit_units.embedded.store import LIVES_KEPT, Store
from tests.embedded.running import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.embedded.running import Daemon


@pytest.mark.parametrize(
    ("content", "lines", "expected"),
    [
        (b"a\nb\nc\n", 2, ["b", "c"]),
        (b"a\nb\nc", 5, ["a", "b", "c"]),
        (b"a\n\nb\n", 2, ["", "b"]),
        (b"", 5, []),
        (b"a\n", 0, []),
        (b"\xff\xfe\n", 1, ["\ufffd\ufffd"]),
        (b"\0" * 5000 + b"a\nb\n", 5, ["a", "b"]),
        (b"\0" * (LARGEST_READ - 2) + b"a\nb\n", 5, ["a", "b"]),
        (b"\0" * 5000, 5, []),
    ],
    ids=[
        *("the-last", "no-newline", "an-empty-line", "empty", "none-asked", "no-text"),
        *("after-a-hole", "after-a-long-hole", "all-a-hole"),
    ],
)
def test_tail(tmp_path: Path, content: bytes, lines: int, expected: list[str]) -> None:
    """The last lines, the eldest first."""
    file = tmp_path / "log"
    file.write_bytes(content)
    assert tail(str(file), lines) == expected


def test_a_large_file_is_not_read_whole(tmp_path: Path) -> None:
    """Only the end is read, and the line that this cuts is left out."""
    file = tmp_path / "log"
    file.write_bytes(b"x" * LARGEST_READ + b"\nlast\n")
    assert tail(str(file), 10) == ["last"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It has no lines."""
    assert (tail(str(tmp_path / "none"), 5), last_line(str(tmp_path / "none"))) == ([], "")


def test_the_last_line(tmp_path: Path) -> None:
    """Empty lines do not count, and a very long line is cut."""
    file = tmp_path / "log"
    file.write_bytes(b"first\n" + b"y" * 2000 + b"\n \n\n")
    assert last_line(str(file)) == "y" * LONGEST_LINE


@pytest.mark.servers
def test_the_output_of_each_attempt(daemon: Daemon) -> None:
    """They share one file, and each is told apart, after a crash of the daemon too."""
    speaks = "[ $n = 2 ] || echo attempt $n; [ $n -lt 4 ] || sleep 1000; exit 1"
    script = f"n=1; [ -e count ] && n=$(($(cat count) + 1)); echo $n >count; {speaks}"
    daemon.keep("s", script, interpreter="sh", cwd=str(daemon.folder))
    until(lambda: daemon.job("s")["attempt"] == 4, "it lives for the fourth time")
    job = daemon.job("s")["job_id"]
    until(lambda: daemon.call("job.logs", job_id=job, attempt=4), "it has spoken")
    daemon.restart()
    said = [[row["line"] for row in daemon.call("job.logs", job_id=job, attempt=at)] for at in range(6)]
    assert said == [[], ["attempt 1"], [], ["attempt 3"], ["attempt 4"], []]
    assert [row["line"] for row in daemon.call("job.logs", job_id=job)] == ["attempt 1", "attempt 3", "attempt 4"]


def test_only_the_last_lives_are_known(tmp_path: Path) -> None:
    """What is kept of where they began is bounded; a file that begins anew has only lives that begin in it."""
    with closing(Store.open(str(tmp_path / "db"))) as store:
        for attempt in range(1, LIVES_KEPT + 11):
            store.save_jobs([], life=Life("log", 10 * attempt, 7, attempt))
        store.save_jobs([], life=Life("other", 5, 8, 1))
        assert store.span(7, 10) is None
        assert store.span(7, 11) == (110, 120)
        assert store.span(7, LIVES_KEPT + 10) == (10 * LIVES_KEPT + 100, None)
        store.save_jobs([], life=Life("log", 0, 7, 500))
        assert (store.span(7, 11), store.span(7, 500)) == (None, (0, None))
        assert store.span(8, 1) == (5, None)
