"""Which service changed when, and waiting for the next change, so that nobody has to ask again and again.

A revision is a text, `LIFE.NUMBER`: the number counts the changes of one life of the daemon, so that a revision of an
earlier life is never mistaken for one of this one.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from hero_livekit_units.embedded.faults import TooManyWaiters

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

MOST_WAITERS = 256
LONGEST_WAIT_MS = 60_000


class Changes:
    """The changes of all services in this life of the daemon."""

    def __init__(self) -> None:
        self._life = os.urandom(4).hex()
        self._number = 0
        self._last: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._waiters = 0
        self._hurried = False

    @property
    def revision(self) -> str:
        """The present one."""
        return f"{self._life}.{self._number}"

    def note(self, service: str) -> None:
        """Take down that a service changed, "" for a job of none, and wake whoever waits for that."""
        self._number += 1
        self._last[service] = self._number
        self._wake()

    def hurry(self) -> None:
        """Let whoever waits be answered now, as if their time were up."""
        self._hurried = True
        self._wake()

    async def next(self) -> None:
        """Wait for the next change."""
        await self._changed.wait()

    async def since(
        self,
        revision: str | None,
        names: Collection[str] | None,
        leans_on: Callable[[str], Iterable[str]],
        timeout_ms: int,
    ) -> tuple[list[str], bool]:
        """Wait until one of some services has changed since a revision.

        Args:
            revision: as it was given out; None does not wait at all.
            names: of the services, None for all. They need not exist yet.
            leans_on: the services whose states show in that of a service.
            timeout_ms: how long at most.

        Returns:
            The names of those that changed, sorted, empty when the time was up; and whether the revision is not of
            this life, so that anything may have changed: then there is no wait.

        Raises:
            TooManyWaiters: MOST_WAITERS wait already.
        """
        if revision is None:
            return [], False
        life, _, number = revision.rpartition(".")
        if life != self._life or not number.isdecimal() or int(number) > self._number:
            return [], True
        found = self._changed_of(int(number), names, leans_on)
        if found or not timeout_ms:
            return found, False
        if self._waiters >= MOST_WAITERS:
            raise TooManyWaiters(MOST_WAITERS)
        self._waiters += 1
        try:
            async with asyncio.timeout(min(timeout_ms, LONGEST_WAIT_MS) / 1000):
                while not found and not self._hurried:
                    await self.next()
                    found = self._changed_of(int(number), names, leans_on)
        except TimeoutError:
            pass
        finally:
            self._waiters -= 1
        return found, False

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _changed_of(
        self, number: int, names: Collection[str] | None, leans_on: Callable[[str], Iterable[str]]
    ) -> list[str]:
        if number == self._number:
            return []
        recent = {name for name, at in self._last.items() if at > number and name}
        if names is None:
            return sorted(recent)
        return sorted(name for name in set(names) if name in recent or not recent.isdisjoint(leans_on(name)))
