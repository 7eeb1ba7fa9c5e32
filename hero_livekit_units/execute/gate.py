"""Shuts the admission gate while a livekit-server that nobody is in is replaced, and opens it."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from hero_livekit_units.errors import StepFailed
from hero_livekit_units.livekit.gate import FILE, LEASE_S, Shut, serialise
from hero_livekit_units.procfs import start_time_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hero_livekit_units.execute.files import Disk


class Gate:
    """The gate of the media group whose files lie in `home`. The caller holds the acting lock.

    clock: the kernel's monotonic clock, which the processes of a host share.
    """

    def __init__(self, home: Path, disk: Disk, clock: Callable[[], float]) -> None:
        self._path = home / FILE
        self._disk = disk
        self._clock = clock
        self._because = ""
        self._until_s: float | None = None

    @property
    def is_shut(self) -> bool:
        """Whether we shut it, and the lease has not ended since: not even while this process was stopped."""
        return self._until_s is not None and self._clock() < self._until_s

    def shut(self, because: str) -> None:
        """Shut it for one lease.

        Raises:
            StepFailed: it could not be written, and is open.
        """
        self._because = because
        self._write()

    def renew(self) -> None:
        """Have it shut for another lease where less than half of this one is left; nothing where we did not shut it."""
        if self._until_s is not None and self._until_s - self._clock() < LEASE_S / 2:
            with suppress(StepFailed):  # what it is shut for is under way, and goes on without it
                self._write()

    def open(self) -> None:
        """Open it, where we shut it. A file that stays is no matter: the lease ends."""
        if self._until_s is not None:
            self._until_s = None
            self._disk.remove(self._path)

    def _write(self) -> None:
        pid, until_s = os.getpid(), self._clock() + LEASE_S
        self._disk.write_text(self._path, serialise(Shut(until_s, self._because, pid, start_time_of(pid) or 0)))
        self._until_s = until_s
