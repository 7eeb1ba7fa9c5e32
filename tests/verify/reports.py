"""Reports of runs that nobody ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hero_livekit_units.calls.verdict import NotedGap, ParticipantReport
from hero_livekit_units.model.observed import ProcessId
from hero_livekit_units.verify.programme import Kind, Stage
from hero_livekit_units.verify.report import Outcome, Report, UnitLife

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOM = "hlu-verify-0a1b2c3d-1"
BEGAN_S = 5000.0


def person(identity: str = "p1", *, gap_ms: float = 44.0, baseline_ms: float = 42.0, **more: Any) -> ParticipantReport:
    """Somebody who noticed nothing, unless told otherwise."""
    fields: dict[str, Any] = {"room": ROOM, "disconnects": 0, "reconnects": 0, "hears_at_end": True}
    return ParticipantReport(identity, longest_gap_ms=gap_ms, baseline_gap_ms=baseline_ms, **fields | more)


def interrupted(identity: str = "p2") -> ParticipantReport:
    """Somebody who heard nothing for a while, 7 s after the beginning."""
    gap = NotedGap("p1", BEGAN_S + 7.0, 640.0)
    return person(identity, gap_ms=640.0, reconnects=1, gaps=(gap,), gaps_counted=1)


def outcome(kind: Kind, times: int = 1, *, done: int | None = None, release: str = "", **more: Any) -> Outcome:
    """A stage from 5 to 9 s, all of it done unless told otherwise."""
    stage = Stage(kind, times, release)
    return Outcome(stage, 5.0, 9.0, times if done is None else done, **{"longest_gap_ms": 44.0, **more})


def report(outcomes: Sequence[Outcome] = (), people: Sequence[ParticipantReport] | None = None, **more: Any) -> Report:
    """A run of 12 s, 5 of them undisturbed."""
    same = UnitLife("livekit-server@a", "1.13.5-r1", "1.13.5-r1", ProcessId(7, 70), ProcessId(7, 70), 0)
    everybody = (person("p1"), person("p2")) if people is None else tuple(people)
    return Report(tuple(outcomes), everybody, (same,), BEGAN_S, 5.0, 12.0, **more)
