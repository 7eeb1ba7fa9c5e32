"""The tone clock, on synthetic sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from hero_livekit_units.calls.tone_clock import (
    FRAME_SAMPLES,
    TONES_HZ,
    ToneClock,
    place_of,
    signal_frame,
    whole_tones,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SILENCE = bytes(2 * FRAME_SAMPLES)


def gaps_ms(frames: Iterable[bytes], *, jitter_s: Iterable[float] = ()) -> list[int]:
    """The gaps that a clock notes when the frames arrive every 10 ms, milliseconds."""
    clock = ToneClock()
    late = iter(jitter_s)
    gaps = [gap for number, frame in enumerate(frames) for gap in clock.hear(frame, number / 100 + next(late, 0.0))]
    return [round(gap.length_ms) for gap in gaps]


def clean(first: int, count: int) -> list[bytes]:
    """A stretch of the signal, in frames of 10 ms."""
    return [signal_frame(number) for number in range(first, first + count)]


def louder(frame: bytes, factor: float) -> bytes:
    """The frame at another loudness."""
    samples = np.frombuffer(frame, dtype="<i2") * factor
    return samples.astype("<i2").tobytes()


def noise(seed: int, amplitude: float) -> bytes:
    """A frame of white noise."""
    return np.random.default_rng(seed).normal(0, amplitude, FRAME_SAMPLES).astype("<i2").tobytes()


def mixed(one: bytes, other: bytes) -> bytes:
    """Two sounds at once."""
    both = np.frombuffer(one, dtype="<i2").astype(np.int32) + np.frombuffer(other, dtype="<i2")
    clipped: bytes = both.clip(-32768, 32767).astype("<i2").tobytes()
    return clipped


def test_the_signal_is_continuous() -> None:
    """No two samples in a row are further apart than the steepest tone allows, hops included."""
    samples = np.frombuffer(b"".join(whole_tones()) * 2, dtype="<i2").astype(int)

    steepest = 8000 * 2 * np.pi * max(TONES_HZ) / 48_000
    assert np.abs(np.diff(samples)).max() <= steepest + 1


def test_whole_tones_and_frames_are_one_signal() -> None:
    """The speaker sends whole tones, the clock takes frames: the same sound."""
    assert b"".join(whole_tones()) == b"".join(clean(0, 64))


def test_each_frame_tells_its_place() -> None:
    """All 16 tones are told apart."""
    assert [place_of(signal_frame(4 * place)) for place in range(16)] == list(range(16))


def test_a_steady_signal_steps_every_40_ms() -> None:
    """Undisturbed, every gap is one tone long."""
    assert gaps_ms(clean(0, 640)) == [40] * 159


@pytest.mark.parametrize("outage_ms", [200, 500, 640, 1000, 5000])
@pytest.mark.parametrize(
    ("sound", "hidden_ms"),
    [
        pytest.param(lambda _: signal_frame(101), 0, id="frozen"),
        pytest.param(lambda _: SILENCE, 0, id="silent"),
        pytest.param(lambda _: louder(signal_frame(101), 0.1), 0, id="frozen and faded"),
        pytest.param(lambda number: noise(number, 3000), 0, id="noise"),
        pytest.param(lambda number: noise(number, 30), 0, id="comfort noise"),
        pytest.param(lambda number: signal_frame(98 + number % 4), 40, id="last 40 ms repeated"),
        pytest.param(lambda number: signal_frame(92 + number % 10), 100, id="last 100 ms repeated"),
    ],
)
def test_an_outage_shows(sound: Callable[[int], bytes], hidden_ms: int, outage_ms: int) -> None:
    """The content stops, time goes on, the content goes on: the gap is the outage and up to one tone.

    What is repeated cannot be told from content the last time, so that much of the outage may be hidden.
    """
    frames = [*clean(0, 102), *(sound(number) for number in range(outage_ms // 10)), *clean(102, 100)]

    assert outage_ms - hidden_ms <= max(gaps_ms(frames)) <= outage_ms + 40


@pytest.mark.parametrize("outage_ms", [100, 200, 500, 640, 1000])
def test_content_that_is_lost_shows_as_well(outage_ms: int) -> None:
    """Speech of the outage is gone and the speaker is further on, wherever in the cycle: no longer than the outage."""
    count = outage_ms // 10
    for first in range(102, 166):
        frames = [*clean(0, first), *([SILENCE] * count), *clean(first + count, 200)]
        assert outage_ms <= max(gaps_ms(frames)) <= outage_ms + 40


@pytest.mark.parametrize("back", range(1, 16))
def test_a_jump_of_the_content_is_no_outage(back: int) -> None:
    """The content goes on anywhere in the cycle at once, as after a reconnect: nothing is missed for long."""
    assert max(gaps_ms([*clean(0, 100), *clean(100 + 64 - 4 * back, 100)])) <= 80


def test_a_moving_signal_that_nobody_can_hear_is_an_outage() -> None:
    """A tenth of the loudness does not count, though the tones are still there."""
    faint = [louder(frame, 0.1) for frame in clean(100, 50)]

    assert max(gaps_ms([*clean(0, 100), *faint, *clean(150, 100)])) == 540


def test_half_the_loudness_is_heard() -> None:
    """Codecs and volume controls change the loudness a little."""
    assert gaps_ms([louder(frame, 0.5) for frame in clean(0, 640)]) == [40] * 159


def test_noise_under_the_signal_does_not_matter() -> None:
    """At 12 dB signal to noise the steps come as without."""
    assert gaps_ms([mixed(frame, noise(number, 1400)) for number, frame in enumerate(clean(0, 640))]) == [40] * 159


def test_noise_alone_never_steps() -> None:
    """Ten minutes of noise, at any loudness, hold not one tone."""
    assert [place_of(noise(seed, 10.0 ** (seed % 5))) for seed in range(60_000) if seed % 5 > 2].count(None) == 24_000


@pytest.mark.parametrize("offset", [1, 120, 240, 479])
def test_frames_need_not_begin_with_a_tone(offset: int) -> None:
    """The receiver cuts frames where it likes; the mixture at a hop costs at most one frame."""
    stream = b"".join(clean(0, 640))[2 * offset :]
    size = 2 * FRAME_SAMPLES
    frames = [stream[start : start + size] for start in range(0, len(stream) - size, size)]

    assert set(gaps_ms(frames)) <= {30, 40, 50}
    assert len(gaps_ms(frames)) >= 157


@pytest.mark.parametrize("speed", [0.995, 0.999, 1.001, 1.005])
def test_resampling_does_not_matter(speed: float) -> None:
    """A sound card whose clock is wrong by half a per cent, five times what is common, leaves gaps as they are."""
    sound = np.frombuffer(b"".join(clean(0, 640)), dtype="<i2").astype(float)
    positions = np.arange(0, len(sound) - 1, speed)
    stretched = np.interp(positions, np.arange(len(sound)), sound).astype("<i2").tobytes()
    size = 2 * FRAME_SAMPLES
    frames = [stretched[start : start + size] for start in range(0, len(stretched) - size, size)]

    assert max(gaps_ms(frames)) <= 60


def test_frames_that_arrive_in_bursts_move_gaps_by_no_more() -> None:
    """Arrival times, not frames, are what counts: 15 ms of jitter is 15 ms of gap."""
    rng = np.random.default_rng(1)
    gaps = gaps_ms(clean(0, 640), jitter_s=rng.uniform(0, 0.015, 640).tolist())

    assert 40 < max(gaps) <= 55


def test_a_late_frame_is_a_gap() -> None:
    """Nothing arrives for half a second, then everything: that half second is missed."""
    assert max(gaps_ms(clean(0, 200), jitter_s=[0.0] * 100 + [0.5] * 100)) == 540


def test_a_frame_of_another_length_is_refused() -> None:
    """Rather than measure nonsense."""
    with pytest.raises(ValueError, match=r"^a frame has 480 samples, not 960$"):
        place_of(2 * SILENCE)
