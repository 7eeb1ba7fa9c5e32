"""Which slot has failed that was to take over while another one serves, and in which words. Pure.

A failure belongs to the launch, not to who started it: it is read off what is seen, and then off the record of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hero_livekit_units.model.observed import EntryState, Verdict

if TYPE_CHECKING:
    from hero_livekit_units.model.desired import Desired
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import InstanceSeen, Observed


def failures(observed: Observed, desired: Desired) -> dict[str, str]:
    """Why each slot has failed in which the wanted launch is up, or should be, while another one serves."""
    seen = {slot: observed.instance(spec.instance) for slot, spec in desired.media.items()}
    found = {slot: why for slot, spec in desired.media.items() if (why := _why(seen[slot], spec))}
    serving = [slot for slot in seen if seen[slot].verdict is Verdict.HEALTHY and slot not in found]
    return found if serving else {}


def recorded(observed: Observed, desired: Desired) -> str:
    """How the last start of what is wanted failed, in any slot; "" where none did."""
    found = (observed.instance(spec.instance).failed for spec in desired.media.values())
    return next((failed.says for failed in found if failed is not None), "")


def is_launch(seen: InstanceSeen, spec: LaunchSpec) -> bool:
    """Whether it is this launch that runs, or that the supervisor holds of what does not."""
    if seen.process is not None:
        return seen.verdict is not Verdict.FOREIGN and seen.process.launch_digest in {spec.launch_digest, ""}
    return seen.entry is not None and seen.entry.launch_digest == spec.launch_digest


def _why(seen: InstanceSeen, spec: LaunchSpec) -> str:
    """Why a launch counts as failed, with what its log said last; "" for one that does not."""
    entry = seen.entry
    if entry is None or not entry.wanted or not is_launch(seen, spec):
        return ""
    what = ""
    if seen.process is None:
        given_up = entry.state is EntryState.FAILED
        if given_up or (entry.state is EntryState.WAITING and entry.restarts):
            what = f"ended by itself {_times(entry.restarts + 1)}"
    elif seen.owned and not seen.process.suspended:
        if seen.verdict is Verdict.UNHEALTHY and seen.closed:
            what = f"did not become ready within {spec.restart.ready_within_s:g} s"
        elif seen.verdict is Verdict.UNHEALTHY:
            what = f"fails its probes ({seen.because})"
        elif entry.restarts and _is_new(seen, spec):
            what = f"ended by itself {_times(entry.restarts)} in its first minutes"
    how = entry.last_error.partition(": ")[0]  # behind it stands a line of the log that may tell less
    said = ": ".join(filter(None, [how, seen.log_line])) if seen.log_line else entry.last_error
    return what and f"{spec.instance} {what}{f': {said}' if said else ''}"


def _is_new(seen: InstanceSeen, spec: LaunchSpec) -> bool:
    """Whether its life before this one ended early, and this one is not old enough to be trusted.

    One that has run for long and ends once is no failed launch: where new rooms go meanwhile, the planner says.
    """
    if seen.process is None or seen.began_for_s is None or seen.process.age_s >= spec.restart.stable_after_s:
        return False
    return seen.began_for_s - seen.process.age_s < spec.restart.ready_within_s + spec.restart.stable_after_s


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
