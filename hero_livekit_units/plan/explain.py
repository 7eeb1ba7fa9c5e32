"""A plan in sentences, one or more for every instance. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hero_livekit_units.model.plan import Plan


def explain(found: Plan) -> tuple[str, ...]:
    """A sentence for every instance that was looked at: what happens to it and why, or why nothing does."""
    said: dict[str, list[str]] = {state.instance: [] for state in found.world}

    def say(instance: str, texts: Iterable[str]) -> None:
        said.setdefault(instance, []).extend(texts)

    for step in found.steps:
        say(step.instance, [f"{step.action}, because {step.because} (calls: {step.effect.says})"])
    for choice in found.choices:
        if choice.way is not None:
            say(choice.instance, [f"by {choice.way}, as {choice.because}"])
        say(choice.instance, [f"not {passed.way}, as {passed.because}" for passed in choice.passed_over])
    for refusal in found.refusals:
        say(refusal.instance, [f"refused: {refusal.because}; possible when {refusal.possible_when}"])
    for wait in found.waits:
        longest = f", at most {wait.seconds:.1f} s" if wait.seconds is not None else ""
        say(wait.instance, [f"waits until {wait.until}{longest}: {wait.because}"])
    for note in found.notes:
        say(note.instance, [note.text])
    because = {state.instance: f"nothing has to change: {state.because}" for state in found.world}
    return tuple(f"{instance}: {text}" for instance, texts in said.items() for text in texts or [because[instance]])
