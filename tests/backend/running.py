"""A backend as its own process, the way a supervisor runs it, and one way to talk to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, frozen

import hero_livekit_units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

API_KEY = "APItestkey"
API_SECRET = "livekit-secret-0123456789abcdefghij"
BACKEND_SECRET = "backend-secret-0123456789abcdefghij"
LIVEKIT_URL = "ws://127.0.0.1:7880"
AUTHORISED = {"Authorization": f"Bearer {BACKEND_SECRET}"}
DEADLINE_S = 20.0


def settings_for(folder: Path, **changes: str) -> dict[str, str]:
    """Complete settings with the database in `folder`; an empty change takes one away."""
    return {
        "LIVEKIT_API_KEY": API_KEY,
        "LIVEKIT_API_SECRET": API_SECRET,
        "BACKEND_SECRET": BACKEND_SECRET,
        "LIVEKIT_URL": LIVEKIT_URL,
        "SQLITE_PATH": str(folder / "backend.db"),
        "PORT": "0",
    } | changes


def launch(environment: Mapping[str, str], arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start the module with exactly this environment, standard error to `log`."""
    root = Path(hero_livekit_units.__file__).parents[1]
    measuring = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    with log.open("ab") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "hero_livekit_units.backend", *arguments],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(root), **measuring, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )


@frozen
class Answer:
    """What came back; `body` is the parsed JSON."""

    status: int
    headers: dict[str, str]
    body: Any


@define
class RunningBackend:
    """A backend that listens."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            content = response.read()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, json.loads(content) if content else None)
        finally:
            connection.close()

    def ask_token(self, **fields: Any) -> Answer:
        """Ask for a token with the right secret."""
        return self.ask("POST", "/api/token", json.dumps(fields).encode(), AUTHORISED)

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal and wait for the end: exit status and seconds."""
        began = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(DEADLINE_S)
        return status, time.monotonic() - began


def wait_until_listening(process: subprocess.Popen[bytes], log: Path) -> RunningBackend:
    """Read the port from the log line that announces it."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        announced = [line for line in log.read_text().splitlines() if " listens on " in line]
        if announced:
            return RunningBackend(process, int(announced[-1].rpartition(":")[2]), log)
        time.sleep(0.01)
    raise AssertionError(f"the backend does not listen: {log.read_text()}")
