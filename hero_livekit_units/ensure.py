"""`ensure`: observe, plan, execute, until the plan is empty. Safe to repeat, after a crash at any point."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hero_livekit_units.errors import RegistryError
from hero_livekit_units.execute.executor import Executor, Progress, Silent
from hero_livekit_units.execute.lock import acting_lock
from hero_livekit_units.livekit.keys import ensure_secrets, read_secrets
from hero_livekit_units.model.observed import Verdict
from hero_livekit_units.model.plan import Goal, Plan
from hero_livekit_units.model.receipt import InstanceState, Receipt, StepDone
from hero_livekit_units.plan.planner import plan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import Observed
    from hero_livekit_units.observe.observer import Observer
    from hero_livekit_units.registry.port import Registry

_ROUNDS = 5  # each round does all that its plan says; a world that still differs then is changed by somebody else
_LOCK_WAIT_S = 60.0


def ensure(
    desired: Callable[[Mapping[str, Any] | None], Sequence[LaunchSpec]],
    *,
    registry: Registry,
    observer: Observer,
    home: Path,
    goal: Goal = Goal.RUN,
    allow_drop: bool = False,
    progress: Progress | None = None,
) -> Receipt:
    """Bring the instances to the goal, or say why not.

    The first look takes no lock and writes nothing: when nothing has to change, that is all that happens.

    Args:
        desired: the instances that should run, given the secrets, or None where those are not known.
        registry: the supervisor.
        observer: looks at the world.
        home: where the files of the group lie.
        goal: what is wanted.
        allow_drop: people in calls may be cut off (counts for STOP only).
        progress: hears each step while it happens.

    Raises:
        StepFailed, StepTimedOut, RegistryError: a step did not reach its end; calling again goes on from there.
    """
    began = time.monotonic()
    secrets = known_secrets(registry, goal)
    first = observer.observe(desired(secrets), secrets=secrets)
    wanted = plan(first, goal, allow_drop=allow_drop)
    done: list[StepDone] = []
    last, looks = first, 1
    if not wanted.converged and first.supervisor.verdict is Verdict.HEALTHY:
        executor = Executor(registry, observer.observe, progress or Silent())
        with acting_lock(home, timeout_s=_LOCK_WAIT_S):
            for _ in range(_ROUNDS):
                looks += 1
                # Whoever held the lock before us may have done it all, and a unit that was in between two states when
                # we looked may be in one now.
                secrets = None if goal is Goal.STOP else ensure_secrets(registry)
                specs = {spec.instance: spec for spec in desired(secrets)}
                last = observer.observe(list(specs.values()), secrets=secrets)
                wanted = plan(last, goal, allow_drop=allow_drop)
                if not wanted.steps:
                    break
                done += [executor.do(step, specs[step.instance]) for step in wanted.steps]
    receipt = _receipt(wanted, done, first, last, looks, (time.monotonic() - began) * 1000)
    if done:
        _record(registry, receipt)
    return receipt


def known_secrets(registry: Registry, goal: Goal) -> dict[str, Any] | None:
    """The secrets as they are now; None when they cannot be asked for, or nothing has to be compared with them."""
    try:
        return None if goal is Goal.STOP else read_secrets(registry)
    except RegistryError:
        return None


def _receipt(
    wanted: Plan, done: Sequence[StepDone], first: Observed, last: Observed, looks: int, took_ms: float
) -> Receipt:
    return Receipt(
        converged=wanted.converged,
        changed=bool(done),
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
