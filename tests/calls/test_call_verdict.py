"""The verdict over what participants report."""

from __future__ import annotations

import pytest
from attrs import evolve

from hero_livekit_units.calls.verdict import ParticipantReport, RoomVerdict, judge, why_dropped, why_interrupted

ANA = ParticipantReport(
    "ana", "standup", longest_gap_ms=60.0, baseline_gap_ms=50.0, disconnects=0, reconnects=0, hears_at_end=True
)
BEN = evolve(ANA, identity="ben", baseline_gap_ms=45.0)
CEM = evolve(ANA, identity="cem", room="retro")


def test_an_undisturbed_run_lost_nothing() -> None:
    """Two calls, three people, and the figures name their baseline."""
    verdict = judge([ANA, BEN, CEM])

    assert verdict.rooms == (RoomVerdict("retro", False, False), RoomVerdict("standup", False, False))  # noqa: FBT003
    assert (verdict.calls, verdict.calls_dropped, verdict.calls_interrupted) == (2, 0, 0)
    assert (verdict.participants, verdict.participants_dropped, verdict.participants_interrupted) == (3, 0, 0)
    assert (verdict.baseline_gap_ms, verdict.longest_gap_ms) == (50.0, 60.0)


@pytest.mark.parametrize(
    ("report", "because"),
    [
        pytest.param(
            evolve(ANA, disconnects=1, reasons=("SERVER_SHUTDOWN",)),
            "ana was disconnected for good (SERVER_SHUTDOWN)",
            id="disconnected",
        ),
        pytest.param(
            evolve(ANA, hears_at_end=False, unheard=("ben",)), "ana hears nothing at the end", id="hears nothing"
        ),
        pytest.param(
            evolve(ANA, hears_at_end=False, failure="its process ended by SIGKILL"),
            "ana counts as dropped: its process ended by SIGKILL",
            id="no report",
        ),
        pytest.param(evolve(ANA, reconnects=3), "", id="reconnected"),
        pytest.param(evolve(ANA, longest_gap_ms=5000.0), "", id="interrupted only"),
        pytest.param(evolve(ANA, unheard=("cem",)), "", id="hears somebody"),
    ],
)
def test_who_counts_as_dropped(report: ParticipantReport, because: str) -> None:
    """Disconnected for good, hearing nothing at the end, or no report of it; nothing else."""
    assert why_dropped(report) == because


@pytest.mark.parametrize(
    ("longest_ms", "because"),
    [
        pytest.param(110.0, "", id="60 ms more"),
        pytest.param(
            110.1, "ana missed 110 ms (longest undisturbed gap of the run 50 ms)", id="a little more than 60 ms more"
        ),
    ],
)
def test_who_counts_as_interrupted(longest_ms: float, because: str) -> None:
    """A gap more than 60 ms beyond the longest undisturbed one."""
    assert why_interrupted(evolve(ANA, longest_gap_ms=longest_ms), 50.0) == because


def test_the_baseline_is_the_longest_of_the_run() -> None:
    """One machine, one baseline: ben's own would make 110 ms an interruption."""
    assert judge([ANA, evolve(BEN, longest_gap_ms=110.0)]).calls_interrupted == 0
    assert judge([ANA, evolve(BEN, longest_gap_ms=111.0)]).calls_interrupted == 1


def test_a_call_is_dropped_once_however_many_lose_it() -> None:
    """Both in one room are gone: one call, two participants."""
    verdict = judge([evolve(ANA, disconnects=1), evolve(BEN, hears_at_end=False), CEM])

    assert (verdict.calls_dropped, verdict.participants_dropped) == (1, 2)
    assert [room.dropped for room in verdict.rooms] == [False, True]


def test_a_split_room_is_a_dropped_call() -> None:
    """Four people, two and two on different nodes: everyone hears somebody, yet the call is no more."""
    dan, eve = evolve(ANA, identity="dan", unheard=("ana", "ben")), evolve(ANA, identity="eve", unheard=("ana", "ben"))
    ana, ben = evolve(ANA, unheard=("dan", "eve")), evolve(BEN, unheard=("dan", "eve"))
    verdict = judge([ana, ben, dan, eve])

    assert (verdict.calls_dropped, verdict.participants_dropped) == (1, 0)
    assert verdict.rooms[0].because[0] == "ana no longer hears dan, eve"


def test_a_call_may_be_dropped_and_interrupted() -> None:
    """Neither hides the other."""
    (room,) = judge([evolve(ANA, hears_at_end=False, longest_gap_ms=9000.0), BEN]).rooms

    assert (room.dropped, room.interrupted) == (True, True)
    assert room.because == (
        "ana hears nothing at the end",
        "ana missed 9000 ms (longest undisturbed gap of the run 50 ms)",
    )


def test_the_order_of_reports_does_not_matter() -> None:
    """The same run, the same verdict."""
    reports = [evolve(ANA, disconnects=1), evolve(BEN, longest_gap_ms=500.0), CEM]

    assert judge(reports) == judge(reports[::-1])


def test_nobody_is_no_call() -> None:
    """A verdict over nothing claims nothing."""
    verdict = judge([])

    assert (verdict.calls, verdict.calls_dropped, verdict.calls_interrupted) == (0, 0, 0)
