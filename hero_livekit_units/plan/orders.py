"""Who may ask for a drain, or for its end, and what is recorded then. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from hero_livekit_units.errors import PlanRefused
from hero_livekit_units.model.drain import Drain, DrainSeen, Signal, Terms, Then
from hero_livekit_units.model.observed import EntryState
from hero_livekit_units.model.plan import Allowed, Way
from hero_livekit_units.plan.slots import NO_WAY_BACK, runs

if TYPE_CHECKING:
    from hero_livekit_units.model.desired import Desired
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import Observed
    from hero_livekit_units.model.plan import Plan


def ordered(
    seen: Observed, desired: Desired, slot: str, terms: Terms, allowed: frozenset[Allowed], *, by: str, now_s: float
) -> tuple[LaunchSpec, Drain, Observed]:
    """A drain that somebody asks for: of which instance, the record, and the world as it would be then.

    Args:
        seen: the world; its slot is the one that new rooms go to.
        desired: what should run.
        slot: which one.
        terms: how long it may last.
        allowed: what is accepted by name for people in calls.
        by: who asks.
        now_s: seconds since the epoch.

    Raises:
        PlanRefused: it cannot be drained.
    """
    spec = _media(desired, slot)
    here = seen.instance(spec.instance)
    if here.process is None or not here.owned:
        ending = here.entry is not None and here.entry.state is EntryState.STOPPING
        why = "is ending already" if ending else f"cannot be drained: {here.because}"
        raise PlanRefused([f"{spec.instance} {why}"], hint="`hlu status` shows which slot new rooms go to")
    if terms.then is Then.MOVE and not desired.steering.follows:
        why = desired.steering.because or NO_WAY_BACK
        raise PlanRefused([f"rooms cannot move: {why}"], hint="behind the front they can ([front] enabled = true)")
    drain = here.drain.drain if here.drain else Drain(here.process.id, by, now_s)
    drain = attrs.evolve(
        drain.on(terms, now_s), by=by, asked=drain.asked or slot == seen.slot, refusing=Allowed.DRAIN in allowed
    )
    # As if everything were accepted, so that a refusal can say what would have to be.
    then = DrainSeen(attrs.evolve(drain, refusing=True), now_s)
    instances = [attrs.evolve(one, drain=then) if one is here else one for one in seen.instances]
    return spec, drain, attrs.evolve(seen, instances=tuple(instances))


def check_ordered(found: Plan, spec: LaunchSpec, allowed: frozenset[Allowed]) -> None:
    """Raise PlanRefused where the plan that follows on a drain would not do it, or more than was allowed."""
    why = [refusal for refusal in found.refusals if refusal.instance == spec.instance]
    if why:
        raise PlanRefused([why[0].because], hint=f"possible when {why[0].possible_when}")
    way = next((choice.way for choice in found.choices if choice.instance == spec.instance), None)
    if way is Way.DRAIN and Allowed.DRAIN not in allowed:
        because = next(passed.because for passed in found.choices[0].passed_over if passed.way is Way.TWO_SLOT)
        raise PlanRefused(
            [f"joins would be refused until the last call ends, as new rooms have no other slot: {because}"],
            hint="--allow-drain accepts that",
        )


def cancelled(
    seen: Observed, desired: Desired, slot: str, *, by: str, now_s: float
) -> tuple[tuple[LaunchSpec, Drain], ...]:
    """The records by which new rooms come to a slot again, in the order in which they are to be written.

    What runs beside it was started for the drain, and ends with its last room.

    Raises:
        PlanRefused: nothing is drained there, or there is no way back.
    """
    spec = _media(desired, slot)
    here = seen.instance(spec.instance)
    if here.entry is not None and here.entry.state is EntryState.STOPPING:
        raise PlanRefused(
            [f"{spec.instance} got its stop signal already, and there is no way back from it"],
            hint="it ends with its last call, and is started anew where it is wanted",
        )
    if here.drain is None or here.process is None:
        raise PlanRefused([f"{spec.instance} is not drained"], hint="`hlu status` shows what is")
    if here.drain.drain.signal is not Signal.NONE:
        raise PlanRefused([f"{spec.instance} may have got its stop signal already"], hint="it ends with its last call")
    if not runs(here, spec):
        raise PlanRefused(
            [f"{spec.instance} is drained as media.toml asks for another release or configuration"],
            hint=f"take that back: `hlu set livekit.version {here.release.partition('-')[0]}`, then `hlu ensure`",
        )
    others = [(other, seen.instance(other.instance)) for other in desired.media.values() if other is not spec]
    begun = [
        (other, Drain(it.process.id, by, now_s, asked=True))
        for other, it in others
        if it.process is not None and it.owned and runs(it, other)
    ]
    return (*begun, (spec, attrs.evolve(here.drain.drain, asked=False)))


def _media(desired: Desired, slot: str) -> LaunchSpec:
    if slot not in desired.media:
        raise PlanRefused([f"there is no slot {slot!r}"], hint=f"slots: {', '.join(desired.media)}")
    return desired.media[slot]
