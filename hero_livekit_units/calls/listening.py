"""What one participant hears of the others, by stretch of the run: ramp, baseline, what is measured. Pure.

Owns the rules of which gap counts where. Everything it keeps is bounded, however long the run. Must not know of rooms,
processes or the clock: times are the caller's, monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from hero_livekit_units.calls.tone_clock import Gap, ToneClock
from hero_livekit_units.calls.verdict import NOTED_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_livekit_units.calls.tone_clock import Samples

HEARING_STEPS = 12  # steps of a clock (about half a second) until a speaker counts as heard
HEARING_WINDOW_S = 2.0  # a speaker who did not step for so long is no longer heard
MOST_NOTED = 100  # the newest are kept


class Listening:
    """The clocks of all speakers that one participant should hear, and the longest gaps in them.

    The first mark ends the ramp and begins the baseline, the second ends the baseline; everything after it is measured.
    A gap counts where it ends, because a disturbance begins after its mark, but the last step may have been before it.
    A gap that began in the ramp counts nowhere.
    """

    def __init__(self, speakers: Sequence[str]) -> None:
        self._clocks = {speaker: ToneClock() for speaker in speakers}
        self._marks: list[float] = []  # when the first two came
        self._mark = ""
        self._baseline_ms = 0.0
        self._measured_ms = 0.0
        self._since_mark_ms = 0.0
        self._noted: deque[tuple[str, Gap]] = deque(maxlen=MOST_NOTED)
        self._noted_count = 0

    def hear(self, speaker: str, frame: Samples, at_s: float) -> bool:
        """Take a frame of a speaker; True once, when with this frame the speaker counts as heard.

        Raises:
            KeyError: it is not one of the speakers.
            ValueError: the frame is not 10 ms long.
        """
        clock = self._clocks[speaker]
        before = clock.steps
        for gap in clock.hear(frame, at_s):
            self._count(speaker, gap)
        return before < HEARING_STEPS <= clock.steps

    @property
    def in_ramp(self) -> bool:
        """Whether the first mark is still to come."""
        return not self._marks

    def mark(self, name: str, at_s: float) -> None:
        """Begin a stretch."""
        if len(self._marks) < 2:
            self._marks.append(at_s)
        self._mark = name
        self._since_mark_ms = 0.0

    def report(self, at_s: float) -> dict[str, Any]:
        """What was heard until `at_s`, in JSON types. Gaps that are still open count as long as they are by now."""
        open_gaps = {
            speaker: Gap(clock.stepped_s, at_s)
            for speaker, clock in self._clocks.items()
            if clock.stepped_s is not None
        }
        open_ms = max((gap.length_ms for gap in open_gaps.values()), default=0.0)
        measured = len(self._marks) == 2
        baseline_until_s = self._marks[1] if measured else at_s
        noted = [*self._noted, *((speaker, gap) for speaker, gap in open_gaps.items() if gap.length_ms > NOTED_MS)]
        unheard = [
            speaker
            for speaker in self._clocks
            if speaker not in open_gaps or at_s - open_gaps[speaker].started_s > HEARING_WINDOW_S
        ]
        return {
            "baseline_s": baseline_until_s - self._marks[0] if self._marks else 0.0,
            "baseline_gap_ms": self._baseline_ms,
            "longest_gap_ms": max(self._measured_ms, open_ms) if measured else 0.0,
            "mark": self._mark,
            "gap_since_mark_ms": max(self._since_mark_ms, open_ms) if self._marks else 0.0,
            "gaps": [
                {"speaker": speaker, "started_s": gap.started_s, "length_ms": gap.length_ms} for speaker, gap in noted
            ],
            "gaps_counted": self._noted_count + len(noted) - len(self._noted),
            "unheard": unheard,
            "hears_at_end": not self._clocks or len(unheard) < len(self._clocks),
        }

    def _count(self, speaker: str, gap: Gap) -> None:
        if not self._marks or gap.started_s < self._marks[0]:
            return
        if len(self._marks) == 1:
            self._baseline_ms = max(self._baseline_ms, gap.length_ms)
        else:
            self._measured_ms = max(self._measured_ms, gap.length_ms)
        self._since_mark_ms = max(self._since_mark_ms, gap.length_ms)
        if gap.length_ms > NOTED_MS:
            self._noted.append((speaker, gap))
            self._noted_count += 1
