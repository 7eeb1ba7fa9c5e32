"""Real processes to look at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

UNIT = Path(__file__).parents[1] / "fakes" / "unit.py"


@pytest.fixture
def launch() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a program and waits for its `ready`; at the end all are killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start(
        argv: list[str], marks: Mapping[str, str] | None = None, *, own_group: bool = False
    ) -> subprocess.Popen[bytes]:
        environment = {"PATH": os.environ["PATH"]} | dict(marks or {})
        program = subprocess.Popen(
            argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=own_group
        )
        started.append(program)
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        return program

    yield start
    for program in started:
        program.kill()
        program.communicate()


@pytest.fixture
def launch_unit(launch: Callable[..., subprocess.Popen[bytes]]) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts the fake unit, with what it listens on as arguments."""

    def start(*words: str, marks: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        return launch([sys.executable, "-S", "-E", str(UNIT), *words], marks)

    return start
