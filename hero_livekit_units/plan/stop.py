"""The end of everything, where that is the goal. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from hero_livekit_units.model.observed import EntryState, Verdict
from hero_livekit_units.model.plan import Action, Allowed, Effect, Interruption
from hero_livekit_units.plan.group import Group, harm, pinned, refuse_while_in_use
from hero_livekit_units.plan.lost import plan_quiet

if TYPE_CHECKING:
    from hero_livekit_units.model.launch import LaunchSpec


def plan_end(group: Group) -> None:
    """End everything in the reverse order of start: what started earlier may be what the calls of a later one need."""
    stays = ""
    for spec in reversed(_all_instances(group)):
        if stays and group.seen(spec).process is not None and not spec.carries_calls:
            group.refuse(spec.instance, f"it stays while {stays} does", f"{stays} has ended")
        elif not _plan_stop(group, spec) and spec.carries_calls:
            stays = stays or spec.instance


def _all_instances(group: Group) -> list[LaunchSpec]:
    """In the order of start, with every slot of the media in its place."""
    found: list[LaunchSpec] = []
    for spec in group.desired.by_slot[group.target.slot]:
        found += group.desired.media.values() if spec.carries_calls else [spec]
    return found


def _plan_stop(group: Group, spec: LaunchSpec) -> bool:
    """Plan its end; False where it goes on after that, for now."""
    name, seen = spec.instance, group.seen(spec)
    drop = Allowed.DROP in group.allowed
    if seen.verdict is Verdict.FOREIGN:
        group.note(name, f"not touched: {seen.because}")
    elif seen.verdict is Verdict.UNKNOWN and not (seen.owned and drop):
        group.refuse(name, f"its state is unknown: {seen.because}", "it can be looked at again")
        return False
    elif seen.entry is not None and seen.entry.state is EntryState.STOPPING:
        group.note(name, "is ending already; it gets no second signal")
        return drop
    elif seen.process is None:
        if seen.entry is not None and seen.entry.wanted:
            _end(group, Action.STOP, spec, "it is still wanted", Effect(Interruption.NONE, "none: it does not run"))
    elif not plan_quiet(group, spec) and not seen.owned:
        group.refuse(name, f"the supervisor does not own it: {seen.because}", "its owner stops it")
        return False
    elif not spec.carries_calls:
        _end(
            group,
            Action.STOP,
            spec,
            "asked for",
            Effect(Interruption.JOINS_REFUSED, "calls go on; nobody can join", seconds=None),
        )
    elif drop:
        effect = harm(Interruption.DROP, seen, "are cut off; their clients try to come back for 20 s", None)
        _end(group, Action.KILL, spec, "asked for, calls or not", effect)
    elif refuse_while_in_use(group, name, "stop was asked for", seen):
        return False
    else:
        effect = Effect(Interruption.NONE, "no call runs")
        _end(group, Action.STOP, spec, "asked for, and nobody is in a call", effect, people_at_most=0)
    return True


def _end(
    group: Group,
    action: Action,
    spec: LaunchSpec,
    because: str,
    effect: Effect,
    *,
    people_at_most: int | None = None,
) -> None:
    needs = attrs.evolve(pinned(group.seen(spec)), people_at_most=people_at_most)
    group.end(action, spec, because, effect, needs)
