"""`ensure` on a host in memory, whatever happens to it: the rules that always hold, and the end that is always reached.

The number of histories is that of the profile: HLU_HISTORIES, or 500 (the night: 100,000).
"""

from __future__ import annotations

import itertools
import os
import random
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from hero_livekit_units.model.drain import Terms, Then
from hero_livekit_units.model.plan import Action, Allowed, Goal
from tests.properties.conftest import COUNTS
from tests.properties.histories import EVENTS, LINEAGE, OPEN, Broken, Event, History, again, by_dice, smallest
from tests.properties.world import BACK_S, READY_S, Asked, Dud, Fault, Host, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HISTORIES = int(os.environ.get("HLU_HISTORIES", "500"))
NIGHT = 100_000
SETTINGS = settings(max_examples=50, stateful_step_count=20, suppress_health_check=list(HealthCheck), deadline=None)

# The smallest histories that once broke a rule.
FOUND: dict[str, tuple[bool, str, list[Event]]] = {
    "a drain that was asked for allows no stop signal where the other slot is taken": (
        True,
        "1.9.3-r1",
        [
            ("ensure",),
            ("join", "z", 3),
            ("drain", "a", Terms()),
            ("want", "1.9.2-r1"),
            ("kill", 1),
            ("ensure", Goal.RUN, (), (("look", 3, Fault.LOST), ("look", 2, Fault.LOST)), "1.9.3-r1"),
        ],
    ),
    "nobody can say where new rooms go, and a drain is not over for that": (
        True,
        "1.11.0-r1",
        [
            ("ensure",),
            ("join", "x", 1),
            ("drain", "", Terms(60.0, Then.WAIT, 10.0)),
            ("leave", "x"),
            ("supervisor_dies", 0.0),
            ("ensure", Goal.DRAIN),
        ],
    ),
    "a slot is killed at the deadline of its drain, and the supervisor has not seen its end yet": (
        True,
        "1.10.1-r1",
        [
            ("front",),
            ("ensure", Goal.RUN, (), (), "1.11.0-r1"),
            ("join", "z", 3),
            ("want", "1.10.0-r1"),
            ("drain", "", Terms(5.0, Then.MOVE), (Allowed.RECONNECT,)),
        ],
    ),
    "the wall clock is set back, and another release is wanted": (
        True,
        "1.9.11-r1",
        [("ensure",), ("wall_clock", -86400.0), ("want", "1.9.9-r1"), ("ensure",)],
    ),
    "a swap on a supervisor that has not seen the end yet": (
        False,
        "1.13.5-r1",
        [
            ("ensure",),
            ("pass_time", 2.0),
            ("join", "x", 3),
            ("want", "1.13.4-r1"),
            ("ensure", Goal.RUN, (Allowed.RECONNECT,)),
        ],
    ),
    "configure registers what the supervisor has lost, and starts a second one with its next life": (
        True,
        "1.13.5-r1",
        [
            ("ensure",),
            ("supervisor_forgets",),
            ("ensure", Goal.CONFIGURE),
            ("supervisor_dies", 0.0),
            ("pass_time", 1.0),
        ],
    ),
    "a server on its way up that the supervisor has lost is not waited for in vain": (
        True,
        "1.13.1-r1",
        [
            ("ensure", Goal.RUN, (), (("look", 7, Fault.CRASH_BEFORE),), "1.13.2-r1"),
            ("supervisor_forgets",),
            ("ensure", Goal.RUN, (), (), "1.13.0-r1"),
        ],
    ),
    "configure registers nothing while it cannot see who runs": (
        False,
        "1.9.6-r1",
        [
            ("ensure", Goal.RUN, (Allowed.RECONNECT,), (), ""),
            ("supervisor_forgets",),
            ("blind", ("ports",)),
            ("ensure", Goal.CONFIGURE, (), (("effect", 6, Fault.REFUSED), ("effect", 3, Fault.REFUSED)), ""),
            ("supervisor_dies", 0.0),
        ],
    ),
    "a process that starts again reads the files of its own launch, whoever has configured another one": (
        True,
        "1.11.0-r1",
        [
            ("want", "1.13.4-r1"),
            ("ensure", Goal.RUN, (), (), ""),
            ("want", "1.13.5-r1"),
            ("kill", 1),
            ("ensure", Goal.CONFIGURE, (), (), "1.13.5-r1"),
            ("want", "1.13.4-r1"),
        ],
    ),
    "a plan to configure an empty host registers nothing when something runs that the supervisor has lost": (
        False,
        "1.13.3-r1",
        [
            ("look", Goal.CONFIGURE, (Allowed.DRAIN,)),
            ("ensure", Goal.RUN, (Allowed.DRAIN,), (("look", 3, Fault.CRASH_AFTER),), "1.13.3-r1"),
            ("supervisor_forgets",),
            ("execute", (("effect", 6, Fault.AWAY_AFTER), ("effect", 4, Fault.REFUSED))),
        ],
    ),
    "a plan of before ends no room in which somebody has company meanwhile, and is alone again": (
        True,
        "1.13.3-r1",
        [
            ("ensure",),
            ("join", "x", 1),
            ("join", "y", 1),
            ("drain", "a", Terms(5.0, Then.WAIT, 10.0), (Allowed.RECONNECT,)),
            ("wall_clock", 3600.0),
            ("join", "x", 2),
            ("look", Goal.RUN, (Allowed.DRAIN,)),
            ("ensure", Goal.RUN, (), (("effect", 8, Fault.OTHER_BEFORE), ("look", 5, Fault.JOIN)), "1.13.2-r1"),
            ("execute", ()),
        ],
    ),
    "a plan for an empty host starts nothing while nobody can see whether it is empty": (
        False,
        "1.9.9-r1",
        [
            ("look", Goal.RUN, (Allowed.DROP,)),
            ("ensure", Goal.RUN, (), (("effect", 7, Fault.AWAY_AFTER), ("effect", 7, Fault.CRASH_AFTER)), ""),
            ("blind", ("ports", "calls")),
            ("supervisor_returns",),
            ("supervisor_forgets",),
            ("execute", ()),
        ],
    ),
}


def many(count: int, first: int = 0, *, adopts: bool = True) -> None:
    """Histories by dice, each with its seed; the first one of each kind that breaks is shown at its smallest."""
    found: dict[str, str] = {}
    for seed in range(first, first + count):
        COUNTS["histories"] += 1
        try:
            by_dice(random.Random(seed), adopts=adopts)  # noqa: S311  to be repeated, not to be guessed
        except Broken as error:
            COUNTS["broken"] += 1
            found.setdefault(str(error)[:60], shown(seed, error))
    assert not found, "\n".join(found.values())


def shown(seed: int, error: Broken) -> str:
    """The smallest history that breaks like this one."""
    history: History = error.history  # type: ignore[attr-defined]
    steering, adopts, release = history.host.steering, history.host.adopts, history.first
    events = smallest(history.events, steering=steering, adopts=adopts, release=release)
    lines = "".join(f"    {event}\n" for event in events)
    said = again(events, steering=steering, adopts=adopts, release=release)
    return f"seed {seed}, steering {steering}, adopts {adopts}, {release}: {said}\n{lines}"


def test_whatever_happens_the_rules_hold_and_what_is_wanted_is_reached() -> None:
    """Histories of up to twenty events, faults inside of control planes among them."""
    many(HISTORIES)


def test_the_rules_hold_under_a_supervisor_that_adopts_nothing() -> None:
    """As above, under one like zinit: what its crashes have left is healed, and nobody is hit."""
    many(HISTORIES // 2, adopts=False)


@pytest.mark.night
@pytest.mark.timeout(3600)
def test_the_same_for_a_whole_night() -> None:
    """Other histories than by day."""
    many(NIGHT, first=1_000_000)
    many(NIGHT // 10, first=1_000_000, adopts=False)


@pytest.mark.parametrize("name", FOUND)
def test_what_once_broke_a_rule(name: str) -> None:
    """It does not any more."""
    steering, release, events = FOUND[name]
    assert again(events, steering=steering, release=release) == ""


class Upgrades(RuleBasedStateMachine):
    """The same events, chosen by hypothesis."""

    @initialize(steering=st.booleans(), release=st.sampled_from(OPEN))
    def begin(self, steering: bool, release: str) -> None:  # noqa: FBT001
        """A host with nothing on it."""
        COUNTS["histories"] += 1
        self.history = History(steering=steering, release=release)

    @rule(at=st.integers(0, len(EVENTS) - 1), seed=st.integers(0, 10_000))
    def happen(self, at: int, seed: int) -> None:
        """Something happens."""
        self.tell(lambda: self.history.happen(EVENTS[at][1](random.Random(seed), self.history)))  # noqa: S311

    def tell(self, do: Callable[[], object]) -> None:
        """Do it, and count a broken rule."""
        try:
            do()
        except Broken:
            COUNTS["broken"] += 1
            raise

    def teardown(self) -> None:
        """In the end what is wanted is reached."""
        if hasattr(self, "history"):
            self.tell(self.history.settle)


TestUpgrades = Upgrades.TestCase
TestUpgrades.settings = SETTINGS


def upgraded(releases: Sequence[str], *, steering: bool, people: bool) -> Host:
    """A host that went over these releases; with people, somebody is in a room until each upgrade has begun."""
    host = Host(steering=steering)
    assert run(host, Asked(releases[0])).converged
    for release in releases[1:]:
        host.advance(30.0)
        if people:
            host.join("x", 2)
        run(host, Asked(release))
        host.leave("x")
        host.advance(30.0)
        went = run(host, Asked(release))
        assert went.converged, f"{release}: {went}"
    assert (host.broken, host.dropped) == ([], 0)
    return host


@settings(max_examples=50, deadline=None)
@given(st.data(), st.booleans(), st.booleans())
def test_any_path_of_any_length_up_and_down(data: st.DataObject, steering: bool, people: bool) -> None:  # noqa: FBT001
    """Each upgrade and each rollback of the lineage, one after the other: nobody is dropped, the last one runs."""
    releases = [data.draw(st.sampled_from(OPEN))]
    for _ in range(data.draw(st.integers(1, 12))):
        releases.append(data.draw(st.sampled_from([edge.end for edge in LINEAGE.edges_from(releases[-1])])))
    COUNTS["histories"] += 1
    servers = upgraded(releases, steering=steering, people=people).media()
    assert [server.spec.release for server in servers if server.spec] == [releases[-1]]


def test_new_rooms_go_back_while_the_new_slot_fails_and_come_again_when_it_lasts() -> None:
    """Nobody in the old slot notices, and who joins in between gets in there."""
    host = Host(steering=True)
    assert run(host, Asked("1.13.4-r1")).converged
    host.advance(60.0)
    host.join("x", 2)
    run(host, Asked("1.13.5-r1"))
    assert (host.routed, len(host.media())) == ("b", 2)
    host.advance(3600.0)  # it has lasted before: one that ends in its first minutes is another matter
    (new,) = host.alive("livekit-server@b")
    host.kill_process(new)
    host.advance(0.1)
    assert not host.alive("livekit-server@b")
    run(host, Asked("1.13.5-r1"))
    assert host.routed == "a"
    host.join("y", 1)
    assert [server.spec.slot for server in host.media() if server.spec and "y" in server.rooms] == ["a"]
    run(host, Asked("1.13.5-r1"))
    assert host.routed == "a"
    host.advance(60.0)
    run(host, Asked("1.13.5-r1"))
    assert host.routed == "b"
    for room in ("x", "y"):
        host.leave(room)
    host.advance(60.0)
    assert run(host, Asked("1.13.5-r1")).converged
    assert (host.broken, host.dropped, host.refused_joins) == ([], 0, 0)
    assert [server.spec.slot for server in host.media() if server.spec] == ["b"]


SAYS = {
    Dud.SLEEPS: "livekit-server@b did not become ready within 15 s",
    Dud.EXITS: r"livekit-server@b ended by itself \d times: exit status 1: could not parse config",
    Dud.DIES: r"livekit-server@b ended by itself \d times in its first minutes: killed by SIGKILL",
}


@pytest.mark.parametrize("dud", Dud)
def test_a_new_slot_that_fails_is_stopped_and_tried_again_only_when_that_is_asked_for(dud: Dud) -> None:
    """Who is in the old slot notices nothing, new rooms go there, and the receipt says why."""
    host = Host(steering=True)
    assert run(host, Asked("1.13.4-r1")).converged
    host.advance(60.0)
    host.join("x", 2)
    host.dud = dud
    first = run(host, Asked("1.13.5-r1"))
    if dud is Dud.DIES:
        host.advance(2.5)
        host.dud = None
        first = run(host, Asked("1.13.5-r1"))
    host.dud = None
    assert first.receipt is not None, first.error
    done = [did.step.action for did in first.receipt.done if did.step.instance == "livekit-server@b"]
    assert done[-2:] == [Action.RECORD_FAILURE, Action.STOP]
    (refusal,) = first.receipt.refusals
    says = f"release 1.13.4-r1 runs, but new rooms stay on slot a: its last start failed at .* UTC: {SAYS[dud]}"
    assert re.fullmatch(says, refusal.because)
    assert (host.routed, [server.spec.slot for server in host.media() if server.spec]) == ("a", ["a"])
    host.join("y", 1)
    for empty in (False, True):
        before, began_s = len(host.effects), host.now_s
        again = run(host, Asked("1.13.5-r1"))
        assert again.receipt is not None
        assert (again.receipt.refusals[0].because, host.effects[before:]) == (refusal.because, [])
        assert host.now_s - began_s < 1.0
        if not empty:
            for room in ("x", "y"):
                host.leave(room)
            host.advance(30.0)
    run(host, Asked("1.13.5-r1", allowed=frozenset({Allowed.RETRY})))
    assert (host.routed, host.failed) == ("b", {})
    host.advance(30.0)
    assert run(host, Asked("1.13.5-r1")).converged
    assert (host.broken, host.dropped, host.refused_joins) == ([], 0, 0)


def test_a_retry_that_fails_is_one_try() -> None:
    """The word of the user counts for one start."""
    host = Host(steering=True)
    assert run(host, Asked("1.13.4-r1")).converged
    host.join("x", 2)
    host.dud = Dud.SLEEPS
    for allowed in ((), (Allowed.RETRY,)):
        before = len(host.effects)
        went = run(host, Asked("1.13.5-r1", allowed=frozenset(allowed)))
        assert went.receipt is not None
        assert went.receipt.refusals
        assert host.effects[before:].count("start livekit-server@b") == 1
    assert host.broken == []


def test_another_wish_is_tried_at_once() -> None:
    """What failed is the launch, and not the slot."""
    host = Host(steering=True)
    assert run(host, Asked("1.13.3-r1")).converged
    host.join("x", 2)
    host.dud = Dud.EXITS
    assert run(host, Asked("1.13.5-r1")).receipt
    host.dud = None
    run(host, Asked("1.13.4-r1"))
    assert (host.routed, host.failed) == ("b", {})


def test_where_nothing_serves_a_failure_stops_nobody() -> None:
    """There is nothing to lose."""
    host = Host(steering=True)
    assert run(host, Asked("1.13.4-r1")).converged
    host.join("x", 2)
    host.dud = Dud.SLEEPS
    assert run(host, Asked("1.13.5-r1")).receipt
    host.dud = None
    host.leave("x")
    host.advance(30.0)
    assert run(host, Asked("1.13.5-r1", Goal.STOP)).converged
    assert run(host, Asked("1.13.5-r1")).converged


@pytest.mark.parametrize("steering", [True, False], ids=["steered", "unsteered"])
@pytest.mark.parametrize("later_s", [0.5, 1.5, 3.0, 5.0])
@pytest.mark.parametrize("goal", [Goal.STOP, Goal.RUN])
def test_who_lost_a_server_is_waited_for(goal: Goal, later_s: float, *, steering: bool) -> None:
    """A server that has just followed on one that crashed has nobody in it yet: that is no time to end it."""
    host = Host(steering=steering)
    assert run(host, Asked("1.13.4-r1")).converged
    host.advance(60.0)
    host.join("x", 2)
    host.kill_process(host.media()[0])
    host.advance(later_s)
    run(host, Asked("1.13.4-r1" if goal is Goal.STOP else "1.13.5-r1", goal))
    host.advance(30.0)
    assert (host.broken, host.dropped, host.rooms()) == ([], 0, ["x"])
    assert sum(server.people for server in host.media()) == 2


def swapped(*script: tuple[str, int, Fault]) -> Host:
    """A host on which an idle swap was begun, with faults of its control plane."""
    host = Host(steering=False)
    assert run(host, Asked("1.13.4-r1")).converged
    host.advance(30.0)
    host.effects.clear()
    run(host, Asked("1.13.5-r1"), script)
    COUNTS["histories"] += 1
    return host


def test_who_asks_for_a_token_in_the_moment_of_an_idle_swap_joins_the_new_server() -> None:
    """It is held at the gate, and neither refused nor cut."""
    held = 0
    for at in range(1, 10):
        host = swapped(("effect", at, Fault.JOIN))
        assert not host.gate_is_shut
        host.advance(10.0)
        assert (host.broken, host.dropped, host.refused_joins) == ([], 0, 0)
        assert [server.spec.release for server in host.media() if server.spec] == ["1.13.5-r1"]
        held += bool(host.rooms())
    assert held == 1  # at the one restart


def test_who_comes_with_a_token_of_before_an_idle_swap_is_not_cut() -> None:
    """Until the last look the old server is left to them."""
    stayed = 0
    for at in range(1, 20):
        host = swapped(("look", at, Fault.JOIN))
        assert not host.gate_is_shut
        host.advance(10.0)
        assert (host.broken, host.dropped) == ([], 0)
        stayed += bool(host.rooms()) and [one.spec.release for one in host.media() if one.spec] == ["1.13.4-r1"]
    assert stayed > 5  # two looks to plan, one to begin, several behind the gate


def test_the_gate_is_open_at_once_when_who_shut_it_has_crashed() -> None:
    """Nobody is held for the rest of the lease; and the server is as it was."""
    shut = next(at for at, effect in enumerate(swapped().effects, 1) if effect == "write /srv/media/gate.json")
    host = swapped(("effect", shut, Fault.CRASH_AFTER))
    assert host.effects[-1] == "write /srv/media/gate.json"
    host.join("x", 1)
    assert (host.rooms(), host.refused_joins) == (["x"], 0)
    assert [server.spec.release for server in host.media() if server.spec] == ["1.13.4-r1"]


@pytest.mark.parametrize("leaves", [False, True], ids=["all-come-back", "one-room-leaves"])
def test_a_receipt_says_who_came_back(*, leaves: bool) -> None:
    """After a swap: everybody who was in a room and does not leave meanwhile, and when."""
    host = Host(steering=False)
    assert run(host, Asked("1.13.4-r1")).converged
    host.advance(60.0)
    host.join("x", 2)
    host.join("y", 1)
    if leaves:
        host._in(1.0, lambda: host.leave("y"))
    went = run(host, Asked("1.13.5-r1", Goal.RUN, frozenset({Allowed.RECONNECT})))
    assert went.receipt is not None
    (comeback,) = [did.comeback for did in went.receipt.done if did.step.action is Action.SWAP]
    assert comeback is not None
    assert (comeback.people, comeback.back) == (3, 2 if leaves else 3)
    assert comeback.longest_s == pytest.approx(BACK_S + READY_S, abs=0.1)
    assert [one.identity for one in comeback.returns if one.after_s is None] == (["y-0"] if leaves else [])
    assert (host.broken, host.dropped) == ([], 0)


@pytest.mark.parametrize("steering", [True, False], ids=["steered", "unsteered"])
@pytest.mark.parametrize(("start", "end"), [("", "1.13.4-r1"), ("1.13.4-r1", "1.13.5-r1"), ("1.13.5-r1", "1.13.4-r1")])
def test_a_crash_at_any_effect_makes_no_difference(start: str, end: str, *, steering: bool) -> None:
    """Before and after each effect: the next ensure reaches the end that is reached without a crash."""

    def reached(*script: tuple[str, int, Fault]) -> tuple[object, int]:
        host = Host(steering=steering)
        if start:
            run(host, Asked(start))
            host.advance(30.0)
        before = len(host.effects)
        run(host, Asked(end), script)
        count = len(host.effects) - before
        for _ in range(2):
            host.advance(30.0)
            run(host, Asked(end))
        assert host.broken == []
        COUNTS["histories"] += 1
        return host.end(), count

    whole, count = reached()
    faults = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.REFUSED, Fault.LOST, Fault.SLOW, Fault.AWAY_AFTER)
    for at, fault in itertools.product(range(1, count + 1), faults):
        assert reached(("effect", at, fault))[0] == whole, f"{fault} at effect {at}"
