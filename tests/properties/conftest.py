"""Says at the end of a run how many histories there were, and how many broke a rule."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

COUNTS: Counter[str] = Counter()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line, where there were any."""
    if COUNTS["histories"]:
        found = f"{COUNTS['histories']} histories, {COUNTS['broken']} broke a rule"
        terminalreporter.write_line(f"histories of a host: {found}")
