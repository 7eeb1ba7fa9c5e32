"""Mutants of the pure core: the tests of the planner and of the verdict kill at least 95 of 100."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.mutation import copied, score

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOAL = 0.95


@pytest.mark.night
@pytest.mark.timeout(3600)
def test_mutants_are_killed(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Those that live are named."""
    found = score(copied(tmp_path / "tree"))
    record_property("mutants", f"{found.killed} of {found.total} mutants of the pure core killed: {found.share:.1%}")
    assert found.total > 300
    assert found.share >= GOAL, found.lived
