"""Holds token requests while the admission gate is shut, for a bounded time each and a bounded number at once.

The gate is a file that others write, and a lease: it is open when its time is over, and at once when who shut it has
ended. A file that cannot be understood counts as open: calls matter more than the gate.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING

from attrs import frozen
from starlette.requests import ClientDisconnect

from hero_livekit_units.backend.settings import private_text
from hero_livekit_units.errors import DaemonError
from hero_livekit_units.livekit.gate import Shut, parse
from hero_livekit_units.procfs import lives

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOST_HELD = 256  # each keeps a connection open, and a process has 1024 descriptors by default
_LOOK_AGAIN_S = 0.05

_log = logging.getLogger("lk-backend")


class GateFile:
    """The gate as the file has it now. It is read again when it was replaced, and only then.

    clock: the kernel's monotonic clock, seconds.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._read: tuple[tuple[int, int, int], Shut | None] | None = None

    def now(self) -> Shut | None:
        """Who has shut the gate, None while it is open."""
        shut = self._written()
        if shut is None or not shut.left_s(self._clock()) or not _lives(shut):
            return None
        return shut

    def _written(self) -> Shut | None:
        try:
            status = self._path.stat()
            version = (status.st_ino, status.st_mtime_ns, status.st_size)
        except FileNotFoundError:
            return None
        except OSError:
            version = (0, 0, 0)  # that it cannot be looked at is told once, by the attempt to read it
        if self._read is None or self._read[0] != version:
            try:
                self._read = (version, parse(private_text(self._path)))
            except (DaemonError, ValueError, RecursionError) as error:
                self._read = (version, None)
                _log.warning("the gate %s counts as open: %s", self._path, error)
        return self._read[1]


def _lives(shut: Shut) -> bool:
    try:
        return lives(shut.pid, shut.start_time)
    except PermissionError:
        return True  # hidden from us; the lease ends in any case


@frozen
class Turned:
    """A request was not let through.

    because: why, in words. retry_after_s: whole seconds until the gate is open at the latest, 1 or more.
    """

    because: str
    retry_after_s: int


class Gate:
    """Lets requests through while the gate is open, and holds them while it is shut.

    Args:
        shut: who has shut it, None while it is open.
        most: how many are held at once; the next is turned away at once.
        clock: the one of the leases.
    """

    def __init__(
        self,
        shut: Callable[[], Shut | None],
        *,
        most: int = MOST_HELD,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shut = shut
        self._most = most
        self._clock = clock
        self.held = 0

    @property
    def is_shut(self) -> bool:
        """Whether a token that is handed out now would come at the wrong time."""
        return self._shut() is not None

    async def let_through(self, until_s: float, gone: asyncio.Future[None]) -> Turned | None:
        """Wait until the gate is open, by the monotonic clock no longer than `until_s`; None lets the request through.

        Args:
            until_s: then it is turned away.
            gone: done when the client has gone.

        Raises:
            ClientDisconnect: it has.
        """
        shut = self._shut()
        if shut is None:
            return None
        if self.held >= self._most:
            return self._turned(shut, f"{self.held} requests wait already")
        self.held += 1
        try:
            while shut is not None:
                left_s = until_s - self._clock()
                if left_s <= 0:
                    return self._turned(shut, "it takes long")
                await asyncio.wait([gone], timeout=min(left_s, _LOOK_AGAIN_S))
                if gone.done():
                    raise ClientDisconnect
                shut = self._shut()
        finally:
            self.held -= 1
        return None

    def _turned(self, shut: Shut, why: str) -> Turned:
        return Turned(f"{shut.because}, and {why}", max(1, math.ceil(shut.left_s(self._clock()))))
