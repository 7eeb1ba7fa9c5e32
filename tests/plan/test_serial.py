"""A plan as a text that can be kept, looked at and read again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.errors import PlanInvalid
from hero_livekit_units.model.plan import Allowed, Goal
from hero_livekit_units.plan.planner import plan
from hero_livekit_units.plan.serial import plan_text, read_plan
from tests.strategies import BACKEND, DESIRED, MEDIA, STEERED, stopped, world, worlds

if TYPE_CHECKING:
    from hero_livekit_units.model.observed import Observed

TEXT = plan_text(plan(world(stopped(MEDIA), stopped(BACKEND)), DESIRED))


@given(worlds(), st.sampled_from([DESIRED, STEERED]), st.sampled_from(Goal), st.frozensets(st.sampled_from(Allowed)))
def test_round_trip(observed: Observed, desired: Any, goal: Goal, allowed: frozenset[Allowed]) -> None:
    """Nothing is lost on the way, and equal plans are equal texts."""
    found = plan(observed, desired, goal, allowed=allowed)
    text = plan_text(found)
    assert read_plan(text) == found
    assert plan_text(read_plan(text)) == text


def changed(**changes: Any) -> str:
    """The text of a plan with other values at its top."""
    return json.dumps(json.loads(TEXT) | changes)


def with_step(**changes: Any) -> str:
    """The text of a plan with another first step."""
    data = json.loads(TEXT)
    data["waves"][0]["steps"][0] |= changes
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is not JSON"),
        ("{", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("null", "it is not an object"),
        ("[]", "it is not an object"),
        ('"plan"', "it is not an object"),
        ("{}", "it is of format None, not 1"),
        (changed(format=2), "it is of format 2, not 1"),
        (changed(format=2, waves=None), "it is of format 2, not 1"),
        (changed(format=True), "it is of format True, not 1"),
        ('{"format": 1}', "required field missing @ $.goal"),
        (changed(more=1), "extra fields found (more) @ $"),
        (changed(goal="rnu"), "expected Goal @ $.goal"),
        (changed(waves=5), "@ $.waves"),
        (changed(slot=7), "it holds what no plan holds"),
        (with_step(action="explode"), "expected Action @ $.waves[0].steps[0].action"),
        (with_step(needs={"process": 7}), "@ $.waves[0].steps[0].needs.process"),
        (with_step(needs={"absent": "false"}), "it holds what no plan holds"),
        (with_step(needs={}), "it holds what no plan holds"),
        (with_step(because=float("nan")), "it holds what no plan holds"),
    ],
    ids=lambda value: value[:24] or "empty",
)
def test_what_is_no_plan(text: str, told: str) -> None:
    """Nothing of a text that is no plan is done; what is wrong, and where, is told."""
    with pytest.raises(PlanInvalid) as raised:
        read_plan(text)
    assert str(raised.value).startswith("cannot read the plan: ")
    assert told in str(raised.value)
    assert "hlu plan --json" in raised.value.hint


def test_all_faults_at_once() -> None:
    """Whoever mends a plan by hand hears of every fault."""
    with pytest.raises(PlanInvalid, match=r"\$\.goal.*\$\.waves\[0\]\.steps\[0\]\.action"):
        read_plan(json.dumps(json.loads(with_step(action="explode")) | {"goal": "rnu"}))
