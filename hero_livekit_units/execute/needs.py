"""What a step needs in the moment of acting, held against what is seen. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hero_livekit_units.model.observed import Verdict

if TYPE_CHECKING:
    from hero_livekit_units.model.observed import InstanceSeen, ProcessId
    from hero_livekit_units.model.plan import Step

OTHER_FORM = "somebody else has registered it in another form since"


def unmet(step: Step, seen: InstanceSeen) -> list[str]:
    """What a step needs and does not hold, in words."""
    needs, process = step.needs, seen.process.id if seen.process else None
    found = []
    if needs.process is not None and process != needs.process:
        found.append(f"it was pid {needs.process.pid}, and is {_named(process)} now")
    if needs.absent and process is None and seen.verdict is Verdict.UNKNOWN:
        found.append("it did not run, and whether it runs is unknown now")
    if needs.absent and process is not None:
        found.append(f"it did not run, and is {_named(process)} now")
    people = seen.people
    if needs.people_at_most is not None and process is not None:
        if people is None:
            found.append("who is in a call is unknown now")
        elif people > needs.people_at_most:
            found.append(f"{people} people are in a call now")
    held = seen.entry.digest if seen.entry else ""
    if needs.entry_digest is not None and held not in {needs.entry_digest, step.digest}:
        found.append(OTHER_FORM)
    return found


def _named(process: ProcessId | None) -> str:
    return f"pid {process.pid}" if process else "gone"
