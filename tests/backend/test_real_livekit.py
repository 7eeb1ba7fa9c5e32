"""Tokens of the backend at a real livekit-server."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
import urllib.parse
from contextlib import closing
from typing import TYPE_CHECKING

import jwt
import pytest

from tests.backend.running import API_KEY, API_SECRET, DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.backend.running import RunningBackend

pytestmark = pytest.mark.servers


def free_port(kind: socket.SocketKind) -> int:
    """A port that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def validate(port: int, token: str) -> tuple[int, bytes]:
    """Ask livekit-server what a client asks before it joins."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)) as connection:
        connection.request("GET", f"/rtc/validate?{urllib.parse.urlencode({'access_token': token})}")
        response = connection.getresponse()
        return response.status, response.read()


@pytest.fixture
def livekit_port(livekit_server: Path, tmp_path: Path) -> Iterator[int]:
    """The port of a running livekit-server that knows the backend's key."""
    port = free_port(socket.SOCK_STREAM)
    config = tmp_path / "livekit.yaml"
    config.write_text(
        f"""
port: {port}
bind_addresses: ["127.0.0.1"]
rtc:
  tcp_port: {free_port(socket.SOCK_STREAM)}
  udp_port: {free_port(socket.SOCK_DGRAM)}
  node_ip: 127.0.0.1
  use_external_ip: false
  enable_loopback_candidate: true
  stun_servers: ["127.0.0.1:9"]
keys: {{{API_KEY}: "{API_SECRET}"}}
"""
    )
    config.chmod(0o600)
    log = tmp_path / "livekit.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(livekit_server), "--config", str(config)],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + DEADLINE_S
        while not is_listening(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()


def is_listening(port: int) -> bool:
    """Whether something accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("room", ["standup", '會議 <é> "quoted" \\u0041'], ids=["plain", "awkward"])
def test_real_server_accepts_the_token(backend: RunningBackend, livekit_port: int, room: str) -> None:
    """livekit-server lets in who shows a token of the backend, whatever the room is called."""
    token = backend.ask_token(room=room, identity="ana", name="Ana").body["token"]

    assert validate(livekit_port, token) == (200, b"success")


def test_real_server_refuses_what_the_backend_did_not_sign(backend: RunningBackend, livekit_port: int) -> None:
    """The same claims under another secret are refused: the acceptance above means something."""
    token = backend.ask_token(room="standup", identity="ana").body["token"]
    forged = jwt.encode(jwt.decode(token, options={"verify_signature": False}), "z" * 32, algorithm="HS256")

    status, _ = validate(livekit_port, forged)

    assert status == 401
