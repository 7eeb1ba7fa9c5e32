"""What the shape of the tree promises."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hero_livekit_units
from hero_livekit_units import errors

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "hero_livekit_units"
MODULES = sorted(PACKAGE.rglob("*.py"))

# What `hlu status` may load when a control plane answers: each of these costs milliseconds at every poll.
HEAVY = ("attr", "attrs", "cattrs", "click", "http.client", "psutil", "requests", "rich", "tomlkit", "tomllib", "yaml")


@pytest.mark.parametrize("module", [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in MODULES])
def test_nothing_is_ended_by_its_name(module: Path) -> None:
    """The identity of a process is pid and start time; no program that kills by name is ever called."""
    assert not re.search(r"\b(pkill|killall|pidof|pgrep)\b", module.read_text())


@pytest.mark.parametrize("module", [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in MODULES])
def test_each_module_says_what_it_is_and_is_one_idea(module: Path) -> None:
    """A module begins with a docstring and stays small."""
    text = module.read_text()
    assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= 400


def test_the_top_level_has_the_fixed_layout() -> None:
    """Whoever knows one checkout knows them all."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    tops = {line.split("/")[0] for line in listed.splitlines()}
    plain = {name for name in tops if not name.startswith(".")}
    fixed = {"pyproject.toml", "hero_livekit_units", "unit_defs", "tests", "examples"}
    assert plain <= fixed | {"README.md", "CHANGELOG.md", "LICENSE"}


def test_the_public_names_are_sorted_and_there() -> None:
    """`from hero_livekit_units import Media` is the way in."""
    assert hero_livekit_units.__all__ == sorted(hero_livekit_units.__all__)
    assert all(getattr(hero_livekit_units, name) for name in hero_livekit_units.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Medium'"):
        hero_livekit_units.Medium  # noqa: B018


def test_every_error_is_in_the_tree_of_the_docstring() -> None:
    """The drawing in the docstring cannot drift from the classes."""
    assert errors.__doc__
    drawn = set(re.findall(r"[├└]─ (\w+)", errors.__doc__)) | {"UnitsError"}
    classes = {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.UnitsError)
    }
    assert drawn == classes


def test_hlu_status_loads_next_to_nothing() -> None:
    """The path to a running control plane imports none of the heavy libraries."""
    code = (
        "import sys; from hero_livekit_units.cli.main import main; "
        "import hero_livekit_units.cli.quick; print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not set(HEAVY) & set(run.stdout.split())


def test_no_command_but_verify_loads_participants() -> None:
    """What measures calls is an extra: the other commands neither need it nor wait for it."""
    code = "import sys; import hero_livekit_units.cli.commands; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    packages = {".".join(name.split(".")[:2]) for name in run.stdout.split()}
    assert not {"hero_livekit_units.calls", "hero_livekit_units.verify", "livekit", "numpy", "requests"} & packages
