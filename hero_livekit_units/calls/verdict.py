"""Which calls were dropped and which interrupted, from what their participants report. Pure.

Must not know how the reports came about.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTION_MS = 60.0  # beyond the longest undisturbed gap
NOTED_MS = 100.0  # gaps longer than this are listed one by one


@frozen
class NotedGap:
    """A content gap over `NOTED_MS`: whom the participant did not hear, from when (monotonic seconds), how long."""

    speaker: str
    started_s: float
    length_ms: float


@frozen
class ParticipantReport:
    """What one participant went through.

    Attributes:
        identity: who.
        room: the call it is in.
        longest_gap_ms: longest content gap since the baseline ended, a gap that is still open included.
        baseline_gap_ms: longest content gap of the undisturbed stretch before.
        disconnects: how often it was disconnected for good.
        reconnects: how often it lost its connection and came back by itself.
        hears_at_end: whether it hears any speaker of its room; True for one that should hear nobody.
        gaps: the newest of the gaps over 100 ms, those of the baseline included.
        gaps_counted: how many there were.
        unheard: the speakers of its room that it does not hear at the end.
        reasons: why it was disconnected for good, in LiveKit's words.
        mark: name of the latest mark.
        gap_since_mark_ms: longest content gap since that mark.
        stall_ms: longest time for which the participant's own process did not run as it should: a gap of about the
            same length may be the measurement's own.
        failure: why there is no report of it, or "". All figures are 0 then.
    """

    identity: str
    room: str
    longest_gap_ms: float
    baseline_gap_ms: float
    disconnects: int
    reconnects: int
    hears_at_end: bool
    gaps: tuple[NotedGap, ...] = ()
    gaps_counted: int = 0
    unheard: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    mark: str = ""
    gap_since_mark_ms: float = 0.0
    stall_ms: float = 0.0
    failure: str = ""


@frozen
class RoomVerdict:
    """One call. `because` has a sentence for each thing that somebody in it lost."""

    room: str
    dropped: bool
    interrupted: bool
    because: tuple[str, ...] = ()


@frozen
class Verdict:
    """All calls of one run. `baseline_gap_ms` and `longest_gap_ms` are the longest of any participant."""

    rooms: tuple[RoomVerdict, ...]
    participants: int
    participants_dropped: int
    participants_interrupted: int
    baseline_gap_ms: float
    longest_gap_ms: float

    @property
    def calls(self) -> int:
        """How many there were."""
        return len(self.rooms)

    @property
    def calls_dropped(self) -> int:
        """How many of them somebody lost."""
        return sum(room.dropped for room in self.rooms)

    @property
    def calls_interrupted(self) -> int:
        """How many of them had a gap that somebody could hear."""
        return sum(room.interrupted for room in self.rooms)


def why_dropped(report: ParticipantReport) -> str:
    """Why a participant counts as dropped, or "" where it does not."""
    if report.failure:
        return f"{report.identity} counts as dropped: {report.failure}"
    if report.disconnects:
        reasons = f" ({', '.join(report.reasons)})" if report.reasons else ""
        return f"{report.identity} was disconnected for good{reasons}"
    if not report.hears_at_end:
        return f"{report.identity} hears nothing at the end"
    return ""


def why_interrupted(report: ParticipantReport, baseline_gap_ms: float) -> str:
    """Why a participant counts as interrupted, or "" where it does not."""
    if report.longest_gap_ms <= baseline_gap_ms + INTERRUPTION_MS:
        return ""
    return (
        f"{report.identity} missed {report.longest_gap_ms:.0f} ms"
        f" (longest undisturbed gap of the run {baseline_gap_ms:.0f} ms)"
    )


def judge(reports: Sequence[ParticipantReport]) -> Verdict:
    """Judge a run. A call is a room.

    A call is dropped when a participant of it is, or when one of them no longer hears another (a room that was split in
    two: everybody still hears somebody). It is interrupted when a participant of it is. One call may be both.
    """
    baseline_ms = max((report.baseline_gap_ms for report in reports), default=0.0)
    ordered = sorted(reports, key=lambda report: (report.room, report.identity))
    rooms = tuple(
        _judge_room(room, tuple(members), baseline_ms)
        for room, members in groupby(ordered, key=lambda report: report.room)
    )
    return Verdict(
        rooms=rooms,
        participants=len(reports),
        participants_dropped=sum(bool(why_dropped(report)) for report in reports),
        participants_interrupted=sum(bool(why_interrupted(report, baseline_ms)) for report in reports),
        baseline_gap_ms=baseline_ms,
        longest_gap_ms=max((report.longest_gap_ms for report in reports), default=0.0),
    )


def _judge_room(room: str, members: Sequence[ParticipantReport], baseline_ms: float) -> RoomVerdict:
    drops = [why for member in members if (why := why_dropped(member))]
    drops += [
        f"{member.identity} no longer hears {', '.join(member.unheard)}"
        for member in members
        if member.unheard and not why_dropped(member)
    ]
    interruptions = [why for member in members if (why := why_interrupted(member, baseline_ms))]
    return RoomVerdict(room, bool(drops), bool(interruptions), (*drops, *interruptions))
