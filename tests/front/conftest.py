"""A front that runs, with two slots behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.front.running import RunningFront

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningFront]:
    """Both slots answer; new rooms go to a. The folder's path is longer than a socket's may be."""
    front = RunningFront(tmp_path / ("a home with blanks " + "x" * 80))
    front.a.start()
    front.b.start()
    try:
        front.start()
        yield front
    finally:
        front.close()
