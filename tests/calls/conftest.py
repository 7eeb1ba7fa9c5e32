"""A real livekit-server for each test, on free ports, and seats in its rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.calls.media import LiveServer
from tests.calls.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hero_livekit_units.calls.verdict import ParticipantReport

FIGURES: list[str] = []  # what was measured, for the end of the run


def gaps(reports: Sequence[ParticipantReport]) -> str:
    """The longest gap that anybody heard since the mark, beside the longest undisturbed one."""
    since = max(report.gap_since_mark_ms or 0.0 for report in reports)
    baseline = max(report.baseline_gap_ms or 0.0 for report in reports)
    stall = max(report.stall_ms for report in reports)
    return f"longest gap {since:.0f} ms beside {baseline:.0f} undisturbed (a participant stalled for {stall:.0f} ms)"


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


@pytest.fixture
def stack(livekit_server: Path, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A host with hero_proc running and nothing else; a test may name another kind of it, indirectly."""
    running: Stack = getattr(request, "param", Stack)(livekit_server)
    try:
        running.start_hero_proc()
        yield running
    finally:
        running.close()
