"""Steers the front while it runs: where new rooms go and where each room is, a new configuration, a new certificate.

What HAProxy is told is in its memory, and for its next start in `rooms.map` of its folder: where new rooms go, and each
room that is on another slot. So this is kept:

- A reload: everything. Open connections stay with the old worker, which lives until the last of them ends. The new one
  reads rooms.map, in which all rooms are then, and `reload` enters them into its table. HAProxy's own way, `peers`, is
  not used: a worker that is not 10 s old teaches its table to nobody (1,434 of 1,639 joins of old rooms amid a reload
  went to the wrong slot), and one that does, too late for some (5 of 1,547); with the file none did of 980, amid four.
- The end of the worker, of the master, or of both, by SIGKILL too: every connection through the front is cut, and the
  supervisor starts it again (a master without its worker ends, and a worker without its master as well). The table is
  lost, rooms.map is not: who comes back, or joins late, reaches the slot where the room is. What is said in the
  milliseconds between a change of HAProxy's memory and of the file would be lost: `route` says it again.

Only one at a time may steer a front. Slots are called as HAProxy calls its servers. Every call has one deadline, in
seconds, for all of it, and raises FrontUnavailable when that has passed or the front does not answer, and FrontRefused
when it will not. Why not by the weights of servers, with `stick on`: HAProxy enters a room only when the slot has
answered its first join, so 19 of 20 rooms with simultaneous first joins were split by a switch (slots that took 50 ms
to answer); and weights are two commands, where `set map` is one.
"""

from __future__ import annotations

import hashlib
import re
import ssl
import time
from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.errors import FrontError, FrontRefused, FrontUnavailable, StepFailed
from hero_livekit_units.livekit import haproxy
from hero_livekit_units.livekit.frontstate import MARK, NEW_ROOMS, FrontState, rows_of
from hero_livekit_units.livekit.roomkeys import keys_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from hero_livekit_units.livekit.frontstate import FrontSeen, RoomSeen
    from hero_livekit_units.livekit.haproxy import ConfigFault, Line, Processes

ROOMS = "rooms.map"
_TABLE = "slots"
_LOOK_S, _ACT_S, _RELOAD_S = 0.5, 5.0, 10.0
_LOOK_AGAIN_S = 0.02
_LARGEST_PAYLOAD = 8 * 1024  # HAProxy takes a command and its payload only where they fit into one of its buffers


@frozen
class Reloaded:
    """A reload that took: the mark and pid of the new worker, the rooms that it knows, and how long it took."""

    mark: str
    pid: int
    rooms: int
    took_s: float


def mark_of(config: str) -> str:
    """The mark in the text of a configuration, "" where it has none; FrontSeen has that of what runs."""
    found = re.search(rf"^ *setenv {MARK} (\S+)$", config, re.MULTILINE)
    return found[1] if found else ""


class Front:
    """The front that runs, or is to run, with this folder as its working folder. Holds nothing between calls."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def see(self, deadline_s: float = _LOOK_S) -> FrontSeen | None:
        """What the front says of itself; None when it cannot be asked, which says nothing about it."""
        try:
            return self._look(time.monotonic() + deadline_s).seen()
        except FrontError:
            return None

    def route(self, slot: str, *, known: Mapping[str, str] | None = None, deadline_s: float = _ACT_S) -> FrontSeen:
        """From now on new rooms go to this slot; every room that the front knows stays where it is.

        It is one assignment, on the one thread that also decides where a room goes: there is no moment at which both
        slots get new rooms, or none.

        Args:
            slot: where to; that it is so already does no harm.
            known: where rooms are, by name, as the slots tell; needed only for rooms that nobody has joined through the
                front since it was started. What the front knows better counts.
            deadline_s: seconds.

        Returns:
            What the front said afterwards.
        """
        until = time.monotonic() + deadline_s
        state = self._look(until)
        action = f"route new rooms to {slot}"
        number = state.number(slot, action)
        here = {room.name for room in state.seen().rooms}
        told = {name: state.number(at, action) for name, at in (known or {}).items() if name not in here}
        places = {key: at for name, at in told.items() for key in keys_of(name)}
        # Before and after, so that a front that is started again in between knows the rooms of both slots.
        self._keep({NEW_ROOMS: state.map[NEW_ROOMS], **places, **state.places()}, until)
        switch = f"set map {ROOMS} {NEW_ROOMS} {number}"
        for pid in state.old:  # what comes in over a connection that was half read at the reload
            self._old_worker(pid, switch, until)
        with haproxy.line_to_worker(self._folder, until) as line:
            line.do(switch)
        return self._settle(until, known=places)

    def move(self, rooms: Iterable[RoomSeen], slot: str, *, deadline_s: float = _ACT_S) -> FrontSeen:
        """From now on joins of these rooms reach this slot, even while people are connected on another.

        They are not cut off: whoever ends the old slot does that. Returns what the front said afterwards.
        """
        until = time.monotonic() + deadline_s
        state = self._look(until)
        number = state.number(slot, f"move rooms to {slot}")
        with haproxy.line_to_worker(self._folder, until) as line:
            _place(line, {key: number for room in rooms for key in room.keys})
        return self._settle(until)

    def forget(self, rooms: Iterable[RoomSeen], *, deadline_s: float = _ACT_S) -> tuple[str, ...]:
        """The next meeting of these names goes where new rooms go.

        HAProxy itself refuses to clear an entry that a connection holds, in the same moment as it would clear it. The
        workers of before a reload are asked first: they get no new connections. And rooms.map before the table, so that
        whoever joins in between is still where the room was, or already where new ones go.

        Returns:
            Names of those that were not forgotten, as somebody is connected.
        """
        until = time.monotonic() + deadline_s
        state = self._look(until)
        left: list[str] = []
        gone: list[str] = []
        with haproxy.line_to_worker(self._folder, until) as line:
            for room in rooms:
                clears = [f"clear table {_TABLE} key {key}" for key in room.keys]
                held = any(self._old_worker(pid, clear, until) for pid in state.old for clear in clears)
                for key in room.keys:
                    line.ask(f"del map {ROOMS} {key}")  # of a room that is not there it says so
                held = held or any(line.ask(clear) for clear in clears)
                (left if held else gone).append(room.name)
        self._settle(until, forgotten=frozenset(gone))
        return tuple(left)

    def check(self, config: str, program: str) -> tuple[ConfigFault, ...]:
        """What HAProxy does not take of a configuration, before it replaces the old one.

        Args:
            config: its text.
            program: the path of HAProxy.
        """
        return haproxy.faults_of(program, self._folder, config)

    def reload(self, *, deadline_s: float = _RELOAD_S) -> Reloaded:
        """Have the configuration in its folder read, without losing a connection; wait until the new worker serves.

        Raises:
            FrontRefused: the configuration was refused; the old worker goes on with the old one, and `check` says why.
        """
        began, until = time.monotonic(), time.monotonic() + deadline_s
        state = self._look(until)
        before = haproxy.processes(self._folder, until)
        # The new worker begins with the file. In it are all rooms, so that it knows them from its first moment.
        self._keep({NEW_ROOMS: state.map[NEW_ROOMS], **state.places()}, until)
        haproxy.ask_master(self._folder, "reload", until)
        self._await_worker(before, until)
        seen = self._settle(until)
        return Reloaded(seen.mark, seen.pid, len(seen.rooms), time.monotonic() - began)

    def shows(self, certificate: Path, *, deadline_s: float = _LOOK_S) -> bool | None:
        """Whether new connections are shown what is now in this file; None when that cannot be told."""
        try:
            pem = certificate.read_text(encoding="ascii")
            first = pem[pem.index("-----BEGIN CERTIFICATE-----") :].partition("-----END CERTIFICATE-----")
            mark = hashlib.sha1(ssl.PEM_cert_to_DER_cert(first[0] + first[1])).hexdigest()  # noqa: S324  as it says it
            with haproxy.line_to_worker(self._folder, time.monotonic() + deadline_s) as line:
                said = line.ask(f"show ssl cert {_word(certificate)}")
        except (FrontError, OSError, ValueError):
            return None
        found = re.search(r"^SHA1 FingerPrint: (\w+)$", said, re.MULTILINE)
        return found[1].lower() == mark if found else None

    def renew(self, certificate: Path, *, deadline_s: float = _ACT_S) -> None:
        """Show new connections what is now in this file, the certificate with its chain and key; open ones stay.

        Args:
            certificate: the path as it is in the configuration.
            deadline_s: seconds.

        Raises:
            FrontRefused: it cannot be read or used, as when the key is of another certificate. All is as before.
        """
        action = f"renew {certificate}"
        try:
            lines = certificate.read_text(encoding="ascii").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise FrontRefused(action, f"it cannot be read: {error}") from error
        pem = "\n".join(line for line in lines if line.strip())  # an empty line would end it
        hint = "the file needs the certificate, its chain and its key"
        if "-----BEGIN" not in pem:
            raise FrontRefused(action, "there is no certificate in it", hint=hint)
        name = _word(certificate)
        with haproxy.line_to_worker(self._folder, time.monotonic() + deadline_s) as line:
            said = line.ask(f"set ssl cert {name} <<\n{pem}\n")
            if "Transaction created" not in said and "Transaction updated" not in said:
                raise FrontRefused(action, said.partition("\n")[0], hint=hint)
            said = line.ask(f"commit ssl cert {name}")
            if "Success" not in said:
                line.ask(f"abort ssl cert {name}")
                raise FrontRefused(action, said.partition("\n")[0], hint=hint)

    def _await_worker(self, before: Processes, until: float) -> None:
        """Wait until a new worker answers.

        Raises:
            FrontRefused: there will be none.
        """
        while time.monotonic() + _LOOK_AGAIN_S < until:
            time.sleep(_LOOK_AGAIN_S)
            try:
                after = haproxy.processes(self._folder, until)
                if after.failed > before.failed:
                    raise FrontRefused("reload the front", "its configuration was refused", hint="check it")
                state = self._look(until)
            except FrontUnavailable:
                continue  # master and worker are away from their sockets for some milliseconds
            if state.pid != before.worker:
                return
        raise FrontUnavailable("the new worker does not answer in time")

    def _look(self, until: float) -> FrontState:
        found = haproxy.processes(self._folder, until)
        old = {pid: rows_of(self._old_worker(pid, f"show table {_TABLE}", until)) for pid in found.old}
        with haproxy.line_to_worker(self._folder, until) as line:
            info = dict(re.findall(r"^(Pid|Uptime_sec): (\d+)$", line.ask("show info"), re.MULTILINE))
            mark = re.search(rf"^{MARK}=(\S+)$", line.ask(f"show env {MARK}"), re.MULTILINE)
            servers = re.findall(rf"^\d+ {_TABLE} (\d+) (\S+) ", line.ask("show servers state"), re.MULTILINE)
            entries = re.findall(r"^0x\w+ (\S+) (\d+)$", line.ask(f"show map {ROOMS}"), re.MULTILINE)
            rows = rows_of(line.ask(f"show table {_TABLE}"))
        rooms = {key: int(number) for key, number in entries}
        if len(info) != 2 or not servers or NEW_ROOMS not in rooms:
            raise FrontUnavailable("what answers is not the front of this package")
        if int(info["Pid"]) != found.worker:
            raise FrontUnavailable("a new worker is just starting")
        return FrontState(
            pid=found.worker,
            uptime_s=int(info["Uptime_sec"]),
            mark=mark[1] if mark else "",
            numbers={name: int(number) for number, name in servers},
            map=rooms,
            table=rows,
            old=old,
        )

    def _settle(
        self, until: float, *, known: Mapping[str, int] | None = None, forgotten: frozenset[str] = frozenset()
    ) -> FrontSeen:
        """Bring rooms.map, in memory and on the disk, to what the table says: the rooms that are not with new ones."""
        state = self._look(until)
        wanted = state.rooms_map(known or {}, forgotten)
        self._keep(wanted, until)
        with haproxy.line_to_worker(self._folder, until) as line:
            # After a reload: rooms that only the old worker, or the map, knows to be where new ones go.
            _place(line, state.not_entered(forgotten))
            if wanted != state.map:
                _replace_map(line, wanted)
        return attrs.evolve(state, map=wanted).seen()

    def _keep(self, wanted: Mapping[str, int], until: float) -> None:
        """Write rooms.map for the next start of HAProxy, or the next reload."""
        if time.monotonic() > until:
            raise FrontUnavailable("no time is left")
        path = self._folder / ROOMS
        text = "".join(f"{key} {number}\n" for key, number in wanted.items())
        try:
            if path.exists() and path.read_text(encoding="ascii", errors="replace") == text:
                return
            write_atomically(path, text, 0o600)
        except StepFailed as error:
            raise FrontRefused("keep where rooms are", str(error), hint=error.hint) from error
        except OSError as error:
            raise FrontRefused("keep where rooms are", str(error)) from error

    def _old_worker(self, pid: int, command: str, until: float) -> str:
        """Its answer, "" where it has ended meanwhile: with its last connection, there is nothing left to ask for."""
        said = haproxy.ask_master(self._folder, f"@!{pid} {command}", until)
        return "" if said.startswith("Can't find the target") else said


def _replace_map(line: Line, wanted: Mapping[str, int]) -> None:
    """Replace all of rooms.map in the worker's memory, at one moment."""
    version = re.search(r"New version created: (\d+)", line.ask(f"prepare map {ROOMS}"))
    if version is None:
        raise FrontUnavailable("it prepares no new version of its map")
    entries = [f"{key} {number}\n" for key, number in wanted.items()]
    while entries:
        size, count = 0, 0
        while count < len(entries) and size < _LARGEST_PAYLOAD:
            size += len(entries[count])
            count += 1
        line.do(f"add map @{version[1]} {ROOMS} <<\n{''.join(entries[:count])}")
        del entries[:count]
    line.do(f"commit map @{version[1]} {ROOMS}")


def _place(line: Line, places: Mapping[str, int]) -> None:
    """Enter rooms into the table, or change where they are."""
    for key, number in places.items():
        line.do(f"set table {_TABLE} key {key} data.gpt0 {number}")


def _word(path: Path) -> str:
    """A path as one word of a command."""
    return re.sub(r"([\\ ;<])", r"\\\1", str(path))
