"""A daemon for each test, and the end of all that it started."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.embedded.running import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator


FIGURES: list[str] = []  # what was counted, for the end of the run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print them."""
    for figure in FIGURES:
        terminalreporter.write_line(figure)


@pytest.fixture
def resting() -> Iterator[Daemon]:
    """A daemon that is not started yet, in a short folder: the path of a Unix socket has 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="hp"))
    daemon = Daemon(folder)
    yield daemon
    daemon.clean_up()
    shutil.rmtree(folder)


@pytest.fixture
def daemon(resting: Daemon) -> Daemon:
    """A daemon that answers."""
    resting.start()
    return resting
