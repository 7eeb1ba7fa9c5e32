"""Counting on a real livekit-server: all sources tell the same."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
import yaml
from livekit import api, rtc

from hero_livekit_units.livekit.counting import count_calls
from hero_livekit_units.model.launch import Port
from hero_livekit_units.model.observed import CallsSeen
from hero_livekit_units.model.unit import CallSource, CallSourceKind, Protocol
from tests.calls.media import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.servers

KEY, SECRET = "APIcounted", "a secret for counting, 0123456789abcdef"
PORTS = {
    CallSourceKind.DEBUG_ROOMS: "debug",
    CallSourceKind.PROMETHEUS: "prometheus",
    CallSourceKind.LIST_ROOMS: "http",
}
DEADLINE_S = 20.0


@pytest.fixture
def ports(livekit_server: Path, tmp_path: Path) -> Iterator[dict[str, int]]:
    """The ports of a running livekit-server, by the names of the definition."""
    http, rtc_tcp, rtc_udp, prometheus, debug = free_ports(5)
    config = tmp_path / "livekit.yaml"
    values = {
        "port": http,
        "bind_addresses": ["127.0.0.1"],
        "keys": {KEY: SECRET},
        "rtc": {
            "tcp_port": rtc_tcp,
            "udp_port": rtc_udp,
            "node_ip": "127.0.0.1",
            "enable_loopback_candidate": True,
            "use_external_ip": False,
            "stun_servers": ["127.0.0.1:9"],
        },
        "prometheus": {"port": prometheus},
        "debug_handler": {"port": debug},
    }
    config.write_text(yaml.safe_dump(values))
    config.chmod(0o600)
    log = tmp_path / "livekit.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [str(livekit_server), "--config", str(config)],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    found = {"http": http, "prometheus": prometheus, "debug": debug}
    try:
        until_s = time.monotonic() + DEADLINE_S
        while None in counts(found).values():
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < until_s, (counts(found), log.read_text())
            time.sleep(0.05)
        yield found
    finally:
        server.kill()
        server.wait()


def ask(kind: CallSourceKind, ports: dict[str, int], keys: dict[str, str]) -> CallsSeen:
    """Ask one source."""
    port = Port(PORTS[kind], ports[PORTS[kind]], Protocol.TCP, "127.0.0.1")
    return count_calls([(CallSource(kind, port.name), port)], 2.0, keys)


def counts(ports: dict[str, int]) -> dict[CallSourceKind, tuple[int, int | None] | None]:
    """Rooms and people by each source, None for one that does not tell."""
    seen = {kind: ask(kind, ports, {KEY: SECRET}) for kind in CallSourceKind}
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
            grants = api.VideoGrants(room_join=True, room="standup")
            token = api.AccessToken(KEY, SECRET).with_identity(name).with_grants(grants).to_jwt()
            await room.connect(f"ws://127.0.0.1:{ports['http']}", token)
            await asyncio.to_thread(until_all_say, ports, 1, people)
        await second.disconnect()
        await first.disconnect()

    until_all_say(ports, 0, 0)
    asyncio.run(talk())


def test_a_real_server_that_does_not_know_the_key(ports: dict[str, int]) -> None:
    """Then nobody was counted, and the secret stands in no text."""
    found = ask(CallSourceKind.LIST_ROOMS, ports, {"APIother": SECRET})
    assert found == CallsSeen(None, None, f"list-rooms on port {ports['http']}: it does not know our key")
    found = ask(CallSourceKind.LIST_ROOMS, ports, {KEY: "not the secret that it has, 0123456789"})
    assert (found.people, SECRET in found.source) == (None, False)
