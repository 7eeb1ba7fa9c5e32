"""Which slot the media should run in, and by which way they get there. Pure.

The decision rests on what runs, not on what was decided before: whoever asks, and however often, finds the same slot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from hero_livekit_units.model.desired import Desired
from hero_livekit_units.model.observed import EntryState, InstanceSeen, Verdict
from hero_livekit_units.model.plan import Allowed, PassedOver, Way
from hero_livekit_units.model.unit import Strategy
from hero_livekit_units.observe.verdict import holder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import Observed

COMEBACK_S = 6.0  # who lost a server is on the one that follows it within this time; measured 0.3 to 5.5 s
COMING_BACK = "who lost the server before it may be on the way back"

NO_WAY_BACK = "who is in a call has the address of its slot, and would not come back to another"

_STRATEGIES = {
    Way.TWO_SLOT: Strategy.TWO_SLOT,
    Way.IDLE_SWAP: Strategy.IDLE_SWAP,
    Way.MOVE: Strategy.MOVE,
    Way.SWAP: Strategy.SWAP,
    Way.DRAIN: Strategy.DRAIN,
}


WAYS = frozenset(_STRATEGIES.values())


@frozen
class Target:
    """Where the media should run.

    slot: for new rooms, once it is ready. serving: the slot whose release is to be replaced, None where nothing is.
    way: how, None where no way is open. passed_over: the gentler ways, or all of them.
    """

    slot: str
    serving: str | None = None
    way: Way | None = Way.NOTHING
    passed_over: tuple[PassedOver, ...] = ()

    def why_not(self, way: Way) -> str:
        """Why a way was passed over."""
        return next(passed.because for passed in self.passed_over if passed.way is way)


def choose(observed: Observed, desired: Desired, allowed: frozenset[Allowed] = frozenset()) -> Target:
    """The slot that new rooms should go to, and the gentlest way that is open."""
    seen = {slot: observed.instance(spec.instance) for slot, spec in desired.media.items()}
    current = [slot for slot, spec in desired.media.items() if runs(seen[slot], spec)]
    if current:
        now = routed(observed, desired)
        # Two can be right after an upgrade was taken back: stay where people are sent already.
        return Target(min(current, key=lambda slot: (seen[slot].verdict is not Verdict.HEALTHY, slot != now)))
    coming = [slot for slot in desired.slots if seen[slot].process is None and seen[slot].verdict is Verdict.UNHEALTHY]
    if coming:
        return Target(coming[0])
    old = [
        slot for slot in desired.slots if seen[slot].process is not None and seen[slot].verdict is not Verdict.FOREIGN
    ]
    if old:
        now = routed(observed, desired)
        serving = min(old, key=lambda slot: (seen[slot].verdict is not Verdict.HEALTHY, slot != now))
        return _replacement(desired, seen, serving, allowed)
    startable = [slot for slot in desired.slots if seen[slot].verdict is Verdict.STOPPED]
    return Target(startable[0] if startable else desired.slots[0])


def in_use(observed: Observed, desired: Desired) -> Observed:
    """The world without the slots that are neither wanted nor used; its slot is the one that new rooms go to now."""
    target = choose(observed, desired)
    slot = target.slot if target.serving is None else target.serving
    spare = {spec.instance for other, spec in desired.media.items() if other != slot and _is_spare(observed, spec)}
    instances = tuple(seen for seen in observed.instances if seen.spec.instance not in spare)
    return attrs.evolve(observed, instances=instances, slot=slot)


def _is_spare(observed: Observed, spec: LaunchSpec) -> bool:
    seen = observed.instance(spec.instance)
    unwanted = seen.entry is None or not seen.entry.wanted
    return seen.process is None and unwanted and seen.verdict in {Verdict.STOPPED, Verdict.UNKNOWN}


def runs(seen: InstanceSeen, spec: LaunchSpec) -> bool:
    """Whether the process of an instance is this launch. One without marks that the supervisor owns is taken for it."""
    if seen.process is None or seen.verdict is Verdict.FOREIGN:
        return False
    return seen.process.launch_digest in {spec.launch_digest, ""}


def sends_here(seen: InstanceSeen, spec: LaunchSpec) -> bool:
    """Whether what stands beside the media runs in this way, by its launch and by what it reads while it runs."""
    differ = seen.differ(spec)
    live = {file.path for file in spec.live_files}
    sent = not spec.new_rooms or (seen.routes is not None and seen.routes.new_rooms == spec.new_rooms)
    return runs(seen, spec) and differ is not None and live.isdisjoint(differ) and sent


def routed(observed: Observed, desired: Desired) -> str | None:
    """The slot that what stands beside the media sends new rooms to, None where that is open or unknown."""
    for slot, specs in desired.steering_units.items():
        if any(sends_here(observed.instance(spec.instance), spec) for spec in specs):
            return slot
    return None


def _replacement(desired: Desired, seen: dict[str, InstanceSeen], serving: str, allowed: frozenset[Allowed]) -> Target:
    free = next((slot for slot in desired.slots if slot != serving and _is_free(seen[slot])), None)
    look = _Look(desired, seen, serving, free, allowed)
    at_start = f"{desired.media[serving].unit} takes over another release or configuration only at its start"
    passed = [PassedOver(Way.NOTHING, look.what), PassedOver(Way.LIVE, at_start)]
    for way in (Way.TWO_SLOT, Way.IDLE_SWAP, Way.MOVE, Way.SWAP, Way.DRAIN):
        because = next(look.against(way), "")
        if not because:
            there = free if way in {Way.TWO_SLOT, Way.MOVE} and free is not None else serving
            return Target(there, serving, way, tuple(passed))
        passed.append(PassedOver(way, because))
    return Target(serving, serving, None, tuple(passed))


@frozen
class _Look:
    """What speaks against each way of replacing what serves."""

    desired: Desired
    seen: dict[str, InstanceSeen]
    serving: str
    free: str | None
    allowed: frozenset[Allowed]

    @property
    def what(self) -> str:
        return difference(self.seen[self.serving], self.desired.media[self.serving])

    def against(self, way: Way) -> Iterator[str]:
        """The reasons, the weightiest first."""
        old, spec = self.seen[self.serving], self.desired.media[self.serving]
        if old.release != spec.release:
            edge = spec.edge_from(old.release)
            if edge is None:
                yield f"{spec.release} is not declared to replace {old.release}"
            elif _STRATEGIES[way] not in edge.strategies:
                yield f"{spec.release} may not replace {old.release} by {way}"
        if way in {Way.TWO_SLOT, Way.MOVE}:
            yield from self._against_two_slots()
        if way is Way.MOVE and self.desired.steering.possible and not self.desired.steering.follows:
            yield f"{NO_WAY_BACK}; behind the front it would ([front] enabled = true)"
        if way is not Way.TWO_SLOT:
            yield from _against_an_end(old, in_place=way is not Way.MOVE)
            yield from _against_cutting_off(old, way, self.allowed)

    def _against_two_slots(self) -> Iterator[str]:
        if len(self.seen) < 2:
            yield "there is only one slot"
        elif self.free is None:
            others = [found for slot, found in self.seen.items() if slot != self.serving]
            yield "no other slot is free: " + "; ".join(
                f"{found.spec.instance}: {_occupied(found)}" for found in others
            )
        if not self.desired.steering.possible:
            yield self.desired.steering.because


def comeback_s(seen: InstanceSeen) -> float:
    """For how many seconds nobody in a call of this server means nothing yet, 0 for a server that is old enough."""
    return max(COMEBACK_S - seen.process.age_s, 0.0) if seen.process else 0.0


def difference(seen: InstanceSeen, spec: LaunchSpec) -> str:
    """What is wrong with what runs, in words."""
    return f"release {seen.release} runs" if seen.release != spec.release else "it runs with another configuration"


def _is_free(seen: InstanceSeen) -> bool:
    return seen.verdict is Verdict.STOPPED and not seen.program_missing


def _occupied(seen: InstanceSeen) -> str:
    return f"its program is not there: {seen.program_missing}" if seen.program_missing else seen.because


def _against_an_end(old: InstanceSeen, *, in_place: bool) -> Iterator[str]:
    if old.verdict is Verdict.UNKNOWN:
        yield f"its state is unknown: {old.because}"
    if old.entry is not None and old.entry.state is EntryState.STOPPING:
        yield "it is ending already"
    if not old.owned:
        yield old.because
    if in_place and old.in_the_way:
        yield f"port {old.in_the_way[0].port.number} is held by {holder(old.in_the_way[0])}"


def _against_cutting_off(old: InstanceSeen, way: Way, allowed: frozenset[Allowed]) -> Iterator[str]:
    people = old.calls.people if old.calls else None
    if people is None:
        yield f"who is in a call is unknown ({old.calls.source if old.calls else 'not counted'})"
    elif way is Way.IDLE_SWAP and people and old.calls:
        yield f"that would cut off {old.calls.says}"
    elif way is Way.IDLE_SWAP and comeback_s(old):
        yield COMING_BACK
    elif way in {Way.MOVE, Way.SWAP} and Allowed.RECONNECT not in allowed:
        yield "nobody accepted that people reconnect (--allow-reconnect)"
    elif way is Way.DRAIN and Allowed.DRAIN not in allowed:
        yield "nobody accepted that joins are refused until the last call ends (--allow-drain)"
