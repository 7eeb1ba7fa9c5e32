"""One at a time acts on a media group. The kernel releases the lock when its holder dies, however it dies."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hero_livekit_units.errors import StepFailed, StepTimedOut
from hero_livekit_units.flock import try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOOK_AGAIN_S = 0.02


@contextmanager
def acting_lock(home: Path, *, timeout_s: float, name: str = ".acting.lock") -> Iterator[None]:
    """Hold the lock of the group whose files lie in `home`, or the lock of another name beside it.

    Raises:
        StepTimedOut: somebody else held it all the time; the error names the pid.
        StepFailed: the lock file cannot be made there.
    """
    until = time.monotonic() + timeout_s
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(home / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StepFailed("act on the media group", f"{home}: {error.strerror}") from error
    try:
        while not try_lock(descriptor):
            if time.monotonic() >= until:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                raise StepTimedOut(
                    "act on the media group",
                    f"pid {holder or 'unknown'} is acting on it for more than {timeout_s:g} s",
                    hint="wait for it, or look what that process does",
                )
            time.sleep(_LOOK_AGAIN_S)
        # Only for who waits in vain: on a full disk the lock holds all the same.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
