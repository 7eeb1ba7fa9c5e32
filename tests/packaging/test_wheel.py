"""The wheel stands on its own: installed into an empty environment, away from the checkout, it works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from hero_livekit_units.definitions.files import shipped_catalog

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that holds the wheel and what it depends on, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", ROOT],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (wheel,) = (folder / "dist").glob("*.whl")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True, cwd=folder)
    return python.parent


@pytest.mark.servers
@pytest.mark.timeout(300)
def test_hlu_units_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """The definitions ship inside, and none of it comes from the checkout."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    run = subprocess.run(
        [installed / "hlu", "units", "--json"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    units = json.loads(run.stdout)
    shipped = shipped_catalog().definitions
    assert [(unit["name"], unit["release"]) for unit in units] == [(one.unit.name, one.unit.release) for one in shipped]
    assert all(unit["file"].startswith(str(installed.parent)) for unit in units)


@pytest.mark.servers
@pytest.mark.timeout(300)
def test_the_wheel_is_typed_and_has_its_entry_points(installed: Path, tmp_path: Path) -> None:
    """A type checker and a hero_proc find what they look for."""
    code = (
        "import hero_livekit_units, pathlib, importlib.metadata as m; "
        "assert (pathlib.Path(hero_livekit_units.__file__).parent / 'py.typed').exists(); "
        "(point,) = m.entry_points(group='hero_proc.units'); "
        "print(m.version('hero-livekit-units') == hero_livekit_units.__version__, len(point.load()().definitions))"
    )
    run = subprocess.run([installed / "python", "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert run.stdout.split() == ["True", str(len(shipped_catalog().definitions))]
    for program in ("hlu", "lk-backend"):
        run = subprocess.run([installed / program, "--help"], check=True, capture_output=True, text=True, cwd=tmp_path)
        assert "usage" in run.stdout.lower()
