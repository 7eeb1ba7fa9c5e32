"""Moves and swaps under calls: everybody comes back by themselves, and the receipt says who, and after how long.

Beside each figure of a receipt stands what the participants heard: the longest gap in the sound of anybody.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import attrs
import pytest
from attrs import define, field

from hero_livekit_units.calls.call import SETTLE_S, Call, Seat
from hero_livekit_units.calls.verdict import judge
from hero_livekit_units.cli.render import history_text
from hero_livekit_units.definitions.catalog import Catalog, catalog
from hero_livekit_units.livekit.desired import MEDIA
from hero_livekit_units.media import Media
from hero_livekit_units.model.comeback import Sign
from hero_livekit_units.model.plan import PREPARING, Action, Allowed, Way
from hero_livekit_units.model.unit import Strategy
from tests.calls.conftest import FIGURES
from tests.calls.stack import FrontedStack, Stack
from tests.calls.upgrading import assert_unnoticed, copies, registry_of, rooms, running, until_over, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hero_livekit_units.calls.verdict import ParticipantReport
    from hero_livekit_units.model.comeback import Comeback
    from hero_livekit_units.model.receipt import Receipt
    from tests.calls.media import LiveServer

pytestmark = [pytest.mark.servers, pytest.mark.calls, pytest.mark.timeout(300)]

BASELINE_S = 3.0
PEOPLE = {"daily": ("anna", "ben", "cy"), "weekly": ("anna", "dora"), "monthly": ("emil", "fay")}
RECONNECT = (Allowed.RECONNECT,)
# A receipt tells when the server sends sound again: the participants hear it some 0.1 s later, and the tone clock steps
# each 41 ms.
HEARD_LATER_S = 0.4
RUNS = 20
BY_HAND = 10


@pytest.fixture
def one_slot(livekit_server: Path) -> Iterator[Stack]:
    """A host on which livekit-server has one slot only."""
    stack = Stack(livekit_server)
    file = stack.places.settings_file
    file.write_text(file.read_text().replace("[livekit]\n", "[livekit]\ntwo_slots = false\n", 1))
    try:
        stack.start_hero_proc()
        yield stack
    finally:
        stack.close()


@pytest.fixture
def fronted(livekit_server: Path) -> Iterator[FrontedStack]:
    """A host with a front, whose releases may not run beside each other."""
    stack = FrontedStack(livekit_server)
    try:
        stack.start_hero_proc()
        stack.media = Media(registry_of(stack), stack.places, never_beside(stack.media.catalog))
        yield stack
    finally:
        stack.close()


def never_beside(shipped: Catalog) -> Catalog:
    """The same releases, none of which may have rooms while another one has some."""

    def kept(strategies: tuple[Strategy, ...]) -> tuple[Strategy, ...]:
        return tuple(one for one in strategies if one is not Strategy.TWO_SLOT)

    found = []
    for one in shipped.definitions:
        edges = {
            name: {end: attrs.evolve(edge, strategies=kept(edge.strategies)) for end, edge in ways.items()}
            for name, ways in (
                ("upgrades_from", one.lineage.upgrades_from),
                ("rolls_back_to", one.lineage.rolls_back_to),
            )
        }
        lineage = attrs.evolve(one.lineage, strategies=kept(one.lineage.strategies), **edges)
        found.append(attrs.evolve(one, lineage=lineage) if one.unit.name == MEDIA else one)
    return catalog((str(at), one) for at, one in enumerate(found))


def seats(stack: Stack) -> list[Seat]:
    """Seven people in three rooms."""
    return [stack.seat(name, room) for room, names in PEOPLE.items() for name in names]


def comeback_of(receipt: Receipt, action: Action) -> Comeback:
    """What the receipt says of the people whom this step cut off."""
    (done,) = [did for did in receipt.done if did.step.action is action]
    assert done.comeback is not None, done
    return done.comeback


@define
class Figures:
    """What was measured in some runs: by the receipts and by ear, the longest of each run, in seconds."""

    name: str
    said_s: list[float] = field(factory=list)
    middle_s: list[float] = field(factory=list)
    heard_s: list[float] = field(factory=list)
    each_s: list[float] = field(factory=list)
    lagged_s: list[float] = field(factory=list)

    def add(self, comeback: Comeback, reports: tuple[ParticipantReport, ...]) -> None:
        """One run, in which everybody came back; the receipt fits what was heard."""
        people = {(report.room, report.identity): (report.gap_since_mark_ms or 0.0) / 1000 for report in reports}
        back = {(one.room, one.identity): one.after_s for one in comeback.returns}
        assert (comeback.people, comeback.back) == (len(people), len(people)), comeback
        assert comeback.sign is Sign.SOUND
        assert back.keys() == people.keys()
        assert comeback.longest_s is not None
        assert comeback.median_s is not None
        self.said_s.append(comeback.longest_s)
        self.middle_s.append(comeback.median_s)
        self.heard_s.append(max(people.values()))
        self.each_s += people.values()
        if (
            not comeback.missing
        ):  # else somebody was heard later than anybody looked, as on a machine that is overloaded
            for report in reports:
                one = (report.room, report.identity)
                lagged_s = people[one] - (back[one] or 0.0)
                self.lagged_s.append(lagged_s)
                # A machine that stops the sound of an undisturbed call for a while does so here too.
                own_s = (report.baseline_gap_ms + report.stall_ms) / 1000
                assert lagged_s < HEARD_LATER_S + own_s, (comeback, reports)

    def tell(self) -> None:
        """For the end of the run."""
        runs = f"{len(self.said_s)} runs" if len(self.said_s) > 1 else "1 run"
        lag = f"{min(self.lagged_s, default=0.0):.2f} to {max(self.lagged_s, default=0.0):.2f}"
        FIGURES.append(
            f"{self.name}, {runs}, everybody back. By ear: {median(self.each_s):.2f} s p50 of all people,"
            f" longest of a run {median(self.heard_s):.2f} s p50, {max(self.heard_s):.2f} s max."
            f" Receipts: {median(self.middle_s):.2f} s p50, longest of a run {median(self.said_s):.2f} s p50,"
            f" {max(self.said_s):.2f} s max. The ear's gap less the receipt's figure: {lag} s"
        )


def swap(stack: Stack, call: Call, version: str, servers: dict[str, Path], figures: Figures) -> None:
    """One swap of the only server to another release, and everybody is back."""
    wanted(stack, version, servers)
    call.mark("swap")
    receipt = stack.media.ensure(allowed=RECONNECT)
    call.listen(SETTLE_S)
    assert receipt.converged
    assert stack.servers() == {"a": f"{version}-r1"}
    figures.add(comeback_of(receipt, Action.SWAP), call.snapshot())
    stack.until("all are counted in their rooms", lambda: stack.people() == 7 and rooms(stack, "a") == set(PEOPLE))


def move(stack: Stack, call: Call, version: str, servers: dict[str, Path], figures: Figures) -> None:
    """One move of all rooms to the slot that is free, and everybody is back."""
    (left,) = stack.servers()
    slot = "b" if left == "a" else "a"
    wanted(stack, version, servers)
    call.mark("move")
    receipt = stack.media.ensure(allowed=RECONNECT)
    call.listen(SETTLE_S)
    assert receipt.converged
    acts = [did.step.action for did in receipt.done if did.step.action not in PREPARING]
    assert acts == [Action.START, Action.UPDATE, Action.KILL]
    assert stack.servers() == {slot: f"{version}-r1"}
    figures.add(comeback_of(receipt, Action.KILL), call.snapshot())
    stack.until("all are counted in their rooms", lambda: stack.people() == 7 and rooms(stack, slot) == set(PEOPLE))
    assert rooms(stack, left) == set()


def assert_nobody_lost(reports: tuple[ParticipantReport, ...], times: int) -> None:
    """Everybody hears everybody, and reconnected by themselves as often as a server was ended."""
    assert judge(reports).calls_dropped == 0, reports
    assert [(report.disconnects, report.reconnects) for report in reports] == [(0, times)] * len(reports), reports


def test_a_swap_where_there_is_one_slot(one_slot: Stack, livekit_servers: dict[str, Path]) -> None:
    """Refused with the number of people, until a reconnect is allowed; then all come back, and the history says who."""
    running(one_slot, "1.13.3", livekit_servers)
    figures = Figures("swap")
    with Call() as call:
        call.start(seats(one_slot))
        call.listen(BASELINE_S)
        call.mark("refused")
        before = one_slot.identities()
        wanted(one_slot, "1.13.5", livekit_servers)
        refused = one_slot.hlu("ensure")
        assert "release 1.13.3-r1 runs, but that would cut off 7 people in 3 rooms" in refused.stdout
        assert one_slot.identities() == before
        call.listen(SETTLE_S)
        assert_unnoticed(call.snapshot())
        swap(one_slot, call, "1.13.5", livekit_servers, figures)
        assert_nobody_lost(call.report(), 1)
    figures.tell()
    text = history_text(one_slot.media.history(1))
    assert "  back     7 of 7 people, after " in text
    assert all(name in text for names in PEOPLE.values() for name in names)


def test_a_move_behind_the_front(fronted: FrontedStack, livekit_servers: dict[str, Path]) -> None:
    """Rooms stay until a reconnect is allowed; then all of them come up on the other slot, at the same address."""
    running(fronted, "1.13.3", livekit_servers)
    figures = Figures("move")
    with Call() as call, Call() as late:
        call.start(seats(fronted))
        call.listen(BASELINE_S)
        call.mark("refused")
        before = fronted.identities()
        wanted(fronted, "1.13.5", livekit_servers)
        (refusal,) = fronted.media.ensure().refusals
        assert refusal.because == "release 1.13.3-r1 runs, but that would cut off 7 people in 3 rooms"
        assert fronted.identities() == before
        call.listen(SETTLE_S)
        assert_unnoticed(call.snapshot())
        move(fronted, call, "1.13.5", livekit_servers, figures)
        late.start([fronted.seat("gus", "daily")])
        assert rooms(fronted, "a") == set()
        fronted.until("all are counted", lambda: fronted.people() == 8)
        assert_nobody_lost(call.report(), 1)
        assert fronted.identities()["livekit-front"] == before["livekit-front"]
    figures.tell()
    until_over(fronted)
    assert fronted.servers() == {"b": "1.13.5-r1"}
    assert len(copies(fronted)) == 1


@pytest.mark.night
def test_no_move_where_nobody_would_come(livekit_server: Path, livekit_servers: dict[str, Path]) -> None:
    """Without the front people know their slot only: they are swapped in place, and told why."""
    stack = Stack(livekit_server)
    try:
        stack.start_hero_proc()
        stack.media = Media(registry_of(stack), stack.places, never_beside(stack.media.catalog))
        running(stack, "1.13.3", livekit_servers)
        figures = Figures("swap, as there is no front to move behind")
        with Call() as call:
            call.start(seats(stack))
            call.listen(BASELINE_S)
            call.mark("planned")
            wanted(stack, "1.13.5", livekit_servers)
            (choice,) = stack.media.plan(allowed=RECONNECT).choices
            assert choice.way is Way.SWAP
            why = next(passed.because for passed in choice.passed_over if passed.way is Way.MOVE)
            assert why.startswith("who is in a call has the address of its slot, and would not come back to another")
            swap(stack, call, "1.13.5", livekit_servers, figures)
            assert_nobody_lost(call.report(), 1)
        figures.tell()
    finally:
        stack.close()


@pytest.mark.night
def test_a_swap_by_hand(server: LiveServer) -> None:
    """`kill -9` and a start at once with nothing of ours around: what of the gaps is the clients' own reconnect."""
    each_s: list[float] = []
    longest_s: list[float] = []
    for _ in range(BY_HAND):
        with Call() as call:
            call.start([server.seat(name, room) for room, names in PEOPLE.items() for name in names])
            call.listen(BASELINE_S)
            call.mark("swap")
            server.kill()
            server.start()
            assert call.wait_until(lambda reports: all(one.reconnects for one in reports), timeout_s=20)
            call.listen(SETTLE_S)
            gaps_s = [(one.gap_since_mark_ms or 0.0) / 1000 for one in call.report()]
        each_s += gaps_s
        longest_s.append(max(gaps_s))
    FIGURES.append(
        f"a kill and a start by hand, {BY_HAND} runs, everybody back. By ear: {median(each_s):.2f} s p50 of all people,"
        f" longest of a run {median(longest_s):.2f} s p50, {max(longest_s):.2f} s max"
    )


@pytest.mark.night
@pytest.mark.timeout(900)
def test_many_swaps(one_slot: Stack, livekit_servers: dict[str, Path]) -> None:
    """Up and down again and again, with the same people in the same calls."""
    running(one_slot, "1.13.3", livekit_servers)
    figures = Figures("swap")
    with Call() as call:
        call.start(seats(one_slot))
        call.listen(BASELINE_S)
        for at in range(RUNS):
            swap(one_slot, call, ("1.13.5", "1.13.3")[at % 2], livekit_servers, figures)
        assert_nobody_lost(call.report(), RUNS)
    figures.tell()


@pytest.mark.night
@pytest.mark.timeout(900)
def test_many_moves(fronted: FrontedStack, livekit_servers: dict[str, Path]) -> None:
    """From slot to slot and back, with the same people in the same calls."""
    running(fronted, "1.13.3", livekit_servers)
    figures = Figures("move")
    with Call() as call:
        call.start(seats(fronted))
        call.listen(BASELINE_S)
        for at in range(RUNS):
            move(fronted, call, ("1.13.5", "1.13.3")[at % 2], livekit_servers, figures)
        assert_nobody_lost(call.report(), RUNS)
    figures.tell()
