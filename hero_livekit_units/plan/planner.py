"""The planner. Nothing here knows the clock, the host or the network.

Least harm first: nothing · registry entry or files only · start what does not run · replace what carries no calls, or
carries calls and is idle · refuse. Nothing destructive ever follows from `unknown`, and a process with people in it is
never touched unless the user allowed the drop by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hero_livekit_units.model.observed import EntryState, Verdict
from hero_livekit_units.model.plan import (
    AwaitReady,
    Goal,
    Note,
    Plan,
    Refusal,
    Register,
    Restart,
    Start,
    Step,
    Stop,
    WriteFiles,
)
from hero_livekit_units.model.unit import Strategy
from hero_livekit_units.observe.verdict import holder

if TYPE_CHECKING:
    from hero_livekit_units.model.observed import InstanceSeen, Observed

SUPERVISOR = "hero_proc"  # stands for an instance in a refusal that is about the supervisor itself
_WAIT_FOR_IDLE = "everybody has left (watch `hlu status`)"


def plan(observed: Observed, goal: Goal = Goal.RUN, *, allow_drop: bool = False) -> Plan:
    """Say what has to be done, and why, to get from what was observed to the goal.

    Args:
        observed: one moment of the world; its specs are the desired state.
        goal: run everything, only have files and registry entries as they should be, or stop everything.
        allow_drop: the user accepts that people in calls are cut off (counts for STOP only).
    """
    group = _Group(observed)
    if observed.supervisor.verdict is not Verdict.HEALTHY:
        group.refuse(
            SUPERVISOR,
            f"the supervisor cannot be asked ({observed.supervisor.says}), so what it does next is unknown",
            "it answers on its socket: `hlu hero-proc status`, then `hlu hero-proc start`",
        )
    elif goal is Goal.STOP:
        stays = ""
        for seen in reversed(observed.instances):
            if stays and seen.process is not None:
                # What started before it may be what its calls need.
                group.refuse(seen.spec.instance, f"it stays while {stays} does", f"{stays} has ended")
            elif not _plan_stop(group, seen, allow_drop=allow_drop) and seen.spec.carries_calls:
                stays = seen.spec.instance
    elif goal is Goal.CONFIGURE:
        for seen in observed.instances:
            _prepare(group, seen)
    else:
        foreign = [seen for seen in observed.instances if seen.verdict is Verdict.FOREIGN]
        for seen in observed.instances:
            if foreign and seen.verdict is Verdict.STOPPED:
                # Half a group serves nobody, and a stranger on our ports means that something is set up wrongly.
                name = foreign[0].spec.instance
                group.refuse(seen.spec.instance, f"not started, as {name} cannot be", f"{name} can be started")
            else:
                _plan_run(group, seen)
    return Plan(goal, tuple(group.steps), tuple(group.refusals), tuple(group.notes))


class _Group:
    """The plan while it grows."""

    def __init__(self, observed: Observed) -> None:
        self.observed = observed
        self.steps: list[Step] = []
        self.refusals: list[Refusal] = []
        self.notes: list[Note] = []

    def refuse(self, instance: str, because: str, possible_when: str) -> None:
        self.refusals.append(Refusal(instance, because, possible_when))

    def note(self, instance: str, text: str) -> None:
        self.notes.append(Note(instance, text))


def _plan_run(group: _Group, seen: InstanceSeen) -> None:
    name = seen.spec.instance
    match seen.verdict:
        case Verdict.HEALTHY:
            _plan_healthy(group, seen)
        case Verdict.STOPPED:
            _plan_start(group, seen)
        case Verdict.STARTING:
            group.steps.append(AwaitReady(name, seen.because))
        case Verdict.UNHEALTHY:
            _plan_unhealthy(group, seen)
        case Verdict.FOREIGN:
            group.refuse(name, seen.because, "that process is gone, or media.toml gives other ports; it is not touched")
        case Verdict.UNKNOWN:
            group.refuse(name, f"its state is unknown: {seen.because}", "it can be looked at again")


def _plan_start(group: _Group, seen: InstanceSeen) -> None:
    spec = seen.spec
    if _refuse_unfit(group, seen):
        return
    _prepare(group, seen)
    effect = "new calls become possible" if spec.carries_calls else "joins become possible"
    group.steps.append(Start(spec.instance, seen.because, effect))


def _refuse_unfit(group: _Group, seen: InstanceSeen) -> bool:
    """Refuse to start what nobody should run, or what is not there."""
    spec = seen.spec
    if spec.blocked:
        what = f"release {spec.release} is blocked: {spec.blocked}"
        group.refuse(spec.instance, what, "media.toml asks for another version")
    elif seen.program_missing:
        what = f"its program is not there: {seen.program_missing}"
        group.refuse(spec.instance, what, "`hlu install` has provided it")
    return bool(spec.blocked or seen.program_missing)


def _prepare(group: _Group, seen: InstanceSeen) -> None:
    """Files and registry entry as they should be: harmless whatever runs."""
    if seen.files_differ:
        group.steps.append(WriteFiles(seen.spec.instance, f"differs or is missing: {', '.join(seen.files_differ)}"))
    elif seen.files_differ is None:
        group.steps.append(WriteFiles(seen.spec.instance, "its files could not be compared"))
    if seen.entry is None:
        group.steps.append(Register(seen.spec.instance, "the supervisor does not know it"))
    elif seen.entry.digest != seen.spec.digest:
        group.steps.append(Register(seen.spec.instance, "the supervisor holds another definition of it"))


def _plan_healthy(group: _Group, seen: InstanceSeen) -> None:
    name, process = seen.spec.instance, seen.process
    if process is not None and process.launch_digest and process.launch_digest != seen.spec.launch_digest:
        _plan_replacement(group, seen, running=process.release)
        return
    if seen.spec.blocked:
        group.note(
            name, f"release {seen.spec.release} is blocked, and runs: {seen.spec.blocked}; choose another version"
        )
    if not seen.owned:
        # Alive and serving, but the supervisor has lost it. To start "it" now would be a second copy.
        group.note(name, f"left alone: {seen.because}")
        return
    _prepare(group, seen)


def _plan_replacement(group: _Group, seen: InstanceSeen, *, running: str) -> None:
    spec = seen.spec
    what = f"release {running} runs" if running != spec.release else "it runs with another configuration"
    edge = next((edge for edge in spec.replaces if edge.start == running), None)
    gentle = Strategy.IDLE_SWAP if spec.carries_calls else Strategy.RESTART
    if running != spec.release and (edge is None or gentle not in edge.strategies):
        why = "is not declared to replace it" if edge is None else f"may not replace it by {gentle}"
        group.refuse(
            spec.instance,
            f"{what}, and {spec.release} {why}",
            f"media.toml asks for a release on the way: `hlu path {spec.unit} {running} {spec.release}` shows it",
        )
        return
    if _refuse_unfit(group, seen):
        return
    if not seen.owned:
        group.refuse(spec.instance, f"{what}, but {seen.because}", "the supervisor owns it again")
        return
    if seen.in_the_way:
        number, who = seen.in_the_way[0].port.number, holder(seen.in_the_way[0])
        group.refuse(
            spec.instance, f"{what}, but port {number} is held by {who}", "it is free, or media.toml gives another"
        )
        return
    if not spec.carries_calls:
        needing = [other for other in group.observed.instances if spec.instance in other.spec.after and other.process]
        if any(_refuse_while_in_use(group, seen, what, used_by=other) for other in needing):
            return
        _prepare(group, seen)
        group.steps.append(
            Restart(spec.instance, f"{what}", "calls go on; joins wait for the second it takes", idle_only=False)
        )
        return
    if _refuse_while_in_use(group, seen, what):
        return
    _prepare(group, seen)
    group.steps.append(
        Restart(
            spec.instance,
            f"{what}, and nobody is in a call",
            "no call runs; a join in that second is retried",
            idle_only=True,
        )
    )


def _refuse_while_in_use(group: _Group, seen: InstanceSeen, what: str, *, used_by: InstanceSeen | None = None) -> bool:
    """Refuse to end it while people are in it, or in what needs it."""
    calls = (used_by or seen).calls
    if calls is None or calls.people is None:
        why = calls.source if calls else "not counted"
        group.refuse(seen.spec.instance, f"{what}, but who is in a call is unknown ({why})", "calls can be counted")
        return True
    if calls.people:
        group.refuse(
            seen.spec.instance,
            f"{what}, but a restart would cut off {calls.people} people in {calls.rooms} rooms",
            _WAIT_FOR_IDLE,
        )
        return True
    return False


def _plan_unhealthy(group: _Group, seen: InstanceSeen) -> None:
    name = seen.spec.instance
    if seen.process is None:
        group.steps.append(AwaitReady(name, seen.because))
    elif seen.spec.carries_calls:
        # A livekit that is "not ready" may carry calls: with Redis away it says so for minutes, and serves.
        group.refuse(name, f"{seen.because}; it may carry calls, so it is not restarted", "it is ready again")
    elif seen.owned:
        _prepare(group, seen)
        group.steps.append(
            Restart(name, seen.because, "calls go on; joins wait for the second it takes", idle_only=False)
        )
    else:
        group.refuse(name, f"{seen.because}; and the supervisor does not own it", "that process has ended")


def _plan_stop(group: _Group, seen: InstanceSeen, *, allow_drop: bool) -> bool:
    """Plan its end; False where it goes on after that, for now."""
    name, spec = seen.spec.instance, seen.spec
    if seen.verdict is Verdict.FOREIGN:
        group.note(name, f"not touched: {seen.because}")
    elif seen.verdict is Verdict.UNKNOWN and not (seen.owned and allow_drop):
        group.refuse(name, f"its state is unknown: {seen.because}", "it can be looked at again")
        return False
    elif seen.entry is not None and seen.entry.state is EntryState.STOPPING:
        group.note(name, "is ending already; it gets no second signal")
        return allow_drop
    elif seen.process is None:
        if seen.entry is not None and seen.entry.wanted:
            group.steps.append(Stop(name, "it is still wanted", "none: it does not run", idle_only=False))
    elif not seen.owned:
        group.refuse(name, f"the supervisor does not own it: {seen.because}", "its owner stops it")
        return False
    elif not spec.carries_calls:
        group.steps.append(Stop(name, "asked for", "calls go on; nobody can join", idle_only=False))
    elif allow_drop:
        people = seen.calls.people if seen.calls else None
        who = "an unknown number of people" if people is None else f"{people} people"
        effect = f"{who} are cut off; their clients try to come back for 20 s"
        group.steps.append(Stop(name, "asked for, calls or not", effect, idle_only=False, force=True))
    elif _refuse_while_in_use(group, seen, "stop was asked for"):
        return False
    else:
        group.steps.append(Stop(name, "asked for, and nobody is in a call", "no call runs", idle_only=True))
    return True
