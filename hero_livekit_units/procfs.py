"""The start time of a process, by which a pid that was given out again is told from the one that was meant."""

from __future__ import annotations

DEAD = frozenset({b"Z", b"X", b"x"})  # a zombie has ended; only its parent has not asked yet


def start_time_of(pid: int) -> int | None:
    """Clock ticks since boot at which the process started (field 22 of /proc/PID/stat), None when there is none."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields else None


def lives(pid: int, start_time: int) -> bool:
    """Whether this very process still lives: same pid, same start.

    Raises:
        PermissionError: /proc is mounted so that it hides other users' processes (hidepid=1).
    """
    fields = stat_fields(pid)
    return bool(fields) and fields[0] not in DEAD and int(fields[19]) == start_time


def stat_fields(pid: int) -> list[bytes]:
    """Fields 3 and on of /proc/PID/stat, empty when there is no such process.

    The name, field 2, stands in parentheses and may hold anything, so the fields are counted from behind it (proc(5)).
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  pathlib is not worth its memory here
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
