"""Long work, shown where there is no terminal and where there is one."""

from __future__ import annotations

import io

from hero_livekit_units.cli.progress import Steps, shown
from hero_livekit_units.model.plan import Action, Effect, Interruption, Step


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        """It says so."""
        return True


def test_steps() -> None:
    """Each step at its begin; a reason to wait once, however often it is looked at."""
    out = io.StringIO()
    steps = Steps(out)
    steps.step(Step(Action.WRITE_FILES, "lk-backend", "ab", "differs", Effect(Interruption.NONE, "none")))
    steps.waiting("lk-backend", "pid 7 is 0.1 s old and not ready")
    steps.waiting("lk-backend", "pid 7 is 0.2 s old and not ready")
    steps.waiting("lk-backend", "pid 8 is 0.1 s old and not ready")
    assert out.getvalue().splitlines() == [
        "write-files lk-backend: differs",
        "  waiting for lk-backend: pid 7 is 0.1 s old and not ready",
        "  waiting for lk-backend: pid 8 is 0.1 s old and not ready",
    ]


def test_lines_without_a_terminal() -> None:
    """A log gets a line for each task, and not one for each block."""
    out = io.StringIO()
    with shown(out) as reporter:
        reporter.task("downloading")
        for done in range(1000):
            reporter.progress(done, 1000, "")
        reporter.task("unpacking")
    assert out.getvalue() == "downloading\nunpacking\n"


def test_a_terminal() -> None:
    """A terminal gets one line that moves, with the amount in it."""
    out = Terminal()
    with shown(out) as reporter:
        reporter.task("downloading")
        reporter.progress(1_500_000, 3_000_000, "from the site")
    assert "downloading" in out.getvalue()
