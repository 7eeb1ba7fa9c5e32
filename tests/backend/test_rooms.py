"""Where a room is joined: slots that have it, make it, refuse, stall and come back."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from hero_livekit_units.backend.rooms import Rooms
from hero_livekit_units.backend.routes import Routes
from hero_livekit_units.errors import DaemonError
from tests.backend.running import API_KEY, API_SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator


class Slot:
    """A livekit-server so far as its RoomService goes: `rooms` are those it has, `asked` what it was asked for.

    status: of all its answers. body: of its list, where that is another one than a livekit-server's. stalls: it says
    nothing. slow_s: how late it answers.
    """

    def __init__(self, port: int = 0) -> None:
        self.rooms: set[str] = set()
        self.asked: list[str] = []
        self.status = 200
        self.body: bytes | None = None
        self.stalls = threading.Event()
        self.slow_s = 0.0
        slot = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                wanted = json.loads(self.rfile.read(int(self.headers["content-length"])))
                token = self.headers["authorization"].removeprefix("Bearer ")
                grant = jwt.decode(token, API_SECRET, algorithms=["HS256"])["video"]
                slot.asked.append(self.path.rpartition("/")[2])
                time.sleep(slot.slow_s)
                if slot.stalls.is_set():
                    time.sleep(3.0)
                    return
                if self.path.endswith("/ListRooms"):
                    assert grant == {"roomList": True}
                    answer: Any = {"rooms": [{"name": name} for name in wanted["names"] if name in slot.rooms]}
                else:
                    assert grant == {"roomCreate": True}
                    slot.rooms.add(wanted["name"])
                    answer = {"name": wanted["name"]}
                self.send_response(slot.status)
                self.end_headers()
                self.wfile.write(slot.body if slot.body is not None else json.dumps(answer).encode())

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        ThreadingHTTPServer.request_queue_size = 512
        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"ws://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Nothing listens on its port any more."""
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def slots() -> Iterator[tuple[Slot, Slot]]:
    """Slots a and b, both up."""
    both = (Slot(), Slot())
    yield both
    for slot in both:
        slot.close()


def address(new: Slot, slots: tuple[Slot, Slot], room: str = "x", hold_s: float = 0.3) -> str:
    """Where a room is joined while new rooms go to one of the slots."""
    routes = Routes(new.url, {"a": slots[0].url, "b": slots[1].url})
    rooms = Rooms(lambda: routes, key=API_KEY, secret=API_SECRET)
    return asyncio.run(rooms.address(room, time.monotonic() + hold_s))


def test_one_address_for_all() -> None:
    """Where a front knows the slots nobody is asked, whether somebody is there or not."""
    rooms = Rooms(lambda: Routes("ws://127.0.0.1:9"), key=API_KEY, secret=API_SECRET)
    assert asyncio.run(rooms.address("x", 0.0)) == "ws://127.0.0.1:9"


def test_a_new_room_is_made_where_new_rooms_go(slots: tuple[Slot, Slot]) -> None:
    """Before anybody joins it: who asks after the routes have changed finds it there."""
    a, b = slots
    assert address(a, slots) == a.url
    assert (a.rooms, b.rooms) == ({"x"}, set())
    assert address(b, slots) == a.url
    assert address(b, slots, "y") == b.url
    assert (a.rooms, b.rooms) == ({"x"}, {"y"})


def test_a_slot_in_which_nothing_runs_has_no_room(slots: tuple[Slot, Slot]) -> None:
    """Nobody waits for it."""
    a, b = slots
    a.close()
    assert address(b, slots, hold_s=0.0) == b.url


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_stranger_on_the_port_of_a_slot_has_no_room_of_ours(status: int, slots: tuple[Slot, Slot]) -> None:
    """It does not know our key, or what a room is."""
    a, b = slots
    a.rooms.add("x")
    a.status = status
    assert address(b, slots, hold_s=0.0) == b.url


@pytest.mark.parametrize("body", [b"no JSON", b'["x"]', b'{"rooms": "many"}'])
def test_what_cannot_be_understood_is_no_answer(body: bytes, slots: tuple[Slot, Slot]) -> None:
    """A room is never made on the new slot because of an answer that nobody understands."""
    a, b = slots
    a.body = body
    with pytest.raises(DaemonError, match=r"cannot tell where the room is joined: .* does not say which rooms it has"):
        address(b, slots)
    assert b.rooms == set()


def test_an_old_slot_that_stalls_may_have_the_room(slots: tuple[Slot, Slot]) -> None:
    """Unknown is not no: nobody is sent to another slot for that, and the request is refused for now."""
    a, b = slots
    a.rooms.add("x")
    a.stalls.set()
    with pytest.raises(DaemonError, match=f"no answer from {a.url}"):
        address(b, slots)
    assert b.rooms == set()
    a.stalls.clear()
    assert address(b, slots) == a.url


@pytest.mark.parametrize("status", [500, 503])
def test_a_slot_that_makes_no_room(status: int, slots: tuple[Slot, Slot]) -> None:
    """No token is handed out for a room that is nowhere."""
    a, _ = slots
    a.status = status
    with pytest.raises(DaemonError, match=f"{a.url} makes no room \\(HTTP {status}\\)"):
        address(a, slots)


def test_a_request_is_held_while_the_slot_is_replaced(slots: tuple[Slot, Slot]) -> None:
    """It waits until the slot is there again; for one that stays away it is refused in the end."""
    a, b = slots
    a.close()
    back: list[Slot] = []
    later = threading.Timer(0.2, lambda: back.append(Slot(a.port)))
    later.start()
    began = time.monotonic()
    assert address(a, (a, b), hold_s=5.0) == a.url
    assert 0.15 < time.monotonic() - began < 3.0
    back[0].close()
    with pytest.raises(DaemonError, match=f"nothing answers at {a.url}"):
        address(a, (a, b), hold_s=0.1)


def test_first_joins_at_once_while_new_rooms_go_elsewhere(slots: tuple[Slot, Slot]) -> None:
    """Whatever the routes are in the middle of it, all who join a room are sent to one slot."""
    a, b = slots
    switched = [a, b]
    a.slow_s = b.slow_s = 0.02

    async def many() -> list[list[str]]:
        rooms = Rooms(lambda: Routes(switched[0].url, {"a": a.url, "b": b.url}), key=API_KEY, secret=API_SECRET)

        async def turn() -> None:
            for _ in range(40):
                await asyncio.sleep(0.005)
                switched.reverse()

        async def meet(name: str) -> list[str]:
            async def join() -> str:
                await asyncio.sleep(random.random() / 20)  # noqa: S311
                return await rooms.address(name, time.monotonic() + 1.0)

            return list(await asyncio.gather(*(join() for _ in range(4))))

        found, _ = await asyncio.gather(asyncio.gather(*(meet(f"r{at}") for at in range(30))), turn())
        return list(found)

    assert [found for found in asyncio.run(many()) if len(set(found)) != 1] == []
    assert a.rooms.isdisjoint(b.rooms)
