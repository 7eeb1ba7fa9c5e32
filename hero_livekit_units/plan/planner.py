"""The planner. Nothing here knows the clock, the host or the network.

Least harm first; `slots` chooses the way of the media. Nothing that ends a process ever follows from `unknown`, and a
process with people in it is never touched unless the user accepted by name what it does to them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, assert_never

from hero_livekit_units.model.observed import EntryState, Verdict
from hero_livekit_units.model.plan import (
    Action,
    Allowed,
    Choice,
    Effect,
    Goal,
    InstanceState,
    Interruption,
    Needs,
    Note,
    Plan,
    Refusal,
    Step,
    Wait,
    Wave,
    Way,
)
from hero_livekit_units.model.unit import Strategy
from hero_livekit_units.observe.verdict import holder
from hero_livekit_units.plan.slots import choose, difference, edge_missing, runs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hero_livekit_units.model.desired import Desired
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import InstanceSeen, Observed
    from hero_livekit_units.plan.slots import Target

SUPERVISOR = "hero_proc"  # stands for an instance in a refusal that is about the supervisor itself
JOIN_GRACE_S = 10.0  # who was given the address of a slot comes within this time, or asks again
RECONNECT_S = 0.8  # without sound, when a server is killed and started at once; the longest that was measured is 0.89
BACKEND_S = 0.3  # from the end of lk-backend to its next answer

_LAST_ROOM = "its last room has ended; then it is stopped"
_WAIT_FOR_IDLE = "everybody has left (watch `hlu status`)"
_NO_EFFECT = Effect(Interruption.NONE, "none")
_JOINS_WAIT = Effect(Interruption.JOINS_WAIT, "calls go on; joins wait for the second it takes", seconds=BACKEND_S)

_FILES, _REGISTRY, _ACTS = 0, 1, 2  # the order of the waves; the acts follow the order of start


def plan(
    observed: Observed, desired: Desired, goal: Goal = Goal.RUN, *, allowed: frozenset[Allowed] = frozenset()
) -> Plan:
    """Say what has to be done, and why, to get from what was observed to the goal.

    Args:
        observed: one moment of the world.
        desired: what should run.
        goal: run everything, only have files and registry entries as they should be, or stop everything.
        allowed: what the user accepts by name for people in calls.
    """
    target = choose(observed, desired, allowed)
    group = _Group(observed, desired, allowed, target)
    if observed.supervisor.verdict is not Verdict.HEALTHY:
        group.refuse(
            SUPERVISOR,
            f"the supervisor cannot be asked ({observed.supervisor.says}), so what it does next is unknown",
            "it answers on its socket: `hlu hero-proc status`, then `hlu hero-proc start`",
        )
    elif goal is Goal.STOP:
        _plan_end(group)
    elif goal is Goal.CONFIGURE:
        for spec in desired.by_slot[target.slot]:
            _prepare(group, spec)
    else:
        _plan_group(group)
    return group.plan(goal)


class _Group:
    """The plan while it grows."""

    def __init__(self, observed: Observed, desired: Desired, allowed: frozenset[Allowed], target: Target) -> None:
        self.observed = observed
        self.desired = desired
        self.allowed = allowed
        self.target = target
        self.slot = target.slot  # where new rooms go in the end
        # What cannot be seen may be a server with calls.
        self.unsure = [spec.instance for spec in desired.media.values() if self.seen(spec).verdict is Verdict.UNKNOWN]
        self._waves: defaultdict[int, list[Step]] = defaultdict(list)
        self._order = {spec.instance: at for at, spec in enumerate(desired.by_slot[target.slot])}
        self._choices: list[Choice] = []
        self._refusals: list[Refusal] = []
        self._waits: list[Wait] = []
        self._notes: list[Note] = []

    def seen(self, spec: LaunchSpec) -> InstanceSeen:
        return self.observed.instance(spec.instance)

    def prepare(self, action: Action, spec: LaunchSpec, because: str, needs: Needs) -> None:
        says = "none: files are read at the next start only"
        if action is Action.REGISTER:
            says = "none: registering starts and restarts nothing"
        step = Step(action, spec.instance, spec.digest, because, Effect(Interruption.NONE, says), needs)
        self._waves[_FILES if action is Action.WRITE_FILES else _REGISTRY].append(step)

    def act(
        self, action: Action, spec: LaunchSpec, because: str, effect: Effect, needs: Needs, *, last: bool = False
    ) -> None:
        at = len(self._order) if last else self._order.get(spec.instance, len(self._order))
        self._waves[_ACTS + at].append(Step(action, spec.instance, spec.digest, because, effect, needs))

    def end(self, action: Action, spec: LaunchSpec, because: str, effect: Effect, needs: Needs) -> None:
        at = max(self._waves, default=_ACTS) + 1  # one after the other
        self._waves[at].append(Step(action, spec.instance, spec.digest, because, effect, needs))

    def choose(self, instance: str, way: Way | None, because: str) -> None:
        self._choices.append(Choice(instance, way, because, self.target.passed_over))

    def refuse(self, instance: str, because: str, possible_when: str) -> None:
        self._refusals.append(Refusal(instance, because, possible_when))

    def wait(self, instance: str, because: str, until: str, seconds: float | None = None) -> None:
        self._waits.append(Wait(instance, because, until, seconds))

    def note(self, instance: str, text: str) -> None:
        self._notes.append(Note(instance, text))

    def plan(self, goal: Goal) -> Plan:
        return Plan(
            goal,
            self.slot,
            tuple(Wave(tuple(steps)) for _, steps in sorted(self._waves.items())),
            tuple(self._choices),
            tuple(self._refusals),
            tuple(self._waits),
            tuple(self._notes),
            states(self.observed),
        )


def states(observed: Observed) -> tuple[InstanceState, ...]:
    """Each instance in short."""
    return tuple(
        InstanceState(
            instance=seen.spec.instance,
            verdict=seen.verdict,
            because=seen.because,
            release=seen.process.release if seen.process else "",
            process=seen.process.id if seen.process else None,
            rooms=seen.calls.rooms if seen.calls else None,
            people=seen.calls.people if seen.calls else None,
            entry_digest=seen.entry.digest if seen.entry else "",
        )
        for seen in observed.instances
    )


# -- run


def _plan_group(group: _Group) -> None:
    target = group.target
    route = group.slot = _route(group)
    sent_for_s = _sent_for_s(group, route)
    specs = [group.desired.media[target.slot] if spec.carries_calls else spec for spec in group.desired.by_slot[route]]
    stranger = next((spec for spec in specs if group.seen(spec).verdict is Verdict.FOREIGN), None)
    for spec in specs:
        seen = group.seen(spec)
        if stranger is not None and seen.verdict is Verdict.STOPPED:
            # Half a group serves nobody, and a stranger on our ports means that something is set up wrongly.
            name = stranger.instance
            group.refuse(spec.instance, f"not started, as {name} cannot be", f"{name} can be started")
        elif spec.carries_calls and target.serving is not None:
            _plan_replacement(group, spec)
        else:
            _plan_run(group, spec)
    for slot, spec in group.desired.media.items():
        if slot not in {target.slot, target.serving}:
            _plan_leaving(group, spec, sent_for_s if route != slot else None)


def _route(group: _Group) -> str:
    """The slot that new rooms go to after this plan: a new one only when it is ready by then."""
    slot = group.target.slot
    spec = group.desired.media[slot]
    seen = group.seen(spec)
    startable = seen.verdict is Verdict.STOPPED and not (spec.blocked or seen.program_missing)
    if startable or seen.verdict in {Verdict.HEALTHY, Verdict.STARTING}:
        return slot
    others = [other for other, spec in group.desired.media.items() if group.seen(spec).verdict is Verdict.HEALTHY]
    return others[0] if others else slot


def _sent_for_s(group: _Group, slot: str) -> float | None:
    """For how long joins have been sent to a slot and to no other, None where they are not yet."""
    ages_s = []
    for spec in group.desired.by_slot[slot]:
        sends = spec in group.desired.steering_units[slot]
        if sends or spec.carries_calls:
            seen = group.seen(spec)
            if seen.process is None or (sends and not runs(seen, spec)):
                return None
            ages_s.append(seen.process.age_s)
    return min(ages_s)


def _plan_run(group: _Group, spec: LaunchSpec) -> None:
    name, seen = spec.instance, group.seen(spec)
    match seen.verdict:
        case Verdict.HEALTHY:
            _plan_healthy(group, spec)
        case Verdict.STOPPED:
            _plan_start(group, spec, seen.because)
        case Verdict.STARTING:
            group.act(Action.AWAIT_READY, spec, seen.because, _NO_EFFECT, Needs())
        case Verdict.UNHEALTHY:
            _plan_unhealthy(group, spec)
        case Verdict.FOREIGN:
            group.refuse(name, seen.because, "that process is gone, or media.toml gives other ports; it is not touched")
        case Verdict.UNKNOWN:
            group.refuse(name, f"its state is unknown: {seen.because}", "it can be looked at again")
        case _:
            assert_never(seen.verdict)


def _plan_start(group: _Group, spec: LaunchSpec, because: str) -> None:
    if spec.carries_calls and group.unsure:
        group.refuse(spec.instance, f"the state of {group.unsure[0]} is unknown", "it can be looked at again")
        return
    if _refuse_unfit(group, spec):
        return
    _prepare(group, spec)
    says = "new calls become possible" if spec.carries_calls else "joins become possible"
    group.act(Action.START, spec, because, Effect(Interruption.NONE, says), Needs(absent=True))


def _refuse_unfit(group: _Group, spec: LaunchSpec) -> bool:
    """Refuse to start what nobody should run, or what is not there."""
    missing = group.seen(spec).program_missing
    if spec.blocked:
        what = f"release {spec.release} is blocked: {spec.blocked}"
        group.refuse(spec.instance, what, "media.toml asks for another version")
    elif missing:
        group.refuse(spec.instance, f"its program is not there: {missing}", "`hlu install` has provided it")
    return bool(spec.blocked or missing)


def _prepare(group: _Group, spec: LaunchSpec) -> None:
    """Files and registry entry as they should be: harmless whatever runs."""
    seen = group.seen(spec)
    differ = seen.differ(spec)
    if differ:
        group.prepare(Action.WRITE_FILES, spec, f"differs or is missing: {', '.join(differ)}", Needs())
    elif differ is None:
        group.prepare(Action.WRITE_FILES, spec, "its files could not be compared", Needs())
    if seen.entry is None:
        group.prepare(Action.REGISTER, spec, "the supervisor does not know it", Needs(entry_digest=""))
    elif seen.entry.digest != spec.digest:
        because = "the supervisor holds another definition of it"
        group.prepare(Action.REGISTER, spec, because, Needs(entry_digest=seen.entry.digest))


def _plan_healthy(group: _Group, spec: LaunchSpec) -> None:
    name, seen = spec.instance, group.seen(spec)
    if not runs(seen, spec):
        _plan_restart(group, spec)
        return
    if spec.blocked:
        group.note(name, f"release {spec.release} is blocked, and runs: {spec.blocked}; choose another version")
    if not seen.owned:
        # Alive and serving, but the supervisor has lost it. To start "it" now would be a second copy.
        group.note(name, f"left alone: {seen.because}")
        return
    _prepare(group, spec)


def _plan_restart(group: _Group, spec: LaunchSpec) -> None:
    """Replace what carries no calls."""
    name, seen = spec.instance, group.seen(spec)
    what = difference(seen, spec)
    running = seen.process.release if seen.process else ""
    edge = next((edge for edge in spec.replaces if edge.start == running), None)
    if running != spec.release and (edge is None or Strategy.RESTART not in edge.strategies):
        why = "is not declared to replace it" if edge is None else f"may not replace it by {Strategy.RESTART}"
        _refuse_edge(group, spec, running, f"{what}, and {spec.release} {why}")
    elif _refuse_unfit(group, spec):
        return
    elif not seen.owned:
        group.refuse(name, f"{what}, but {seen.because}", "the supervisor owns it again")
    elif seen.in_the_way:
        number, who = seen.in_the_way[0].port.number, holder(seen.in_the_way[0])
        group.refuse(name, f"{what}, but port {number} is held by {who}", "it is free, or media.toml gives another")
    elif not _refuse_needed(group, spec, what) and not _refuse_unsure(group, spec, what):
        _prepare(group, spec)
        group.act(Action.RESTART, spec, what, _JOINS_WAIT, _pinned(seen))


def _refuse_edge(group: _Group, spec: LaunchSpec, running: str, because: str) -> None:
    way = f"media.toml asks for a release on the way: `hlu path {spec.unit} {running} {spec.release}` shows it"
    group.refuse(spec.instance, because, way)


def _refuse_needed(group: _Group, spec: LaunchSpec, what: str) -> bool:
    """Refuse to end what the calls of another instance need."""
    for other in group.observed.instances:
        if spec.instance in other.spec.after and other.process is not None:
            if not other.spec.carries_calls and other.calls is None:
                continue
            if _refuse_while_in_use(group, spec.instance, what, other):
                return True
    return False


def _refuse_unsure(group: _Group, spec: LaunchSpec, what: str) -> bool:
    if group.unsure:
        because = f"{what}, but the state of {group.unsure[0]} is unknown"
        group.refuse(spec.instance, because, "it can be looked at again")
    return bool(group.unsure)


def _refuse_while_in_use(group: _Group, instance: str, what: str, used: InstanceSeen) -> bool:
    """Refuse to end an instance while people are in it, or in what needs it."""
    calls = used.calls
    if calls is None or calls.people is None:
        why = calls.source if calls else "not counted"
        group.refuse(instance, f"{what}, but who is in a call is unknown ({why})", "calls can be counted")
    elif calls.people:
        why = f"a restart would cut off {calls.people} people in {calls.rooms} rooms"
        group.refuse(instance, f"{what}, but {why}", _WAIT_FOR_IDLE)
    return calls is None or calls.people is None or bool(calls.people)


def _plan_unhealthy(group: _Group, spec: LaunchSpec) -> None:
    name, seen = spec.instance, group.seen(spec)
    if seen.process is None:
        group.act(Action.AWAIT_READY, spec, seen.because, _NO_EFFECT, Needs())
    elif spec.carries_calls:
        # A livekit that is "not ready" may carry calls: with Redis away it says so for minutes, and serves.
        group.refuse(name, f"{seen.because}; it may carry calls, so it is not restarted", "it is ready again")
    elif not seen.owned:
        group.refuse(name, f"{seen.because}; and the supervisor does not own it", "that process has ended")
    elif not _refuse_needed(group, spec, seen.because) and not _refuse_unsure(group, spec, seen.because):
        _prepare(group, spec)
        group.act(Action.RESTART, spec, seen.because, _JOINS_WAIT, _pinned(seen))


# -- the media


def _plan_replacement(group: _Group, spec: LaunchSpec) -> None:
    """Bring the media from what serves to what is wanted, by the way that was chosen."""
    target = group.target
    old_spec = group.desired.media[str(target.serving)]
    old = group.seen(old_spec)
    what = difference(old, old_spec)
    running = old.process.release if old.process else ""
    if edge_missing(running, spec):
        group.choose(old_spec.instance, None, what)
        _refuse_edge(group, old_spec, running, f"{what}, and {spec.release} is not declared to replace it")
        return
    if _refuse_unfit(group, spec):
        return
    way = target.way if not group.unsure or target.way is Way.TWO_SLOT else None
    group.choose(old_spec.instance, way, what)
    match way:
        case Way.TWO_SLOT | Way.MOVE:
            _plan_start(group, spec, f"{what} in {old_spec.instance}; new rooms come here once it is ready")
            _plan_leaving(group, old_spec, None)
        case Way.IDLE_SWAP:
            _prepare(group, spec)
            effect = Effect(Interruption.JOINS_WAIT, "no call runs; a join in that second is retried", seconds=1.0)
            needs = Needs(process=_pinned(old).process, people_at_most=0)
            group.act(Action.RESTART, spec, f"{what}, and nobody is in a call", effect, needs)
        case Way.SWAP:
            _prepare(group, spec)
            group.act(Action.SWAP, spec, what, _reconnect(old), _pinned(old))
        case Way.DRAIN:
            effect = Effect(Interruption.JOINS_REFUSED, "nobody can join while the last calls end", seconds=None)
            group.act(Action.STOP, spec, f"{what}; it ends with its last call", effect, _pinned(old))
            group.wait(spec.instance, _occupancy(old), "its last call has ended; then the new one is started")
        case _:
            unsure = f"the state of {group.unsure[0]} is unknown" if group.unsure else ""
            why = unsure or target.why_not(Way.IDLE_SWAP)
            if old.entry is not None and old.entry.state is EntryState.STOPPING:
                group.wait(spec.instance, _occupancy(old), "its last call has ended; then the new one is started")
            else:
                group.refuse(spec.instance, f"{what}, but {why}", _possible_when(group, old))


def _possible_when(group: _Group, old: InstanceSeen) -> str:
    if group.unsure:
        return "it can be looked at again"
    if not old.owned:
        return "the supervisor owns it again"
    if old.in_the_way:
        return "it is free, or media.toml gives another"
    if old.calls is None or old.calls.people is None:
        return "calls can be counted"
    return _WAIT_FOR_IDLE


def _reconnect(seen: InstanceSeen) -> Effect:
    rooms, people = (seen.calls.rooms, seen.calls.people) if seen.calls else (None, None)
    who = "an unknown number of people" if people is None else f"{people} people"
    says = f"{who} lose the sound for about {RECONNECT_S:g} s and come back by themselves"
    return Effect(Interruption.RECONNECT, says, rooms, people, RECONNECT_S)


def _occupancy(seen: InstanceSeen) -> str:
    if seen.calls is None or seen.calls.people is None:
        return "who is in its calls is unknown"
    return f"{seen.calls.people} people in {seen.calls.rooms} rooms are on it"


def _plan_leaving(group: _Group, spec: LaunchSpec, left_for_s: float | None) -> None:
    """What becomes of a slot that new rooms should not go to: it ends with its last room.

    left_for_s: for how long joins have been sent elsewhere, None where some may still be sent here.
    """
    name, seen = spec.instance, group.seen(spec)
    if seen.verdict is Verdict.FOREIGN:
        _plan_beside(group, seen)
        return
    if seen.verdict is Verdict.UNKNOWN:
        group.note(name, f"left alone, as its state is unknown: {seen.because}")
        return
    if seen.process is None:
        if seen.entry is not None and seen.entry.wanted and not group.unsure:
            because = "it is still wanted, and new rooms go elsewhere"
            group.act(Action.STOP, spec, because, _NO_EFFECT, Needs(absent=True))
    elif seen.entry is not None and seen.entry.state is EntryState.STOPPING:
        group.wait(name, _occupancy(seen), "it has ended")
    elif not seen.owned:
        group.note(name, f"left alone: {seen.because}")
    elif left_for_s is None:
        group.wait(name, "new rooms come to it until the other is ready", _LAST_ROOM)
    elif group.unsure or seen.calls is None or seen.calls.people is None:
        group.wait(name, _occupancy(seen), _LAST_ROOM)
    elif seen.calls.people:
        _plan_full(group, spec, seen)
    else:
        _plan_empty(group, spec, seen, left_for_s)


def _plan_beside(group: _Group, seen: InstanceSeen) -> None:
    """A stranger in a slot: ours runs in another one, and the stranger ends when those who own it say so."""
    name, foreign = seen.spec.instance, seen.foreign
    ends = f"; {foreign.dies_with}" if foreign else ""
    if foreign is not None and foreign.calls is not None and foreign.calls.people:
        who = f"{foreign.calls.people} people in {foreign.calls.rooms} rooms are on it"
        group.wait(name, f"not touched: {seen.because}; {who}{ends}", "its last room has ended")
    else:
        group.note(name, f"not touched: {seen.because}{ends}")


def _plan_empty(group: _Group, spec: LaunchSpec, seen: InstanceSeen, left_for_s: float) -> None:
    """A slot that nobody is in any more: it ends when nobody can be on the way to it."""
    left_s = JOIN_GRACE_S - left_for_s
    if left_s > 0:
        group.wait(spec.instance, "who was given its address may still come", _LAST_ROOM, left_s)
    else:
        needs = Needs(process=_pinned(seen).process, people_at_most=0)
        group.act(Action.STOP, spec, "its last room has ended", _NO_EFFECT, needs, last=True)


def _plan_full(group: _Group, spec: LaunchSpec, seen: InstanceSeen) -> None:
    """A slot that people are still in. They stay, unless rooms cannot run beside the new release."""
    new = group.desired.media[group.target.slot]
    running = seen.process.release if seen.process else ""
    edge = next((edge for edge in new.replaces if edge.start == running), None)
    beside = edge is None or Strategy.TWO_SLOT in edge.strategies
    if not beside and edge and Strategy.MOVE in edge.strategies and Allowed.RECONNECT in group.allowed:
        group.act(Action.KILL, spec, f"its rooms move to {new.instance}", _reconnect(seen), _pinned(seen), last=True)
    else:
        group.wait(spec.instance, _occupancy(seen), _LAST_ROOM)


def _pinned(seen: InstanceSeen) -> Needs:
    return Needs(process=seen.process.id if seen.process else None, absent=seen.process is None)


# -- stop


def _plan_end(group: _Group) -> None:
    """End everything in the reverse order of start: what started earlier may be what the calls of a later one need."""
    stays = ""
    for spec in reversed(_all_instances(group)):
        if stays and group.seen(spec).process is not None and not spec.carries_calls:
            group.refuse(spec.instance, f"it stays while {stays} does", f"{stays} has ended")
        elif not _plan_stop(group, spec) and spec.carries_calls:
            stays = stays or spec.instance


def _all_instances(group: _Group) -> list[LaunchSpec]:
    """In the order of start, with every slot of the media in its place."""
    found: list[LaunchSpec] = []
    for spec in group.desired.by_slot[group.target.slot]:
        found += group.desired.media.values() if spec.carries_calls else [spec]
    return found


def _plan_stop(group: _Group, spec: LaunchSpec) -> bool:
    """Plan its end; False where it goes on after that, for now."""
    name, seen = spec.instance, group.seen(spec)
    drop = Allowed.DROP in group.allowed
    if seen.verdict is Verdict.FOREIGN:
        group.note(name, f"not touched: {seen.because}")
    elif seen.verdict is Verdict.UNKNOWN and not (seen.owned and drop):
        group.refuse(name, f"its state is unknown: {seen.because}", "it can be looked at again")
        return False
    elif seen.entry is not None and seen.entry.state is EntryState.STOPPING:
        group.note(name, "is ending already; it gets no second signal")
        return drop
    elif seen.process is None:
        if seen.entry is not None and seen.entry.wanted:
            _end(group, Action.STOP, spec, "it is still wanted", Effect(Interruption.NONE, "none: it does not run"))
    elif not seen.owned:
        group.refuse(name, f"the supervisor does not own it: {seen.because}", "its owner stops it")
        return False
    elif not spec.carries_calls:
        _end(
            group,
            Action.STOP,
            spec,
            "asked for",
            Effect(Interruption.JOINS_REFUSED, "calls go on; nobody can join", seconds=None),
        )
    elif drop:
        people, rooms = (seen.calls.people, seen.calls.rooms) if seen.calls else (None, None)
        who = "an unknown number of people" if people is None else f"{people} people"
        says = f"{who} are cut off; their clients try to come back for 20 s"
        _end(group, Action.KILL, spec, "asked for, calls or not", Effect(Interruption.DROP, says, rooms, people, None))
    elif _refuse_while_in_use(group, name, "stop was asked for", seen):
        return False
    else:
        effect = Effect(Interruption.NONE, "no call runs")
        _end(group, Action.STOP, spec, "asked for, and nobody is in a call", effect, people_at_most=0)
    return True


def _end(
    group: _Group,
    action: Action,
    spec: LaunchSpec,
    because: str,
    effect: Effect,
    *,
    people_at_most: int | None = None,
) -> None:
    seen = group.seen(spec)
    needs = Needs(_pinned(seen).process, absent=seen.process is None, people_at_most=people_at_most)
    group.end(action, spec, because, effect, needs)


def explain(found: Plan) -> tuple[str, ...]:
    """A sentence for every instance that was looked at: what happens to it and why, or why nothing does."""
    said: dict[str, list[str]] = {state.instance: [] for state in found.world}

    def say(instance: str, texts: Iterable[str]) -> None:
        said.setdefault(instance, []).extend(texts)

    for step in found.steps:
        say(step.instance, [f"{step.action}, because {step.because} (calls: {step.effect.says})"])
    for choice in found.choices:
        say(choice.instance, [f"not by {passed.way}, as {passed.because}" for passed in choice.passed_over])
    for refusal in found.refusals:
        say(refusal.instance, [f"refused, as {refusal.because}; possible when {refusal.possible_when}"])
    for wait in found.waits:
        say(wait.instance, [f"waits, as {wait.because}, until {wait.until}"])
    for note in found.notes:
        say(note.instance, [note.text])
    because = {state.instance: f"nothing has to change: {state.because}" for state in found.world}
    return tuple(f"{instance}: {text}" for instance, texts in said.items() for text in texts or [because[instance]])
