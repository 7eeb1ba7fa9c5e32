"""Which gap counts in which stretch."""

from __future__ import annotations

from hero_livekit_units.calls.listening import Listening
from hero_livekit_units.calls.tone_clock import signal_frame


class Run:
    """Frames of one or more speakers, one every 10 ms."""

    def __init__(self, *speakers: str) -> None:
        self.listening = Listening(speakers)
        self.frame = 0

    @property
    def now_s(self) -> float:
        """The time."""
        return self.frame / 100

    def hear(self, duration_s: float, *speakers: str) -> list[str]:
        """Hear these speakers and none of the others; those who count as heard from now on."""
        new: list[str] = []
        for _ in range(round(duration_s * 100)):
            new += [
                speaker for speaker in speakers if self.listening.hear(speaker, signal_frame(self.frame), self.now_s)
            ]
            self.frame += 1
        return new

    def mark(self, name: str) -> None:
        """Begin a stretch."""
        self.listening.mark(name, self.now_s)

    def figures(self) -> tuple[int, int, int]:
        """Baseline, longest gap, gap since the mark: milliseconds."""
        report = self.listening.report(self.now_s)
        return round(report["baseline_gap_ms"]), round(report["longest_gap_ms"]), round(report["gap_since_mark_ms"])


def test_a_speaker_counts_as_heard_once() -> None:
    """After half a second of its clock, and never again."""
    run = Run("ben")

    assert run.hear(0.4, "ben") == []
    assert run.hear(0.2, "ben") == ["ben"]
    assert run.hear(9.0, "ben") == []


def test_gaps_of_the_ramp_count_nowhere() -> None:
    """Not even the one that ends in the baseline."""
    run = Run("ben")
    run.hear(1.0, "ben")
    run.hear(0.5)
    run.hear(1.0, "ben")
    run.hear(0.5)
    run.mark("baseline")
    run.hear(0.1)
    run.hear(1.0, "ben")
    run.mark("crash")
    run.hear(1.0, "ben")

    assert run.figures() == (40, 40, 40)


def test_a_gap_counts_where_it_ends() -> None:
    """A crash right after its mark began for the listener at the last step before it."""
    run = Run("ben")
    run.hear(1.0, "ben")
    run.mark("baseline")
    run.hear(2.03, "ben")
    run.mark("crash")
    run.hear(0.5)
    run.hear(1.0, "ben")

    baseline, longest, since_mark = run.figures()
    assert baseline == 40
    assert 500 < longest <= 540
    assert since_mark == longest


def test_a_gap_that_is_still_open_counts_as_long_as_it_is() -> None:
    """Silence at the end is not forgotten because nothing ended it."""
    run = Run("ben")
    run.hear(1.0, "ben")
    run.mark("baseline")
    run.hear(2.0, "ben")
    run.mark("crash")
    run.hear(3.0)

    report = run.listening.report(run.now_s)
    assert 3000 <= report["longest_gap_ms"] <= 3040
    assert report["unheard"] == ["ben"]
    assert report["hears_at_end"] is False
    assert [gap["speaker"] for gap in report["gaps"]] == ["ben"]


def test_a_second_mark_begins_anew_and_the_whole_stays() -> None:
    """The longest gap since the baseline, and the longest since the last mark."""
    run = Run("ben")
    run.hear(1.0, "ben")
    run.mark("baseline")
    run.hear(2.0, "ben")
    run.mark("first")
    run.hear(0.5)
    run.hear(1.0, "ben")
    run.mark("second")
    run.hear(1.0, "ben")

    baseline, longest, since_mark = run.figures()
    assert (baseline, since_mark) == (40, 40)
    assert longest >= 500


def test_one_lost_speaker_among_two_is_named() -> None:
    """The participant still hears somebody, and says whom it does not."""
    run = Run("ben", "cem")
    run.hear(1.0, "ben", "cem")
    run.mark("baseline")
    run.hear(2.0, "ben", "cem")
    run.mark("split")
    run.hear(2.5, "ben")

    report = run.listening.report(run.now_s)
    assert report["unheard"] == ["cem"]
    assert report["hears_at_end"] is True
    assert report["longest_gap_ms"] >= 2500


def test_who_should_hear_nobody_misses_nobody() -> None:
    """A participant that only speaks."""
    report = Run().listening.report(5.0)

    assert report["hears_at_end"] is True
    assert report["unheard"] == []


def test_the_list_of_gaps_is_bounded() -> None:
    """A night of crashes does not fill the memory; the count goes on."""
    run = Run("ben")
    run.hear(1.0, "ben")
    run.mark("baseline")
    run.hear(1.0, "ben")
    run.mark("night")
    for _ in range(150):
        run.hear(0.2)
        run.hear(0.2, "ben")

    report = run.listening.report(run.now_s)
    assert len(report["gaps"]) == 100
    assert report["gaps_counted"] == 150
    assert report["gaps"][-1]["started_s"] > report["gaps"][0]["started_s"]
