"""Reading the end of a log file that somebody else writes. Never reads more than a bounded piece."""

from __future__ import annotations

import os

LARGEST_READ = 256 * 1024
LONGEST_LINE = 500


def tail(path: str, lines: int) -> list[str]:
    """The last lines of a file, the eldest first; empty when there is no such file."""
    if lines <= 0:
        return []
    try:
        with open(path, "rb") as file:  # noqa: PTH123  pathlib is not worth its memory here
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LARGEST_READ))
            data = file.read(LARGEST_READ)
    except OSError:
        return []
    found = data.decode("utf-8", "replace").splitlines()
    if size > LARGEST_READ and len(found) > 1:
        found = found[1:]  # its beginning was cut off
    return found[-lines:]


def last_line(path: str) -> str:
    """The last line with something in it, shortened; "" when there is none."""
    filled = (line.strip() for line in reversed(tail(path, 50)))
    return next((line[:LONGEST_LINE] for line in filled if line), "")
