"""What became of a `hlu verify`: the figures, the sentence, and whether all went well. Pure."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attrs import frozen

from hero_livekit_units.calls.verdict import ParticipantReport, judge, why_dropped, why_interrupted
from hero_livekit_units.model.observed import ProcessId
from hero_livekit_units.verify.programme import Kind, Stage, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_livekit_units.calls.verdict import Verdict


@frozen
class Outcome:
    """What became of a stage. Times are seconds since the baseline began.

    Attributes:
        stage: as it was asked.
        began_s: when it began.
        ended_s: when the next one began, or the tail.
        done: how often it was done.
        because: why it was not done as often as asked, or not as it should go; "" where all is well.
        at_s: when each of it was done; empty for ensures, which overlap.
        changed: ensures that changed something. None should.
        longest_gap_ms: longest content gap of anybody in it.
        notes: what else a person should know.
    """

    stage: Stage
    began_s: float
    ended_s: float
    done: int
    because: str = ""
    at_s: tuple[float, ...] = ()
    changed: int = 0
    longest_gap_ms: float = 0.0
    notes: tuple[str, ...] = ()


@frozen
class UnitLife:
    """A unit before and after: release and process, None where none was seen; restarts by the supervisor in between."""

    instance: str
    release_before: str
    release_after: str
    before: ProcessId | None
    after: ProcessId | None
    restarts: int | None


@frozen
class Restored:
    """What became of the user's wishes after an upgrade.

    settings: media.toml is byte by byte what it was. converged: what it wants runs again. because: why not, or "".
    """

    settings: bool
    converged: bool
    because: str = ""

    @property
    def well(self) -> bool:
        """Whether nothing is left to do for the user."""
        return not self.because


@frozen
class Report:
    """All that was measured and done.

    Attributes:
        outcomes: of the stages, in order.
        people: what each participant went through; times of gaps are monotonic seconds.
        units: what ran before and after.
        began_s: when the baseline began, monotonic seconds.
        baseline_s: how long the baseline was.
        ended_s: seconds from the begin of the baseline to the end of the tail.
        restored: None where nothing had to be.
        cpu_busy: share of the time of all processors that was used meanwhile, by whoever, 0 to 1.
        notes: what else a person should know.
    """

    outcomes: tuple[Outcome, ...]
    people: tuple[ParticipantReport, ...]
    units: tuple[UnitLife, ...]
    began_s: float
    baseline_s: float
    ended_s: float
    restored: Restored | None = None
    cpu_busy: float = 0.0
    notes: tuple[str, ...] = ()

    @cached_property
    def verdict(self) -> Verdict:
        """Of the calls."""
        return judge(self.people)

    @property
    def well(self) -> bool:
        """Whether no call was dropped or interrupted, and all that was named was done and undone as it should."""
        calls = not self.verdict.calls_dropped and not self.verdict.calls_interrupted
        done = all(not outcome.because for outcome in self.outcomes)
        return calls and done and (self.restored is None or self.restored.well)

    @property
    def sentence(self) -> str:
        """What happened to the calls and what was done to them, with the figures."""
        found = self.verdict
        dropped = f"{found.calls_dropped} call{'s' if found.calls_dropped != 1 else ''} dropped"
        gaps = f"longest gap {found.longest_gap_ms:.0f} ms beside {found.baseline_gap_ms:.0f} ms undisturbed"
        parts = [f"{dropped}, {found.calls_interrupted} interrupted in {_listed(self._deeds())}", gaps]
        left = [f"{outcome.stage.name} ({outcome.because})" for outcome in self.outcomes if outcome.because]
        if self.restored is not None and not self.restored.well:
            left.append(f"what ran before ({self.restored.because})")
        if left:
            parts.append(f"not as asked: {', '.join(left)}")
        return "; ".join(parts)

    def _deeds(self) -> list[str]:
        """What was done, not what was asked."""
        times: Counter[Kind] = Counter()
        for outcome in self.outcomes:
            times[outcome.stage.kind] += outcome.done
        return [
            f"{self.ended_s - self.baseline_s:.0f} undisturbed seconds"
            if kind is Kind.UNDISTURBED
            else counted(kind, count)
            for kind, count in times.items()
            if count
        ] or ["a call that nothing was done to"]


def as_data(report: Report) -> dict[str, Any]:
    """All figures for `--json`. Times are seconds since the baseline began."""
    verdict = report.verdict
    return {
        "well": report.well,
        "sentence": report.sentence,
        "calls": verdict.calls,
        "calls_dropped": verdict.calls_dropped,
        "calls_interrupted": verdict.calls_interrupted,
        "participants_dropped": verdict.participants_dropped,
        "participants_interrupted": verdict.participants_interrupted,
        "participants_reconnected": sum(bool(person.reconnects) for person in report.people),
        "longest_gap_ms": round(verdict.longest_gap_ms, 1),
        "baseline_gap_ms": round(verdict.baseline_gap_ms, 1),
        "baseline_s": round(report.baseline_s, 2),
        "measured_s": round(report.ended_s - report.baseline_s, 2),
        "cpu_busy": round(report.cpu_busy, 3),
        "because": [reason for room in verdict.rooms for reason in room.because],
        "stages": [_outcome(outcome) for outcome in report.outcomes],
        "participants": [_person(person, report) for person in report.people],
        "units": [_unit(unit) for unit in report.units],
        "restored": None
        if report.restored is None
        else {
            "settings": report.restored.settings,
            "converged": report.restored.converged,
            "because": report.restored.because,
        },
        "notes": list(report.notes),
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "kind": outcome.stage.kind.value,
        "release": outcome.stage.release,
        "asked": outcome.stage.times,
        "done": outcome.done,
        "because": outcome.because,
        "began_s": round(outcome.began_s, 2),
        "ended_s": round(outcome.ended_s, 2),
        "at_s": [round(at_s, 2) for at_s in outcome.at_s],
        "changed": outcome.changed,
        "longest_gap_ms": round(outcome.longest_gap_ms, 1),
        "notes": list(outcome.notes),
    }


def _person(person: ParticipantReport, report: Report) -> dict[str, Any]:
    return {
        "room": person.room,
        "identity": person.identity,
        "longest_gap_ms": round(person.longest_gap_ms, 1),
        "baseline_gap_ms": round(person.baseline_gap_ms, 1),
        "disconnects": person.disconnects,
        "reconnects": person.reconnects,
        "hears_at_end": person.hears_at_end,
        "unheard": list(person.unheard),
        "dropped": why_dropped(person),
        "interrupted": why_interrupted(person, report.verdict.baseline_gap_ms),
        "stall_ms": round(person.stall_ms, 1),
        "gaps": [
            {
                "speaker": gap.speaker,
                "at_s": round(gap.started_s - report.began_s, 2),
                "length_ms": round(gap.length_ms, 1),
            }
            for gap in person.gaps
        ],
        "gaps_counted": person.gaps_counted,
    }


def _unit(unit: UnitLife) -> dict[str, Any]:
    return {
        "instance": unit.instance,
        "release_before": unit.release_before,
        "release_after": unit.release_after,
        "pid_before": unit.before.pid if unit.before else None,
        "pid_after": unit.after.pid if unit.after else None,
        "start_before": unit.before.start_time if unit.before else None,
        "start_after": unit.after.start_time if unit.after else None,
        "restarts": unit.restarts,
    }


def _listed(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
