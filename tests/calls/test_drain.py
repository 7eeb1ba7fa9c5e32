"""Drains under calls: new rooms go elsewhere, nobody notices, and what a drain may come to is what was asked for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from livekit import rtc

from hero_livekit_units.calls.call import SETTLE_S, Call
from hero_livekit_units.calls.verdict import judge
from hero_livekit_units.livekit.roomservice import TOPIC
from hero_livekit_units.model.plan import Goal
from tests.calls.conftest import FIGURES, gaps
from tests.calls.stack import FrontedStack
from tests.calls.upgrading import BASELINE_S, assert_end, assert_unnoticed, rooms, running, until_over, wanted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from hero_livekit_units.calls.call import Seat
    from tests.calls.stack import Stack

pytestmark = [pytest.mark.servers, pytest.mark.calls, pytest.mark.timeout(300)]


@pytest.fixture
def fronted(livekit_server: Path) -> Iterator[FrontedStack]:
    """A host with a front."""
    stack = FrontedStack(livekit_server)
    try:
        stack.start_hero_proc()
        yield stack
    finally:
        stack.close()


def drained(stack: Stack, slot: str) -> Any:
    """What `hlu status` says of the drain of a slot, None where it is not drained."""
    status = json.loads(stack.hlu("status", "--json").stdout)
    return next((unit["drain"] for unit in status["units"] if unit["instance"] == f"livekit-server@{slot}"), None)


@contextlib.asynccontextmanager
async def listener(seat: Seat) -> AsyncIterator[list[dict[str, Any]]]:
    """Somebody in a room, who keeps the data messages that are about its server."""
    heard: list[dict[str, Any]] = []
    room = rtc.Room()
    room.on("data_received", lambda packet: heard.append(json.loads(packet.data)) if packet.topic == TOPIC else None)
    await room.connect(seat.url, seat.token, rtc.RoomOptions(auto_subscribe=False))
    try:
        yield heard
    finally:
        await room.disconnect()


def test_a_slot_is_drained_and_taken_back_and_drained_again_and_nobody_in_a_call_notices(
    stack: Stack, livekit_servers: dict[str, Path]
) -> None:
    """It runs as it should and is drained by name; a cancel sends new rooms back; the second time it ends."""
    running(stack, "1.13.5", livekit_servers)
    with Call() as call:
        call.start([stack.seat(name, "stays") for name in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("drained")
        began = time.monotonic()
        done = stack.hlu("drain", "--within", "2h", "--json")
        took_s = time.monotonic() - began
        assert done.returncode == 3, done.stderr
        assert stack.slot_of(stack.seat("carol", "stays")) == "a"
        assert stack.slot_of(stack.seat("dora", "new")) == "b"
        told = drained(stack, "a")
        assert (told["asked"], told["then"], told["signal"]) == (True, "wait", "none")
        assert 7100 < told["left_s"] < 7200
        assert "left in it: 2 people in 1 rooms" in stack.hlu("status").stdout
        assert stack.media.ensure().changed is False

        assert stack.hlu("drain", "--cancel").returncode == 0
        assert drained(stack, "a") is None
        assert stack.slot_of(stack.seat("emil", "newer")) == "a"
        assert stack.servers() == {"a": "1.13.5-r1"}  # nobody was in what was begun for the drain
        assert stack.hlu("drain", "--cancel").returncode == 6

        assert stack.hlu("drain", "a").returncode == 3
        call.listen(SETTLE_S)
        reports = call.report()
    assert_unnoticed(reports)
    FIGURES.append(
        f"a drain by name: new rooms on the other slot {took_s:.2f} s after the command began; {gaps(reports)}"
    )
    until_over(stack)
    assert_end(stack, "1.13.5-r1")


def test_rooms_are_told_at_the_deadline_and_who_is_alone_must_leave_when_the_limit_is_over(
    stack: Stack, livekit_servers: dict[str, Path]
) -> None:
    """The call of two hears of it and goes on; the forgotten tab is ended; no control plane has to be asked for it."""
    running(stack, "1.13.3", livekit_servers)
    stack.start_plane()
    wanted(stack, "1.13.5", livekit_servers)

    async def tell() -> list[dict[str, Any]]:
        async with listener(stack.seat("tab", "forgotten")) as heard:
            done = await asyncio.to_thread(stack.hlu, "ensure")
            assert done.returncode == 3, done.stderr
            terms = ("--within", "1s", "--then", "announce", "--idle-room", "8s")
            done = await asyncio.to_thread(stack.hlu, "drain", *terms)
            assert done.returncode == 3, done.stderr
            assert drained(stack, "a")["asked"] is False
            until = time.monotonic() + 40.0
            while "forgotten" in await asyncio.to_thread(rooms, stack, "a"):
                assert time.monotonic() < until
                await asyncio.sleep(0.2)
            return heard

    with Call() as call:
        call.start([stack.seat(name, "stays") for name in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("told")
        heard = asyncio.run(tell())
        assert rooms(stack, "a") == {"stays"}
        assert drained(stack, "a")["announced"] is True
        reports = call.report()
    assert [message["type"] for message in heard] == ["drain"]
    assert_unnoticed(reports)
    stack.until("it ends by itself", lambda: stack.servers() == {"b": "1.13.5-r1"}, within_s=60.0)
    assert stack.media.ensure(Goal.DRAIN).changed is False
    assert_end(stack, "1.13.5-r1")


def test_where_joins_cannot_be_steered_a_drain_is_asked_for_by_name_and_signals_once(
    stack: Stack, livekit_servers: dict[str, Path]
) -> None:
    """With one slot the server itself is asked to end: people stay, it is started anew when the last one has left."""
    stack.hlu("set", "livekit.two_slots", "false")
    running(stack, "1.13.5", livekit_servers)
    before = stack.identities()
    with Call() as call:
        call.start([stack.seat(name, "stays") for name in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("drained")
        refused = stack.hlu("drain")
        assert refused.returncode == 6
        assert "--allow-drain" in refused.stderr
        assert drained(stack, "a") is None
        assert stack.hlu("drain", "--allow-drain").returncode == 3
        assert drained(stack, "a")["signal"] == "sent"
        for _ in range(3):
            assert stack.media.ensure().changed is False
        assert stack.hlu("drain", "--cancel").returncode == 6
        call.listen(SETTLE_S)
        reports = call.report()
    assert_unnoticed(reports)
    stack.until("it is started anew", lambda: stack.media.ensure().converged, within_s=60.0)
    assert stack.servers() == {"a": "1.13.5-r1"}
    assert stack.identities()["livekit-server@a"] != before["livekit-server@a"]


@pytest.mark.night
def test_at_its_deadline_a_drain_behind_the_front_moves_everybody_if_that_was_asked_for_by_name(
    fronted: FrontedStack, livekit_servers: dict[str, Path]
) -> None:
    """Nobody notices before; then all reconnect to the new slot by themselves, and the receipt says so."""
    running(fronted, "1.13.5", livekit_servers)
    with Call() as call:
        call.start([fronted.seat(name, "stays") for name in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("drained")
        assert fronted.hlu("drain", "--within", "20s", "--then", "move").returncode == 3
        assert fronted.servers() == {"a": "1.13.5-r1", "b": "1.13.5-r1"}
        assert_unnoticed(call.report())
        fronted.until("its time is over", lambda: drained(fronted, "a")["left_s"] == 0.0, within_s=30.0)
        done = json.loads(fronted.hlu("ensure", "--json").stdout)["done"]
        call.listen(SETTLE_S)
        reports = call.report()
    assert [did["step"]["action"] for did in done] == ["kill"]
    comeback = done[0]["comeback"]
    assert (comeback["people"], comeback["back"]) == (2, 2)
    assert judge(reports).calls_dropped == 0, reports
    assert [report.disconnects for report in reports] == [0, 0]
    FIGURES.append(f"moved at the deadline of a drain: back after {comeback['longest_s']:.2f} s; {gaps(reports)}")
    until_over(fronted)
    assert fronted.servers() == {"b": "1.13.5-r1"}
