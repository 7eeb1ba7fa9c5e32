"""Both slots as nodes of one Redis: upgrades under calls, rooms that must not split, and what a killed node leaves."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import jwt
import pytest
import redis
import requests

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.calls.call import SETTLE_S, Call
from hero_livekit_units.calls.verdict import judge
from hero_livekit_units.livekit.asking import bearer
from hero_livekit_units.livekit.keys import read_all
from tests.calls.conftest import FIGURES, gaps
from tests.calls.media import free_ports
from tests.calls.stack import SLOT_OFFSET, Stack
from tests.calls.upgrading import BASELINE_S, ENDED_S, assert_unnoticed, registry_of, running, wanted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.servers, pytest.mark.calls, pytest.mark.timeout(300)]

AT_ONCE = 10  # rooms that are joined for the first time together
SWITCH_EVERY_S = 0.02


@pytest.fixture
def stack(livekit_server: Path) -> Iterator[Stack]:
    """A host with hero_proc, whose media.toml asks for a Redis of its own."""
    host = Stack(livekit_server)
    try:
        (redis,) = free_ports(1)
        with host.places.settings_file.open("a") as file:
            file.write(f"[redis]\nenabled = true\nown = true\nport = {redis}\n")
            file.write("[limits]\nempty_timeout_s = 5\n")
        host.start_hero_proc()
        yield host
    finally:
        host.close()


def rooms_of_node(stack: Stack, slot: str) -> dict[str, set[str]]:
    """The rooms that a slot serves itself, whatever Redis says, and who is in each."""
    port = stack.ports[4] + (SLOT_OFFSET if slot == "b" else 0)
    found = requests.get(f"http://127.0.0.1:{port}/debug/rooms", timeout=5).json() or []
    return {room["Name"]: set(room["Participants"] or {}) for room in found}


def api(stack: Stack, method: str, body: dict[str, Any], grant: dict[str, Any], slot: str = "a") -> Any:
    """One call of the RoomService of a slot."""
    keys = read_all(registry_of(stack)).values
    headers = bearer(str(keys["api_key"]), str(keys["api_secret"]), grant)
    port = stack.ports[0] + (SLOT_OFFSET if slot == "b" else 0)
    url = f"http://127.0.0.1:{port}/twirp/livekit.RoomService/{method}"
    answer = requests.post(url, json=body, headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_upgrade_that_nobody_in_a_call_notices(stack: Stack, livekit_servers: dict[str, Path]) -> None:
    """Rooms stay on their node, late joiners find them, new rooms are made on the new one, and the old one ends."""
    running(stack, "1.13.3", livekit_servers)
    with Call() as call, Call() as late, Call() as new_room:
        call.start([stack.seat(name, "stays") for name in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("upgrade")
        wanted(stack, "1.13.5", livekit_servers)
        began = time.monotonic()
        receipt = stack.media.ensure()
        took_s = time.monotonic() - began
        assert [step.step.action for step in receipt.done][-3:] == ["start", "update", "drain"]
        assert stack.servers() == {"a": "1.13.3-r1", "b": "1.13.5-r1"}
        joiner, others = stack.seat("carol", "stays"), [stack.seat(name, "new") for name in ("dora", "emil")]
        assert stack.slot_of(joiner) == "a"
        assert [stack.slot_of(seat) for seat in others] == ["b", "b"]
        late.start([joiner])
        new_room.start(others)
        call.listen(SETTLE_S)
        assert rooms_of_node(stack, "a") == {"stays": {"alice", "bob", "carol"}}
        assert rooms_of_node(stack, "b") == {"new": {"dora", "emil"}}
        reports = call.report()
    assert_unnoticed(reports)
    FIGURES.append(f"with Redis: new rooms on the new slot {took_s:.2f} s after ensure began; {gaps(reports)}")
    stack.until_empty()
    stack.until("the old slot has ended", lambda: stack.media.ensure().converged, within_s=ENDED_S)
    assert stack.servers() == {"b": "1.13.5-r1"}
    assert stack.media.ensure().changed is False


@pytest.mark.night
def test_a_slot_stays_while_it_relays_somebodys_signals(stack: Stack, livekit_servers: dict[str, Path]) -> None:
    """Who joined at its address and is in a room of the other slot would lose the call with it, so they are counted."""
    running(stack, "1.13.3", livekit_servers)
    wanted(stack, "1.13.5", livekit_servers)
    with Call() as call:
        with Call() as stays:
            stays.start([stack.seat("alice", "stays")])
            stack.media.ensure()
            direct = stack.seat("bob", "new")
            assert stack.slot_of(direct) == "b"
            relayed = attrs.evolve(stack.seat("carol", "new"), url=stack.seat("dora", "stays").url)
            assert stack.slot_of(relayed) == "a"
            call.start([direct, relayed])
        call.listen(BASELINE_S)
        call.mark("the room of the old slot has ended")
        stack.until("the old slot has no room", lambda: rooms_of_node(stack, "a") == {}, within_s=60.0)
        stack.until("alice is seen to have left", lambda: counted(stack) == {"a": (0, 1), "b": (1, 2)}, within_s=30.0)
        # Longer than anybody with its address is waited for.
        asked_until_s = time.monotonic() + 15.0
        while time.monotonic() < asked_until_s:
            assert not stack.media.ensure().changed
            time.sleep(0.5)
        reports = call.report()
    assert_unnoticed(reports)
    stack.until_empty()
    stack.until("the old slot has ended", lambda: stack.media.ensure().converged, within_s=ENDED_S)
    assert stack.servers() == {"b": "1.13.5-r1"}


def counted(stack: Stack) -> dict[str, tuple[int | None, int | None]]:
    """Rooms and people of each slot, as they are counted for a decision."""
    return {
        seen.spec.slot: (seen.calls.rooms, seen.calls.people) for seen in stack.media.status().instances if seen.calls
    }


@pytest.mark.night
def test_what_a_killed_node_leaves_is_cleared_away_and_who_came_back_is_not(
    stack: Stack, livekit_servers: dict[str, Path]
) -> None:
    """A room that nobody came back to is gone with its people; in the other one nobody notices that."""
    running(stack, "1.13.5", livekit_servers)
    with Call() as back:
        back.start([stack.seat(name, "back") for name in ("alice", "bob")])
        with Call() as gone:
            gone.start([stack.seat(name, "gone") for name in ("carol", "dora")])
            back.listen(BASELINE_S)
            assert rooms_of_node(stack, "a") == {"back": {"alice", "bob"}, "gone": {"carol", "dora"}}
            # lk-backend looks every five seconds, and must have seen the node while it lived.
            nodes = stack.places.home / "backend" / "nodes.json"
            stack.until("lk-backend knows the node", nodes.exists)
            back.mark("killed")
            os.kill(stack.identities()["livekit-server@a"][0], signal.SIGKILL)
        began = time.monotonic()
        assert back.wait_until(lambda reports: all(report.reconnects for report in reports), timeout_s=25.0)
        back_s = time.monotonic() - began
        back.listen(SETTLE_S)
        reports = back.report()
        FIGURES.append(f"killed with Redis: all back {back_s:.1f} s later; {gaps(reports)}")
        assert {room["name"] for room in listed(stack)} == {"back", "gone"}
        assert {"carol", "dora"} <= people_of(stack, "gone")
        back.mark("cleared away")
        stack.until("what nobody came back to is gone", lambda: len(listed(stack)) == 1, within_s=90.0)
        FIGURES.append(f"a room of a killed node was gone after {time.monotonic() - began:.0f} s")
        back.listen(SETTLE_S)
        reports = back.report()
    assert judge(reports).calls_dropped == 0, reports
    assert [(report.disconnects, report.reconnects) for report in reports] == [(0, 1), (0, 1)], reports
    assert stack.media.ensure().changed is False


def listed(stack: Stack) -> list[dict[str, Any]]:
    """The rooms that Redis knows of."""
    found: list[dict[str, Any]] = api(stack, "ListRooms", {}, {"roomList": True}).get("rooms", [])
    return found


def people_of(stack: Stack, room: str) -> set[str]:
    """Who is in a room, as Redis knows it."""
    grant = {"roomAdmin": True, "room": room}
    return {one["identity"] for one in api(stack, "ListParticipants", {"room": room}, grant).get("participants", [])}


class Both:
    """Slots a and b of a stack as nodes of its Redis, lk-backend and a second one, and people who join rooms."""

    def __init__(self, stack: Stack, second: int) -> None:
        self.stack = stack
        self.backends = (stack.ports[5], second)
        self.runtime = stack.places.home / "runtime.json"
        self.read: dict[str, Any] = json.loads(self.runtime.read_text())
        self.urls: list[str] = list(self.read["slots"].values())

    @contextmanager
    def switching(self) -> Iterator[None]:
        """New rooms go to the one slot and to the other in turn, all the time."""
        over = threading.Event()

        def switch() -> None:
            at = 0
            while not over.wait(SWITCH_EVERY_S):
                at += 1
                write_atomically(self.runtime, json.dumps(self.read | {"join_url": self.urls[at % 2]}), 0o600)

        switcher = threading.Thread(target=switch)
        switcher.start()
        try:
            yield
        finally:
            over.set()
            switcher.join()

    async def given(self, web: aiohttp.ClientSession, room: str, at: int) -> tuple[str, str]:
        """Address and token from one of the two lk-backends."""
        headers = {"authorization": f"Bearer {self.read['backend_secret']}"}
        body = {"room": room, "identity": f"p{at}"}
        async with web.post(f"http://127.0.0.1:{self.backends[at]}/api/token", json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            found = await answer.json()
            return found["url"], found["token"]

    async def signed(self, _: aiohttp.ClientSession, room: str, at: int) -> tuple[str, str]:
        """A token that nobody made a room for, and any address."""
        grant = {"room": room, "roomJoin": True}
        claims = {"iss": self.read["api_key"], "sub": f"p{at}", "exp": int(time.time()) + 600, "video": grant}
        return self.urls[at], jwt.encode(claims, self.read["api_secret"], algorithm="HS256")

    def splits(self, rooms: int, ask: Callable[[aiohttp.ClientSession, str, int], Awaitable[tuple[str, str]]]) -> int:
        """Two people at once in each of so many new rooms; how many rooms have somebody on each node."""
        return asyncio.run(self._splits(rooms, ask))

    async def _splits(
        self, rooms: int, ask: Callable[[aiohttp.ClientSession, str, int], Awaitable[tuple[str, str]]]
    ) -> int:
        split = 0
        for first in range(0, rooms, AT_ONCE):
            names = [f"r{number}" for number in range(first, min(first + AT_ONCE, rooms))]
            async with aiohttp.ClientSession() as web, AsyncExitStack() as joined:

                async def join(
                    room: str, at: int, web: aiohttp.ClientSession = web, joined: AsyncExitStack = joined
                ) -> None:
                    url, token = await ask(web, room, at)
                    signal_url = f"{url}/rtc?access_token={token}&protocol=15&sdk=js&auto_subscribe=1"
                    socket = await joined.enter_async_context(web.ws_connect(signal_url))
                    await socket.receive(timeout=10)  # the answer to the join: from now on the room's node has them

                await asyncio.gather(*(join(room, at) for room in names for at in (0, 1)))
                split += await asyncio.to_thread(self.split_now, names)
        return split

    def split_now(self, names: list[str]) -> int:
        """How many of these rooms have people on both nodes; each room must have both its people."""
        a, b = (rooms_of_node(self.stack, slot) for slot in ("a", "b"))
        found = {name: (a.get(name, set()), b.get(name, set())) for name in names}
        assert {name: here | there for name, (here, there) in found.items()} == {name: {"p0", "p1"} for name in names}
        return sum(bool(here and there) for here, there in found.values())


@pytest.fixture
def both(stack: Stack, livekit_servers: dict[str, Path]) -> Iterator[Both]:
    """In the middle of an upgrade: both slots run."""
    running(stack, "1.13.3", livekit_servers)
    wanted(stack, "1.13.5", livekit_servers)
    # Somebody is in a call, so that the first slot stays, whoever asks for what.
    with Call() as call:
        call.start([stack.seat("alice", "stays")])
        stack.media.ensure()
        assert stack.servers() == {"a": "1.13.3-r1", "b": "1.13.5-r1"}
        (second,) = free_ports(1)
        (settings,) = (stack.places.home / "backend").glob("launch-*/backend.env")
        command = [sys.executable, "-m", "hero_livekit_units.backend", "--env-file", str(settings)]
        environment = stack.environment | {"PORT": str(second), "SQLITE_PATH": str(stack.root / "second" / "db")}
        (stack.root / "second").mkdir(mode=0o700)
        backend = subprocess.Popen(command, env=environment)
        try:
            stack.until("the second lk-backend answers", lambda: answers(second))
            yield Both(stack, second)
        finally:
            backend.terminate()
            backend.wait()


def answers(port: int) -> bool:
    """Whether an lk-backend is ready."""
    try:
        return requests.get(f"http://127.0.0.1:{port}/health", timeout=2).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize(
    "rooms", [60, pytest.param(1000, marks=[pytest.mark.night, pytest.mark.timeout(1200)])], ids=str
)
def test_no_room_splits_whoever_asks_at_once(rooms: int, both: Both) -> None:
    """Two first joins at once, by two lk-backends of one Redis, while new rooms change over all the time."""
    began = time.monotonic()
    with both.switching():
        split = both.splits(rooms, both.given)
    FIGURES.append(f"{split} of {rooms} rooms split, in {time.monotonic() - began:.0f} s of first joins at once")
    assert split == 0


def test_a_split_would_be_noticed(both: Both) -> None:
    """The measurement proves itself: a room that is made to split counts as one. Without the defence some do."""
    store = redis.Redis(port=both.stack.media.settings().redis.port, decode_responses=True)
    nodes = list(store.hkeys("nodes"))

    async def astray(web: aiohttp.ClientSession, room: str, at: int) -> tuple[str, str]:
        await asyncio.sleep(0.5 * at)
        await asyncio.to_thread(store.hset, "room_node_map", room, nodes[at])
        return await both.signed(web, room, at)

    assert both.splits(1, astray) == 1
    split = both.splits(60, both.signed)
    FIGURES.append(f"without the defence {split} of 60 rooms split")
