"""The real `hlu`, on a host of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.places import find_places
from tests.calls.media import free_ports
from tests.calls.stack import SLOT_OFFSET
from tests.fakes.hero import FakeHero

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class CommandLine:
    """Runs `hlu` with a folder of its own as the Hero root, and media.toml with free ports in it."""

    program = str(Path(sys.executable).parent / "hlu")

    def __init__(self, root: Path, free_port: Callable[[], int]) -> None:
        self.root = root
        kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("COV")}
        self.environment = kept | {"HOME": str(root), "PATH_ROOT": str(root)}
        self.places = find_places(self.environment)
        names = ("http", "rtc_tcp", "rtc_udp", "prometheus", "debug")
        numbers = free_ports(len(names), beside=SLOT_OFFSET)
        ports = "".join(f"{name} = {number}\n" for name, number in zip(names, numbers, strict=True))
        self.places.home.mkdir(parents=True, mode=0o700)
        self.places.settings_file.write_text(f"[livekit.ports]\n{ports}[backend.ports]\nhttp = {free_port()}\n")

    def run(
        self, *arguments: str, timeout_s: float = 30.0, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            [self.program, *arguments],
            env=self.environment | environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it; the caller ends it."""
        return subprocess.Popen(
            [self.program, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def livekit_server(self) -> Path:
        """A program that only prints the right version."""
        path = self.root / "opt" / "livekit-server"
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\necho livekit-server version 1.13.5\n")
        path.chmod(0o755)
        return path


@pytest.fixture
def hlu(short_folder: Path, free_port: Callable[[], int]) -> CommandLine:
    """No daemon runs."""
    return CommandLine(short_folder, free_port)


@pytest.fixture
def hero(hlu: CommandLine) -> Iterator[FakeHero]:
    """A hero_proc that stores and runs nothing, where `hlu` looks for it."""
    path = hlu.places.socket("hero_proc")
    path.parent.mkdir(parents=True)
    with FakeHero(path) as serving:
        yield serving
