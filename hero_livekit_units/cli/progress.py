"""Long work, shown: a live line on a terminal, plain lines now and then where the output goes to a file."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hero_livekit_units.livekit.progress import Reporter
    from hero_livekit_units.model.plan import Step

_PLAIN_EVERY_S = 10.0


class Steps:
    """Shows the steps of an ensure while they happen."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._told = ""

    def step(self, step: Step) -> None:
        """A step begins."""
        self._out.write(f"{step.action} {step.instance}: {step.because}\n")
        self._out.flush()

    def waiting(self, instance: str, what: str) -> None:
        """Tell a reason to wait once, not at every look."""
        reason = f"{instance}: {what}".split(" is ", 1)[0]
        if reason != self._told:
            self._told = reason
            self._out.write(f"  waiting for {instance}: {what}\n")
            self._out.flush()


@contextmanager
def shown(out: TextIO = sys.stderr) -> Iterator[Reporter]:
    """A reporter for provisioning, while the context lasts."""
    if not out.isatty():
        yield _Lines(out)
        return
    from rich.console import Console  # noqa: PLC0415

    console = Console(file=out)
    with console.status("") as line:

        class Live:
            """One line that moves."""

            def __init__(self) -> None:
                self._name = ""

            def task(self, name: str) -> None:
                self._name = name
                line.update(name)

            def progress(self, done_bytes: int, total: int | None, text: str) -> None:
                line.update(f"{self._name}  {_amount(done_bytes, total)} {text}".rstrip())

        yield Live()


class _Lines:
    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._name = ""
        self._next = 0.0

    def task(self, name: str) -> None:
        self._name = name
        self._next = time.monotonic() + _PLAIN_EVERY_S
        self._out.write(f"{name}\n")
        self._out.flush()

    def progress(self, done_bytes: int, total: int | None, text: str) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PLAIN_EVERY_S
            self._out.write(f"  {self._name}  {_amount(done_bytes, total)} {text}".rstrip() + "\n")
            self._out.flush()


def _amount(done_bytes: int, total: int | None) -> str:
    if not done_bytes:
        return ""
    of = f" of {total / 1e6:.1f}" if total else ""
    return f"{done_bytes / 1e6:.1f}{of} MB"
