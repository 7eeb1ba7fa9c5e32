"""A drain as somebody asks for it, and its end: what is recorded, after which `ensure` does the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from hero_livekit_units.errors import PlanRefused
from hero_livekit_units.execute.drains import myself
from hero_livekit_units.look import Wish, World, look
from hero_livekit_units.model.observed import Verdict
from hero_livekit_units.plan.orders import cancelled, check_ordered, ordered
from hero_livekit_units.plan.planner import plan
from hero_livekit_units.plan.slots import in_use

if TYPE_CHECKING:
    from hero_livekit_units.look import Look
    from hero_livekit_units.model.drain import Terms
    from hero_livekit_units.model.observed import Observed


def order_drain(wish: Wish, world: World, slot: str, terms: Terms | None) -> None:
    """Record that a slot is drained, or on which other terms it is.

    Args:
        wish: what is wanted of the group; what it allows counts here too.
        world: where.
        slot: which one, "" for the one that is drained already, else the one that new rooms go to.
        terms: how long it may last, None for those of media.toml.

    Raises:
        PlanRefused: it cannot be drained without more harm than was allowed; nothing was recorded.
        StepFailed: the record could not be written.
        RegistryError: the supervisor cannot be asked.
    """
    with world.lock():
        seen = look(wish, world)
        here = _place(seen)
        now_s = world.clock.now_s()
        chosen = slot or _drained(here, seen) or here.slot
        on = terms or seen.desired.terms
        spec, drain, then = ordered(here, seen.desired, chosen, on, wish.allowed, by=myself(), now_s=now_s)
        if drain.asked:
            check_ordered(plan(then, seen.desired, allowed=wish.allowed), spec, wish.allowed)
        world.disk.record_drain(spec, drain)


def cancel_drain(wish: Wish, world: World, slot: str) -> None:
    """Record that new rooms come to a slot again.

    Args:
        wish: what is wanted of the group.
        world: where.
        slot: which one, "" for the one that is drained.

    Raises:
        PlanRefused: nothing is drained there, or there is no way back from it; nothing was recorded.
        StepFailed: the record could not be written.
        RegistryError: the supervisor cannot be asked.
    """
    with world.lock():
        seen = look(wish, world)
        here = _place(seen)
        chosen = slot or _drained(here, seen)
        if not chosen:
            raise PlanRefused(["nothing is drained"], hint="`hlu status` shows where new rooms go")
        for spec, drain in cancelled(here, seen.desired, chosen, by=myself(), now_s=world.clock.now_s()):
            world.disk.record_drain(spec, drain)


def _place(seen: Look) -> Observed:
    """The world, with the slot that new rooms go to."""
    supervisor = seen.observed.supervisor
    if supervisor.verdict is not Verdict.HEALTHY:
        raise PlanRefused([f"the supervisor cannot be asked ({supervisor.says})"], hint="`hlu hero-proc status`")
    return attrs.evolve(seen.observed, slot=in_use(seen.observed, seen.desired).slot)


def _drained(here: Observed, seen: Look) -> str:
    """The slot that is drained, "" where none or more than one is."""
    found = [slot for slot, spec in seen.desired.media.items() if here.instance(spec.instance).drain is not None]
    return found[0] if len(found) == 1 else ""
