"""Upgrades of livekit-server under calls: the new release starts beside the old one, and nobody notices."""

from __future__ import annotations

import json
import time
import urllib.error
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.calls.call import SETTLE_S, Call
from hero_livekit_units.calls.verdict import judge
from tests.calls.conftest import FIGURES, gaps
from tests.calls.upgrading import JOINS_A_SECOND, crowd, wanted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.calls.stack import Stack

pytestmark = [pytest.mark.servers, pytest.mark.calls, pytest.mark.timeout(300)]

BASELINE_S = 4.0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("1.13.3", "1.13.5", id="up"),
        pytest.param("1.13.5", "1.13.3", id="down", marks=pytest.mark.night),
    ],
)
def test_an_upgrade_that_nobody_in_a_call_notices(
    old: str, new: str, stack: Stack, livekit_servers: dict[str, Path]
) -> None:
    """Rooms stay, late joiners find them, new rooms run on the new release, and the old one ends when it is empty."""
    wanted(stack, old, livekit_servers)
    assert stack.media.ensure().converged
    assert stack.servers() == {"a": f"{old}-r1"}
    before = stack.identities()
    with Call() as call, Call() as late, Call() as new_room:
        call.start([stack.seat(name, "stays") for name in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("upgrade")
        wanted(stack, new, livekit_servers)
        began = time.monotonic()
        done = stack.hlu("ensure", "--json")
        took_s = time.monotonic() - began
        receipt = json.loads(done.stdout)
        assert [step["step"]["action"] for step in receipt["done"]] == [
            "write-files",
            "register",
            "register",
            "start",
            "update",
            "drain",
        ]
        assert [wait["instance"] for wait in receipt["waits"]] == ["livekit-server@a"]
        assert stack.servers() == {"a": f"{old}-r1", "b": f"{new}-r1"}
        joiner, others = stack.seat("carol", "stays"), [stack.seat(name, "new") for name in ("dora", "emil")]
        assert stack.slot_of(joiner) == "a"
        assert [stack.slot_of(seat) for seat in others] == ["b", "b"]
        late.start([joiner])
        new_room.start(others)
        call.listen(SETTLE_S)
        reports = call.report()
    assert judge(reports).calls_dropped == 0, reports
    assert [(report.disconnects, report.reconnects) for report in reports] == [(0, 0), (0, 0)]
    assert stack.identities()["livekit-server@a"] == before["livekit-server@a"]
    assert stack.identities()["lk-backend"] == before["lk-backend"]
    FIGURES.append(f"{old} to {new}: new rooms on the new slot {took_s:.2f} s after the command began; {gaps(reports)}")
    stack.until_empty()
    stack.until("the old slot has ended", lambda: stack.media.ensure().converged, within_s=30.0)
    assert stack.servers() == {"b": f"{new}-r1"}
    assert stack.media.ensure().changed is False


@pytest.mark.night
def test_a_changed_configuration_comes_by_the_other_slot_and_the_next_one_by_the_first(
    stack: Stack, livekit_servers: dict[str, Path]
) -> None:
    """What needs a restart never waits for the last call, however long it lasts."""
    wanted(stack, "1.13.5", livekit_servers)
    assert stack.media.ensure().converged
    with Call() as call:
        call.start([stack.seat(name, "busy") for name in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("configured")
        stack.hlu("set", "livekit.log_level", "debug")
        assert [step.step.action for step in stack.media.ensure().done][-3:] == ["start", "update", "drain"]
        # The other slot is in use too now, so that a third configuration finds none that is free.
        stack.hlu("set", "livekit.log_level", "warn")
        refused = stack.media.ensure()
        call.listen(SETTLE_S)
        reports = call.report()
        verdict = judge(reports)
    assert not refused.converged
    assert verdict.calls_dropped == 0
    assert [(report.disconnects, report.reconnects) for report in reports] == [(0, 0), (0, 0)]
    stack.until_empty()
    stack.until("one slot is left", lambda: stack.media.ensure().converged, within_s=60.0)
    assert len(stack.servers()) == 1


def test_no_room_is_on_two_slots_and_no_join_is_refused_while_new_rooms_change_over(
    stack: Stack, livekit_servers: dict[str, Path]
) -> None:
    """Fifty who want to join each second, several at once for each room, before, while and after the upgrade."""
    wanted(stack, "1.13.3", livekit_servers)
    assert stack.media.ensure().converged
    given: defaultdict[str, set[str]] = defaultdict(set)
    failed: list[str] = []

    def join(number: int) -> None:
        room = f"r{number // 4}"
        try:
            given[room].add(stack.slot_of(stack.seat(f"p{number}", room)))
        except (OSError, urllib.error.HTTPError) as error:
            failed.append(f"{room}: {error}")

    with crowd(join):
        wanted(stack, "1.13.5", livekit_servers)
        stack.media.ensure()
    slots = set().union(*given.values())
    FIGURES.append(f"{len(given)} rooms at {JOINS_A_SECOND} joins a second: {len(failed)} joins refused")
    assert failed == []
    assert slots == {"a", "b"}
    assert {room: found for room, found in given.items() if len(found) != 1} == {}
