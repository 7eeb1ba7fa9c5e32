"""What an `ensure` saw, decided, did and did not do, and why."""

from __future__ import annotations

from attrs import frozen

from hero_livekit_units.model.observed import ProcessId, Verdict
from hero_livekit_units.model.plan import Note, Refusal, Step


@frozen
class StepDone:
    """A step that reached its end; `outcome` says how, in words for a person."""

    step: Step
    outcome: str
    took_ms: float


@frozen
class InstanceState:
    """An instance before or after; `people` is None when it could not be counted or it carries no calls."""

    instance: str
    verdict: Verdict
    release: str
    process: ProcessId | None
    people: int | None


@frozen
class Receipt:
    """The record of one `ensure`.

    converged: the desired state is reached. changed: something was done. looks: how often the world was looked at.
    """

    converged: bool
    changed: bool
    done: tuple[StepDone, ...]
    refusals: tuple[Refusal, ...]
    notes: tuple[Note, ...]
    before: tuple[InstanceState, ...]
    after: tuple[InstanceState, ...]
    looks: int
    took_ms: float
