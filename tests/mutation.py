"""Mutation of the pure core: `python -m tests.mutation` prints how many of the mutants its tests kill.

mutmut changes a copy of the project, one operator, constant or call at a time, and runs the tests of that function.
Printed are the mutants that lived, with `--show` each as a diff, and the score.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from attrs import frozen

TREE = Path(__file__).parents[1]
CORE = (
    "hero_livekit_units/plan/planner.py",
    "hero_livekit_units/plan/group.py",
    "hero_livekit_units/plan/media.py",
    "hero_livekit_units/plan/stop.py",
    "hero_livekit_units/plan/explain.py",
    "hero_livekit_units/plan/slots.py",
    "hero_livekit_units/plan/simulate.py",
    "hero_livekit_units/observe/verdict.py",
)
TESTS = ("tests/plan", "tests/observe/test_verdict.py", "tests/observe/test_verdict_cases.py")

_ARGUMENTS = [
    "-p",
    "no:cacheprovider",
    "-m",
    "not night and not servers",
    "-k",
    "not every_row",
]  # that reads the source
_LIVED = re.compile(r"^\s*(\S+__mutmut_\d+): (\S.*)$", re.MULTILINE)


@frozen
class Score:
    """How many mutants were killed out of all, and the names of those that lived, with what became of them."""

    killed: int
    total: int
    lived: dict[str, str]

    @property
    def share(self) -> float:
        """Of the mutants that were killed."""
        return self.killed / self.total


def copied(folder: Path) -> Path:
    """The project in a folder of its own, with mutmut's settings."""
    for name in ("hero_livekit_units", "unit_defs", "tests"):
        shutil.copytree(TREE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    settings = {
        "source_paths": list(CORE),
        "also_copy": ["hero_livekit_units", "unit_defs", "tests", "pyproject.toml"],
        "pytest_add_cli_args": _ARGUMENTS,
        "pytest_add_cli_args_test_selection": list(TESTS),
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    text = (TREE / "pyproject.toml").read_text() + "\n[tool.mutmut]\n" + "\n".join(lines) + "\n"
    (folder / "pyproject.toml").write_text(text)
    return folder


def mutmut(folder: Path, *arguments: str) -> str:
    """What mutmut prints."""
    run = subprocess.run(
        [sys.executable, "-m", "mutmut", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f"mutmut {' '.join(arguments)} failed:\n{run.stdout[-4000:]}")
    return run.stdout


def score(folder: Path) -> Score:
    """Run all mutants of a copy."""
    mutmut(folder, "run")
    found = dict(_LIVED.findall(mutmut(folder, "results", "--all", "true")))
    lived = {name: end for name, end in found.items() if end != "killed"}
    return Score(len(found) - len(lived), len(found), lived)


def main() -> None:
    """Print the score."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = copied(Path(name))
        found = score(folder)
        for mutant, end in found.lived.items():
            print(f"{end}: {mutant}")
            if "--show" in sys.argv:
                print(mutmut(folder, "show", mutant))
        print(f"{found.killed} of {found.total} mutants killed: {found.share:.1%}")


if __name__ == "__main__":
    main()
