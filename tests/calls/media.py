"""A livekit-server as a process of the test, and tokens for its rooms."""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import jwt
import yaml

from hero_livekit_units.calls.call import Role, Seat

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from pathlib import Path

API_KEY = "APIcalls"
API_SECRET = "a secret for calls, 0123456789abcdef"
DEADLINE_S = 20.0


def free_ports(count: int, *, beside: int = 0) -> list[int]:
    """Port numbers that nobody holds, neither by TCP nor by UDP, on any address; nor the number `beside` each."""
    with ExitStack() as held:
        numbers: list[int] = []

        def hold(number: int, kind: socket.SocketKind) -> int:
            sock = held.enter_context(socket.socket(socket.AF_INET, kind))
            sock.bind(("0.0.0.0", number))
            return int(sock.getsockname()[1])

        while len(numbers) < count:
            number = hold(0, socket.SOCK_STREAM)
            try:
                hold(number, socket.SOCK_DGRAM)
                if beside:
                    hold(number + beside, socket.SOCK_STREAM)
                    hold(number + beside, socket.SOCK_DGRAM)
            except (OSError, OverflowError):
                continue
            numbers.append(number)
        return numbers


class Server:
    """One server that can be started again on the same ports, by a configuration that is there already."""

    def __init__(self, program: Path, config: Path, port: int) -> None:
        self.program = program
        self.config = config
        self.log = config.with_suffix(".log")
        self.port = port
        self.url = f"ws://127.0.0.1:{port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._ready_s = 0.0

    def start(self) -> None:
        """Start it and wait until this very process answers 200."""
        # To a file: a server whose log is a closed pipe dies at its next line.
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [self.program, "--config", self.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._process = process
        self.wait_until_ready(lambda: process.poll() is None)

    def wait_until_ready(self, alive: Callable[[], bool]) -> None:
        """Wait until a server on these ports answers 200 while whoever must live for it does."""
        until_s = time.monotonic() + DEADLINE_S
        while alive() and time.monotonic() < until_s:
            # Asked again after the answer: a leftover on the same port would answer for a process that has ended.
            if self._answers() and alive():
                self._ready_s = time.monotonic()
                return
            time.sleep(0.01)
        log = self.log.read_text() if self.log.exists() else "no log"
        raise AssertionError(f"the server is not ready: {log}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once and wait for its end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def wait_until_old(self, age_s: float) -> None:
        """Wait until it has been ready for so long: it loses signals that come early."""
        while (left_s := self._ready_s + age_s - time.monotonic()) > 0:
            time.sleep(left_s)

    def wait_for_log(self, text: str) -> None:
        """Wait until a text is in its log."""
        until_s = time.monotonic() + DEADLINE_S
        while text not in self.log.read_text():
            assert time.monotonic() < until_s, f"{text!r} is not in the log"
            time.sleep(0.02)

    def wait_until_ended(self) -> None:
        """Wait until it has ended by itself."""
        assert self._process is not None
        self._process.wait(DEADLINE_S)

    def seat(self, identity: str, room: str, role: Role = Role.BOTH) -> Seat:
        """A participant that may join a room of this server."""
        return Seat(identity, room, self.url, token(identity, room), role)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1.0)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


class LiveServer(Server):
    """A server with a configuration of the test's own, on free ports."""

    def __init__(self, program: Path, folder: Path) -> None:
        port, tcp_port, udp_port = free_ports(3)
        super().__init__(program, folder / "livekit.yaml", port)
        config = {
            "port": port,
            "bind_addresses": ["127.0.0.1"],
            "keys": {API_KEY: API_SECRET},
            "rtc": {
                "tcp_port": tcp_port,
                "udp_port": udp_port,
                "use_external_ip": False,
                "node_ip": "127.0.0.1",
                "enable_loopback_candidate": True,
                "interfaces": {"includes": ["lo"]},
            },
            "logging": {"level": "info", "json": True},
        }
        self.config.write_text(yaml.safe_dump(config))
        self.config.chmod(0o600)


def token(identity: str, room: str, secret: str = API_SECRET, key: str = API_KEY) -> str:
    """A join token, as LiveKit wants it, good for an hour."""
    claims = {
        "iss": key,
        "sub": identity,
        "exp": int(time.time()) + 3600,
        "video": {"room": room, "roomJoin": True, "canPublish": True, "canSubscribe": True},
    }
    return jwt.encode(claims, secret, algorithm="HS256")
