"""A real livekit-server for each test, on free ports, and seats in its rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.calls.media import LiveServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIGURES: list[str] = []  # what was measured, for the end of the run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was measured."""
    for figure in FIGURES:
        terminalreporter.write_line(figure)


@pytest.fixture
def stopped_server(livekit_server: Path, tmp_path: Path) -> Iterator[LiveServer]:
    """A server that has its ports and its configuration and is not started; what is left of it is ended by its pid."""
    server = LiveServer(livekit_server, tmp_path)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def server(stopped_server: LiveServer) -> LiveServer:
    """A server that is ready."""
    stopped_server.start()
    return stopped_server
