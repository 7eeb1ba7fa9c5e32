"""Receipts read back from a log that anybody may have written to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.history import receipts
from hero_livekit_units.registry.port import Recorded


def read(text: str) -> dict[str, Any]:
    """What one line, logged at 5 s, is read as."""
    (found,) = receipts([Recorded(5.0, text)])
    return found


def test_a_receipt_is_what_was_written() -> None:
    """With the time that it was logged at."""
    assert read('{"goal": "run", "took_ms": 1.5, "done": []}') == {
        "goal": "run",
        "took_ms": 1.5,
        "done": [],
        "at_s": 5.0,
    }


@pytest.mark.parametrize(
    ("own", "at_s"),
    [("3", 3), ("3.25", 3.25), ('"noon"', 5.0), ("null", 5.0), ("true", 5.0), ("[3]", 5.0)],
    ids=["int", "float", "text", "null", "flag", "list"],
)
def test_the_time_of_a_receipt_is_its_own(own: str, at_s: float) -> None:
    """Where it says one; a time is a number in any case."""
    found = read(f'{{"at_s": {own}}}')
    assert (found, type(found["at_s"])) == ({"at_s": at_s}, type(at_s))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("it was so", id="words"),
        pytest.param('{"goal": "run"', id="cut"),
        pytest.param("5", id="number"),
        pytest.param("null", id="null"),
        pytest.param('["run"]', id="list"),
        pytest.param('{"took_ms": NaN}', id="nan"),
        pytest.param('{"took_ms": -Infinity}', id="infinity"),
        pytest.param('{"took_ms": 1e999}', id="too-large"),
        pytest.param('{"took_ms": ' + "9" * 5000 + "}", id="endless"),
        pytest.param('{"by": ' + "[" * 60 + "1" + "]" * 60 + "}", id="deep"),
        pytest.param('{"by":' * 60 + "1" + "}" * 60, id="deep-objects"),
        pytest.param('{"by": ' + "[" * 100_000 + "]" * 100_000 + "}", id="deeper-than-the-stack"),
    ],
)
def test_what_is_no_receipt_stops_nothing(text: str) -> None:
    """It is shown by its beginning, between its neighbours."""
    lines = [Recorded(1.0, '{"id": "a"}'), Recorded(2.0, text), Recorded(3.0, '{"id": "b"}')]
    assert receipts(lines) == [
        {"id": "a", "at_s": 1.0},
        {"at_s": 2.0, "unreadable": text[:200]},
        {"id": "b", "at_s": 3.0},
    ]


def test_a_receipt_may_be_as_deep_as_ours() -> None:
    """Depth alone is no fault."""
    text = '{"by": ' + "[" * 40 + "1" + "]" * 40 + "}"
    assert read(text) == json.loads(text) | {"at_s": 5.0}


@given(st.text() | st.from_regex(r'\{"[a-z]":[\[\]{}",:0-9eE.+-]*\}'))
def test_any_line_is_data_for_every_reader(text: str) -> None:
    """It has a time, and it is JSON in the strict sense."""
    found = read(text)
    assert isinstance(found["at_s"], int | float)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
