"""Plans from earlier: what `ensure` would do first, shown now and done later, if it still fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from hero_livekit_units.errors import PlanStale
from hero_livekit_units.execute.executor import Progress, Silent
from hero_livekit_units.execute.needs import unmet
from hero_livekit_units.journal import Journal, record, recorded
from hero_livekit_units.livekit.keys import ensure_all, read_all, turn_rotation
from hero_livekit_units.livekit.rotation import Rotation, Secrets, effective
from hero_livekit_units.look import Look, Wish, World, known_secrets, look, look_with, noted
from hero_livekit_units.model.plan import PREPARING, Goal, Plan
from hero_livekit_units.plan.slots import in_use

if TYPE_CHECKING:
    from hero_livekit_units.model.desired import Desired
    from hero_livekit_units.model.plan import Step
    from hero_livekit_units.model.receipt import Receipt


def foresee(wish: Wish, world: World) -> Plan:
    """What `ensure` would do first. Changes nothing."""
    secrets = ahead = known_secrets(world.registry, wish.goal)
    while True:
        seen = look_with(ahead, wish, world)
        if ahead is None or not isinstance(seen.turn, Rotation):
            return noted(seen.plan, secrets)
        ahead = Secrets(effective(ahead.values, seen.turn), seen.turn)


def execute(found: Plan, wish: Wish, world: World, progress: Progress | None = None) -> Receipt:
    """Do a plan that was made earlier, step by step as it says.

    Raises:
        PlanStale: the world, or what is wanted, is another by now. Before the first step nothing was done; what was
            done before a later one is in the history.
        StepFailed, StepTimedOut, RegistryError: as `ensure`.
    """
    wish = attrs.evolve(wish, goal=found.goal)
    journal = Journal(world.clock.monotonic_s(), found.goal, None)
    with world.lock(), recorded(journal, world):
        made, seen = _met(found, wish, world, journal)
        journal.first = in_use(seen.observed, seen.desired)
        journal.do(made, seen, world, progress or Silent())
        journal.looks += 1
        receipt = journal.receipt(look(wish, world), world.clock)
        record(world.registry, receipt)
    return receipt


def _met(found: Plan, wish: Wish, world: World, journal: Journal) -> tuple[Plan, Look]:
    """A plan from earlier, and the look that it fits, once the secrets are as it took them to be.

    It may have been made before there were any, and it looks ahead over the phases of a rotation that were due.

    Raises:
        PlanStale: it fits no more; at most secrets were made, where there were none.
    """
    if found.goal is Goal.STOP:
        seen = look(wish, world)
        _check_fits(found, seen)
        return found, seen
    before = wish.desired(read_all(world.registry).values)
    secrets = ensure_all(world.registry)
    made = _by_made_secrets(found, before, wish.desired(secrets.values))
    seen, turns = look_with(secrets, wish, world), []
    while secrets.rotation and isinstance(seen.turn, Rotation) and _undesired(made, seen.desired):
        turns.append((secrets.rotation, seen.turn))
        secrets = Secrets(effective(secrets.values, seen.turn), seen.turn)
        seen = look_with(secrets, wish, world)
    _check_fits(made, seen)
    for rotation, into in turns:
        turn_rotation(world.registry, rotation, into)
        journal.turns += 1
    return made, seen


def _check_fits(found: Plan, seen: Look) -> None:
    """Raise PlanStale where a step would be met by another world than it was planned for, if none before it acts."""
    if gone := _undesired(found, seen.desired):
        raise PlanStale(f"{gone.action} {gone.instance}", ["it should run in another way by now"])
    acted = set()
    for step in found.steps:
        if step.instance not in acted and (changes := unmet(step, seen.observed.instance(step.instance))):
            raise PlanStale(f"{step.action} {step.instance}", changes)
        if step.action not in PREPARING:
            acted.add(step.instance)


def _by_made_secrets(found: Plan, before: Desired, after: Desired) -> Plan:
    """The plan by the digests of what is desired by now, where only the secrets were made since."""
    digests = {
        (old.instance, old.digest): new.digest
        for slot in before.slots
        for old, new in zip(before.by_slot[slot], after.by_slot[slot], strict=True)
    }

    def renewed(step: Step) -> Step:
        return attrs.evolve(step, digest=digests.get((step.instance, step.digest), step.digest))

    waves = tuple(attrs.evolve(wave, steps=tuple(map(renewed, wave.steps))) for wave in found.waves)
    return attrs.evolve(found, waves=waves)


def _undesired(found: Plan, desired: Desired) -> Step | None:
    """The first step of a plan by a definition or configuration that is no longer desired."""
    return next((step for step in found.steps if desired.spec(step.instance, step.digest) is None), None)
