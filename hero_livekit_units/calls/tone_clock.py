"""A signal that says what time it is, and the clock that a listener reads from it. Pure.

The signal is a sine that hops through 16 tones, 40 ms each. All tones are multiples of 100 Hz, so a frame of 10 ms
holds whole cycles: every frame starts and ends at phase 0, the signal is continuous across hops, and each tone is one
constant frame.

The clock takes one frame after the other and finds its tone. A frame counts when nearly all of its energy is in one
tone and it is about as loud as it was sent; noise, silence, fading and the mixture at a hop have no tone. The clock
steps when the tone moves on. It does not step on a tone that was heard just before: that is the receiver repeating its
last few packets. When the tones after it show that it was the content going on (after an outage that may be anywhere
in the cycle), its steps count from when they were heard. So no gap is longer than the outage of the content was.

Knows nothing of rooms and libraries that carry audio; times are the caller's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from attrs import frozen

from hero_livekit_units.calls.extra import extra_missing

try:
    import numpy as np
except ImportError as error:
    raise extra_missing("numpy") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    Samples: TypeAlias = bytes | bytearray | memoryview

SAMPLE_RATE_HZ = 48_000
FRAME_MS = 10
FRAME_SAMPLES = SAMPLE_RATE_HZ * FRAME_MS // 1000
TONE_MS = 40
TONE_COUNT = 16
# Multiplied by 7, neighbours in time are 1,400 or 1,800 Hz apart and so never mistaken for each other.
TONES_HZ = tuple(400 + 200 * (7 * place % TONE_COUNT) for place in range(TONE_COUNT))

_PEAK = 8000  # of 32,767
_LOUD_ENOUGH = (_PEAK / 4) ** 2 / 2 * FRAME_SAMPLES  # energy of a frame at a quarter of the amplitude sent
_PURE_ENOUGH = 0.7  # of the frame's energy in its tone; white noise has about 0.02
_REPEATED_TONES = 2  # how far back a receiver may jump while it repeats what it has: a packet holds 20 ms

_TIMES_S = np.arange(FRAME_SAMPLES) / SAMPLE_RATE_HZ
_ANGLES = 2 * np.pi * np.outer(TONES_HZ, _TIMES_S)
_WAVES = np.concatenate((np.sin(_ANGLES), np.cos(_ANGLES))).astype(np.float32)
_TONE_FRAMES: tuple[bytes, ...] = tuple(np.rint(_PEAK * np.sin(angles)).astype("<i2").tobytes() for angles in _ANGLES)


def whole_tones() -> tuple[bytes, ...]:
    """One cycle of the signal, tone by tone: 40 ms each, 48 kHz, mono, signed 16 bit little endian."""
    return tuple(frame * (TONE_MS // FRAME_MS) for frame in _TONE_FRAMES)


def signal_frame(number: int) -> bytes:
    """Frame `number` of the signal: 10 ms, in the same format."""
    return _TONE_FRAMES[number * FRAME_MS // TONE_MS % TONE_COUNT]


def place_of(frame: Samples) -> int | None:
    """The place in the cycle of the tone that a frame holds, or None where it holds no tone.

    Raises:
        ValueError: the frame is not 10 ms long.
    """
    samples = np.frombuffer(frame, dtype="<i2").astype(np.float32)
    if samples.size != FRAME_SAMPLES:
        raise ValueError(f"a frame has {FRAME_SAMPLES} samples, not {samples.size}")
    energy = float(samples @ samples)
    if energy < _LOUD_ENOUGH:
        return None
    parts = (_WAVES @ samples) ** 2
    powers = parts[:TONE_COUNT] + parts[TONE_COUNT:]
    place = int(powers.argmax())
    purity = 2 * float(powers[place]) / (FRAME_SAMPLES * energy)
    return place if purity >= _PURE_ENOUGH else None


@frozen
class Gap:
    """The time between two steps of a clock: `started_s` on the caller's clock, seconds."""

    started_s: float
    ended_s: float

    @property
    def length_ms(self) -> float:
        """How long nothing new was heard, milliseconds."""
        return 1000 * (self.ended_s - self.started_s)


class ToneClock:
    """What one listener hears of one speaker.

    Attributes:
        stepped_s: when the clock last stepped, or None before the first tone.
        steps: how often it stepped.
    """

    def __init__(self) -> None:
        self.stepped_s: float | None = None
        self.steps = 0
        self._place: int | None = None  # of the tone heard last
        self._furthest = 0  # place where the clock stands
        self._held_s: list[float] = []  # steps heard since a jump back, not yet known to be content

    def hear(self, frame: Samples, at_s: float) -> Sequence[Gap]:
        """Take the next frame, which arrived at `at_s`, and return the gaps that it closes: mostly none.

        Raises:
            ValueError: the frame is not 10 ms long.
        """
        place = place_of(frame)
        if place is None or place == self._place:
            return ()
        before, self._place = self._place, place
        if before is not None:
            if (place - before) % TONE_COUNT >= TONE_COUNT - _REPEATED_TONES:
                self._held_s = [at_s]
                return ()
            if self._held_s and (self._furthest - place) % TONE_COUNT <= _REPEATED_TONES:
                self._held_s.append(at_s)
                return ()
        goes_on = (place - self._furthest) % TONE_COUNT <= _REPEATED_TONES
        return self._step(place, [*self._held_s, at_s] if goes_on else [at_s])

    def _step(self, place: int, times_s: Sequence[float]) -> Sequence[Gap]:
        gaps: list[Gap] = []
        for at_s in times_s:
            if self.stepped_s is not None:
                gaps.append(Gap(self.stepped_s, at_s))
            self.stepped_s = at_s
            self.steps += 1
        self._furthest = place
        self._held_s = []
        return gaps
