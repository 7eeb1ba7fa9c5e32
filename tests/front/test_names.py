"""The keys of rooms, and what the front's answers add up to."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hero_livekit_units.errors import FrontRefused
from hero_livekit_units.livekit.frontstate import EXPIRE_S, FrontState, Row, rows_of
from hero_livekit_units.livekit.roomkeys import LONGEST, keys_of, name_of

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(NAMES)
@example("größe")
@example("会议 😀")
@example('"')
@example("*")
def test_a_key_says_which_room_it_is(name: str) -> None:
    """Every key of a name is one word of a command, and means that name."""
    keys = keys_of(name)
    assert all(key.isascii() and not set(key) & set(" ;\\\n<*") for key in keys)
    # Bytes of Latin-1 that happen to be UTF-8 cannot be told from it.
    sure = keys if not any("\x80" <= letter <= "\xff" for letter in name) else keys[:1]
    assert {name_of(key) for key in sure if len(key) < LONGEST} <= {name}
    assert name_of(keys[0]) == name or len(keys[0]) == LONGEST


def test_the_key_of_a_long_name_is_cut() -> None:
    """As the front cuts it, wherever that is, and what is left has a name."""
    assert [len(key) for key in keys_of("会" * 200)] == [LONGEST, LONGEST]
    assert all(name_of(key) for key in keys_of("会" * 200))
    assert name_of(keys_of("ü" * 400)[0]).startswith("ü" * 100)


def test_the_rows_of_a_table() -> None:
    """As HAProxy 2.6 prints them; without connections, what is left of an entry's time says how long it is quiet."""
    text = (
        "# table: slots, type: string, size:102400, used:3\n"
        "0x55a1: key=a%20b use=2 exp=604799897 gpt0=1 conn_cur=2\n"
        f"0x55a2: key=c use=0 exp={(EXPIRE_S - 40) * 1000} gpt0=2 conn_cur=0\n"
        "0x55a3: key=d use=0 exp=604800000 gpt0=0 conn_cur=0\n"
    )
    assert rows_of(text) == {"a%20b": Row(1, 2, 0.0), "c": Row(2, 0, 40.0), "d": Row(0, 0, 0.0)}


STATE = FrontState(
    pid=7,
    uptime_s=50,
    mark="m",
    numbers={"a": 1, "b": 2},
    map={"*": 2, "kept": 1, "moved": 1},
    table={"moved": Row(2, 1, 0.0), "quiet": Row(1, 0, 40.0), "undecided": Row(0, 0, 5.0)},
    old={5: {"quiet": Row(1, 3, 0.0), "only%20old": Row(1, 1, 0.0), "moved": Row(1, 0, 9.0)}},
)


def test_what_the_workers_say_adds_up() -> None:
    """Connections of all workers; of where a room is, the newest table knows best, and then older ones, and the map."""
    rooms = {room.name: (room.slot, room.connections, room.quiet_s) for room in STATE.seen().rooms}
    assert rooms == {
        "kept": ("a", 0, 50.0),
        "moved": ("b", 1, 0.0),
        "only old": ("a", 1, 0.0),
        "quiet": ("a", 3, 0.0),
        "undecided": ("b", 0, 5.0),
    }
    assert STATE.rooms_map({}, frozenset()) == {"*": 2, "kept": 1, "only%20old": 1, "quiet": 1}
    assert STATE.rooms_map({"quiet": 2, "told": 1}, frozenset({"kept"})) == {
        "*": 2,
        "only%20old": 1,
        "quiet": 1,
        "told": 1,
    }


def test_what_the_table_does_not_have_yet() -> None:
    """What only the map or an old worker says of a room that is where new ones go; the rest is in the map."""
    state = attrs.evolve(STATE, map={**STATE.map, "*": 1, "gone": 1})
    assert state.not_entered(frozenset({"gone"})) == {"kept": 1, "only%20old": 1}
    assert STATE.not_entered(frozenset()) == {}


def test_what_has_ended() -> None:
    """Neither a connection, nor one a moment ago, nor a name on a slot."""
    seen = STATE.seen()
    assert [room.name for room in seen.ended([])] == ["kept"]
    assert [room.name for room in seen.ended([], quiet_s=5.0)] == ["kept", "undecided"]
    assert [room.name for room in seen.ended(["undecided"], quiet_s=5.0)] == ["kept"]


def test_one_room_under_two_keys() -> None:
    """Two services write its name in two ways: it is one room, and it is where its people are."""
    utf8, latin = keys_of("größe")
    state = attrs.evolve(STATE, old={}, map={"*": 2}, table={utf8: Row(2, 0, 3.0), latin: Row(1, 2, 0.0)})
    (room,) = state.seen().rooms
    assert (room.name, room.slot, room.connections, set(room.keys)) == ("größe", "a", 2, {utf8, latin})


def test_an_unknown_slot() -> None:
    """It is refused with those that there are."""
    assert STATE.number("b", "do it") == 2
    with pytest.raises(FrontRefused, match="cannot do it: it knows a, b"):
        STATE.number("c", "do it")
