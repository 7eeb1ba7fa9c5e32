"""Faults put in by hand, one after the other: the tests of the decision core see each of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

TREE = Path(__file__).parents[2]
FAULTS: list[dict[str, Any]] = tomllib.loads((TREE / "tests" / "cases" / "faults.toml").read_text())["fault"]
# From the quickest to the slowest: the first failure is enough.
TESTS = (
    "tests/plan",
    "tests/observe/test_verdict_cases.py",
    "tests/execute/test_comeback.py",
    "tests/execute/test_executor.py",
    "tests/execute/test_gate.py",
    "tests/test_ensure.py",
    "tests/properties/test_upgrades.py",
)

pytestmark = pytest.mark.timeout(600)


def run_tests(tree: Path) -> subprocess.CompletedProcess[str]:
    """The tests of the core, on the package of this tree, up to the first failure."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            "not night and not servers",
            *TESTS,
        ],
        cwd=tree,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "CI": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the project to put a fault into."""
    copy = tmp_path / "tree"
    for name in ("hero_livekit_units", "unit_defs", "tests"):
        shutil.copytree(TREE / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TREE / "pyproject.toml", copy)
    return copy


@pytest.mark.night
def test_without_a_fault_they_pass(tree: Path) -> None:
    """Or their failures would say nothing."""
    run = run_tests(tree)
    assert run.returncode == 0, run.stdout


def test_there_are_enough() -> None:
    """At least 25, each for itself, in the planner, the verdict and the executor."""
    assert len({fault["summary"] for fault in FAULTS}) == len(FAULTS) >= 25
    assert {"plan/planner.py", "plan/media.py", "observe/verdict.py", "execute/executor.py"} <= {
        fault["file"] for fault in FAULTS
    }


def test_each_stands_there_once() -> None:
    """What was planted in another text would be planted nowhere, and pass for a fault that nobody sees."""
    texts = {fault["file"]: (TREE / "hero_livekit_units" / fault["file"]).read_text() for fault in FAULTS}
    assert [fault["summary"] for fault in FAULTS if texts[fault["file"]].count(fault["old"]) != 1] == []


@pytest.mark.night
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["summary"].replace(" ", "-"))
def test_a_fault_is_seen(fault: dict[str, Any], tree: Path) -> None:
    """The tests fail with it."""
    file = tree / "hero_livekit_units" / fault["file"]
    file.write_text(file.read_text().replace(fault["old"], fault["new"]))
    run = run_tests(tree)
    assert run.returncode == 1, run.stdout[-2000:]
