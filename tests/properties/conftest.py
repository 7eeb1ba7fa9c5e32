"""The hosts that take the same steps; and what is said at the end of a run: histories, and figures of real programs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.properties.benches import Model, Real

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.properties.benches import Bench

COUNTS: Counter[str] = Counter()
FIGURES: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line for each, where there were any."""
    if COUNTS["histories"]:
        found = f"{COUNTS['histories']} histories, {COUNTS['broken']} broke a rule"
        terminalreporter.write_line(f"histories of a host: {found}")
    for figure in FIGURES:
        terminalreporter.write_line(figure)


@pytest.fixture(params=["model", pytest.param("real", marks=pytest.mark.servers)])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """One of both, with a livekit-server that is registered and not started."""
    made: Bench = Model() if request.param == "model" else Real()
    try:
        assert made.registry.register(made.spec)
        yield made
    finally:
        made.close()
