"""A plan as JSON and back, so that it can be looked at first and executed later. Pure."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

from hero_livekit_units.errors import PlanInvalid
from hero_livekit_units.model.plain import plain
from hero_livekit_units.model.plan import Plan

if TYPE_CHECKING:
    from cattrs import Converter

_FORMAT = 1
_HINT = "write one with `hlu plan --json`"


def plan_text(plan: Plan) -> str:
    """A plan as JSON; equal plans are equal texts."""
    return json.dumps({"format": _FORMAT} | plain(plan), indent=2, ensure_ascii=False)


def read_plan(text: str) -> Plan:
    """The inverse of `plan_text`.

    Raises:
        PlanInvalid: it is something else.
    """
    try:
        data = json.loads(text)
        form = data.pop("format", None)
        plan = _converter().structure(data, Plan)
    except Exception as error:  # cattrs raises groups of whatever it met
        raise PlanInvalid(f"cannot read the plan: {error}", hint=_HINT) from error
    if form != _FORMAT:
        raise PlanInvalid(f"cannot read the plan: it is of format {form}, not {_FORMAT}", hint=_HINT)
    if plain(plan) != data:
        raise PlanInvalid("cannot read the plan: it holds what no plan holds", hint=_HINT)
    return plan


@cache
def _converter() -> Converter:
    from cattrs import Converter  # noqa: PLC0415  slow, and few read plans

    return Converter(forbid_extra_keys=True)
