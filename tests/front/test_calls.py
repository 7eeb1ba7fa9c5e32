"""Real calls through the front: real HAProxy, two real livekit-servers, real participants."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.calls.call import SETTLE_S, Call, Seat
from hero_livekit_units.livekit.counting import count_calls
from hero_livekit_units.model.launch import Port
from hero_livekit_units.model.unit import CallSource, CallSourceKind, Protocol
from tests.calls.media import API_KEY, API_SECRET, DEADLINE_S, LiveServer, token
from tests.front.running import RunningFront

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.servers, pytest.mark.calls]

BASELINE_S = 2.5


@pytest.fixture
def servers(livekit_server: Path, tmp_path: Path) -> Iterator[dict[str, LiveServer]]:
    """A livekit-server for each slot."""
    found = {}
    for slot in ("a", "b"):
        (tmp_path / slot).mkdir()
        found[slot] = LiveServer(livekit_server, tmp_path / slot)
    try:
        for server in found.values():
            server.start()
        yield found
    finally:
        for server in found.values():
            server.kill()


@pytest.fixture
def running(servers: dict[str, LiveServer], tmp_path: Path) -> Iterator[RunningFront]:
    """A front before them."""
    front = RunningFront(tmp_path / "home")
    config = front.folder / "haproxy.cfg"
    text = config.read_text()
    for slot, server in servers.items():
        text = text.replace(f":{getattr(front, slot).port}\n", f":{server.port}\n")
    config.write_text(text)
    try:
        front.start()
        yield front
    finally:
        front.close()


def people(server: LiveServer) -> tuple[int | None, int | None]:
    """The rooms and people that a server says it has."""
    source = CallSource(CallSourceKind.LIST_ROOMS, "http")
    seen = count_calls([(source, Port("http", server.port, Protocol.TCP, "127.0.0.1"))], 2.0, {API_KEY: API_SECRET})
    return seen.rooms, seen.people


def wait_for_people(server: LiveServer, count: int) -> None:
    """Until its one room has so many: the list lags."""
    until_s = time.monotonic() + DEADLINE_S
    while (found := people(server)) != (1, count):
        assert time.monotonic() < until_s, found
        time.sleep(0.05)


def seats(running: RunningFront, room: str, *names: str) -> list[Seat]:
    """For people who join through the front."""
    return [Seat(name, room, f"ws://127.0.0.1:{running.port}", token(name, room)) for name in names]


def test_calls_on_both_slots(running: RunningFront, servers: dict[str, LiveServer]) -> None:
    """A switch and reloads are not heard; after a SIGKILL of the front all come back to the slot of their room."""
    with Call() as old, Call() as new:
        old.start(seats(running, "old", "alice", "bob"))
        running.front.route("b")
        new.start(seats(running, "new", "carol", "dave"))
        new.listen(BASELINE_S)
        for call in (old, new):
            call.mark("reloaded")
        for _ in range(2):
            running.front.reload()
        old.listen(SETTLE_S)
        reports = (*old.report(), *new.report())
        print([(one.identity, round(one.baseline_gap_ms), round(one.gap_since_mark_ms)) for one in reports])  # noqa: T201
        assert [(one.disconnects, one.reconnects, one.hears_at_end) for one in reports] == [(0, 0, True)] * 4
        for server in servers.values():
            wait_for_people(server, 2)
        with Call() as late:
            late.start(seats(running, "old", "late"))
            wait_for_people(servers["a"], 3)
        for call in (old, new):
            call.mark("killed")
        assert running.process is not None
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait()
        killed_s = time.monotonic()
        running.start()
        print(f"started again after {time.monotonic() - killed_s:.2f} s")  # noqa: T201
        for call in (old, new):
            assert call.wait_until(lambda found: all(one.reconnects for one in found), timeout_s=20.0)
        new.listen(SETTLE_S / 2)
        reports = (*old.report(), *new.report())
        print([(one.identity, one.reconnects, round(one.gap_since_mark_ms)) for one in reports])  # noqa: T201
        assert [(one.disconnects, one.hears_at_end) for one in reports] == [(0, True)] * 4
        assert people(servers["a"])[0] == people(servers["b"])[0] == 1
        seen = running.seen()
        assert [(room.name, room.slot, room.connections) for room in seen.rooms] == [("new", "b", 2), ("old", "a", 2)]
