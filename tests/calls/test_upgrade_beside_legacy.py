"""A livekit-server that an old control plane started as its child, on our ports, people in it: ours runs beside."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import yaml

from hero_livekit_units.calls.call import SETTLE_S, Call, Seat
from hero_livekit_units.observe.kernel import is_alive, see_process
from tests.calls.conftest import FIGURES, gaps
from tests.calls.media import API_KEY, API_SECRET, Server, token
from tests.calls.test_legacy_control_plane import LegacyPlane
from tests.calls.upgrading import BASELINE_S, assert_unnoticed, copies, rooms, steps_of, wanted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.calls.stack import Stack

pytestmark = [pytest.mark.servers, pytest.mark.calls, pytest.mark.timeout(300)]

OLD, NEW = "1.13.3", "1.13.5"


def on_our_ports(stack: Stack, program: Path, folder: Path) -> Server:
    """A server that the old control plane is to start, on every port of slot a, with keys of its own."""
    http, rtc_tcp, rtc_udp, prometheus, debug, _ = stack.ports
    config = {
        "port": http,
        "bind_addresses": ["127.0.0.1"],
        "keys": {API_KEY: API_SECRET},
        "rtc": {
            "tcp_port": rtc_tcp,
            "udp_port": rtc_udp,
            "use_external_ip": False,
            "node_ip": "127.0.0.1",
            "enable_loopback_candidate": True,
            "interfaces": {"includes": ["lo"]},
        },
        "debug_handler": {"port": debug},
        "prometheus": {"port": prometheus},
        "logging": {"level": "info", "json": True},
    }
    path = folder / "legacy.yaml"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return Server(program, path, http)


def test_a_legacy_server_keeps_its_call_and_ours_takes_the_new_rooms(
    stack: Stack, livekit_servers: dict[str, Path], tmp_path: Path
) -> None:
    """It is never touched and ends when its owner ends it; then all is as wanted, without another step."""
    server = on_our_ports(stack, livekit_servers[OLD], tmp_path)
    plane = LegacyPlane(server)
    seen = see_process(plane.pid)
    assert seen is not None
    stranger = seen.id
    try:
        with Call() as call, Call() as new_room:
            call.start([Seat(who, "legacy", server.url, token(who, "legacy")) for who in ("alice", "bob")])
            call.listen(BASELINE_S)
            call.mark("ours comes")
            wanted(stack, NEW, livekit_servers)
            assert all("@a" not in instance for _, instance in steps_of(stack))
            receipt = stack.media.ensure()
            assert {did.step.instance for did in receipt.done} == {"livekit-server@b", "lk-backend"}
            assert [(wait.instance, wait.because.startswith("not touched: ")) for wait in receipt.waits] == [
                ("livekit-server@a", True)
            ]
            assert "in its calls: 2 people in 1 room" in receipt.waits[0].because
            ours = stack.identities()["livekit-server@b"]
            joiners = [stack.seat(who, "new") for who in ("dora", "emil")]
            assert [stack.slot_of(seat) for seat in joiners] == ["b", "b"]
            new_room.start(joiners)
            assert rooms(stack, "b") == {"new"}
            assert stack.media.ensure().changed is False
            call.listen(SETTLE_S)
            reports = call.report()
        assert_unnoticed(reports)
        FIGURES.append(f"ours beside a legacy server: {gaps(reports)}")
        # Empty or not, it is its owner's.
        assert stack.media.ensure().changed is False
        assert is_alive(stranger)
        plane.signal_group(signal.SIGTERM)
        stack.until("its owner has ended it", lambda: not is_alive(stranger), within_s=60.0)
        stack.until("all is as wanted", lambda: stack.media.ensure().converged)
        assert steps_of(stack) == []
        assert stack.identities()["livekit-server@b"] == ours
        assert copies(stack) == [ours[0]]
    finally:
        plane.end()
