"""A real control plane, on a host of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.errors import RegistryRefused, RegistryUnavailable
from hero_livekit_units.herosocket.client import HeroClient
from hero_livekit_units.places import find_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HLU = str(Path(sys.executable).parent / "hlu")


class Plane:
    """Starts, kills and asks `hlu plane`; its log is in `log`."""

    def __init__(self, root: Path, free_port: Callable[[], int]) -> None:
        self.root = root
        kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("COV")}
        self.environment = kept | {"HOME": str(root), "PATH_ROOT": str(root)}
        self.places = find_places(self.environment)
        self.client = HeroClient(str(self.places.socket("hero_livekit")), deadline_s=20.0)
        self.log = root / "plane.log"
        self.process: subprocess.Popen[bytes] | None = None
        names = ("http", "rtc_tcp", "rtc_udp", "prometheus", "debug")
        ports = "".join(f"{name} = {free_port()}\n" for name in names)
        self.places.home.mkdir(parents=True, mode=0o700)
        self.places.settings_file.write_text(f"[livekit.ports]\n{ports}[backend.ports]\nhttp = {free_port()}\n")

    def start(self) -> int:
        """Start it and wait until it answers; its pid."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [HLU, "plane"], env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until = time.monotonic() + 20.0
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until
            time.sleep(0.01)
        return self.process.pid

    def end(self, number: int = signal.SIGTERM) -> int:
        """Signal it and wait for its end; its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(20.0)
        self.process = None
        return status

    def call(self, method: str, **params: Any) -> Any:
        """Call a method of the service."""
        return self.client.call(f"livekitservice.{method}", params)

    def refusal(self, method: str, params: Any) -> RegistryRefused:
        """Call a method that has to be refused."""
        try:
            result = self.client.call(f"livekitservice.{method}", params)
        except RegistryRefused as refused:
            return refused
        raise AssertionError(f"{method} was not refused: {result}")

    def hlu(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line beside it."""
        return subprocess.run(
            [HLU, *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=30.0
        )

    def status_without_it(self) -> Any:
        """The status that `hlu` sees with its own eyes."""
        socket = str(self.places.socket("hero_proc"))
        return json.loads(self.hlu("status", "--json", "--socket", socket).stdout)

    def _answers(self) -> bool:
        try:
            self.client.call("rpc.discover")
        except RegistryUnavailable:
            return False
        return True


@pytest.fixture
def resting(short_folder: Path, free_port: Callable[[], int]) -> Iterator[Plane]:
    """A control plane that is not started yet."""
    plane = Plane(short_folder, free_port)
    yield plane
    if plane.process is not None:
        plane.process.kill()
        plane.process.wait()


@pytest.fixture
def plane(resting: Plane) -> Plane:
    """A control plane that answers; no hero_proc runs."""
    resting.start()
    return resting
