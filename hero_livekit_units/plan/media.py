"""What becomes of the media: from what serves to what is wanted, and of the slot that is left. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hero_livekit_units.model.drain import Signal
from hero_livekit_units.model.observed import EntryState, Verdict
from hero_livekit_units.model.plan import Action, Allowed, Effect, Interruption, Needs, Way
from hero_livekit_units.model.unit import Strategy
from hero_livekit_units.plan.drains import plan_drain
from hero_livekit_units.plan.group import (
    LAST_ROOM,
    NO_EFFECT,
    WAIT_FOR_IDLE,
    Group,
    occupancy,
    pinned,
    plan_start,
    plan_update,
    prepare,
    prepare_files,
    reconnect,
    refuse_edge,
    refuse_unfit,
)
from hero_livekit_units.plan.lost import plan_quiet
from hero_livekit_units.plan.slots import COMING_BACK, WAYS, comeback_s, difference

if TYPE_CHECKING:
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import InstanceSeen


GATE_S = 2.0  # that token requests are held in an idle swap; the longest that was measured is 1.76

_LAST_CALL = "its last call has ended (then the new one is started)"
_RETRY = "media.toml asks for another release or configuration, or `hlu ensure --retry`"
_LEARNT_S = 0.2  # a supervisor has learnt of an end by then


def plan_replacement(group: Group, spec: LaunchSpec) -> None:
    """Bring the media from what serves to what is wanted, by the way that was chosen."""
    target = group.target
    old_spec = group.desired.media[str(target.serving)]
    old = group.seen(old_spec)
    what = difference(old, old_spec)
    if old.release != spec.release and spec.edge_from(old.release) is None:
        group.choose(old_spec.instance, None, what)
        refuse_edge(group, old_spec, old.release, f"{what}, and {spec.release} is not declared to replace it")
        return
    if refuse_unfit(group, spec):
        return
    if target.serving == target.slot:
        plan_quiet(group, old_spec)
    way = target.way if not group.unsure or target.way is Way.TWO_SLOT else None
    group.choose(old_spec.instance, way, what)
    match way:
        case Way.TWO_SLOT | Way.MOVE:
            plan_start(group, spec, f"{old_spec.instance}: {what}; new rooms come here once it is ready")
            plan_leaving(group, old_spec, None)
        case Way.IDLE_SWAP:
            prepare(group, spec)
            plan_update(group, spec)
            says = "no call runs; who asks for a join token meanwhile waits for it"
            effect = Effect(Interruption.JOINS_WAIT, says, seconds=GATE_S)
            needs = Needs(process=pinned(old).process, people_at_most=0)
            group.act(Action.RESTART, spec, f"{what}, and nobody is in a call", effect, needs)
        case Way.SWAP:
            prepare(group, spec)
            plan_update(group, spec)
            group.act(Action.SWAP, spec, what, reconnect(group, old), pinned(old))
        case Way.DRAIN:
            effect = Effect(Interruption.JOINS_REFUSED, "nobody can join while the last calls end", seconds=None)
            group.act(Action.STOP, spec, f"{what}; it ends with its last call", effect, pinned(old))
            group.wait(spec.instance, occupancy(old), _LAST_CALL)
        case _:
            _plan_no_way(group, spec, old, what)


def _plan_no_way(group: Group, spec: LaunchSpec, old: InstanceSeen, what: str) -> None:
    """No way is open: say what is waited for, or what would open one."""
    unsure = f"the state of {group.unsure[0]} is unknown" if group.unsure else ""
    why = unsure or group.target.why_not(Way.IDLE_SWAP)
    if old.entry is not None and old.entry.state is EntryState.STOPPING:
        group.wait(spec.instance, occupancy(old), _LAST_CALL)
    elif old.drain is not None and old.drain.drain.signal is not Signal.NONE:
        because = f"{occupancy(old)}; it may have got its stop signal already, and gets no second one"
        group.wait(spec.instance, because, _LAST_CALL)
    elif group.target.failure and not unsure:
        stay = f"new rooms stay on slot {old.spec.slot}: {group.target.failure}"
        group.refuse(spec.instance, f"{what}, but {stay}", _RETRY)
    elif why == COMING_BACK:
        group.wait(spec.instance, f"{what}, but {why}", "they are back, or gone", comeback_s(old, group.desired))
    else:
        group.refuse(spec.instance, f"{what}, but {why}", _possible_when(group, old))


def _possible_when(group: Group, old: InstanceSeen) -> str:
    if group.unsure:
        return "it can be looked at again"
    edge = group.desired.media[old.spec.slot].edge_from(old.release)
    if edge is not None and not WAYS.intersection(edge.strategies):
        return "its definition allows a way, or media.toml asks for a release that may replace it"
    if not old.owned:
        return "the supervisor owns it again"
    if old.in_the_way:
        return "it is free, or media.toml gives another"
    if old.people is None:
        return "calls can be counted"
    return WAIT_FOR_IDLE


def plan_leaving(group: Group, spec: LaunchSpec, left_for_s: float | None) -> None:
    """What becomes of a slot that new rooms should not go to: it ends with its last room.

    left_for_s: for how long joins have been sent elsewhere, None where some may still be sent here.
    """
    name, seen = spec.instance, group.seen(spec)
    failed = group.target.failing.get(spec.slot, "")
    if seen.verdict is Verdict.FOREIGN:
        _plan_beside(group, seen)
        return
    if seen.verdict is Verdict.UNKNOWN:
        group.note(name, f"left alone, as its state is unknown: {seen.because}")
        return
    if seen.process is None:
        _plan_left(group, spec, seen)
    elif seen.entry is not None and seen.entry.state is EntryState.STOPPING:
        group.wait(name, occupancy(seen), "it has ended")
    elif not plan_quiet(group, spec) and not seen.owned:
        group.note(name, f"left alone: {seen.because}")
    elif seen.closed and not group.unsure:
        _end(group, spec, failed or "none of its ports is open, so nobody is in it", _nobody(seen))
    elif left_for_s is None:
        group.wait(name, failed or "new rooms come to it while the other is not ready", LAST_ROOM)
    elif group.unsure or seen.people is None:
        group.wait(name, f"{failed}; {occupancy(seen)}" if failed else occupancy(seen), LAST_ROOM)
    elif seen.people:
        _plan_full(group, spec, seen)
    else:
        _plan_empty(group, spec, seen, left_for_s)


def _plan_left(group: Group, spec: LaunchSpec, seen: InstanceSeen) -> None:
    """A slot in which nothing runs any more: nothing of it is wanted, and nothing lies about that nobody reads."""
    if seen.entry is not None and seen.entry.state is EntryState.STOPPING:
        # The kernel was looked at after the supervisor was asked. What is left lies there until that knows too.
        group.wait(spec.instance, "its process is gone", "the supervisor knows that too", _LEARNT_S)
        return
    if seen.entry is not None and seen.entry.wanted and not group.unsure:
        because = group.target.failing.get(spec.slot, "it is still wanted, and new rooms go elsewhere")
        _end(group, spec, because, Needs(absent=True))
    if seen.left:
        prepare_files(group, spec)


def _plan_beside(group: Group, seen: InstanceSeen) -> None:
    """A stranger in a slot: ours runs in another one, and the stranger ends when those who own it say so."""
    name, foreign = seen.spec.instance, seen.foreign
    ends = f"; {foreign.dies_with}" if foreign else ""
    if foreign is not None and foreign.calls is not None and foreign.calls.people:
        who = f"in its calls: {foreign.calls.says}"
        group.wait(name, f"not touched: {seen.because}; {who}{ends}", "its last room has ended")
    else:
        group.note(name, f"not touched: {seen.because}{ends}")


def _plan_empty(group: Group, spec: LaunchSpec, seen: InstanceSeen, left_for_s: float) -> None:
    """A slot that nobody is in any more: it ends when nobody can be on the way to it."""
    left_s = max(group.desired.steering.grace_s - left_for_s, comeback_s(seen, group.desired))
    if left_s > 0:
        group.wait(spec.instance, "who was given its address may still come", LAST_ROOM, left_s)
    else:
        _end(group, spec, group.target.failing.get(spec.slot, "its last room has ended"), _nobody(seen))


def _nobody(seen: InstanceSeen) -> Needs:
    return Needs(process=pinned(seen).process, people_at_most=0)


def _end(group: Group, spec: LaunchSpec, because: str, needs: Needs) -> None:
    """Stop a slot that nobody is in. Where what is wanted has failed in it, that is written down before."""
    if group.target.failure and spec.slot in group.target.failing and group.seen(spec).failed is None:
        group.prepare(Action.RECORD_FAILURE, spec, because, needs)
    group.act(Action.STOP, spec, because, NO_EFFECT, needs)


def _plan_full(group: Group, spec: LaunchSpec, seen: InstanceSeen) -> None:
    """A slot that people are still in. They stay, unless rooms cannot run beside the new release."""
    new = group.desired.media[group.target.slot]
    edge = new.edge_from(seen.release)
    beside = edge is None or Strategy.TWO_SLOT in edge.strategies
    failed = group.target.failing.get(spec.slot, "")
    may_move = edge is not None and Strategy.MOVE in edge.strategies and group.desired.steering.follows
    if not beside and may_move and Allowed.RECONNECT in group.allowed:
        because, to = f"its rooms move to {new.instance}", new.instance
        group.act(Action.KILL, spec, because, reconnect(group, seen), pinned(seen), to=to)
    elif failed:
        group.wait(spec.instance, f"{failed}; {occupancy(seen)}", LAST_ROOM)
    else:
        plan_drain(group, spec, seen)
