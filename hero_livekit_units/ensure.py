"""`ensure`: observe, plan, execute, until the plan is empty. Safe to repeat, after a crash at any point.

Where secrets are being rotated, an empty plan is what a phase of the rotation waits for: then comes the next phase, and
another plan. Nothing here begins a rotation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from hero_livekit_units.errors import PlanStale, StepTimedOut
from hero_livekit_units.execute.executor import Progress, Silent
from hero_livekit_units.journal import Journal, newest, record, recorded
from hero_livekit_units.livekit.keys import ensure_all, turn_rotation
from hero_livekit_units.look import Look, Wish, World, look, look_with
from hero_livekit_units.model.observed import Verdict
from hero_livekit_units.model.plan import Action, Allowed, Goal, Plan
from hero_livekit_units.plan.failure import failures
from hero_livekit_units.plan.slots import in_use

if TYPE_CHECKING:
    from hero_livekit_units.model.desired import Desired
    from hero_livekit_units.model.plan import Wait
    from hero_livekit_units.model.receipt import Receipt

_ROUNDS = 5  # each round does all that its plan says; a world that still differs then is changed by somebody else
_TURNS = 4  # of a rotation, beginning to end; more come from a supervisor that does not keep what it is told
_LONGEST_WAIT_S = 15.0  # that is waited for here; what takes longer is a matter of another call


def ensure(wish: Wish, world: World, progress: Progress | None = None) -> Receipt:
    """Bring the group to the goal, or say why not; with RUN, also go on with a rotation of secrets that is due.

    The first look takes no lock and writes nothing: when nothing has to change, that is all that happens.

    Args:
        wish: what is wanted.
        world: where.
        progress: hears each step while it happens.

    Raises:
        StepFailed, StepTimedOut, RegistryError: a step did not reach its end; calling again goes on from there. What
            was done before is in the history.
    """
    began_s = world.clock.monotonic_s()
    seen = look(wish, world)
    journal = Journal(began_s, wish.goal, in_use(seen.observed, seen.desired))
    if seen.observed.supervisor.verdict is not Verdict.HEALTHY or (seen.plan.converged and not seen.turn):
        return journal.receipt(seen, world.clock)
    before = newest(world)
    # Recorded under the lock: whoever waits for it finds there what was done.
    with world.lock(), recorded(journal, world):
        receipt = journal.receipt(_act(wish, world, journal, before, progress or Silent()), world.clock)
        if receipt.changed:
            record(world.registry, receipt)
    return receipt


def _act(wish: Wish, world: World, journal: Journal, before: dict[str, Any], progress: Progress) -> Look:
    """Go on until nothing is left to do. Call it under the acting lock.

    before: the newest receipt when the lock was asked for.
    """
    rounds = 0
    late: StepTimedOut | None = None
    while True:
        journal.looks += 1
        # Whoever held the lock before us may have done it all, and a unit that was in between two states when we
        # looked may be in one now.
        seen = look_with(None if wish.goal is Goal.STOP else ensure_all(world.registry), wish, world)
        if late is not None and not _has_failed(seen, journal.at):
            raise late
        late = None
        if journal.looks == 2:
            journal.done_by = _done_meanwhile(newest(world), before, wish.goal, seen.desired)
        if seen.secrets and seen.secrets.rotation and seen.turn and journal.turns < _TURNS:
            turn_rotation(world.registry, seen.secrets.rotation, seen.turn)
            rounds, journal.turns = 0, journal.turns + 1  # what it brings about has its own rounds
            continue
        wait = _short(seen.plan)
        if rounds == _ROUNDS or not (seen.plan.waves or wait):
            return seen
        rounds += 1
        if wait is not None:
            progress.waiting(wait.instance, wait.because)
            world.clock.sleep(wait.seconds or 0.0)
            continue
        try:
            journal.do(seen.plan, seen, world, progress)
        except PlanStale as stale:
            progress.waiting(journal.at, f"planned anew, as {stale.changes[0]}")
            continue
        except StepTimedOut as error:
            late = error  # where another slot serves, that is no end: the plan says what becomes of this one
            progress.waiting(journal.at, "planned anew, as it is not ready in time")
        if any(step.action is Action.START for step in seen.plan.steps):
            wish = attrs.evolve(wish, allowed=wish.allowed - {Allowed.RETRY})  # once is what was asked for


def _has_failed(seen: Look, instance: str) -> bool:
    """Whether an instance is a slot of the media that has failed while another one serves."""
    failed = failures(seen.observed, seen.desired)
    return seen.plan.goal is Goal.RUN and instance in {seen.desired.media[slot].instance for slot in failed}


def _done_meanwhile(last: dict[str, Any], before: dict[str, Any], goal: Goal, desired: Desired) -> str:
    """The id of the receipt of whoever acted while this call waited for its turn, "" for nobody.

    Raises:
        PlanStale: it brought an instance to another state than this call wants. To undo that at once would be a fight.
    """
    # By its name and not by its time: clocks are set back.
    if "id" not in last or last["id"] == before.get("id") or last.get("failed"):
        return ""
    # To stop is no other definition; and of each instance the last step counts, as a rotation goes over secrets that
    # nobody wants in the end.
    steps = {did["step"]["instance"]: did["step"] for did in last.get("done", ())}
    for step in steps.values():
        if Goal.STOP not in {goal, last["goal"]} and desired.spec(step["instance"], step["digest"]) is None:
            what = f"{last['by']} did {step['action']} {step['instance']} by another definition meanwhile"
            raise PlanStale("ensure", [f"{what} (receipt {last['id']})"])
    return str(last["id"])


def _short(found: Plan) -> Wait | None:
    """The longest wait that is soon over, where nothing else is left to do."""
    soon = {wait.seconds: wait for wait in found.waits if wait.seconds is not None and wait.seconds <= _LONGEST_WAIT_S}
    return soon[max(soon)] if soon and not found.waves else None
