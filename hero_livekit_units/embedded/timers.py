"""What is due later, by job and purpose: at most one timer for each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Timers:
    """Timers of the running event loop."""

    def __init__(self) -> None:
        self._handles: dict[tuple[int, str], asyncio.TimerHandle] = {}
        self._closed = False

    def set(self, seconds: float, job_id: int, purpose: str, act: Callable[[int], None]) -> None:
        """Call `act` with the job later, instead of what was due for this purpose before."""
        self.cancel(job_id, purpose)
        if not self._closed:
            loop = asyncio.get_running_loop()
            self._handles[job_id, purpose] = loop.call_later(max(0.0, seconds), self._fire, job_id, purpose, act)

    def has(self, job_id: int, purpose: str) -> bool:
        """Whether something is due."""
        return (job_id, purpose) in self._handles

    def cancel(self, job_id: int, *purposes: str) -> None:
        """Nothing is due any more for these purposes."""
        for purpose in purposes:
            handle = self._handles.pop((job_id, purpose), None)
            if handle:
                handle.cancel()

    def close(self) -> None:
        """Cancel everything, and take nothing more."""
        self._closed = True
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()

    def _fire(self, job_id: int, purpose: str, act: Callable[[int], None]) -> None:
        del self._handles[job_id, purpose]
        act(job_id)
