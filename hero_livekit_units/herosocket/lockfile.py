"""A lock file: who owns a thing, for as long as its process lives.

The file is never deleted, as a lock on a deleted file guards nothing. It holds pid and start time of its owner, for the
error message of the second one. A child between fork and exec still has its parent's lock open, so whoever comes after
a `kill -9` cannot overtake a half-made child.
"""

from __future__ import annotations

import os
import time

from hero_livekit_units.errors import SocketBusy
from hero_livekit_units.flock import try_lock
from hero_livekit_units.procfs import start_time_of

_WAIT_S = 2.0
_LOOK_AGAIN_S = 0.01


def take_lock(path: str, purpose: str) -> int:
    """Lock a file; the descriptor holds the lock until it is closed.

    Args:
        path: of the lock file; made 0600.
        purpose: what cannot be done without it, such as `listen on /run/x.sock`.

    Raises:
        SocketBusy: another process has it. When the owner on record is dead, its last child may hold the lock until its
            exec; that is waited for.
        OSError: the file cannot be opened.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        until = time.monotonic() + _WAIT_S
        while not try_lock(fd):
            pid, start = _owner(fd)
            if (pid and start_time_of(pid) == start) or time.monotonic() >= until:
                raise busy(purpose, pid)  # noqa: TRY301  the descriptor has to be closed on the way
            time.sleep(_LOOK_AGAIN_S)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()} {start_time_of(os.getpid())}\n".encode(), 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


def busy(purpose: str, pid: int) -> SocketBusy:
    """The error for what another process, 0 for an unknown one, owns."""
    who = f"pid {pid}" if pid else "another process"
    return SocketBusy(f"cannot {purpose}: {who} already does", pid=pid, hint="there can be one daemon only")


def _owner(fd: int) -> tuple[int, int | None]:
    words = os.pread(fd, 64, 0).split()
    try:
        return int(words[0]), int(words[1])
    except (IndexError, ValueError):
        return 0, None
