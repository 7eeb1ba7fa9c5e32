"""What the front knows of rooms and slots, put together from what its workers say. Pure.

One room may have entries in the tables of several workers, under several keys (see `roomkeys`), and in rooms.map.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from hero_livekit_units.errors import FrontRefused
from hero_livekit_units.livekit.roomkeys import LONGEST, keys_of, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NEW_ROOMS = "*"  # in rooms.map, where no key of a room begins so
MARK = "HLU_FILES"  # in the environment of a worker
EXPIRE_S = 7 * 24 * 3600  # of the table's entries, as in the unit's file
_ENTRY = re.compile(r"^0x\w+: key=(\S+) (.+)$", re.MULTILINE)
_VALUE = re.compile(r"(\w+)=(\d+)")


@frozen
class RoomSeen:
    """A room as the front knows it.

    slot: where its joins go. connections: open ones through the front, of all its workers. quiet_s: how long the last
    has been closed, 0 while there is one; after a start of the front, at least since then. keys: those of its entries.
    """

    name: str
    slot: str
    connections: int
    quiet_s: float
    keys: tuple[str, ...]


@frozen
class FrontSeen:
    """What the front said of itself at one moment.

    new_rooms: the slot where new rooms go. rooms: by name. mark: of the configuration that the worker has read, see
    `mark_of`. pid, uptime_s: of the worker that takes new connections. old_workers: those that only keep connections.
    """

    new_rooms: str
    slots: tuple[str, ...]
    rooms: tuple[RoomSeen, ...]
    mark: str
    pid: int
    uptime_s: int
    old_workers: tuple[int, ...]

    def ended(self, running: Iterable[str], *, quiet_s: float = 30.0) -> tuple[RoomSeen, ...]:
        """The rooms that nobody is connected to, for so long, and that are not among the names of those that run.

        livekit-server keeps someone whose connection was cut for 20 s or so: hence both conditions. `running` must be
        of all slots, and newer than this value.
        """
        names = set(running)
        keys = {key for name in names for key in keys_of(name)}  # a name that was cut is known by its key only
        return tuple(
            room
            for room in self.rooms
            if not room.connections
            and room.quiet_s >= quiet_s
            and room.name not in names
            and keys.isdisjoint(room.keys)
        )


@frozen
class Row:
    """An entry of the table: the number of its slot, 0 while none is decided, open connections, seconds without any."""

    slot: int
    connections: int
    quiet_s: float


@frozen
class FrontState:
    """All that was read at one moment.

    numbers: of the slots, by name. table: that of the worker, by key. old: those of the workers that only keep
    connections, by pid. map: what `rooms.map` is in the worker's memory.
    """

    pid: int
    uptime_s: int
    mark: str
    numbers: dict[str, int]
    map: dict[str, int]
    table: dict[str, Row]
    old: dict[int, dict[str, Row]]

    def number(self, slot: str, action: str) -> int:
        """The number of a slot.

        Raises:
            FrontRefused: there is none of this name, so that this action cannot be done.
        """
        if slot not in self.numbers:
            raise FrontRefused(action, f"it knows {', '.join(self.numbers)}")
        return self.numbers[slot]

    def places(self, *, without: frozenset[str] = frozenset()) -> dict[str, int]:
        """Where each room is, by key; of those `without`, only what is in the table."""
        found = {key: number for key, number in self.map.items() if key != NEW_ROOMS and name_of(key) not in without}
        for table in (*reversed(self.old.values()), self.table):  # the newer, the truer
            found |= {key: row.slot for key, row in table.items() if row.slot}
        return found

    def rooms_map(self, known: Mapping[str, int], forgotten: frozenset[str]) -> dict[str, int]:
        """What rooms.map is to be: where new rooms go, and each room that is on another slot, under all its keys.

        Args:
            known: the slot of each of these keys, where the front does not know better.
            forgotten: names that are to be there no more, unless the table has them again.
        """
        new = self.map[NEW_ROOMS]
        places = {**known, **self.places(without=forgotten)}
        away: dict[str, int] = {}
        for key, number in places.items():
            if number != new and len(key) < LONGEST:  # of a name that was cut the other keys are not known
                away |= dict.fromkeys(keys_of(name_of(key)), number)
        # What the table says of a key counts more than what another key of the same name says.
        wanted = {key: number for key, number in (away | places).items() if number != new}
        return {NEW_ROOMS: new, **dict(sorted(wanted.items()))}

    def not_entered(self, forgotten: frozenset[str]) -> dict[str, int]:
        """Rooms that are where new ones go, and that neither the table nor `rooms_map` has."""
        new = self.map[NEW_ROOMS]
        places = self.places(without=forgotten)
        return {key: number for key, number in places.items() if number == new and key not in self.table}

    def seen(self) -> FrontSeen:
        """The same, as it is told."""
        names = {number: name for name, number in self.numbers.items()}
        rows: dict[str, list[Row]] = {}
        for table in (self.table, *self.old.values()):
            for key, row in table.items():
                rows.setdefault(key, []).append(row)
        places = self.places()
        by_name: dict[str, list[str]] = {}
        for key in sorted({*rows, *places}):
            by_name.setdefault(name_of(key), []).append(key)
        rooms = []
        for name, keys in sorted(by_name.items()):
            found = [row for key in keys for row in rows.get(key, ())]
            open_ = sum(row.connections for row in found)
            # Where one name has entries under two keys, the one with people in it says where it is.
            first = max(keys, key=lambda key: (sum(row.connections for row in rows.get(key, ())), key in rows))
            number = places.get(first) or self.map[NEW_ROOMS]
            quiet_s = 0.0 if open_ else min([row.quiet_s for row in found] or [float(self.uptime_s)])
            rooms.append(RoomSeen(name, names.get(number, ""), open_, quiet_s, tuple(keys)))
        return FrontSeen(
            new_rooms=names.get(self.map[NEW_ROOMS], ""),
            slots=tuple(self.numbers),
            rooms=tuple(rooms),
            mark=self.mark,
            pid=self.pid,
            uptime_s=self.uptime_s,
            old_workers=tuple(self.old),
        )


def rows_of(table: str) -> dict[str, Row]:
    """The entries of a table, by key, as `show table` lists them."""
    found = {}
    for key, rest in _ENTRY.findall(table):
        values = {name: int(value) for name, value in _VALUE.findall(rest)}
        connections = values.get("conn_cur", 0)
        quiet_s = 0.0 if connections else max(0.0, EXPIRE_S - values.get("exp", 0) / 1000)
        found[key] = Row(values.get("gpt0", 0), connections, quiet_s)
    return found
