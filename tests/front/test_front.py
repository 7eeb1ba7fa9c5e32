"""Rooms stay on their slot, whatever the front goes through: real HAProxy, stand-ins for the slots."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.errors import FrontRefused
from hero_livekit_units.livekit.front import mark_of
from hero_livekit_units.livekit.roomkeys import LONGEST
from tests.front.running import wait_for
from tests.front.slots import encoded, split

if TYPE_CHECKING:
    from tests.front.running import RunningFront

pytestmark = pytest.mark.servers


def test_what_it_says_of_itself(running: RunningFront) -> None:
    """Where new rooms go, the rooms with their people, the configuration that is read."""
    seen = running.seen()
    assert (seen.new_rooms, seen.slots, seen.rooms, seen.old_workers) == ("a", ("a", "b"), (), ())
    assert seen.mark == mark_of(running.config())
    assert seen.mark
    people = [running.join(room) for room in ("green", "blue", "green")]
    assert [one.slot for one in people] == ["a", "a", "a"]
    assert [(room.name, room.slot, room.connections) for room in running.seen().rooms] == [
        ("blue", "a", 1),
        ("green", "a", 2),
    ]


@pytest.mark.parametrize("answers_after_s", [0.0, 0.05])
def test_new_rooms_are_switched_under_load(running: RunningFront, answers_after_s: float) -> None:
    """50 joins a second, four at once for each room: ten switches amid them split no room and fail no join."""
    running.a.answers_after_s = running.b.answers_after_s = answers_after_s
    crowd = running.crowd()
    began_s = time.monotonic()
    switches = 0
    for at in range(40):
        room = f"room {at}"
        for _ in range(2):
            crowd.join(room)
        if at % 4 == 2:
            switches += 1
            running.front.route("b" if switches % 2 else "a")
        for _ in range(2):
            crowd.join(room)
        time.sleep(max(0.0, began_s + (at + 1) * 4 / 50 - time.monotonic()))
    took_s = time.monotonic() - began_s
    joins = crowd.all()
    rooms = {slot.name: len(slot.rooms) for slot in (running.a, running.b)}
    print(f"{len(joins)} joins in {took_s:.1f} s, {switches} switches, rooms {rooms}, split {split(joins)}")  # noqa: T201
    assert [one for one in joins if one.fault] == []
    assert split(joins) == {}
    assert not running.a.rooms & running.b.rooms
    assert min(rooms.values()) >= 10
    assert switches == 10


def test_late_joiners_new_rooms_and_rooms_that_ended(running: RunningFront) -> None:
    """An old room stays where it is, new ones go to the new slot, and so does a name again once it is forgotten."""
    people = [running.join("old"), running.join("ended")]
    seen = running.front.route("b")
    assert (seen.new_rooms, [(room.name, room.slot) for room in seen.rooms]) == ("b", [("ended", "a"), ("old", "a")])
    assert [running.join(room).slot for room in ("old", "ended", "new", "new")] == ["a", "a", "b", "b"]
    assert running.front.forget(running.seen().rooms) == ("ended", "new", "old")
    assert [running.join(room).slot for room in ("old", "ended", "new")] == ["a", "a", "b"]
    running.leave("ended")
    seen = wait_for(running, lambda seen: [room.connections for room in seen.rooms if room.name == "ended"] == [0])
    assert seen.ended(["old", "new"]) == ()  # it may be somebody whose network has gone, and who comes back
    (ended,) = seen.ended(["old", "new"], quiet_s=0.0)
    assert ended.name == "ended"
    assert running.front.forget([ended]) == ()
    assert running.join("ended").slot == "b"
    assert all(one.still_open() for one in people if one.room == "old")


def test_rooms_are_forgotten_amid_joins(running: RunningFront) -> None:
    """People come again in the moment in which their room is forgotten: all of a room meet, on whichever slot."""
    names = [f"again {at}" for at in range(60)]
    for name in names:
        running.join(name)
    running.front.route("b")
    for name in names:
        running.leave(name)
    seen = wait_for(running, lambda seen: not any(room.connections for room in seen.rooms))
    crowd = running.crowd()

    def come_again() -> None:
        for name in names:
            for _ in range(3):
                crowd.join(name)

    joining = threading.Thread(target=come_again)
    joining.start()
    # Backwards: they meet in the middle.
    left = running.front.forget(reversed(seen.rooms))
    joining.join()
    joins = crowd.all()
    slots = {slot: len({one.room for one in joins if one.slot == slot}) for slot in "ab"}
    print(f"{len(names)} rooms forgotten amid {len(joins)} joins: {len(left)} refused, came up on {slots}")  # noqa: T201
    assert [one for one in joins if one.fault] == []
    assert split(joins) == {}
    assert {room.name: room.slot for room in running.seen().rooms} == {one.room: one.slot for one in joins}


def test_routing_again_changes_nothing(running: RunningFront) -> None:
    """It is idempotent, back and forth as well, and an unknown slot is refused by name."""
    running.join("one")
    assert running.front.route("a") == running.front.route("a")
    there = running.front.route("b")
    kept = (running.folder / "rooms.map").read_text()
    assert running.front.route("b").rooms == there.rooms
    assert (running.folder / "rooms.map").read_text() == kept == "* 2\none 1\n"
    running.front.route("a")
    assert (running.folder / "rooms.map").read_text() == "* 1\n"
    with pytest.raises(FrontRefused, match="cannot route new rooms to c: it knows a, b"):
        running.front.route("c")


def test_rooms_that_the_front_has_not_seen_yet(running: RunningFront) -> None:
    """What the slots tell of their rooms counts where the front knows nothing; what it knows itself counts more."""
    running.join("seen")
    running.front.route("b", known={"unseen": "a", "seen": "b", "größe": "a", "会议": "a"})
    assert [running.join(room).slot for room in ("unseen", "seen", "größe", "会议", "new")] == ["a"] * 4 + ["b"]


def test_rooms_are_moved(running: RunningFront) -> None:
    """Joins of a moved room reach the other slot at once; whoever is connected stays until the old slot is ended."""
    people = [running.join("moves"), running.join("stays")]
    seen = running.front.route("b")
    (moves,) = (room for room in seen.rooms if room.name == "moves")
    assert [room.slot for room in running.front.move([moves], "b").rooms] == ["b", "a"]
    assert [running.join(room).slot for room in ("moves", "stays")] == ["b", "a"]
    assert all(one.still_open() for one in people)
    assert (running.folder / "rooms.map").read_text() == "* 2\nstays 1\n"


NAMES = ("größe", "会议", "e😀", 'a b;c="d"\\x', "x\ny", "<tag>&", '"quoted"', "*", "{}", "q" * 256, "会" * 200)


@pytest.mark.parametrize("written", [False, True], ids=["escaped", "as-it-is"])
@pytest.mark.parametrize("name", NAMES, ids=[ascii(name[:12]) for name in NAMES])
def test_any_name_of_a_room(name: str, written: bool, running: RunningFront) -> None:  # noqa: FBT001  a parameter
    """However a token writes it, the room is found again, and nothing else that looks like a name of one."""
    video = {"canPublishSources": ["}"], "room": name}
    claims = {"metadata": '{"video":{"room":"x"}}', "attributes": {"room": "y"}, "video": video}
    given = encoded({**claims, "sub": "1"}, ascii_only=not written)
    assert running.join(name, given=given).slot == "a"
    (room,) = running.front.route("b").rooms
    cut = any(len(key) == LONGEST for key in room.keys)
    if not cut:
        assert room.name == name
    assert (room.slot, room.connections) == ("a", 1)
    assert running.join(name, given=given).slot == "a"
    other = encoded({**claims, "sub": "2"}, ascii_only=written)
    if not cut:
        assert running.join(name, given=other).slot == "a"
    assert running.join("new").slot == "b"
    assert running.seen().ended([name, "new"], quiet_s=0.0) == ()


def test_who_names_no_room_goes_where_new_rooms_go(running: RunningFront) -> None:
    """Such as a service that asks for a list; it leaves no entry."""
    assert running.join(None).slot == "a"
    running.front.route("b")
    assert running.join(None).slot == "b"
    assert running.seen().rooms == ()
