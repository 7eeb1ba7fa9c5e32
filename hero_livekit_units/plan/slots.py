"""Which slot the media should run in, and by which way they get there. Pure.

The decision rests on what runs, not on what was decided before: whoever asks, and however often, finds the same slot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
from attrs import field, frozen

from hero_livekit_units.model.ability import Ability, lack
from hero_livekit_units.model.desired import Desired
from hero_livekit_units.model.drain import Signal
from hero_livekit_units.model.observed import EntryState, InstanceSeen, SupervisorSeen, Verdict
from hero_livekit_units.model.plan import Allowed, PassedOver, Way
from hero_livekit_units.model.unit import Strategy
from hero_livekit_units.observe.verdict import holder
from hero_livekit_units.plan.failure import failures, is_launch, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import Observed

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
_BESIDE = {Way.TWO_SLOT, Way.MOVE}  # they need another slot
_ABILITIES = {
    Way.SWAP: (Ability.SET_LEAVES_ALONE, Ability.NOTICES_DEATH),
    Way.DRAIN: (Ability.SET_LEAVES_ALONE, Ability.STOPS_ONCE, Ability.KEEPS_WINDOW),
}


@frozen
class Target:
    """Where the media should run.

    slot: for new rooms, once it is ready. serving: the slot whose release is to be replaced, None where nothing is.
    way: how, None where no way is open. passed_over: the gentler ways, or all of them. failing: by slot, why what is
    wanted has failed there. failure: why it is not tried again, "" where it may be.
    """

    slot: str
    serving: str | None = None
    way: Way | None = Way.NOTHING
    passed_over: tuple[PassedOver, ...] = ()
    failing: Mapping[str, str] = field(factory=dict)
    failure: str = ""

    def why_not(self, way: Way) -> str:
        """Why a way was passed over."""
        return next(passed.because for passed in self.passed_over if passed.way is way)


def choose(observed: Observed, desired: Desired, allowed: frozenset[Allowed] = frozenset()) -> Target:
    """The slot that new rooms should go to, and the gentlest way that is open."""
    seen = {slot: observed.instance(spec.instance) for slot, spec in desired.media.items()}
    failing = failures(observed, desired)
    slots = [slot for slot in desired.slots if slot not in failing]
    current = [slot for slot in slots if runs(seen[slot], desired.media[slot]) and not is_asked(seen[slot])]
    if current:
        now = routed(observed, desired)
        # Two can be right after an upgrade was taken back: stay where people are sent already.
        slot = min(current, key=lambda slot: (seen[slot].verdict is not Verdict.HEALTHY, slot != now))
        return Target(slot, failing=failing)
    serves = any(found.verdict is Verdict.HEALTHY for found in seen.values())
    coming = [slot for slot in slots if _is_coming(seen[slot], desired.media[slot], serves=serves)]
    if coming:
        return Target(coming[0])
    old = [slot for slot in slots if seen[slot].process is not None and seen[slot].verdict is not Verdict.FOREIGN]
    if old:
        now = routed(observed, desired)
        serving = min(old, key=lambda slot: (seen[slot].verdict is not Verdict.HEALTHY, slot != now))
        known = "" if Allowed.RETRY in allowed else recorded(observed, desired)
        failure = next(iter(failing.values()), known)
        needed = _not_as_needed(observed, desired)
        look = _Look(desired, seen, serving, allowed, failure, needed, observed.supervisor)
        return attrs.evolve(_replacement(look), failing=failing)
    startable = [slot for slot in desired.slots if seen[slot].verdict is Verdict.STOPPED]
    return Target(startable[0] if startable else desired.slots[0])


def in_use(observed: Observed, desired: Desired) -> Observed:
    """The world without the slots that are neither wanted nor used; its slot is the one that new rooms go to now."""
    target = choose(observed, desired)
    slot = target.slot if target.serving is None else target.serving
    # Where a launch is not tried again, the slot in which it failed is of interest.
    spare = {
        spec.instance
        for other, spec in desired.media.items()
        if other != slot
        and _is_spare(observed, spec)
        and not (target.failure and observed.instance(spec.instance).failed)
    }
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


def is_lost(seen: InstanceSeen, supervisor: SupervisorSeen) -> bool:
    """Whether it runs without a supervisor that has had it and will not find it again."""
    if supervisor.adopts or seen.process is None or seen.verdict in {Verdict.FOREIGN, Verdict.UNKNOWN}:
        return False
    return seen.entry is None or seen.entry.process != seen.process.id


def is_asked(seen: InstanceSeen) -> bool:
    """Whether somebody asked that the slot is drained, however well it runs."""
    return seen.drain is not None and seen.drain.drain.asked


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


def _is_coming(seen: InstanceSeen, spec: LaunchSpec, *, serves: bool) -> bool:
    """Whether it is between two lives, and is waited for: while another slot serves, only what is wanted."""
    return seen.process is None and seen.verdict is Verdict.UNHEALTHY and (not serves or is_launch(seen, spec))


def _not_as_needed(observed: Observed, desired: Desired) -> str:
    """What runs in another way than the new media need it to, in words, "" for nothing; what steers is told live."""
    media = next(iter(desired.media.values()))
    for spec in desired.preferred:
        if spec.instance in media.after and not spec.new_rooms:
            found = observed.instance(spec.instance)
            if found.process is not None and not runs(found, spec):
                return f"{spec.instance} has to be replaced before: {difference(found, spec)}"
    return ""


def _replacement(look: _Look) -> Target:
    at_start = f"{look.old.spec.unit} takes over another release or configuration only at its start"
    passed = [PassedOver(Way.NOTHING, look.what), PassedOver(Way.LIVE, at_start)]
    for way in (Way.TWO_SLOT, Way.IDLE_SWAP, Way.MOVE, Way.SWAP, Way.DRAIN):
        because = next(look.against(way), "")
        if not because:
            there = look.free if way in _BESIDE and look.free is not None else look.serving
            return Target(there, look.serving, way, tuple(passed))
        passed.append(PassedOver(way, because))
    return Target(look.serving, look.serving, None, tuple(passed), failure=look.failure)


@frozen
class _Look:
    """What speaks against each way of replacing what serves."""

    desired: Desired
    seen: dict[str, InstanceSeen]
    serving: str
    allowed: frozenset[Allowed]
    failure: str
    not_as_needed: str
    supervisor: SupervisorSeen

    @property
    def old(self) -> InstanceSeen:
        return self.seen[self.serving]

    @property
    def free(self) -> str | None:
        return next((slot for slot in self.desired.slots if slot != self.serving and _is_free(self.seen[slot])), None)

    @property
    def what(self) -> str:
        return difference(self.old, self.desired.media[self.serving])

    def against(self, way: Way) -> Iterator[str]:
        """The reasons, the weightiest first."""
        old, spec = self.old, self.desired.media[self.serving]
        if way is Way.DRAIN and old.drain is not None and old.drain.drain.signal is not Signal.NONE:
            yield "it may have got its stop signal already"
        if old.release != spec.release:
            edge = spec.edge_from(old.release)
            if edge is None:
                yield f"{spec.release} is not declared to replace {old.release}"
            elif _STRATEGIES[way] not in edge.strategies:
                yield f"{spec.release} may not replace {old.release} by {way}"
        # In its place it would fail too; beside one that is not ready itself it may help.
        if self.failure and (way not in _BESIDE or old.verdict is not Verdict.UNHEALTHY):
            yield self.failure
        if way in _BESIDE:
            yield from self._against_two_slots()
        yield from (lack(ability) for ability in _ABILITIES.get(way, ()) if self.supervisor.is_without(ability))
        if way is not Way.IDLE_SWAP and self.not_as_needed:
            yield self.not_as_needed  # while nobody is in a call, that is replaced in the same plan
        if way is Way.MOVE and self.desired.steering.possible and not self.desired.steering.follows:
            yield f"{NO_WAY_BACK}; behind the front it would ([front] enabled = true)"
        if way is not Way.TWO_SLOT:
            replaceable = old.owned or (way is Way.IDLE_SWAP and is_lost(old, self.supervisor))
            yield from _against_an_end(old, replaceable=replaceable, in_place=way is not Way.MOVE)
            yield from _against_cutting_off(old, way, self.allowed, comeback_s(old, self.desired))

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


def comeback_s(seen: InstanceSeen, desired: Desired) -> float:
    """For how many seconds nobody in a call of this server means nothing yet, 0 for a server that is old enough."""
    return max(desired.returning.within_s - seen.process.age_s, 0.0) if seen.process else 0.0


def difference(seen: InstanceSeen, spec: LaunchSpec) -> str:
    """What is wrong with what runs, in words."""
    if seen.release != spec.release:
        return f"release {seen.release} runs"
    if seen.drain is not None and runs(seen, spec):
        return f"{seen.drain.drain.by} asked to drain it"
    return "it runs with another configuration"


def _is_free(seen: InstanceSeen) -> bool:
    return seen.verdict is Verdict.STOPPED and not seen.program_missing


def _occupied(seen: InstanceSeen) -> str:
    return f"its program is not there: {seen.program_missing}" if seen.program_missing else seen.because


def _against_an_end(old: InstanceSeen, *, replaceable: bool, in_place: bool) -> Iterator[str]:
    if old.verdict is Verdict.UNKNOWN:
        yield f"its state is unknown: {old.because}"
    if old.entry is not None and old.entry.state is EntryState.STOPPING:
        yield "it is ending already"
    if not replaceable:
        yield old.because
    if in_place and old.in_the_way:
        yield f"port {old.in_the_way[0].port.number} is held by {holder(old.in_the_way[0])}"


def _against_cutting_off(
    old: InstanceSeen, way: Way, allowed: frozenset[Allowed], still_coming_s: float
) -> Iterator[str]:
    people = old.people
    if people is None:
        yield f"who is in a call is unknown ({old.calls.source if old.calls else 'not counted'})"
    elif way is Way.IDLE_SWAP and people and old.calls:
        yield f"that would cut off {old.calls.says}"
    elif way is Way.IDLE_SWAP and still_coming_s:
        yield COMING_BACK
    elif way in {Way.MOVE, Way.SWAP} and Allowed.RECONNECT not in allowed:
        yield "nobody accepted that people reconnect (--allow-reconnect)"
    elif way is Way.DRAIN and Allowed.DRAIN not in allowed and not (old.drain and old.drain.drain.refusing):
        yield "nobody accepted that joins are refused until the last call ends (--allow-drain)"
