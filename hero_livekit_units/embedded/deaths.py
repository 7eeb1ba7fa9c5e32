"""The death tally: how often the process of an action has ended badly, and how it did the last times. Pure.

It is kept by action, not by job: a start or a stop makes a new job, and whoever asks why a unit is what it is wants to
see the deaths before that too. An end that was asked for is no death.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

KEPT = 8
_LONGEST = 500  # characters of a reason


@frozen
class Death:
    """at_ms: wall clock. lived_ms: None where nobody watched. because: the exit, and the last line of the log."""

    at_ms: int
    lived_ms: int | None
    because: str


@frozen
class Tally:
    """All deaths are counted, the last KEPT are remembered, the newest first."""

    count: int = 0
    recent: tuple[Death, ...] = ()

    def after(self, death: Death) -> Tally:
        """The tally with one more."""
        short = Death(death.at_ms, death.lived_ms, death.because[:_LONGEST])
        return Tally(self.count + 1, (short, *self.recent)[:KEPT])

    def as_json(self) -> dict[str, Any]:
        """For the wire and the store."""
        recent = [{"at_ms": it.at_ms, "lived_ms": it.lived_ms, "because": it.because} for it in self.recent]
        return {"count": self.count, "recent": recent}


def parse_tally(value: Any) -> Tally:
    """The tally of what `as_json` gave.

    Raises:
        ValueError, LookupError, TypeError: it is something else.
    """
    return Tally(int(value["count"]), tuple(Death(**death) for death in value["recent"]))
