"""What an `ensure` saw, decided, did and did not do, and why."""

from __future__ import annotations

from attrs import frozen

from hero_livekit_units.model.comeback import Comeback
from hero_livekit_units.model.plan import Choice, Goal, InstanceState, Note, Refusal, Step, Wait


@frozen
class StepDone:
    """A step that reached its end; `outcome` says how, in words for a person.

    comeback: of the people whom it cut off and who were to come back by themselves, None for no such step, where nobody
    was in a call, and where that could not be asked.
    """

    step: Step
    outcome: str
    took_ms: float
    comeback: Comeback | None = None


@frozen
class Receipt:
    """The record of one `ensure`.

    id: names it in the history. by: the process that acted. at_s: when it ended, seconds since the epoch. converged:
    the goal is reached. changed: something was done. failed: what stopped it before its end, "" for nothing.
    done_by: the id of the receipt of whoever did it while this one waited for its turn, "" for nobody. looks: how often
    the world was looked at.
    """

    id: str
    by: str
    at_s: float
    goal: Goal
    converged: bool
    changed: bool
    failed: str
    done_by: str
    done: tuple[StepDone, ...]
    choices: tuple[Choice, ...]
    refusals: tuple[Refusal, ...]
    waits: tuple[Wait, ...]
    notes: tuple[Note, ...]
    before: tuple[InstanceState, ...]
    after: tuple[InstanceState, ...]
    looks: int
    took_ms: float
