"""The old way, for comparison: the same restart that nobody notices today ends a call of the old control plane."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.calls.call import SETTLE_S, Call
from hero_livekit_units.calls.verdict import judge

if TYPE_CHECKING:
    from tests.calls.media import LiveServer, Server

pytestmark = [pytest.mark.servers, pytest.mark.calls]

LEGACY = Path(__file__).parent.parent.parent / "examples" / "legacy_control_plane.py"


class LegacyPlane:
    """The old control plane, leader of its own process group as under a supervisor."""

    def __init__(self, server: Server) -> None:
        self.process = subprocess.Popen(
            [sys.executable, LEGACY, server.program, server.config],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = 0
        self.believed: list[str] = []
        while not self.pid:
            event = self._event()
            self.believed.append(event["status"])
            self.pid = event["pid"] if event["status"] == "running" else 0
        server.wait_until_ready(lambda: self.process.poll() is None)

    def _event(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))

    def signal_group(self, number: signal.Signals) -> None:
        """What a supervisor does that stops a service."""
        os.killpg(self.process.pid, number)
        self.process.wait(timeout=20)

    def end(self) -> None:
        """End what is left of its group, which is ours: we made it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def test_a_restart_of_the_old_control_plane_drops_the_call(stopped_server: LiveServer) -> None:
    """Its group takes the media along, its handle is gone, and what it starts anew brings nobody back."""
    planes = [LegacyPlane(stopped_server)]
    try:
        with Call() as call:
            call.start([stopped_server.seat(name, room) for room in ("one", "two") for name in ("alice", "bob")])
            call.listen(4.0)
            call.mark("restart")
            planes[0].signal_group(signal.SIGTERM)
            planes.append(LegacyPlane(stopped_server))
            call.listen(SETTLE_S)
            verdict = judge(call.report())
    finally:
        for plane in planes:
            plane.end()
    assert planes[1].believed == ["stopped", "stopping", "running"]
    assert planes[1].pid != planes[0].pid
    # Both, but for the rare room in which nobody hears the server's word to leave before it is gone.
    assert verdict.calls_dropped >= 1
