"""Counting on a real livekit-server: all sources tell the same."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
import yaml
from livekit import rtc

from hero_livekit_units.livekit.counting import count_calls
from hero_livekit_units.model.launch import Port
from hero_livekit_units.model.observed import CallsSeen
from hero_livekit_units.model.unit import CallSource, CallSourceKind, Protocol
from tests.calls.media import API_KEY, API_SECRET, LiveServer, free_ports, token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.servers

PORTS = {
    CallSourceKind.DEBUG_ROOMS: "debug",
    CallSourceKind.PROMETHEUS: "prometheus",
    CallSourceKind.LIST_ROOMS: "http",
}
DEADLINE_S = 20.0


@pytest.fixture
def ports(livekit_server: Path, tmp_path: Path) -> Iterator[dict[str, int]]:
    """The ports of a running livekit-server, by the names of the definition."""
    server = LiveServer(livekit_server, tmp_path)
    prometheus, debug = free_ports(2)
    more = {"prometheus": {"port": prometheus}, "debug_handler": {"port": debug}}
    server.config.write_text(yaml.safe_dump(yaml.safe_load(server.config.read_text()) | more))
    found = {"http": server.port, "prometheus": prometheus, "debug": debug}
    try:
        server.start()
        until_all_say(found, 0, 0)
        yield found
    finally:
        server.kill()


def ask(kind: CallSourceKind, ports: dict[str, int], keys: dict[str, str]) -> CallsSeen:
    """Ask one source."""
    port = Port(PORTS[kind], ports[PORTS[kind]], Protocol.TCP, "127.0.0.1")
    return count_calls([(CallSource(kind, port.name), port)], 2.0, keys)


def counts(ports: dict[str, int]) -> dict[CallSourceKind, tuple[int, int | None] | None]:
    """Rooms and people by each source, None for one that does not tell."""
    seen = {kind: ask(kind, ports, {API_KEY: API_SECRET}) for kind in CallSourceKind}
    return {kind: None if found.rooms is None else (found.rooms, found.people) for kind, found in seen.items()}


def until_all_say(ports: dict[str, int], rooms: int, people: int) -> None:
    """Wait until every source says this: metrics and RoomService may be a moment behind."""
    until_s = time.monotonic() + DEADLINE_S
    while set(counts(ports).values()) != {(rooms, people)}:
        assert time.monotonic() < until_s, counts(ports)
        time.sleep(0.05)


def test_all_sources_agree(ports: dict[str, int]) -> None:
    """With no room, with a room that one is in, and with the same room when a second comes."""

    async def talk() -> None:
        first, second = rtc.Room(), rtc.Room()
        for room, name, people in ((first, "ana", 1), (second, "ben", 2)):
            await room.connect(f"ws://127.0.0.1:{ports['http']}", token(name, "standup"))
            await asyncio.to_thread(until_all_say, ports, 1, people)
        await second.disconnect()
        await first.disconnect()

    until_all_say(ports, 0, 0)
    asyncio.run(talk())


def test_a_real_server_that_does_not_know_the_key(ports: dict[str, int]) -> None:
    """Then nobody was counted, and the secret stands in no text."""
    found = ask(CallSourceKind.LIST_ROOMS, ports, {"APIother": API_SECRET})
    assert found == CallsSeen(None, None, f"list-rooms on port {ports['http']}: it does not know our key")
    found = ask(CallSourceKind.LIST_ROOMS, ports, {API_KEY: "not the secret that it has, 0123456789"})
    assert (found.people, API_SECRET in found.source) == (None, False)
