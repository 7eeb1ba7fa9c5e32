"""What a call of `ensure` has done so far, and the receipt that is made of it and kept in the history."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, field

from hero_livekit_units.errors import RegistryError, UnitsError
from hero_livekit_units.execute.drains import myself
from hero_livekit_units.execute.executor import Executor, Progress
from hero_livekit_units.history import SOURCE, receipts
from hero_livekit_units.look import Clock, Look, World, noted, values
from hero_livekit_units.model.observed import Observed
from hero_livekit_units.model.plain import plain
from hero_livekit_units.model.plan import Goal, Plan
from hero_livekit_units.model.receipt import Receipt, StepDone
from hero_livekit_units.plan.group import states
from hero_livekit_units.plan.slots import in_use

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hero_livekit_units.registry.port import Registry


@define
class Journal:
    """What was done so far.

    first: the world as it was met. turns: of a rotation of secrets. at: the instance of the step that is being done.
    """

    began_s: float
    goal: Goal
    first: Observed | None
    done: list[StepDone] = field(factory=list)
    turns: int = 0
    looks: int = 1
    done_by: str = ""
    at: str = ""
    failed: str = ""

    def do(self, found: Plan, look: Look, world: World, progress: Progress) -> None:
        """Do the steps of a plan, all of them by what is desired, and note each one that reached its end."""
        secrets = values(look.secrets)
        observe = partial(world.observer.observe, secrets=secrets, files=False)
        clock = world.clock
        executor = Executor(
            world.registry,
            observe,
            progress,
            world.home,
            desired=look.desired,
            attend=lambda spec, timeout_s: world.attend(spec, timeout_s, (secrets or {}).get("api_keys")),
            disk=world.disk,
            kernel=world.kernel,
            rooms=world.rooms,
            clock=clock.monotonic_s,
            sleep=clock.sleep,
            now_s=clock.now_s,
        )
        specs = {(spec.instance, spec.digest): spec for spec in look.desired.specs}
        for step in found.steps:
            self.at = step.instance
            self.done.append(executor.do(step, specs[step.instance, step.digest]))

    def receipt(self, look: Look | None, clock: Clock) -> Receipt:
        """What comes of it; look: the last one, None where it was not come to."""
        now_s = clock.now_s()
        found = noted(look.plan, look.secrets) if look else None
        first = states(self.first) if self.first else ()
        return Receipt(
            id=f"{int(now_s * 1000)}-{os.getpid()}",
            by=myself(),
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


@contextmanager
def recorded(journal: Journal, world: World) -> Iterator[None]:
    """What was done before something failed, or before Ctrl-C, belongs in the history too."""
    try:
        yield
    except (UnitsError, KeyboardInterrupt) as error:
        journal.failed = str(error) or f"interrupted at {journal.at or 'the beginning'}"
        if journal.done or journal.turns:
            record(world.registry, journal.receipt(None, world.clock))
        raise


def record(registry: Registry, receipt: Receipt) -> None:
    """Keep a receipt in the history, where there is one."""
    try:
        registry.record(SOURCE, json.dumps(plain(receipt)))
    except RegistryError:
        # The history is a convenience: what was done is done, and the caller holds the receipt.
        return


def newest(world: World) -> dict[str, Any]:
    """The newest receipt, {} where there is none or the supervisor keeps none."""
    try:
        return next(iter(receipts(world.registry.history(SOURCE, 1))), {})
    except RegistryError:
        return {}
