"""What a supervisor that adopts nothing has lost: it serves on, and is the supervisor's again when nobody is hit. Pure.

After its crash such a supervisor starts a second copy of all that lives. The copy ends on the busy port, again and
again, and would take the port in the moment in which the first one ends, by whatever is registered then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hero_livekit_units.model.observed import Verdict
from hero_livekit_units.model.plan import Action
from hero_livekit_units.plan.group import WAIT_FOR_IDLE, Group, occupancy, pinned
from hero_livekit_units.plan.slots import COMING_BACK, comeback_s, is_lost

if TYPE_CHECKING:
    from hero_livekit_units.model.launch import LaunchSpec

LOST = "the supervisor has lost it and will not find it again"


def plan_quiet(group: Group, spec: LaunchSpec) -> bool:
    """Have the supervisor end its copy of what it has lost, and want no other; whether it has lost this one."""
    seen = group.seen(spec)
    if not is_lost(seen, group.observed.supervisor):
        return False
    if seen.entry is not None and (seen.entry.wanted or seen.entry.process is not None):
        group.prepare(Action.QUIET, spec, f"{LOST}, and starts a copy that ends on its busy port", pinned(seen))
    return True


def wait_for_nobody(group: Group, spec: LaunchSpec) -> bool:
    """Whether what is lost and carries calls has to stay for now; then it says until when."""
    name, seen = spec.instance, group.seen(spec)
    if group.unsure:
        group.note(name, f"left alone, as the state of {group.unsure[0]} is unknown: {LOST}")
    elif seen.people is None:
        group.wait(name, f"{LOST}; {occupancy(seen)}", "calls can be counted")
    elif seen.people:
        group.wait(name, f"{LOST}; {occupancy(seen)}", f"{WAIT_FOR_IDLE}; then it is replaced")
    elif seen.verdict is not Verdict.HEALTHY:
        group.wait(name, f"{LOST}; {seen.because}", "it is ready")
    elif left_s := comeback_s(seen, group.desired):
        group.wait(name, f"{LOST}, but {COMING_BACK}", "they are back, or gone", left_s)
    else:
        return False
    return True
