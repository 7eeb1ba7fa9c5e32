"""Upgrades behind the front: one address for all, and nobody in a call or on the way into one notices."""

from __future__ import annotations

import base64
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.calls.call import SETTLE_S, Call
from hero_livekit_units.calls.verdict import judge
from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.livekit.desired import MEDIA
from hero_livekit_units.model.unit import Strategy
from tests.calls.conftest import FIGURES, gaps
from tests.calls.stack import LEAVING_S, FrontedStack
from tests.calls.upgrading import JOINS_A_SECOND, crowd, people_in, rooms, wanted
from tests.servers import BUILT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _pytest.mark import ParameterSet

pytestmark = [pytest.mark.servers, pytest.mark.calls, pytest.mark.timeout(300)]

BASELINE_S = 4.0


@pytest.fixture
def stack(livekit_server: Path) -> Iterator[FrontedStack]:
    """A host with hero_proc running and nothing else."""
    running = FrontedStack(livekit_server)
    try:
        running.start_hero_proc()
        yield running
    finally:
        running.close()


def signal_socket(port: int, token: str) -> socket.socket:
    """Join a room as far as livekit-server has made it: the WebSocket over which a client speaks with it, left open."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    sock.sendall(
        f"GET /rtc?access_token={token}&auto_subscribe=1&protocol=15 HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
        "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
        f"sec-websocket-key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n".encode()
    )
    said = sock.recv(4096)
    if not said.startswith(b"HTTP/1.1 101 "):
        raise OSError(said.partition(b"\r\n")[0].decode(errors="replace"))
    return sock


def edges() -> list[ParameterSet]:
    """Every declared edge between releases that are built here, up and down; by day the newest one up."""
    catalog = shipped_catalog()
    found = [edge for version in BUILT for edge in catalog.edges_to(catalog.find(MEDIA, version))]
    pairs = [
        tuple(catalog.find(MEDIA, release).unit.version for release in (edge.start, edge.end))
        for edge in found
        if Strategy.TWO_SLOT in edge.strategies
    ]
    return [
        pytest.param(old, new, id=f"{old}-to-{new}", marks=() if (old, new) == BUILT[-2:] else pytest.mark.night)
        for old, new in pairs
        if old in BUILT
    ]


EDGES = edges()


def test_each_release_that_is_built_here_is_on_an_edge_up_and_down() -> None:
    """No declared edge between them is left out, and each goes both ways."""
    pairs = {edge.values for edge in EDGES}
    assert pairs == {(new, old) for old, new in pairs}
    assert {version for pair in pairs for version in pair} == set(BUILT)
    assert [edge.values for edge in EDGES if not edge.marks] == [BUILT[-2:]]


@pytest.mark.parametrize(("old", "new"), EDGES)
def test_an_upgrade_behind_the_front(old: str, new: str, stack: FrontedStack, livekit_servers: dict[str, Path]) -> None:
    """Rooms stay, late joiners find them at the one address, new rooms and later meetings run on the new release.

    Meanwhile a room ends, and somebody comes and goes.
    """
    wanted(stack, old, livekit_servers)
    assert stack.media.ensure().converged
    before = stack.identities()
    with Call() as call, Call() as ends, Call() as visit, Call() as late, Call() as new_room:
        call.start([stack.seat(name, "stays") for name in ("alice", "bob")])
        ends.start([stack.seat(name, "ends") for name in ("fay", "gil")])
        call.listen(BASELINE_S)
        call.mark("upgrade")
        wanted(stack, new, livekit_servers)
        visit.start([stack.seat("vera", "stays")])
        began = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            left = [pool.submit(other.stop) for other in (ends, visit)]
            receipt = stack.media.ensure()
            took_s = time.monotonic() - began
            for leaving in left:
                leaving.result()
        assert [step.step.action for step in receipt.done][-3:] == ["start", "update", "drain"]
        assert stack.servers() == {"a": f"{old}-r1", "b": f"{new}-r1"}
        late.start([stack.seat("carol", "stays")])
        stack.until(
            "all who stay are on slot a",
            lambda: {room: number for room, number in people_in(stack, "a").items() if number} == {"stays": 3},
            within_s=LEAVING_S,
        )
        new_room.start([stack.seat(name, "new") for name in ("dora", "emil")])
        assert (rooms(stack, "a") - {"ends"}, rooms(stack, "b")) == ({"stays"}, {"new"})
        call.listen(SETTLE_S)
        reports = call.report()
    assert judge(reports).calls_dropped == 0, reports
    assert [(report.disconnects, report.reconnects) for report in reports] == [(0, 0), (0, 0)]
    after = stack.identities()
    assert {name: after[name] for name in ("livekit-server@a", "lk-backend", "livekit-front")} == {
        name: before[name] for name in ("livekit-server@a", "lk-backend", "livekit-front")
    }
    FIGURES.append(
        f"{old} to {new} behind the front: new rooms on the new slot {took_s:.2f} s after ensure began; {gaps(reports)}"
    )
    stack.until_empty()
    stack.until("the old slot has ended", lambda: stack.media.ensure().converged, within_s=30.0)
    assert stack.servers() == {"b": f"{new}-r1"}
    with Call() as again:
        again.start([stack.seat(name, "stays") for name in ("alice", "bob")])
        assert rooms(stack, "b") >= {"stays"}
    assert stack.media.ensure().changed is False


def test_no_room_is_on_two_slots_while_new_rooms_change_over(
    stack: FrontedStack, livekit_servers: dict[str, Path]
) -> None:
    """Fifty who join each second, several at once for each room: each room is on one slot, and nobody is refused."""
    wanted(stack, "1.13.3", livekit_servers)
    assert stack.media.ensure().converged
    failed: list[str] = []
    joined: list[socket.socket] = []

    def join(number: int) -> None:
        seat = stack.seat(f"p{number}", f"r{number // 4}")
        try:
            joined.append(signal_socket(stack.front_ports[0], seat.token))
        except OSError as error:
            failed.append(str(error))

    with crowd(join):
        wanted(stack, "1.13.5", livekit_servers)
        stack.media.ensure()
    assert failed == []
    one, other = rooms(stack, "a"), rooms(stack, "b")
    for open_socket in joined:
        open_socket.close()
    FIGURES.append(f"{len(one)} and {len(other)} rooms behind the front at {JOINS_A_SECOND} joins a second: 0 refused")
    assert one
    assert other
    assert one & other == set()
