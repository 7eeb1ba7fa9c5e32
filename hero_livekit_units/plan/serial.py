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

FORMAT = 1


def plan_text(plan: Plan) -> str:
    """A plan as JSON; equal plans are equal texts."""
    return json.dumps({"format": FORMAT} | plain(plan), indent=2, ensure_ascii=False)


def read_plan(text: str) -> Plan:
    """The inverse of `plan_text`.

    Raises:
        PlanInvalid: it is something else.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"it is not JSON ({error})") from error
    if not isinstance(data, dict):
        raise _invalid("it is not an object")
    form = data.pop("format", None)
    if form is True or form != FORMAT:
        raise _invalid(f"it is of format {form}, not {FORMAT}")
    try:
        plan = _converter().structure(data, Plan)
    except Exception as error:  # cattrs raises groups of whatever it met
        from cattrs import transform_error  # noqa: PLC0415

        raise _invalid("; ".join(transform_error(error))) from error
    if plain(plan) != data:
        raise _invalid("it holds what no plan holds")
    return plan


def _invalid(what: str) -> PlanInvalid:
    return PlanInvalid(f"cannot read the plan: {what}", hint="write one with `hlu plan --json`")


@cache
def _converter() -> Converter:
    from cattrs import Converter  # noqa: PLC0415  slow, and few read plans

    return Converter(forbid_extra_keys=True)
