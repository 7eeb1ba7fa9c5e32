"""The record of a drain: as text and back, and what follows from the time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.model.drain import Drain, DrainSeen, Signal, Terms, Then, drain_text, read_drain
from hero_livekit_units.model.observed import ProcessId

DRAIN = Drain(ProcessId(12, 34), "ada", 1000.0, until_s=1060.0, then=Then.MOVE, alone={"tab": 1005.0})
TIMES = st.floats(0, 1e10) | st.integers(0, 10**10)


@given(
    st.builds(
        Drain,
        process=st.builds(ProcessId, st.integers(1), st.integers(0)),
        by=st.text(),
        since_s=TIMES,
        asked=st.booleans(),
        refusing=st.booleans(),
        until_s=st.none() | TIMES,
        then=st.sampled_from(Then),
        idle_room_s=st.none() | TIMES,
        announced=st.booleans(),
        signal=st.sampled_from(Signal),
        alone=st.dictionaries(st.text(), TIMES),
    )
)
def test_text_and_back(drain: Drain) -> None:
    """Nothing is lost."""
    assert read_drain(drain_text(drain)) == drain


def changed(**changes: Any) -> str:
    """The text with other values."""
    return json.dumps(json.loads(drain_text(DRAIN)) | changes)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(drain_text(DRAIN)[:50], id="half-written"),
        pytest.param("[]", id="a-list"),
        pytest.param("[" * 100_000, id="too-deep"),
        pytest.param(changed(more=1), id="a-field-that-nobody-knows"),
        pytest.param(changed(then="explode"), id="another-end"),
        pytest.param(changed(process={"pid": 12}), id="half-a-process"),
        pytest.param(changed(process={"pid": "12", "start_time": 34}), id="a-pid-as-text"),
        pytest.param(changed(asked="false"), id="a-flag-as-text"),
        pytest.param(changed(since_s="now"), id="a-time-as-text"),
        pytest.param(changed(alone=["tab"]), id="rooms-as-a-list"),
        pytest.param(changed(alone={"tab": None}), id="a-room-without-a-time"),
    ],
)
def test_a_record_that_nobody_understands_is_none(text: str) -> None:
    """Nothing follows from it."""
    assert read_drain(text) is None


@pytest.mark.parametrize(
    ("now_s", "for_s", "left_s", "alone_s"), [(1010.0, 10.0, 50.0, 5.0), (1100.0, 100.0, 0.0, 95.0)]
)
def test_the_time_that_is_left(now_s: float, for_s: float, left_s: float, alone_s: float) -> None:
    """Never less than none."""
    seen = DrainSeen(DRAIN, now_s)
    assert (seen.for_s, seen.left_s, seen.alone_for_s("tab")) == (for_s, left_s, alone_s)


def test_a_clock_that_was_set_back() -> None:
    """Nothing has lasted for less than no time."""
    seen = DrainSeen(DRAIN, 0.0)
    assert (seen.for_s, seen.alone_for_s("tab"), seen.alone_for_s("other")) == (0.0, 0.0, 0.0)


def test_other_terms() -> None:
    """They count from now."""
    assert DRAIN.on(Terms(), 2000.0).until_s is None
    assert DRAIN.on(Terms(60.0, Then.WAIT), 2000.0).until_s == 2060.0
