"""The planner. Nothing here knows the clock, the host or the network.

Least harm first; `slots` chooses the way of the media. Nothing that ends a process ever follows from `unknown`, and a
process with people in it is never touched unless the user accepted by name what it does to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from hero_livekit_units.model.ability import Ability, lack
from hero_livekit_units.model.observed import Verdict
from hero_livekit_units.model.plan import Action, Allowed, Effect, Goal, Interruption, Needs, Plan
from hero_livekit_units.model.unit import Strategy
from hero_livekit_units.observe.verdict import holder
from hero_livekit_units.plan.drains import plan_wanted
from hero_livekit_units.plan.group import (
    NO_EFFECT,
    RESTART_S,
    Group,
    pinned,
    plan_start,
    plan_update,
    prepare,
    refuse_edge,
    refuse_unfit,
    refuse_while_in_use,
)
from hero_livekit_units.plan.lost import LOST, plan_quiet, wait_for_nobody
from hero_livekit_units.plan.media import GATE_S, plan_leaving, plan_replacement
from hero_livekit_units.plan.slots import choose, difference, routed, runs, sends_here
from hero_livekit_units.plan.stop import plan_end

if TYPE_CHECKING:
    from hero_livekit_units.model.desired import Desired
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import InstanceSeen, Observed


_UNKNOWN = "hero_proc"  # the kind of one that is not ours
SUPERVISOR = "hero_proc"  # stands for an instance in a refusal that is about the supervisor itself

_JOINS_WAIT = Effect(Interruption.JOINS_WAIT, "calls go on; joins wait for the second it takes", seconds=RESTART_S)


def plan(
    observed: Observed, desired: Desired, goal: Goal = Goal.RUN, *, allowed: frozenset[Allowed] = frozenset()
) -> Plan:
    """Say what has to be done, and why, to get from what was observed to the goal.

    Args:
        observed: one moment of the world.
        desired: what should run.
        goal: run everything, only have files and registry entries as they should be, only go on with what is drained,
            or stop everything.
        allowed: what the user accepts by name for people in calls.
    """
    target = choose(observed, desired, allowed)
    group = Group(observed, desired, allowed, target)
    if observed.supervisor.verdict is not Verdict.HEALTHY:
        group.refuse(
            SUPERVISOR,
            f"the supervisor cannot be asked ({observed.supervisor.says}), so what it does next is unknown",
            "it answers on its socket: `hlu hero-proc status`, then `hlu hero-proc start`",
        )
    elif goal is Goal.STOP:
        plan_end(group)
    elif goal is Goal.CONFIGURE:
        for spec in desired.by_slot[target.slot]:
            _plan_configured(group, spec)
    elif goal is Goal.DRAIN:
        _plan_drained(group)
    else:
        _plan_group(group)
    return group.plan(goal)


def _plan_configured(group: Group, spec: LaunchSpec) -> None:
    seen = group.seen(spec)
    # What the supervisor does not know and what runs all the same would be started a second time with its next life.
    if seen.process is not None and not seen.owned:
        group.note(spec.instance, f"left alone: {seen.because}")
    elif seen.entry is None and seen.verdict is Verdict.UNKNOWN:
        group.refuse(spec.instance, f"its state is unknown: {seen.because}", "it can be looked at again")
    else:
        prepare(group, spec)
        # Where something is to be replaced, what it is replaced by gets no new rooms by this.
        if group.target.serving is None:
            plan_update(group, spec)


def _plan_drained(group: Group) -> None:
    """Go on with what is recorded as drained, and touch nothing else."""
    route = routed(group.observed, group.desired)
    group.slot = route or group.target.slot
    sent_for_s = _sent_for_s(group, group.slot) if route else None
    for slot, spec in group.desired.media.items():
        if slot != route and group.seen(spec).drain is not None:
            plan_leaving(group, spec, sent_for_s)


def _plan_group(group: Group) -> None:
    target = group.target
    route = group.slot = _route(group)
    sent_for_s = _sent_for_s(group, route)
    _tell_of_failure(group, route)
    specs = [group.desired.media[target.slot] if spec.carries_calls else spec for spec in group.desired.by_slot[route]]
    stranger = next((spec for spec in specs if group.seen(spec).verdict is Verdict.FOREIGN), None)
    for spec in specs:
        seen = group.seen(spec)
        if stranger is not None and seen.verdict is Verdict.STOPPED:
            # Half a group serves nobody, and a stranger on our ports means that something is set up wrongly.
            name = stranger.instance
            group.refuse(spec.instance, f"half a group serves nobody, and {name} cannot be started", f"{name} can be")
        elif spec.carries_calls and target.serving is not None:
            plan_replacement(group, spec)
        else:
            _plan_run(group, spec)
    plan_wanted(group, group.desired.media[route])
    _tell_of_lacks(group)
    for slot, spec in group.desired.media.items():
        if slot not in {target.slot, target.serving}:
            plan_leaving(group, spec, sent_for_s if route != slot else None)


def _route(group: Group) -> str:
    """The slot that new rooms go to after this plan: a new one only when it is ready by then."""
    slot = group.target.slot
    spec = group.desired.media[slot]
    seen, now = group.seen(spec), routed(group.observed, group.desired)
    unfit = spec.blocked or seen.program_missing or group.distrust(spec)
    startable = seen.verdict is Verdict.STOPPED and not (unfit or group.unsure)
    others = [other for other, spec in group.desired.media.items() if group.seen(spec).verdict is Verdict.HEALTHY]
    if now in others and now != slot and _has_failed(seen, spec):
        return now  # it came up again by itself just now, and may end once more
    if startable or seen.verdict in {Verdict.HEALTHY, Verdict.STARTING}:
        return slot
    if now is not None and group.seen(group.desired.media[now]).verdict is Verdict.UNKNOWN:
        return now  # one look that failed is no reason to send people back and forth
    return others[0] if others else slot


def _tell_of_failure(group: Group, route: str) -> None:
    """Say so where new rooms do not go to a slot that is ready, as it has failed."""
    spec = group.desired.media[group.target.slot]
    seen = group.seen(spec)
    if route != group.target.slot and seen.verdict is Verdict.HEALTHY and seen.process and seen.entry:
        last = f", at last with {seen.entry.last_error}" if seen.entry.last_error else ""
        times = "once" if seen.entry.restarts == 1 else f"{seen.entry.restarts} times"
        until = f"it has run for {spec.restart.stable_after_s:g} s (then new rooms come to it)"
        left_s = max(spec.restart.stable_after_s - seen.process.age_s, 0.0)
        group.wait(spec.instance, f"it ended by itself {times}{last}; new rooms go to slot {route}", until, left_s)


def _tell_of_lacks(group: Group) -> None:
    """Say what the supervisor cannot do, where nothing in a plan can be done about it."""
    supervisor = group.observed.supervisor
    for ability in (Ability.RESTARTS_AFTER_ZERO, Ability.ADOPTS):
        if supervisor.is_without(ability):
            group.note(SUPERVISOR, lack(ability))
    if supervisor.lacks is None and supervisor.kind == _UNKNOWN:
        group.note(SUPERVISOR, "nobody has looked what this hero_proc does; `hlu doctor` does, and touches no call")


def _has_failed(seen: InstanceSeen, spec: LaunchSpec) -> bool:
    """Whether an instance has ended by itself, and has not run for long enough since to be trusted."""
    restarted = seen.entry is not None and seen.entry.restarts > 0
    return restarted and (seen.process is None or seen.process.age_s < spec.restart.stable_after_s)


def _sent_for_s(group: Group, slot: str) -> float | None:
    """For how long joins have been sent to a slot and to no other, None where they are not yet."""
    ages_s = []
    for spec in group.desired.by_slot[slot]:
        seen = group.seen(spec)
        if spec in group.desired.steering_units[slot]:
            if not sends_here(seen, spec) or (seen.updated_for_s is None and not spec.new_rooms):
                return None
            if not spec.new_rooms:  # else nobody has the address of a slot, and nothing has to be waited for
                ages_s.append(seen.updated_for_s or 0.0)
        elif spec.carries_calls:
            if seen.process is None:
                return None
            ages_s.append(seen.process.age_s)
    return min(ages_s)


def _plan_run(group: Group, spec: LaunchSpec) -> None:
    name, seen = spec.instance, group.seen(spec)
    match seen.verdict:
        case Verdict.HEALTHY:
            plan_update(group, spec)
            _plan_healthy(group, spec)
        case Verdict.STOPPED:
            plan_start(group, spec, seen.because)
        case Verdict.STARTING if not seen.owned:
            group.wait(name, seen.because, "it is ready; it is left alone, as the supervisor does not own it")
        case Verdict.STARTING:
            group.act(Action.AWAIT_READY, spec, seen.because, NO_EFFECT, Needs())
        case Verdict.UNHEALTHY:
            _plan_unhealthy(group, spec)
        case Verdict.FOREIGN:
            group.refuse(name, seen.because, "that process is gone, or media.toml gives other ports; it is not touched")
        case Verdict.UNKNOWN:
            group.refuse(name, f"its state is unknown: {seen.because}", "it can be looked at again")
        case _:
            assert_never(seen.verdict)


def _plan_healthy(group: Group, spec: LaunchSpec) -> None:
    name, seen = spec.instance, group.seen(spec)
    if plan_quiet(group, spec):
        _plan_lost(group, spec)
        return
    if not runs(seen, spec):
        _plan_restart(group, spec)
        return
    if spec.blocked:
        group.note(name, f"release {spec.release} is blocked, and runs: {spec.blocked}; choose another version")
    if not seen.owned:
        # Alive and serving, but the supervisor has lost it. To start "it" now would be a second copy.
        group.note(name, f"left alone: {seen.because}")
        return
    prepare(group, spec)


def _plan_lost(group: Group, spec: LaunchSpec) -> None:
    """Replace what the supervisor has lost, where nobody is hit by it."""
    seen = group.seen(spec)
    if refuse_unfit(group, spec):
        return
    if spec.carries_calls:
        if not wait_for_nobody(group, spec):
            prepare(group, spec)
            says = "no call runs; who asks for a join token meanwhile waits for it"
            effect = Effect(Interruption.JOINS_WAIT, says, seconds=GATE_S)
            needs = Needs(process=pinned(seen).process, people_at_most=0)
            group.act(Action.RESTART, spec, f"{LOST}, and nobody is in a call", effect, needs)
    elif not _refuse_needed(group, spec, LOST) and not _refuse_unsure(group, spec, LOST):
        prepare(group, spec)
        group.act(Action.RESTART, spec, LOST, _JOINS_WAIT, pinned(seen))


def _plan_restart(group: Group, spec: LaunchSpec) -> None:
    """Replace what carries no calls."""
    name, seen = spec.instance, group.seen(spec)
    what = difference(seen, spec)
    edge = spec.edge_from(seen.release)
    if seen.release != spec.release and (edge is None or Strategy.RESTART not in edge.strategies):
        why = "is not declared to replace it" if edge is None else f"may not replace it by {Strategy.RESTART}"
        refuse_edge(group, spec, seen.release, f"{what}, and {spec.release} {why}")
    elif refuse_unfit(group, spec):
        return
    elif not seen.owned:
        group.refuse(name, f"{what}, but {seen.because}", "the supervisor owns it again")
    elif seen.in_the_way:
        number, who = seen.in_the_way[0].port.number, holder(seen.in_the_way[0])
        group.refuse(name, f"{what}, but port {number} is held by {who}", "it is free, or media.toml gives another")
    elif not _refuse_needed(group, spec, what) and not _refuse_unsure(group, spec, what):
        prepare(group, spec)
        group.act(Action.RESTART, spec, what, _JOINS_WAIT, pinned(seen))


def _refuse_needed(group: Group, spec: LaunchSpec, what: str) -> bool:
    """Refuse to end what the calls of another instance need."""
    for other in group.observed.instances:
        if spec.instance in other.spec.after and other.process is not None:
            if not other.spec.carries_calls and other.calls is None:
                continue
            if refuse_while_in_use(group, spec.instance, what, other):
                return True
    return False


def _refuse_unsure(group: Group, spec: LaunchSpec, what: str) -> bool:
    if group.unsure:
        because = f"{what}, but the state of {group.unsure[0]} is unknown"
        group.refuse(spec.instance, because, "it can be looked at again")
    return bool(group.unsure)


def _plan_unhealthy(group: Group, spec: LaunchSpec) -> None:
    name, seen = spec.instance, group.seen(spec)
    if seen.process is None:
        group.act(Action.AWAIT_READY, spec, seen.because, NO_EFFECT, Needs())
    elif seen.closed and seen.owned and spec.carries_calls and not group.unsure:
        prepare(group, spec)
        needs = Needs(process=pinned(seen).process, people_at_most=0)
        group.act(Action.RESTART, spec, f"{seen.because}; nobody can be in it", NO_EFFECT, needs)
    elif spec.carries_calls:
        # A livekit that is "not ready" may carry calls: with Redis away it says so for minutes, and serves.
        group.refuse(name, f"{seen.because}; it may carry calls, so it is not restarted", "it is ready again")
    elif not seen.owned:
        group.refuse(name, f"{seen.because}; and the supervisor does not own it", "that process has ended")
    elif not _refuse_needed(group, spec, seen.because) and not _refuse_unsure(group, spec, seen.because):
        prepare(group, spec)
        group.act(Action.RESTART, spec, seen.because, _JOINS_WAIT, pinned(seen))
