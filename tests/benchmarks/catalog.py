"""What the definitions cost: the whole catalog, what a status reads of it, how it grows with the releases.

    python -m tests.benchmarks.catalog [--json FILE]

Beside each figure stands the floor: reading the same files with the standard library's TOML reader and nothing more.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hero_livekit_units.definitions.files import open_catalog, read_catalog, shipped_folder

if TYPE_CHECKING:
    from collections.abc import Callable

_ROUNDS = 15
_SIZES = (1_000, 2_500, 5_000, 10_000)

# Prints what a process opens of the definitions while it finds out what should run, and how long that takes.
_STATUS = """
import json, sys, time
opened = []
def heard(event, args):
    if event == "open" and "/unit_defs/" in str(args[0]):
        opened.append(str(args[0]).rsplit("/unit_defs/", 1)[-1])
sys.addaudithook(heard)
began = time.perf_counter()
from hero_livekit_units.media import Media
imported = time.perf_counter()
specs = Media.connect().specs()
print(json.dumps({"files": sorted(path for path in set(opened) if path.endswith(".toml")),
                  "import_ms": (imported - began) * 1000, "specs_ms": (time.perf_counter() - imported) * 1000}))
"""
_BASE = """
[unit]
name = "echo"
summary = "says what it hears"
[binary]
python_module = "echo"
[run]
folder = "echo"
argv = ["${python}", "-m", "echo"]
[ports.http]
number = 9000
[probes.ready]
kind = "http"
level = "readiness"
port = "http"
[stop]
signal = "SIGTERM"
[restart]
exit_zero_is_failure = true
[lineage]
strategies = ["restart"]
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures as data")
    arguments = parser.parse_args()
    figures = {"shipped": shipped(), "status": status(), "growth": growth()}
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def shipped() -> dict[str, float]:
    """The catalog that ships, loaded and checked whole."""
    folder = shipped_folder()
    whole = _median_ms(lambda: read_catalog(folder))
    floor = _median_ms(lambda: _parse_all(folder))
    releases = len(read_catalog(folder).definitions)
    print(f"whole catalog, {releases} releases, load and validate, warm: p50 {whole:.1f} ms (goal <= 60)")
    print(f"  floor, tomllib alone on the same files:                 p50 {floor:.1f} ms")
    return {"releases": releases, "load_ms": whole, "floor_ms": floor}


def status() -> dict[str, object]:
    """What `hlu status` reads when it looks itself."""
    runs = [
        json.loads(subprocess.run([sys.executable, "-c", _STATUS], check=True, capture_output=True, text=True).stdout)
        for _ in range(_ROUNDS)
    ]
    specs = statistics.median(run["specs_ms"] for run in runs)
    files = runs[0]["files"]
    print(f"desired state in a new process: p50 {specs:.1f} ms, reads {len(files)} files: {', '.join(files)}")
    return {"specs_ms": specs, "files": files}


def growth() -> dict[int, dict[str, float]]:
    """Synthetic units with ever more releases in one chain."""
    figures = {}
    for size in _SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            _write(folder, size)
            began = time.perf_counter()
            catalog = read_catalog(folder)
            loaded = time.perf_counter()
            lineage = catalog.lineage("echo")
            way = lineage.path(lineage.releases[0], lineage.head)
            walked = time.perf_counter()
            newest_ms = _median_ms(partial(_newest, folder), rounds=3)
        assert len(way.edges) == size - 1
        figures[size] = {
            "load_s": loaded - began,
            "us_per_release": (loaded - began) / size * 1e6,
            "path_ms": (walked - loaded) * 1000,
            "newest_ms": newest_ms,
        }
        row = figures[size]
        print(
            f"{size:6} releases: load and validate {row['load_s']:.2f} s, {row['us_per_release']:.0f} us each; "
            f"the longest path {row['path_ms']:.0f} ms; the newest alone {row['newest_ms']:.0f} ms"
        )
    ratio = figures[_SIZES[-1]]["us_per_release"] / figures[_SIZES[0]]["us_per_release"]
    print(f"  cost of one release at {_SIZES[-1]} against {_SIZES[0]}: {ratio:.2f} (linear is 1)")
    return figures


def _write(folder: Path, size: int) -> None:
    (folder / "echo").mkdir()
    (folder / "echo" / "base-1.toml").write_text(_BASE)
    for at in range(size):
        edge = f'[lineage.upgrades_from]\n"1.{at - 1}-r1" = {{ because = "it is newer" }}\n' if at else ""
        text = f'extends = "base-1.toml"\n[unit]\nversion = "1.{at}"\nrevision = 1\n{edge}'
        (folder / "echo" / f"1.{at}-r1.toml").write_text(text)


def _newest(folder: Path) -> None:
    open_catalog(folder).find("echo")


def _parse_all(folder: Path) -> None:
    for path in folder.glob("*/*.toml"):
        tomllib.loads(path.read_text(encoding="utf-8"))


def _median_ms(act: Callable[[], object], rounds: int = _ROUNDS) -> float:
    act()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    main()
