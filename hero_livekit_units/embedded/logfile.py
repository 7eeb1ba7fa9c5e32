"""Reading the end of a log file that somebody else writes. Never reads more than a bounded piece.

The file may begin with a hole, see `logtrim`: what it held was given up, and it reads as NULs.
"""

from __future__ import annotations

import os
from contextlib import suppress

LARGEST_READ = 256 * 1024
LONGEST_LINE = 500


def data_start(descriptor: int) -> int:
    """The offset of the first piece of a file that is on the disk; its size when nothing is."""
    try:
        return os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError:  # ENXIO: it is empty, or one hole
        return os.fstat(descriptor).st_size


def tail(path: str, lines: int, start: int = 0, end: int | None = None) -> list[str]:
    """The last lines of a file, the eldest first; empty when there is no such file.

    start, end: only what lies between these bytes counts.
    """
    if lines <= 0:
        return []
    try:
        with open(path, "rb") as file:  # noqa: PTH123  pathlib is not worth its memory here
            there = file.seek(0, os.SEEK_END)
            size = max(0, (there if end is None else min(end, there)) - start)
            file.seek(start + max(0, size - LARGEST_READ))
            data = file.read(min(size, LARGEST_READ))
    except OSError:
        return []
    kept = data.lstrip(b"\0")  # the end of a hole, where there is one
    found = kept.decode("utf-8", "replace").splitlines()
    if size > LARGEST_READ and len(kept) == len(data) and len(found) > 1:
        found = found[1:]  # its beginning was cut off
    return found[-lines:]


def last_line(path: str) -> str:
    """The last line with something in it, shortened; "" when there is none."""
    filled = (line.strip() for line in reversed(tail(path, 50)))
    return next((line[:LONGEST_LINE] for line in filled if line), "")


def remove_empty(path: str) -> None:
    """Remove a file in which nothing was ever written."""
    with suppress(OSError):
        if not os.stat(path).st_size:  # noqa: PTH116
            os.unlink(path)  # noqa: PTH108
