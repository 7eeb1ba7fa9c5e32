"""Reading the end of a log that somebody else writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.embedded.logfile import LARGEST_READ, LONGEST_LINE, last_line, tail

if TYPE_CHECKING:
    from pathlib import Path


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
