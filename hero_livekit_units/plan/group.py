"""The plan of a group while it grows, and what its parts have in common: preparing, starting, refusing. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from hero_livekit_units.model.ability import Ability, lack
from hero_livekit_units.model.observed import Verdict
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
from hero_livekit_units.model.words import duration
from hero_livekit_units.plan.slots import COMING_BACK, comeback_s, sends_here

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_livekit_units.model.desired import Desired
    from hero_livekit_units.model.launch import LaunchFile, LaunchSpec
    from hero_livekit_units.model.observed import InstanceSeen, Observed, RoutesSeen
    from hero_livekit_units.plan.slots import Target


RESTART_S = 0.3  # from the end of lk-backend to its next answer
QUIET_S = 30.0  # livekit-server keeps who has lost the connection for 20 s or so
WAIT_FOR_IDLE = "everybody has left (watch `hlu status`)"
LAST_ROOM = "its last room has ended (then it is stopped)"
NO_EFFECT = Effect(Interruption.NONE, "none")

_FILES, _REGISTRY, _COPIES, _ACTS = 0, 1, 2, 4  # the order of the waves; the acts follow the order of start
_WHAT = {
    Action.WRITE_FILES: (_FILES, "none: files are read at the next start only"),
    Action.REGISTER: (_REGISTRY, "none: registering starts and restarts nothing"),
    Action.UPDATE: (_FILES, "none: nothing that runs reads them"),
    Action.RECORD_FAILURE: (_FILES, "none: it is only written down"),
    Action.QUIET: (_COPIES, "none: what serves is not touched"),
}
# Without these a call ends with what nobody takes for a part of it.
_OF_CALLS = (Ability.OWN_GROUP, Ability.OUTLIVES_CLIENT)


class Group:
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
        """What was seen of the instance of a LaunchSpec."""
        return self.observed.instance(spec.instance)

    def distrust(self, spec: LaunchSpec) -> str:
        """Why an instance is not entrusted to this supervisor, "" where it may be."""
        needed = _OF_CALLS if spec.carries_calls else ()
        return next((lack(ability) for ability in needed if self.observed.supervisor.is_without(ability)), "")

    def prepare(
        self, action: Action, spec: LaunchSpec, because: str, needs: Needs, effect: Effect | None = None
    ) -> None:
        """Write files or register, before anything acts; without an effect unless one is given."""
        wave, says = _WHAT[action]
        effect = effect or Effect(Interruption.NONE, says)
        self._waves[wave].append(Step(action, spec.instance, spec.digest, because, effect, needs))

    def act(
        self,
        action: Action,
        spec: LaunchSpec,
        because: str,
        effect: Effect,
        needs: Needs,
        rooms: tuple[str, ...] = (),
        to: str = "",
    ) -> None:
        """Do something to an instance when its turn in the order of start has come; a slot that is left comes last.

        What an instance reads or is told while it runs comes before what is done to it. What sends joins is told at
        once where the slot is ready, as the other may have failed; else when all are up, and before a slot is left.
        """
        at = self._order.get(spec.instance, len(self._order))
        if action is Action.UPDATE and spec in self.desired.steering_units[self.slot]:
            ready = self.seen(self.desired.media[self.slot]).verdict is Verdict.HEALTHY
            at = -1 if ready else len(self._order)
        self._waves[_ACTS + 2 * at + (action is not Action.UPDATE)].append(
            Step(action, spec.instance, spec.digest, because, effect, needs, rooms, to)
        )

    def end(self, action: Action, spec: LaunchSpec, because: str, effect: Effect, needs: Needs) -> None:
        """End an instance after all that were ended before."""
        at = max(self._waves, default=_ACTS) + 1  # one after the other
        self._waves[at].append(Step(action, spec.instance, spec.digest, because, effect, needs))

    def choose(self, instance: str, way: Way | None, because: str) -> None:
        """Note the way of an instance, and why the gentler ones were passed over."""
        self._choices.append(Choice(instance, way, because, self.target.passed_over))

    def refuse(self, instance: str, because: str, possible_when: str) -> None:
        """Plan nothing for it, and say what would make it possible."""
        self._refusals.append(Refusal(instance, because, possible_when))

    def wait(self, instance: str, because: str, until: str, seconds: float | None = None) -> None:
        """Plan nothing more for it until then."""
        self._waits.append(Wait(instance, because, until, seconds))

    def note(self, instance: str, text: str) -> None:
        """Say something that needs no step."""
        self._notes.append(Note(instance, text))

    def plan(self, goal: Goal) -> Plan:
        """All of it, in order."""
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
            release=seen.release,
            process=seen.process.id if seen.process else None,
            rooms=seen.calls.rooms if seen.calls else None,
            people=seen.calls.people if seen.calls else None,
            entry_digest=seen.entry.digest if seen.entry else "",
        )
        for seen in observed.instances
    )


def prepare(group: Group, spec: LaunchSpec) -> None:
    """Files and registry entry as they should be: harmless whatever runs."""
    seen = group.seen(spec)
    prepare_files(group, spec)
    if seen.process is None and (because := _differing(spec.live_files, seen.differ(spec))):
        group.prepare(Action.UPDATE, spec, because, Needs())
    if seen.entry is None:
        # What is registered is started with the supervisor's next life: never beside one that it has lost.
        needs = Needs(absent=seen.process is None, entry_digest="")
        group.prepare(Action.REGISTER, spec, "the supervisor does not know it", needs)
    elif seen.entry.digest != spec.digest:
        _register_anew(group, spec, "the supervisor holds another definition of it", seen.entry.digest)


def _register_anew(group: Group, spec: LaunchSpec, because: str, digest: str) -> None:
    """Replace a registration, where it must be by a supervisor that restarts what is registered anew."""
    seen, ability = group.seen(spec), Ability.SET_LEAVES_ALONE
    if seen.process is None or not group.observed.supervisor.is_without(ability):
        group.prepare(Action.REGISTER, spec, because, Needs(entry_digest=digest))
    elif not spec.carries_calls:
        effect = Effect(Interruption.JOINS_WAIT, f"calls go on, joins wait: {lack(ability)}", seconds=RESTART_S)
        group.prepare(Action.REGISTER, spec, because, Needs(entry_digest=digest), effect)
    elif seen.people == 0 and not group.unsure:
        effect = Effect(Interruption.NONE, f"no call runs; {lack(ability)}")
        needs = Needs(process=pinned(seen).process, people_at_most=0, entry_digest=digest)
        group.prepare(Action.REGISTER, spec, because, needs, effect)
    else:
        group.wait(spec.instance, f"{because}, and {lack(ability)}", f"{WAIT_FOR_IDLE}; then it is registered")


def prepare_files(group: Group, spec: LaunchSpec) -> None:
    """What is read at a start as it should be, and nothing left of launches that are over."""
    seen = group.seen(spec)
    because = _differing(spec.start_files, seen.differ(spec))
    left = f"nobody reads any more: {', '.join(seen.left)}" if seen.left else ""
    if because or left:
        group.prepare(Action.WRITE_FILES, spec, "; ".join(filter(None, [because, left])), Needs())


def plan_update(group: Group, spec: LaunchSpec) -> None:
    """What is read or told while it runs, in its turn: joins are sent to a slot when that is ready, and not before."""
    seen = group.seen(spec)
    if seen.process is None:
        return
    reasons = [_differing(spec.live_files, seen.differ(spec))]
    says = "none: nothing restarts"
    sent = _sent_to(group, spec)
    if sent and sent != group.slot:
        reasons = [f"joins are sent to slot {sent}"]
        says = f"none: who joins a room that runs stays with it, new rooms come to slot {group.slot}"
    rooms = _ended(group, spec, seen.routes) if seen.routes else ()
    if rooms:
        reasons.append(f"{len(rooms)} of its rooms have ended on a slot that is left")
    if seen.routes and seen.routes.certificate_shown is False:
        reasons.append("its certificate is another one now")
    if because := "; ".join(filter(None, reasons)):
        group.act(Action.UPDATE, spec, because, Effect(Interruption.NONE, says), Needs(), rooms)


def _sent_to(group: Group, spec: LaunchSpec) -> str:
    """The slot that a unit sends new rooms to now, "" for one that sends none, or where that is not known."""
    if spec.new_rooms:
        routes = group.seen(spec).routes
        if routes is None:
            group.note(spec.instance, "where it sends new rooms could not be asked")
        return routes.new_rooms if routes else ""
    ways = group.desired.steering_units
    if spec not in ways[group.slot] or sends_here(group.seen(spec), spec):
        return ""
    return next((slot for slot, specs in ways.items() if _here(group, specs)), "")


def _ended(group: Group, spec: LaunchSpec, routes: RoutesSeen) -> tuple[str, ...]:
    """Rooms whose next meeting should be a new room: nobody is in them, on a slot that new rooms do not go to."""
    empty = {slot for slot, media in group.desired.media.items() if _nobody_in(group.seen(media))}
    return tuple(
        room.name
        for room in routes.idle
        if room.slot != spec.new_rooms and (room.quiet_s >= QUIET_S or room.slot in empty)
    )


def _nobody_in(seen: InstanceSeen) -> bool:
    """Whether a slot is known to have no room that anybody is in. What is between two lives has those of before."""
    if seen.process is None:
        return seen.verdict is Verdict.STOPPED
    return seen.calls is not None and seen.calls.people == 0


def _here(group: Group, specs: Sequence[LaunchSpec]) -> bool:
    return any(sends_here(group.seen(spec), spec) for spec in specs)


def _differing(files: Sequence[LaunchFile], differ: tuple[str, ...] | None) -> str:
    """Which of these files are not as they should be, "" for none."""
    if not files or differ == ():
        return ""
    if differ is None:
        return "its files could not be compared"
    named = [file.path for file in files if file.path in differ]
    return f"{', '.join(named)} {'differs or is' if len(named) == 1 else 'differ or are'} missing" if named else ""


def plan_start(group: Group, spec: LaunchSpec, because: str) -> None:
    """Start what does not run, or refuse it."""
    if spec.carries_calls and group.unsure:
        group.refuse(spec.instance, f"the state of {group.unsure[0]} is unknown", "it can be looked at again")
        return
    if refuse_unfit(group, spec):
        return
    prepare(group, spec)
    says = "new calls become possible" if spec.carries_calls else "joins become possible"
    group.act(Action.START, spec, because, Effect(Interruption.NONE, says), Needs(absent=True))


def refuse_unfit(group: Group, spec: LaunchSpec) -> bool:
    """Refuse to start what nobody should run here, or what is not there."""
    missing, distrust = group.seen(spec).program_missing, group.distrust(spec)
    if spec.blocked:
        what = f"release {spec.release} is blocked: {spec.blocked}"
        group.refuse(spec.instance, what, "media.toml asks for another version")
    elif missing:
        group.refuse(spec.instance, f"its program is not there: {missing}", "`hlu install` has provided it")
    elif distrust:
        group.refuse(spec.instance, distrust, "another supervisor answers, such as that of `hlu hero-proc start`")
    return bool(spec.blocked or missing or distrust)


def refuse_edge(group: Group, spec: LaunchSpec, running: str, because: str) -> None:
    """Refuse a release that may not replace the one that runs."""
    way = f"media.toml asks for a release on the way: `hlu path {spec.unit} {running} {spec.release}` shows it"
    group.refuse(spec.instance, because, way)


def refuse_while_in_use(group: Group, instance: str, what: str, used: InstanceSeen) -> bool:
    """Refuse to end an instance while people are in it, or in what needs it."""
    calls = used.calls
    if calls is None or calls.people is None:
        why = calls.source if calls else "not counted"
        group.refuse(instance, f"{what}, but who is in a call is unknown ({why})", "calls can be counted")
    elif calls.people:
        group.refuse(instance, f"{what}, but that would cut off {calls.says}", WAIT_FOR_IDLE)
    elif left_s := comeback_s(used, group.desired):
        group.wait(instance, f"{what}, but {COMING_BACK}", "they are back, or gone", left_s)
    else:
        return False
    return True


def harm(kind: Interruption, seen: InstanceSeen, what: str, seconds: float | None) -> Effect:
    """What a step does to all who are in the calls of an instance; how many they are may be unknown."""
    rooms, people = (seen.calls.rooms, seen.calls.people) if seen.calls else (None, None)
    who = "an unknown number of people" if people is None else f"{people} people"
    return Effect(kind, f"{who} {what}", rooms, people, seconds)


def reconnect(group: Group, seen: InstanceSeen) -> Effect:
    """What it does to people that their server is killed, and another one is there for them."""
    gap_s = group.desired.returning.gap_s
    says = f"lose the sound for about {gap_s:g} s and come back by themselves"
    return harm(Interruption.RECONNECT, seen, says, gap_s)


def occupancy(seen: InstanceSeen) -> str:
    """Who is in the calls of an instance, in words."""
    said = seen.calls.says if seen.calls else ""
    if not said:
        return "who is in its calls is unknown"
    oldest_s = seen.calls.longest_s if seen.calls else None
    return f"in its calls: {said}" + ("" if oldest_s is None else f", the oldest for {duration(oldest_s)}")


def pinned(seen: InstanceSeen) -> Needs:
    """This very process, or none where there is none."""
    return Needs(process=seen.process.id if seen.process else None, absent=seen.process is None)
