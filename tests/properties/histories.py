"""Histories of a host: what happens to it, one event after the other, and what must hold after each and in the end.

An event is plain data, so a history can be printed, repeated and cut down. `EVENTS` says how each is made by dice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hero_livekit_units.errors import PlanRefused
from hero_livekit_units.livekit.desired import BACKEND, MEDIA
from hero_livekit_units.model.drain import Terms, Then
from hero_livekit_units.model.launch import launch_folder
from hero_livekit_units.model.observed import EntryState, Verdict
from hero_livekit_units.model.plan import ENDING, Allowed, Goal
from hero_livekit_units.plan.explain import explain
from hero_livekit_units.plan.planner import plan
from hero_livekit_units.plan.serial import plan_text
from tests.properties.world import (
    CATALOG,
    READY_S,
    RELEASES,
    Asked,
    Dud,
    Fault,
    Host,
    desired,
    foresee,
    order,
    place,
    run,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from hero_livekit_units.model.desired import Desired
    from hero_livekit_units.model.plan import Plan
    from tests.properties.world import Went

Event = tuple[Any, ...]  # its name, then its arguments
Script = tuple[tuple[str, int, Fault], ...]

LINEAGE = CATALOG.lineage(MEDIA)
OPEN = tuple(release for release in RELEASES if not LINEAGE.blocked(release))
BLIND = ("ports", "probes", "calls")
_MOST_ENSURES = 4  # to get over one edge, once nothing disturbs and nobody is in a call
_PAUSE_S = 30.0


class Broken(AssertionError):
    """A rule that always holds did not hold."""


class History:
    """A host and all that happened to it.

    Raises:
        Broken: from `happen` and `settle`.
    """

    def __init__(self, *, steering: bool, adopts: bool = True, release: str = OPEN[-1]) -> None:
        self.host = Host(steering=steering)
        self.host.adopts = adopts
        self.first = self.release = release
        self.events: list[Event] = []
        self._kept: tuple[Asked, Plan] | None = None

    def happen(self, event: Event) -> None:
        """Let something happen, and see what must hold."""
        self.events.append(event)
        name, *arguments = event
        getattr(self, name)(*arguments)
        self.check()

    def check(self) -> None:
        """What must hold at any moment."""
        if self.host.broken:
            raise Broken("; ".join(self.host.broken))

    # -- what a user does

    def want(self, release: str) -> None:
        """Another release is wanted from now on."""
        self.release = release

    def ensure(
        self,
        goal: Goal = Goal.RUN,
        allowed: tuple[Allowed, ...] = (),
        script: Script = (),
        other: str = "",
    ) -> Went:
        """A control plane ensures, with a script of faults; another one may come in between, for its own release."""
        asked = Asked(self.release, goal, frozenset(allowed))
        calm = self.is_calm() and not script
        went = run(self.host, asked, script, Asked(other) if other else None)
        if calm and went.receipt is None:
            raise Broken(f"an ensure that nothing disturbs fails: {went.error}")
        doomed = self.host.now_s < self.host.doomed_until_s
        if went.converged and not went.met and not self.host.away and not doomed:
            # Where another one came in between, it may have changed everything after the last look.
            self.nothing_more(asked)
        return went

    def is_calm(self) -> bool:
        """Whether nothing is wrong with the host at this moment."""
        host = self.host
        return (
            not host.away
            and not host.blind
            and not host.disk_full
            and host.ready_s == READY_S
            and host.dud is None
            and not any(one.spec is None or one.suspended or one.signals for one in host.processes.values())
            and not any(one.late and not one.ready for one in host.processes.values())
            and all(job.state in {EntryState.RUNNING, EntryState.STOPPED} for job in host.jobs.values())
            and all(job.process is None or host.kernel(job.process.pid) for job in host.jobs.values())
        )

    def nothing_more(self, asked: Asked) -> None:
        """An ensure that follows on one that reached its goal does nothing."""
        before = len(self.host.effects)
        again = run(self.host, asked)
        if self.host.effects[before:] or again.receipt is None or again.receipt.changed:
            raise Broken(f"an ensure after one that converged did {self.host.effects[before:]} {again.error}")

    def look(self, goal: Goal = Goal.RUN, allowed: tuple[Allowed, ...] = ()) -> None:
        """Somebody asks for the plan; it is kept, and may be executed later."""
        host, before = self.host, len(self.host.effects)
        asked = Asked(self.release, goal, frozenset(allowed))
        wanted = desired(self.release, steering=host.steering, follows=host.follows)
        observed = place(host).observer.observe(wanted.specs, secrets=host.stored)
        one, other = (plan(observed, wanted, goal, allowed=asked.allowed) for _ in range(2))
        if plan_text(one) != plan_text(other):
            raise Broken("two plans from the same world differ")
        said = explain(one)
        for spec in wanted.specs:
            if not any(line.startswith(f"{spec.instance}: ") for line in said):
                raise Broken(f"the plan does not say why nothing happens to {spec.instance}")
        verdicts = {state.instance: state.verdict for state in one.world}
        for step in one.steps:
            dropped = goal is Goal.STOP and Allowed.DROP in asked.allowed
            if step.action in ENDING and verdicts[step.instance] is Verdict.UNKNOWN and not dropped:
                raise Broken(f"{step.action} {step.instance} follows from unknown")
        self._kept = (asked, foresee(host, asked))
        if host.effects[before:]:
            raise Broken(f"looking did {host.effects[before:]}")

    def execute(self, script: Script = ()) -> None:
        """The plan that was kept is executed, however old it is."""
        if self._kept is not None:
            run(self.host, self._kept[0], script, found=self._kept[1])

    def drain(self, slot: str, terms: Terms | None, allowed: tuple[Allowed, ...] = ()) -> None:
        """Somebody asks that a slot is drained, or for None that it is not; an ensure follows."""
        before = len(self.host.effects)
        refused = order(self.host, Asked(self.release, allowed=frozenset(allowed)), slot, terms)
        if refused and self.host.effects[before:] and not self.host.disk_full:
            raise Broken(f"what was refused did {self.host.effects[before:]}")
        if not refused:
            self.ensure(allowed=allowed)

    # -- what people do

    def join(self, room: str, people: int) -> None:
        """People join a room."""
        self.host.join(room, people)

    def leave(self, room: str) -> None:
        """Everybody leaves a room."""
        self.host.leave(room)

    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.host.advance(seconds)

    # -- what goes wrong

    def kill(self, at: int) -> None:
        """A process of ours is killed by whoever."""
        self._hit(at, self.host.kill_process)

    def suspend(self, at: int) -> None:
        """A process of ours is stopped by a signal."""
        self._hit(at, lambda process: self.host.suspend(process, suspended=True))

    def front(self) -> None:
        """Where joins are steered, a front does it: who loses a slot comes to the other one."""
        self.host.follows = True

    def resume(self) -> None:
        """All go on."""
        for process in list(self.host.processes.values()):
            self.host.suspend(process, suspended=False)

    def _hit(self, at: int, do: Callable[[Any], None]) -> None:
        own = [process for process in self.host.processes.values() if process.spec is not None]
        if own:
            do(own[at % len(own)])

    def supervisor_dies(self, comeback_s: float | None) -> None:
        """`kill -9` to the supervisor."""
        if not self.host.away:
            self.host.supervisor_dies(comeback_s)

    def supervisor_returns(self) -> None:
        """It is started again."""
        self.host.supervisor_returns()

    def supervisor_forgets(self) -> None:
        """It loses its database."""
        self.host.supervisor_forgets()

    def stranger(self, instance_at: int, port_at: int) -> None:
        """Another program takes one of our ports, where it is free."""
        specs = desired(self.release, steering=self.host.steering, follows=self.host.follows).specs
        spec = specs[instance_at % len(specs)]
        self.host.stranger(spec.ports[port_at % len(spec.ports)])

    def strangers_leave(self) -> None:
        """All other programs end."""
        self.host.strangers_leave()

    def blind(self, witnesses: tuple[str, ...]) -> None:
        """These cannot look from now on."""
        self.host.blind = frozenset(witnesses)

    def disk(self, full: bool) -> None:  # noqa: FBT001
        """The disk is full, or is not any more."""
        self.host.disk_full = full

    def slow(self, ready_s: float) -> None:
        """What is started gets ready so late from now on."""
        self.host.ready_s = ready_s

    def dud(self, dud: Dud | None) -> None:
        """Each livekit-server that is started from now on is no good, or is again."""
        self.host.dud = dud

    def reuse_pids(self, reuse: bool) -> None:  # noqa: FBT001
        """Pids that became free are given out again at once, or not."""
        self.host.reuse_pids = reuse

    def wall_clock(self, seconds: float) -> None:
        """The clock on the wall jumps."""
        self.host.wall_offset_s += seconds

    # -- the end

    def settle(self) -> None:
        """Nothing disturbs any more and everybody leaves: a bounded number of ensures reaches what is wanted."""
        host = self.host
        host.blind, host.disk_full, host.ready_s, host.reuse_pids = frozenset(), False, READY_S, False
        host.dud = None
        self.resume()
        host.strangers_leave()
        host.supervisor_returns()
        for room in host.rooms():
            host.leave(room)
        host.advance(60.0)
        self._end_orphans()
        for room in host.rooms():
            host.leave(room)
        host.advance(60.0)
        self._reach()
        self.check()
        self.nothing_more(Asked(self.release))
        self._as_wanted()

    def _end_orphans(self) -> None:
        """Whoever started them ends those that the supervisor has lost, where nothing of ours would.

        Ours would under a supervisor that adopts nothing; except what has no port open, which nobody can find.
        """
        for process in [process for process in self.host.processes.values() if process.spec is not None]:
            assert process.spec is not None
            if process.ports and not self.host.adopts:
                continue
            job = self.host.jobs.get(process.spec.instance)
            if job is None or job.process != process.id:
                self.host.kill_process(process)

    def _reach(self) -> None:
        """Go the way that the lineage shows, one edge after the other."""
        if LINEAGE.blocked(self.release):
            self.release = OPEN[-1]
        last = ""
        for _ in range(_MOST_ENSURES * (len(RELEASES) + 1)):
            going = [release for release in self._next() if release]
            target = going[0] if going else self.release
            # What failed while something disturbed is tried again by the word of the user alone.
            went = run(self.host, Asked(target, allowed=frozenset({Allowed.RETRY})))
            if went.converged and target == self.release:
                return
            if went.receipt is None:
                raise Broken(f"an ensure that nothing disturbs fails: {went.error}")
            last = f"{target}: {went.receipt.refusals} {went.receipt.waits}"
            self.host.advance(_PAUSE_S)
        raise Broken(f"not converged: {last}")

    def _next(self) -> Sequence[str]:
        """The next release on the way, from what runs where new rooms go."""
        live = sorted(self.host.media(), key=lambda one: one.spec is None or one.spec.slot != self.host.routed)
        if not live or live[0].spec is None:
            return ()
        try:
            return [edge.end for edge in LINEAGE.path(live[0].spec.release, self.release).edges[:1]]
        except PlanRefused as error:
            raise Broken(f"no way: {error}") from error

    def _as_wanted(self) -> None:
        """Exactly what is wanted runs, as it is registered and as its files are."""
        wanted = desired(self.release, steering=self.host.steering, follows=self.host.follows)
        servers = self.host.media()
        specs = {spec.launch_digest: (slot, spec) for slot, spec in wanted.media.items()}
        if len(servers) != 1 or servers[0].spec is None or servers[0].spec.launch_digest not in specs:
            raise Broken(f"these run in the end: {[one.spec and one.spec.instance for one in servers]}")
        slot, spec = specs[servers[0].spec.launch_digest]
        backend = next(one for one in wanted.by_slot[slot] if one.unit == BACKEND)
        for one in (spec, backend):
            alive, job = self.host.alive(one.instance), self.host.jobs.get(one.instance)
            if [(process.spec and process.spec.launch_digest, process.ready) for process in alive] != [
                (one.launch_digest, True)
            ]:
                raise Broken(f"{one.instance} does not run as it should")
            if self.host.differ(one):
                raise Broken(f"the files of {one.instance} are not as they should be")
            if job is None or not job.wanted or job.process != alive[0].id or job.spec.digest != one.digest:
                raise Broken(f"{one.instance} is not registered as it should be")
        self._tidy(wanted)
        for instance, job in self.host.jobs.items():
            if job.wanted and instance not in {spec.instance, backend.instance}:
                raise Broken(f"{instance} is wanted in the end")

    def _tidy(self, wanted: Desired) -> None:
        """Nothing lies about that nobody reads."""
        for spec in wanted.specs:
            if self.host.launch_folders(spec) - {launch_folder(spec.folder, spec.launch_digest)}:
                raise Broken(f"{spec.instance} has files that nobody reads")
        if self.host.drains:
            raise Broken(f"drains that are over are still recorded: {sorted(self.host.drains)}")


# -- by dice


def script(dice: random.Random) -> Script:
    """Some faults of a control plane."""
    found = []
    for _ in range(dice.choice((0, 0, 1, 1, 2))):
        what = dice.choice(("effect", "effect", "look"))
        found.append((what, dice.randint(1, 8), dice.choice(tuple(Fault))))
    return tuple(found)


def allowed(dice: random.Random) -> tuple[Allowed, ...]:
    """What the user accepts; mostly nothing."""
    return tuple(one for one in Allowed if dice.random() < 0.2)


def neighbour(dice: random.Random, release: str) -> str:
    """A release that is wanted next: mostly one edge away."""
    edges = LINEAGE.edges_from(release)
    return dice.choice(edges).end if edges and dice.random() < 0.85 else dice.choice(RELEASES)


def _ensure(dice: random.Random, history: History) -> Event:
    goal = dice.choice((Goal.RUN, Goal.RUN, Goal.RUN, Goal.RUN, Goal.RUN, Goal.DRAIN, Goal.STOP, Goal.CONFIGURE))
    other = dice.choice(("", neighbour(dice, history.release), history.release))
    return ("ensure", goal, allowed(dice), script(dice), other)


def _look(dice: random.Random, _history: History) -> Event:
    return ("look", dice.choice((Goal.RUN, Goal.RUN, Goal.DRAIN, Goal.STOP, Goal.CONFIGURE)), allowed(dice))


def _drain(dice: random.Random, _history: History | None) -> Event:
    terms = Terms(dice.choice((None, 5.0, 60.0)), dice.choice(tuple(Then)), dice.choice((None, None, 10.0)))
    return ("drain", dice.choice(("", "a", "b")), terms if dice.random() < 0.7 else None, allowed(dice))


EVENTS: tuple[tuple[int, Callable[[random.Random, History], Event]], ...] = (
    (12, _ensure),
    (4, _look),
    (2, lambda dice, _: ("execute", script(dice))),
    (2, _drain),
    (5, lambda dice, history: ("want", neighbour(dice, history.release))),
    (6, lambda dice, _: ("join", dice.choice("xyz"), dice.randint(1, 3))),
    (5, lambda dice, _: ("leave", dice.choice(("x", "y", "z", "late")))),
    (6, lambda dice, _: ("pass_time", dice.choice((0.01, 0.3, 2.0, 12.0, 60.0)))),
    (2, lambda dice, _: ("kill", dice.randint(0, 2))),
    (1, lambda dice, _: ("suspend", dice.randint(0, 2))),
    (1, lambda _dice, _: ("resume",)),
    (2, lambda dice, _: ("supervisor_dies", dice.choice((0.0, 1.0, 5.0, None)))),
    (2, lambda _dice, _: ("supervisor_returns",)),
    (1, lambda _dice, _: ("supervisor_forgets",)),
    (1, lambda dice, _: ("stranger", dice.randint(0, 3), dice.randint(0, 4))),
    (1, lambda _dice, _: ("strangers_leave",)),
    (2, lambda dice, _: ("blind", tuple(one for one in BLIND if dice.random() < 0.3))),
    (1, lambda dice, _: ("disk", dice.random() < 0.5)),
    (1, lambda dice, _: ("slow", dice.choice((READY_S, 1.0, 8.0, 40.0)))),
    (2, lambda dice, _: ("dud", dice.choice((None, *Dud)))),
    (1, lambda dice, _: ("reuse_pids", dice.random() < 0.5)),
    (1, lambda dice, _: ("wall_clock", dice.choice((-86400.0, -1.0, 3600.0)))),
)
_WEIGHTS = [weight for weight, _ in EVENTS]
_MAKERS = [make for _, make in EVENTS]


def _in_calls(dice: random.Random) -> tuple[Event, ...]:
    """All runs for a while, people are in calls, and a slot is drained, which dice come to seldom."""
    rooms = [("join", room, dice.choice((1, 1, 3))) for room in "xyz"[: dice.randint(1, 3)]]
    return (("ensure",), ("pass_time", 12.0), *rooms, _drain(dice, None))


def by_dice(dice: random.Random, *, adopts: bool = True, most: int = 20) -> History:
    """A whole history with its end, under a supervisor that adopts or does not.

    Raises:
        Broken: a rule did not hold; its `history` is the one.
    """
    history = History(steering=dice.random() < 0.6, adopts=adopts, release=dice.choice(OPEN))
    try:
        for event in dice.choice(((), (), (("front",),), (("front",), *_in_calls(dice)), _in_calls(dice))):
            history.happen(event)
        for _ in range(dice.randint(1, most)):
            history.happen(dice.choices(_MAKERS, _WEIGHTS)[0](dice, history))
        history.settle()
    except Exception as error:
        error.add_note(f"steering={history.host.steering}")
        error.history = history  # type: ignore[attr-defined]
        raise
    return history


def again(events: Sequence[Event], *, steering: bool, release: str, adopts: bool = True) -> str:
    """Repeat a history; what is broken, or ""."""
    history = History(steering=steering, adopts=adopts, release=release)
    try:
        for event in events:
            history.happen(event)
        history.settle()
    except Broken as error:
        return str(error) or "broken"
    return ""


def smallest(events: Sequence[Event], *, steering: bool, release: str, adopts: bool = True) -> list[Event]:
    """A history that still breaks a rule, and of which nothing can be left out."""
    left = list(events)
    at = 0
    while at < len(left):
        fewer = left[:at] + left[at + 1 :]
        if again(fewer, steering=steering, adopts=adopts, release=release):
            left, at = fewer, 0
        else:
            at += 1
    return left
