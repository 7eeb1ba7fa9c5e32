"""`ensure`: observe, plan, execute, until the plan is empty. Safe to repeat, after a crash at any point.

Where secrets are being rotated, an empty plan is what a phase of the rotation waits for: then comes the next phase, and
another plan. Nothing here begins a rotation.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import attrs

from hero_livekit_units.errors import RegistryError, RegistryProtocolError
from hero_livekit_units.execute.executor import Executor, Progress, Silent
from hero_livekit_units.execute.lock import acting_lock
from hero_livekit_units.livekit.keys import ensure_all, read_all, turn_rotation
from hero_livekit_units.livekit.rotation import Rotation, Secrets, effective, following, rotation_note
from hero_livekit_units.model.observed import Verdict
from hero_livekit_units.model.plan import Goal, Plan
from hero_livekit_units.model.receipt import InstanceState, Receipt, StepDone
from hero_livekit_units.plan.planner import plan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from hero_livekit_units.livekit.rotation import End
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import Observed
    from hero_livekit_units.observe.observer import Observer
    from hero_livekit_units.registry.port import Registry

_ROUNDS = 5  # each round does all that its plan says; a world that still differs then is changed by somebody else
_TURNS = 4  # of a rotation, beginning to end; more come from a supervisor that does not keep what it is told
_LOCK_WAIT_S = 60.0


def ensure(
    desired: Callable[[Mapping[str, Any] | None], Sequence[LaunchSpec]],
    *,
    registry: Registry,
    observer: Observer,
    home: Path,
    goal: Goal = Goal.RUN,
    allow_drop: bool = False,
    token_ttl_s: float = 0.0,
    clock: Callable[[], float] = time.time,
    progress: Progress | None = None,
) -> Receipt:
    """Bring the instances to the goal, or say why not; with RUN, also go on with a rotation of secrets that is due.

    The first look takes no lock and writes nothing: when nothing has to change, that is all that happens.

    Args:
        desired: the instances that should run, given the secrets, or None where those are not known.
        registry: the supervisor.
        observer: looks at the world.
        home: where the files of the group lie.
        goal: what is wanted.
        allow_drop: people in calls may be cut off (counts for STOP only).
        token_ttl_s: how long the tokens that are made now are good for; a rotation lasts at least as long.
        clock: seconds since the epoch.
        progress: hears each step while it happens.

    Raises:
        StepFailed, StepTimedOut, RegistryError: a step did not reach its end; calling again goes on from there.
    """
    began = time.monotonic()
    secrets = known_secrets(registry, goal)
    first = observer.observe(desired(_values(secrets)), secrets=_values(secrets))
    wanted = plan(first, goal, allow_drop=allow_drop)
    done: list[StepDone] = []
    last, looks, turns = first, 1, 0
    turn = _turn(secrets, wanted, token_ttl_s, clock)
    if (turn or not wanted.converged) and first.supervisor.verdict is Verdict.HEALTHY:
        executor = Executor(registry, observer.observe, progress or Silent())
        with acting_lock(home, timeout_s=_LOCK_WAIT_S):
            rounds = 0
            while rounds < _ROUNDS:
                rounds, looks = rounds + 1, looks + 1
                # Whoever held the lock before us may have done it all, and a unit that was in between two states when
                # we looked may be in one now.
                secrets = None if goal is Goal.STOP else ensure_all(registry)
                specs = {spec.instance: spec for spec in desired(_values(secrets))}
                last = observer.observe(list(specs.values()), secrets=_values(secrets))
                wanted = plan(last, goal, allow_drop=allow_drop)
                turn = _turn(secrets, wanted, token_ttl_s, clock)
                if secrets and secrets.rotation and turn and turns < _TURNS:
                    turn_rotation(registry, secrets.rotation, turn)
                    rounds, turns = 0, turns + 1  # what it brings about has its own rounds
                elif not wanted.steps:
                    break
                done += [executor.do(step, specs[step.instance]) for step in wanted.steps]
    receipt = _receipt(_noted(wanted, secrets), done, turns, first, last, looks, (time.monotonic() - began) * 1000)
    if receipt.changed:
        _record(registry, receipt)
    return receipt


def foresee(
    desired: Callable[[Mapping[str, Any] | None], Sequence[LaunchSpec]],
    *,
    registry: Registry,
    observer: Observer,
    goal: Goal = Goal.RUN,
    allow_drop: bool = False,
    token_ttl_s: float = 0.0,
    clock: Callable[[], float] = time.time,
) -> Plan:
    """What `ensure` would do first. Changes nothing; the arguments are those of `ensure`."""
    secrets = ahead = known_secrets(registry, goal)
    while True:
        observed = observer.observe(desired(_values(ahead)), secrets=_values(ahead))
        wanted = plan(observed, goal, allow_drop=allow_drop)
        turn = _turn(ahead, wanted, token_ttl_s, clock)
        if ahead is None or not isinstance(turn, Rotation):
            return _noted(wanted, secrets)
        ahead = Secrets(effective(ahead.values, turn), turn)


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


def _receipt(
    wanted: Plan, done: Sequence[StepDone], turns: int, first: Observed, last: Observed, looks: int, took_ms: float
) -> Receipt:
    return Receipt(
        converged=wanted.converged,
        changed=bool(done or turns),
        done=tuple(done),
        refusals=wanted.refusals,
        notes=wanted.notes,
        before=_states(first),
        after=_states(last),
        looks=looks,
        took_ms=took_ms,
    )


def _states(observed: Observed) -> tuple[InstanceState, ...]:
    return tuple(
        InstanceState(
            instance=seen.spec.instance,
            verdict=seen.verdict,
            release=seen.process.release if seen.process else "",
            process=seen.process.id if seen.process else None,
            people=seen.calls.people if seen.calls else None,
        )
        for seen in observed.instances
    )


def _record(registry: Registry, receipt: Receipt) -> None:
    import json  # noqa: PLC0415  a no-op ensure records nothing

    from hero_livekit_units.model.plain import plain  # noqa: PLC0415

    try:
        registry.record("hero_livekit.ensure", json.dumps(plain(receipt)))
    except RegistryError:
        # The history is a convenience: what was done is done, and the caller holds the receipt.
        return
