"""`ensure`: observe, plan, execute, until the plan is empty. Safe to repeat, after a crash at any point.

Where secrets are being rotated, an empty plan is what a phase of the rotation waits for: then comes the next phase, and
another plan. Nothing here begins a rotation.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import define, field, frozen

from hero_livekit_units.errors import PlanStale, RegistryError, RegistryProtocolError, UnitsError
from hero_livekit_units.execute.executor import Executor, Progress, Silent, unmet
from hero_livekit_units.execute.lock import acting_lock
from hero_livekit_units.history import SOURCE, receipts
from hero_livekit_units.livekit.keys import ensure_all, read_all, turn_rotation
from hero_livekit_units.livekit.rotation import End, Rotation, Secrets, effective, following, rotation_note
from hero_livekit_units.model.desired import Desired
from hero_livekit_units.model.observed import Observed, Verdict
from hero_livekit_units.model.plain import plain
from hero_livekit_units.model.plan import PREPARING, Allowed, Goal, Plan
from hero_livekit_units.model.receipt import Receipt, StepDone
from hero_livekit_units.observe.observer import Observer
from hero_livekit_units.plan.group import states
from hero_livekit_units.plan.planner import plan
from hero_livekit_units.plan.slots import in_use
from hero_livekit_units.registry.port import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from hero_livekit_units.model.plan import Step, Wait

_ROUNDS = 5  # each round does all that its plan says; a world that still differs then is changed by somebody else
_TURNS = 4  # of a rotation, beginning to end; more come from a supervisor that does not keep what it is told
_LOCK_WAIT_S = 60.0
_LONGEST_WAIT_S = 15.0  # that is waited for here; what takes longer is a matter of another call


@frozen
class Clock:
    """The time: `now_s` seconds since the epoch, `monotonic_s` seconds that only go forward, `sleep` lets some pass."""

    now_s: Callable[[], float] = time.time
    monotonic_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@frozen
class Wish:
    """What a caller of `ensure` wants.

    desired: what should run, given the secrets, or None where those are not known. goal: what is wanted of it. allowed:
    what the user accepts by name for people in calls. token_ttl_s: how long the tokens that are made now are good for;
    a rotation lasts at least as long.
    """

    desired: Callable[[Mapping[str, Any] | None], Desired]
    goal: Goal = Goal.RUN
    allowed: frozenset[Allowed] = frozenset()
    token_ttl_s: float = 0.0


@frozen
class World:
    """Where a caller acts: the supervisor, who looks, the folder with the group's files, the time."""

    registry: Registry
    observer: Observer
    home: Path
    clock: Clock = Clock()

    def lock(self) -> AbstractContextManager[None]:
        """The acting lock of this media group."""
        return acting_lock(self.home, timeout_s=_LOCK_WAIT_S)


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
    look = _look(wish, world)
    log = _Log(began_s, wish.goal, in_use(look.observed, look.desired))
    if look.observed.supervisor.verdict is not Verdict.HEALTHY or (look.plan.converged and not look.turn):
        return log.receipt(look, world.clock)
    before = _newest(world)
    # Recorded under the lock: whoever waits for it finds there what was done.
    with world.lock(), _recorded(log, world):
        receipt = log.receipt(_act(wish, world, log, before, progress or Silent()), world.clock)
        if receipt.changed:
            _record(world.registry, receipt)
    return receipt


def execute(found: Plan, wish: Wish, world: World, progress: Progress | None = None) -> Receipt:
    """Do a plan that was made earlier, step by step as it says.

    Raises:
        PlanStale: the world, or what is wanted, is another by now. Before the first step nothing was done; what was
            done before a later one is in the history.
        StepFailed, StepTimedOut, RegistryError: as `ensure`.
    """
    wish = attrs.evolve(wish, goal=found.goal)
    log = _Log(world.clock.monotonic_s(), found.goal, None)
    with world.lock(), _recorded(log, world):
        made, look = _met(found, wish, world, log)
        log.first = in_use(look.observed, look.desired)
        log.do(made, look, world, progress or Silent())
        log.looks += 1
        receipt = log.receipt(_look(wish, world), world.clock)
        _record(world.registry, receipt)
    return receipt


def _met(found: Plan, wish: Wish, world: World, log: _Log) -> tuple[Plan, _Look]:
    """A plan from earlier, and the look that it fits, once the secrets are as it took them to be.

    It may have been made before there were any, and it looks ahead over the phases of a rotation that were due.

    Raises:
        PlanStale: it fits no more; at most secrets were made, where there were none.
    """
    if found.goal is Goal.STOP:
        look = _look(wish, world)
        _check_fits(found, look)
        return found, look
    before = wish.desired(read_all(world.registry).values)
    secrets = ensure_all(world.registry)
    made = _by_made_secrets(found, before, wish.desired(secrets.values))
    look, turns = _look_with(secrets, wish, world), []
    while secrets.rotation and isinstance(look.turn, Rotation) and _undesired(made, look.desired):
        turns.append((secrets.rotation, look.turn))
        secrets = Secrets(effective(secrets.values, look.turn), look.turn)
        look = _look_with(secrets, wish, world)
    _check_fits(made, look)
    for rotation, into in turns:
        turn_rotation(world.registry, rotation, into)
        log.turns += 1
    return made, look


def _check_fits(found: Plan, look: _Look) -> None:
    """Raise PlanStale where a step would be met by another world than it was planned for, if none before it acts."""
    if gone := _undesired(found, look.desired):
        raise PlanStale(f"{gone.action} {gone.instance}", ["it should run in another way by now"])
    acted = set()
    for step in found.steps:
        if step.instance not in acted and (changes := unmet(step, look.observed.instance(step.instance))):
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


def foresee(wish: Wish, world: World) -> Plan:
    """What `ensure` would do first. Changes nothing."""
    secrets = ahead = known_secrets(world.registry, wish.goal)
    while True:
        look = _look_with(ahead, wish, world)
        if ahead is None or not isinstance(look.turn, Rotation):
            return _noted(look.plan, secrets)
        ahead = Secrets(effective(ahead.values, look.turn), look.turn)


def known_secrets(registry: Registry, goal: Goal) -> Secrets | None:
    """The secrets as they are now; None when they cannot be asked for, or nothing has to be compared with them.

    Raises:
        RegistryProtocolError: they are there and cannot be understood, so that any plan would be wrong.
    """
    try:
        return None if goal is Goal.STOP else read_all(registry)
    except RegistryProtocolError:
        raise
    except RegistryError:
        return None


@contextmanager
def _recorded(log: _Log, world: World) -> Iterator[None]:
    """What was done before something failed, or before Ctrl-C, belongs in the history too."""
    try:
        yield
    except (UnitsError, KeyboardInterrupt) as error:
        log.failed = str(error) or f"interrupted at {log.at or 'the beginning'}"
        if log.done or log.turns:
            _record(world.registry, log.receipt(None, world.clock))
        raise


def _record(registry: Registry, receipt: Receipt) -> None:
    try:
        registry.record(SOURCE, json.dumps(plain(receipt)))
    except RegistryError:
        # The history is a convenience: what was done is done, and the caller holds the receipt.
        return


@frozen
class _Look:
    """One look at the world, and what follows from it."""

    secrets: Secrets | None
    desired: Desired
    observed: Observed
    plan: Plan
    turn: Rotation | End | None


def _look(wish: Wish, world: World) -> _Look:
    return _look_with(known_secrets(world.registry, wish.goal), wish, world)


def _look_with(secrets: Secrets | None, wish: Wish, world: World) -> _Look:
    desired = wish.desired(_values(secrets))
    observed = world.observer.observe(desired.specs, secrets=_values(secrets))
    found = plan(observed, desired, wish.goal, allowed=wish.allowed)
    return _Look(secrets, desired, observed, found, _turn(secrets, found, wish.token_ttl_s, world.clock.now_s))


def _act(wish: Wish, world: World, log: _Log, before: dict[str, Any], progress: Progress) -> _Look:
    """Go on until nothing is left to do. Call it under the acting lock.

    before: the newest receipt when the lock was asked for.
    """
    rounds = 0
    while True:
        log.looks += 1
        # Whoever held the lock before us may have done it all, and a unit that was in between two states when we
        # looked may be in one now.
        look = _look_with(None if wish.goal is Goal.STOP else ensure_all(world.registry), wish, world)
        if log.looks == 2:
            log.done_by = _done_meanwhile(_newest(world), before, wish.goal, look.desired)
        if look.secrets and look.secrets.rotation and look.turn and log.turns < _TURNS:
            turn_rotation(world.registry, look.secrets.rotation, look.turn)
            rounds, log.turns = 0, log.turns + 1  # what it brings about has its own rounds
            continue
        wait = _short(look.plan)
        if rounds == _ROUNDS or not (look.plan.waves or wait):
            return look
        rounds += 1
        if wait is not None:
            progress.waiting(wait.instance, wait.because)
            world.clock.sleep(wait.seconds or 0.0)
            continue
        try:
            log.do(look.plan, look, world, progress)
        except PlanStale as stale:
            progress.waiting(log.at, f"planned anew, as {stale.changes[0]}")


def _newest(world: World) -> dict[str, Any]:
    """The newest receipt, {} where there is none or the supervisor keeps none."""
    try:
        return next(iter(receipts(world.registry.history(SOURCE, 1))), {})
    except RegistryError:
        return {}


def _done_meanwhile(newest: dict[str, Any], before: dict[str, Any], goal: Goal, desired: Desired) -> str:
    """The id of the receipt of whoever acted while this call waited for its turn, "" for nobody.

    Raises:
        PlanStale: it brought an instance to another state than this call wants. To undo that at once would be a fight.
    """
    # By its name and not by its time: clocks are set back.
    if "id" not in newest or newest["id"] == before.get("id") or newest.get("failed"):
        return ""
    # To stop is no other definition; and of each instance the last step counts, as a rotation goes over secrets that
    # nobody wants in the end.
    last = {did["step"]["instance"]: did["step"] for did in newest.get("done", ())}
    for step in last.values():
        if Goal.STOP not in {goal, newest["goal"]} and desired.spec(step["instance"], step["digest"]) is None:
            what = f"{newest['by']} did {step['action']} {step['instance']} by another definition meanwhile"
            raise PlanStale("ensure", [f"{what} (receipt {newest['id']})"])
    return str(newest["id"])


def _short(found: Plan) -> Wait | None:
    """The longest wait that is soon over, where nothing else is left to do."""
    soon = {wait.seconds: wait for wait in found.waits if wait.seconds is not None and wait.seconds <= _LONGEST_WAIT_S}
    return soon[max(soon)] if soon and not found.waves else None


def _values(secrets: Secrets | None) -> dict[str, Any] | None:
    return secrets.values if secrets else None


def _turn(
    secrets: Secrets | None, wanted: Plan, token_ttl_s: float, clock: Callable[[], float]
) -> Rotation | End | None:
    """What becomes of the rotation now that the world is as this plan found it."""
    if secrets is None or secrets.rotation is None or wanted.goal is not Goal.RUN:
        return None
    return following(secrets.rotation, converged=wanted.converged, lifetime_s=token_ttl_s, now_s=clock())


def _noted(wanted: Plan, secrets: Secrets | None) -> Plan:
    if secrets is None or secrets.rotation is None:
        return wanted
    return attrs.evolve(wanted, notes=(*wanted.notes, rotation_note(secrets.rotation)))


@define
class _Log:
    """What was done so far."""

    began_s: float
    goal: Goal
    first: Observed | None
    done: list[StepDone] = field(factory=list)
    turns: int = 0
    looks: int = 1
    done_by: str = ""
    at: str = ""
    failed: str = ""

    def do(self, found: Plan, look: _Look, world: World, progress: Progress) -> None:
        """Do the steps of a plan, all of them by what is desired, and note each one that reached its end."""
        observe = partial(world.observer.observe, secrets=_values(look.secrets), files=False)
        clock = world.clock
        executor = Executor(world.registry, observe, progress, clock=clock.monotonic_s, sleep=clock.sleep)
        specs = {(spec.instance, spec.digest): spec for spec in look.desired.specs}
        for step in found.steps:
            self.at = step.instance
            self.done.append(executor.do(step, specs[step.instance, step.digest]))

    def receipt(self, look: _Look | None, clock: Clock) -> Receipt:
        now_s, pid = clock.now_s(), os.getpid()
        found = _noted(look.plan, look.secrets) if look else None
        first = states(self.first) if self.first else ()
        return Receipt(
            id=f"{int(now_s * 1000)}-{pid}",
            by=f"pid {pid} of user {os.geteuid()}",
            at_s=now_s,
            goal=self.goal,
            converged=found.converged if found else False,
            changed=bool(self.done or self.turns),
            failed=self.failed,
            done_by=self.done_by,
            done=tuple(self.done),
            choices=found.choices if found else (),
            refusals=found.refusals if found else (),
            waits=found.waits if found else (),
            notes=found.notes if found else (),
            before=first,
            after=states(in_use(look.observed, look.desired)) if look else first,
            looks=self.looks,
            took_ms=(clock.monotonic_s() - self.began_s) * 1000,
        )
