"""What work that takes long says while it goes on. Showing it is the business of whoever passes a `Reporter` in."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Hears about the work. Called from the thread that works, so each call should return at once."""

    def task(self, name: str) -> None:
        """A new piece of work has begun, or something worth telling was found; `name` is a phrase for people."""

    def progress(self, done_bytes: int, total: int | None, text: str) -> None:
        """The current piece of work went on.

        Args:
            done_bytes: bytes so far; 0 where the work has no bytes to count.
            total: bytes in all, None where nobody knows.
            text: what else there is to say, such as the time that a build has taken, or "".
        """


class _Silent:
    def task(self, name: str) -> None:
        """Say nothing."""

    def progress(self, done_bytes: int, total: int | None, text: str) -> None:
        """Say nothing."""


SILENT: Reporter = _Silent()
