"""The kernel's word about processes, read from /proc. Identity is pid and start time; a name is never asked."""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hero_livekit_units.model.observed import Parent, ProcessId, ProcessSeen
from hero_livekit_units.observe.foreign import Kin
from hero_livekit_units.procfs import DEAD, lives, stat_fields

if TYPE_CHECKING:
    from collections.abc import Collection

_PF_EXITING = 0x4  # of the flags, field 9 of /proc/PID/stat (include/linux/sched.h)


def see_process(pid: int) -> ProcessSeen | None:
    """The process with this pid, or None when there is none alive.

    One in the midst of its end is none: it has given back its memory, so it cannot say what it is any more, though it
    may hold its ports for some milliseconds yet.

    Raises:
        PermissionError: /proc is mounted so that it hides other users' processes (hidepid=1).
    """
    fields = stat_fields(pid)
    if _has_ended(fields):
        return None
    start_time = int(fields[19])
    folder = Path("/proc", str(pid))
    marks, command = _marks(folder), _command(folder)
    if not command and _has_ended(stat_fields(pid)):
        return None  # while we looked
    return ProcessSeen(
        id=ProcessId(pid, start_time),
        suspended=fields[0] in {b"T", b"t"},
        age_s=max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - start_time / _ticks_per_second()),
        command=command,
        unit=marks.get("HLU_UNIT", ""),
        slot=marks.get("HLU_SLOT", ""),
        release=marks.get("HLU_RELEASE", ""),
        launch_digest=marks.get("HLU_DIGEST", ""),
        ports=_ports(marks.get("HLU_PORTS", "")),
    )


def see_kin(pid: int) -> Kin | None:
    """Whose a process is, its group, and the processes above it; None when there is no such process."""
    import psutil  # noqa: PLC0415  slow, and only needed for a stranger

    fields = _shown(pid)
    if not fields:
        return None
    try:
        user = psutil.Process(pid).username()
    except psutil.Error:
        user = ""
    parents: dict[int, Parent] = {}
    above = int(fields[1])
    # Pids may be given out again while we look: no process stands above itself.
    while above and above not in parents:
        parents[above] = Parent(above, _command(Path("/proc", str(above))))
        around = _shown(above)
        above = int(around[1]) if around else 0
    group = int(fields[2])
    lead = Parent(group, _command(Path("/proc", str(group)))) if _shown(group) else None
    return Kin(user, group, int(fields[3]), tuple(parents.values()), lead)


def _shown(pid: int) -> list[bytes]:
    """Its fields, none when it has ended or is hidden from us."""
    try:
        fields = stat_fields(pid)
    except PermissionError:
        return []
    return [] if _has_ended(fields) else fields


def is_alive(process: ProcessId) -> bool:
    """Whether this very process still lives: same pid, same start."""
    return lives(process.pid, process.start_time)


def socket_inodes(pid: int) -> frozenset[int] | None:
    """Inodes of the sockets that a process has open, or None when they may not be seen."""
    found = set()
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                try:
                    target = os.readlink(entry.path)  # noqa: PTH115  a Path for each of hundreds is slow
                except FileNotFoundError:
                    continue
                if target.startswith("socket:["):
                    found.add(int(target[8:-1]))
    except (FileNotFoundError, ProcessLookupError):
        return frozenset()
    except PermissionError:
        return None
    return frozenset(found)


def owners(inodes: Collection[int], until_s: float) -> dict[int, int]:
    """Which process has which of these sockets open: pids by inode, so far as they were found in time.

    Of several that share a socket it is the one with the lowest pid, mostly their parent. Looks at every process of the
    host, and at no more after `until_s` (monotonic clock).
    """
    found: dict[int, int] = {}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):  # noqa: PTH208  as above
        if len(found) == len(inodes) or time.monotonic() >= until_s:
            break
        for inode in (socket_inodes(pid) or frozenset()).intersection(inodes):
            found.setdefault(inode, pid)
    return found


def descendants(pid: int) -> list[int]:
    """Pids of the children of a process, and of theirs. Looks at every process of the host, so not for each look."""
    parents = {}
    for name in os.listdir("/proc"):  # noqa: PTH208  a Path for each of hundreds is slow
        if name.isdecimal() and (fields := stat_fields(int(name))):
            parents[int(name)] = int(fields[1])
    found, around = [], {pid}
    while around:
        around = {child for child, parent in parents.items() if parent in around}
        found += sorted(around)
    return found


def _has_ended(fields: list[bytes]) -> bool:
    return not fields or fields[0] in DEAD or bool(int(fields[6]) & _PF_EXITING)


def _marks(folder: Path) -> dict[str, str]:
    try:
        environment = folder.joinpath("environ").read_bytes()
    except OSError:
        return {}
    pairs = (item.partition(b"=") for item in environment.split(b"\0") if item.startswith(b"HLU_"))
    return {name.decode(errors="replace"): value.decode(errors="replace") for name, _, value in pairs}


def _ports(mark: str) -> dict[str, int] | None:
    """`http=7880,debug=6800` as numbers by name; None for anything else."""
    pairs = [item.partition("=") for item in mark.split(",")]
    if not all(name and number.isdecimal() for name, _, number in pairs):
        return None
    return {name: int(number) for name, _, number in pairs}


def _command(folder: Path) -> str:
    try:
        words = folder.joinpath("cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    text = b" ".join(words).decode(errors="replace").strip()
    # It is shown on terminals, and a stranger chose it.
    return "".join(letter if letter.isprintable() else "?" for letter in text)


@cache
def _ticks_per_second() -> int:
    return os.sysconf("SC_CLK_TCK")
