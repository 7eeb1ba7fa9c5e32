"""Keeping the log files of processes within their limits, while the processes write to them.

Owns: which piece of a log is given up, and when. Must not know jobs.

The children write to files opened for append, with nobody in between: no pipe that could break, no daemon that has to
live. So a log can be neither renamed (the child goes on with the old inode) nor copied and truncated (what is written
in between is lost). The beginning of the file is freed instead, as a hole: inode and end of the file stay as they are,
no writer notices, and a line that a reader found at an offset stays at that offset. A kill at any moment leaves the
limits for the next daemon to enforce and never touches a line that they keep.

What is kept: of each file the newest `largest` bytes at most and three quarters of that at least, in whole lines, and
nothing that was written more than `age_s` ago, to a twentieth of that. For the age, now and then the size of each file
is noted, in `marks.json`: what stands before a mark is older than the mark.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import time
from typing import TYPE_CHECKING

from attrs import frozen

from hero_livekit_units.embedded.logfile import data_start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CHECK_S = 1.0
SWEEP_S = 600.0
LONGEST_LINE = 1024 * 1024
_SLICE = 32 * 1024 * 1024
_KEEP_SIZE_PUNCH_HOLE = 0x01 | 0x02  # linux/falloc.h
_MARKS = "marks.json"
_log = logging.getLogger(__name__)


@frozen
class LogLimits:
    """Of each log file: bytes on the disk, and seconds since a line was written."""

    largest: int = 64 * 1024 * 1024
    age_s: float = 30 * 86400.0


def punch_hole(descriptor: int, offset: int, length: int) -> None:
    """Free a piece of a file; it reads as NULs from then on. The size of the file stays.

    Raises:
        OSError: the filesystem cannot (EOPNOTSUPP), or a fault of the disk.
    """
    import ctypes  # noqa: PLC0415  half a megabyte that no daemon needs before its first log is full

    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (ctypes.c_int(descriptor), ctypes.c_int(_KEEP_SIZE_PUNCH_HOLE))
    if libc.fallocate(*arguments, ctypes.c_int64(offset), ctypes.c_int64(length)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class LogTrimmer:
    """Enforces the limits on all files of a folder.

    Args:
        folder: of the logs.
        limits: what is kept.
        busy: gives the files that are written to now; they are looked at every second, the others every ten minutes.
        punch: frees a piece of a file.
        wall: seconds since 1970.
    """

    def __init__(
        self,
        folder: str,
        limits: LogLimits,
        busy: Callable[[], Iterable[str]],
        *,
        punch: Callable[[int, int, int], None] = punch_hole,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._limits = limits
        self._busy = busy
        self._punch = punch
        self._wall = wall
        self._task: asyncio.Task[None] | None = None
        self._told: set[str] = set()
        # Seconds since 1970, inode and size, by the name of the file, the eldest first.
        self._marks: dict[str, list[tuple[float, int, int]]] = self._load_marks()

    def start(self) -> None:
        """Enforce the limits from now on."""
        self._task = asyncio.get_running_loop().create_task(self._repeat())

    def close(self) -> None:
        """Enforce them no more."""
        if self._task:
            self._task.cancel()

    async def _repeat(self) -> None:
        swept = -SWEEP_S
        while True:
            if time.monotonic() - swept >= SWEEP_S:
                swept = time.monotonic()
                await self.sweep()
            for path in set(self._busy()):
                await self.trim(path)
            await asyncio.sleep(CHECK_S)

    async def sweep(self) -> None:
        """Look at every file, for its size and for its age."""
        now, former = self._wall(), self._marks
        marks: dict[str, list[tuple[float, int, int]]] = {}
        for name in sorted(self._names()):
            path = os.path.join(self._folder, name)  # noqa: PTH118
            await self.trim(path)
            try:
                found = os.stat(path)  # noqa: PTH116
            except OSError:
                continue
            # A file that was put aside, see `children`, has the marks of its former name.
            names = {name, name.removesuffix(".1")}
            own = sorted(mark for known in names for mark in former.get(known, []) if mark[1] == found.st_ino)
            own = [mark for mark in own if mark[2] <= found.st_size]
            old = [mark for mark in own if mark[0] <= now - self._limits.age_s]
            if old:
                await self._free(path, old[-1][2])
                own = [mark for mark in own if mark not in old[:-1]]
            if not own or (own[-1][2] < found.st_size and own[-1][0] <= now - self._limits.age_s / 20):
                own = [*own, (now, found.st_ino, found.st_size)]
            marks[name] = own
            await asyncio.sleep(0)
        if marks != self._marks:
            self._marks = marks
            self._save_marks()

    async def trim(self, path: str) -> None:
        """Look at one file, for its size."""
        try:
            found = os.stat(path)  # noqa: PTH116
        except OSError:
            return
        if found.st_blocks * 512 > self._limits.largest:
            await self._free(path, found.st_size - self._limits.largest * 3 // 4)

    async def _free(self, path: str, target: int) -> None:
        """Free what stands before an offset, up to the beginning of the line that this cuts."""
        if target <= 0:
            return
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return
        try:
            begin, end = data_start(descriptor), _line_start(descriptor, target)
            while begin < end:
                piece = min(_SLICE, end - begin)
                self._punch(descriptor, begin, piece)
                begin += piece
                await asyncio.sleep(0)  # a large piece takes its time, and callers wait
        except OSError as error:
            self._tell(path, error)
        finally:
            os.close(descriptor)

    def _tell(self, path: str, error: OSError) -> None:
        if path in self._told:
            return
        self._told.add(path)
        if error.errno in {errno.EOPNOTSUPP, errno.ENOSYS}:
            text = "its filesystem cannot free the beginning of a file that is being written to; it is put aside when"
            _log.warning("the log %s is too large, and %s its process is started again", path, text)
        else:
            _log.warning("the log %s cannot be trimmed: %s", path, error.strerror)

    def _names(self) -> list[str]:
        try:
            return [entry.name for entry in os.scandir(self._folder) if entry.is_file() and entry.name != _MARKS]
        except OSError:
            return []

    def _load_marks(self) -> dict[str, list[tuple[float, int, int]]]:
        """The marks of an earlier daemon; without them, the age of what is there begins now."""
        try:
            with open(os.path.join(self._folder, _MARKS), encoding="utf-8") as file:  # noqa: PTH118, PTH123
                loaded = json.load(file)
            return {
                name: [(float(at), int(inode), int(size)) for at, inode, size in marks]
                for name, marks in loaded.items()
            }
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _save_marks(self) -> None:
        path = os.path.join(self._folder, _MARKS)  # noqa: PTH118
        try:
            with open(f"{path}.new", "w", encoding="utf-8") as file:  # noqa: PTH123
                json.dump(self._marks, file)
            os.replace(f"{path}.new", path)  # noqa: PTH105
        except OSError as error:
            _log.warning("the age of the logs cannot be noted: %s", error.strerror)


def _line_start(descriptor: int, target: int) -> int:
    """The last beginning of a line that is not after an offset; the offset itself within a very long line."""
    at = target
    while at > max(0, target - LONGEST_LINE):
        begin = max(0, at - 64 * 1024)
        found = os.pread(descriptor, at - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        at = begin
    return target if at > 0 else 0
