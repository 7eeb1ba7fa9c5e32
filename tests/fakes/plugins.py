"""Installed plugins, good and broken, written into a folder that goes on the search path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import hero_livekit_units

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(hero_livekit_units.__file__).parents[1]
EXAMPLE = ROOT / "examples" / "third_party_plugin"

# What a plugin can do wrong, by the name of the plugin; the body of its function.
BROKEN = {
    "raises": "raise RuntimeError('first line\\nsecond line \\x1b[31m')",
    "exits": "import sys; sys.exit('no')",
    "vanishes": "import os; os._exit(3)",
    "crashes": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "hangs": "import time; time.sleep(1000)",
    "garbage": "return {'units': []}",
    "nothing": "print('{\"answer\": {}}')",
    "huge": "return Units((), files=(), targets=(Target({'name': 'x' * 5_000_000}, ()),))",
    "not_json": "return Units((), targets=(Target({'name': 'x', 'actions': {1, 2}}, ()),))",
    "duplicate": "return own()",
}


def write_plugin(folder: Path, name: str, body: str, *, distribution: str = "", entry_points: str = "") -> None:
    """Install a plugin whose function has this body.

    Args:
        folder: that goes on the search path.
        name: of the entry point and of the module.
        body: statements; `Units`, `Target` and `own`, which is our own plugin's function, are there.
        distribution: by default the name.
        entry_points: text of that file, where it is to be something else.
    """
    head = "from hero_livekit_units.plugin import Target, Units, units as own\n\n\ndef units():\n"
    (folder / f"{name}.py").write_text(head + "".join(f"    {line}\n" for line in body.splitlines()))
    info = folder / f"{distribution or name}-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution or name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points or f"[hero_proc.units]\n{name} = {name}:units\n")


def write_broken_plugins(folder: Path) -> None:
    """Install one of each kind, and one that cannot be imported."""
    for name, body in BROKEN.items():
        write_plugin(folder, name, body)
    write_plugin(folder, "absent", "pass")
    (folder / "absent.py").unlink()


def environment_with_example(folder: Path) -> Path:
    """Install the example, without network, into an environment of its own that has all that ours has; its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    site.joinpath("ours.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    copy = folder / "source"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__"))  # a build leaves things behind
    offline = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    pip = [str(python), "-m", "pip", "install", *offline, str(copy)]
    subprocess.run(pip, check=True, env=search_path(ROOT) | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    return python


def search_path(*folders: Path) -> dict[str, str]:
    """An environment in which modules are looked for in these folders first."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, folders))}


def covered(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, with what coverage needs."""
    return dict(environment) | {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
