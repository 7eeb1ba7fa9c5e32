"""Who has to wait for whom: between the actions of a service or run, and between services. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hero_livekit_units.embedded.faults import DependencyInvalid
from hero_livekit_units.embedded.lifecycle import JobState
from hero_livekit_units.embedded.spec import ActionDep, Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hero_livekit_units.embedded.spec import ActionSpec


def check_actions(specs: Iterable[ActionSpec]) -> None:
    """Check that each of these actions can start some time.

    Raises:
        DependencyInvalid: one depends on an action that is not among them, on the success of a process, or on itself
            around a circle.
    """
    by_name = {spec.name: spec for spec in specs}
    for spec in by_name.values():
        for dep in spec.depends_on:
            _check_dep(spec.name, dep, by_name.get(dep.action))
    waits = {name: [dep.action for dep in spec.depends_on] for name, spec in by_name.items()}
    for name in by_name:
        if waits_for_itself(name, lambda other: waits.get(other, ())):
            raise DependencyInvalid(f"action {name} depends on itself around a circle")


def waits_for_itself(name: str, waits: Callable[[str], Iterable[str]]) -> bool:
    """Whether a name comes back to itself, however far around; `waits` gives what a name waits for."""
    todo, seen = list(waits(name)), set[str]()
    while todo:
        other = todo.pop()
        if other == name:
            return True
        if other not in seen:
            seen.add(other)
            todo += waits(other)
    return False


def is_met(dep: ActionDep, state: JobState | None) -> bool:
    """Whether a dependency is fulfilled by an action in this state, None for one that has no job."""
    if dep.condition is Condition.RUNNING:
        return state in {JobState.RUNNING, JobState.SUCCEEDED}
    return state is JobState.SUCCEEDED


def _check_dep(name: str, dep: ActionDep, other: ActionSpec | None) -> None:
    if other is None:
        raise DependencyInvalid(f"action {name} depends on {dep.action}, which is not part of the same service or run")
    if other.is_process and dep.condition is Condition.SUCCEEDED:
        raise DependencyInvalid(
            f"action {name} waits for {dep.action} to succeed, which is a process and never does",
            hint='give the dependency the condition "running"',
        )
