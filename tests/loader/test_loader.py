"""`python -m hero_livekit_units.loader`: whatever one plugin does, the others are there, and it is named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.definitions.files import shipped_catalog
from tests.fakes.plugins import ROOT, covered, search_path, write_broken_plugins, write_plugin

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
from pathlib import Path
from hero_livekit_units.plugin import read_catalog
catalog = read_catalog(Path(__file__).parent / "unit_defs")
print("a word on the way")
return Units(catalog.definitions, files=catalog.files)
"""
DEFINITION = """
[unit]
name = "{name}"
version = "1.0"
revision = {revision}
summary = "sleeps"
[binary]
python_module = "time"
[run]
folder = "x"
argv = ["sleep", "1000"]
[ports]
[probes]
[stop]
signal = "SIGTERM"
[restart]
exit_zero_is_failure = true
"""
LINEAGE = """
[lineage]
strategies = ["restart"]
upgrades_from = { "1.0-r1" = { because = "it sleeps as well" } }
rolls_back_to = { "1.0-r1" = { because = "it slept as well" } }
"""


def load(folder: Path, *, deadline_s: float = 1.0) -> tuple[dict[str, Any], str]:
    """What the loader says with these plugins beside our own, and its stderr."""
    run = subprocess.run(
        [sys.executable, "-m", "hero_livekit_units.loader", "--deadline", str(deadline_s)],
        env=covered(search_path(folder, ROOT)),
        check=True,
        capture_output=True,
        text=True,
        timeout=60.0,
    )
    found: dict[str, Any]
    found, *definitions = [json.loads(line) for line in run.stdout.splitlines()]
    for unit in found["units"]:
        for row in unit["releases"]:
            row["definition"] = definitions[row["definition"] - 1]
    return found, run.stderr


def errors(found: dict[str, Any]) -> dict[str, Any]:
    """Error of each plugin by its name."""
    return {plugin["name"]: plugin["error"] for plugin in found["plugins"]}


def write_good(folder: Path, *units: str) -> None:
    """Install a plugin with these units, two releases each."""
    write_plugin(folder, "good", GOOD)
    for unit in units:
        for revision in (2, 1):
            path = folder / "unit_defs" / unit / f"1.0-r{revision}.toml"
            path.parent.mkdir(parents=True, exist_ok=True)
            lineage = LINEAGE if revision == 2 else ""
            path.write_text(DEFINITION.format(name=unit, revision=revision) + lineage)


@pytest.mark.servers
def test_broken_plugins_stop_nobody(tmp_path: Path) -> None:
    """Each one is named with its reason on one printable line; the traceback is in the log; the others are whole."""
    write_broken_plugins(tmp_path)
    write_good(tmp_path, "sleeper")
    found, log = load(tmp_path)
    told = errors(found)
    assert (told.pop("hero_livekit"), told.pop("good")) == (None, None)
    assert told.pop("huge")["type"] == "TooLarge"
    assert told == {
        "raises": {"type": "RuntimeError", "text": "first line; second line ?[31m"},
        "exits": {"type": "SystemExit", "text": "no"},
        "vanishes": {"type": "Exited", "text": "its process ended with status 3 and without an answer"},
        "crashes": {"type": "Killed", "text": "its process was killed by SIGSEGV"},
        "hangs": {"type": "TimedOut", "text": "it did not answer within 1 s"},
        "garbage": {
            "type": "TypeError",
            "text": "it gave a value of type dict instead of hero_livekit_units.plugin.Units",
        },
        "nothing": {"type": "TypeError", "text": "it gave None instead of hero_livekit_units.plugin.Units"},
        "not_json": {"type": "TypeError", "text": "Object of type set is not JSON serializable"},
        "duplicate": {"type": "DuplicateUnit", "text": "livekit-front is a unit of hero_livekit"},
        "absent": {"type": "ModuleNotFoundError", "text": "No module named 'absent'"},
    }
    assert [unit["name"] for unit in found["units"]] == [*shipped_catalog().units, "sleeper"]
    assert "a word on the way" in log
    assert 'raise RuntimeError("first line' in log or "raise RuntimeError('first line" in log
    by_name = {plugin["name"]: plugin for plugin in found["plugins"]}
    assert by_name["good"]["units"] == ["sleeper"]
    assert all(not by_name[name]["units"] and not by_name[name]["targets"] for name in told)


def test_a_release_row(tmp_path: Path) -> None:
    """All releases in order, with where they come from and what they may replace; the newest is the unit's."""
    write_good(tmp_path, "sleeper")
    found, _ = load(tmp_path, deadline_s=20.0)
    (unit,) = [unit for unit in found["units"] if unit["name"] == "sleeper"]
    assert (unit["plugin"], unit["release"], unit["summary"]) == ("good", "1.0-r2", "sleeps")
    first, second = unit["releases"]
    assert (first["release"], first["upgrades_from"]) == ("1.0-r1", {})
    assert (second["release"], list(second["upgrades_from"])) == ("1.0-r2", ["1.0-r1"])
    assert second["file"] == str(tmp_path / "unit_defs" / "sleeper" / "1.0-r2.toml")
    assert second["definition"]["run"]["argv"] == ["sleep", "1000"]
    assert (second["blocked"], list(second["rolls_back_to"])) == ([], ["1.0-r1"])
    assert first["digest"] != second["digest"]


def test_the_same_unit_twice(tmp_path: Path) -> None:
    """The first plugin by name has it; the second contributes nothing, not even its other units."""
    write_good(tmp_path, "sleeper", "waker")
    write_plugin(tmp_path, "zealot", GOOD.replace('"unit_defs"', '"other_defs"'))
    for unit in ("another", "waker"):
        path = tmp_path / "other_defs" / unit / "1.0-r1.toml"
        path.parent.mkdir(parents=True)
        path.write_text(DEFINITION.format(name=unit, revision=1))
    found, _ = load(tmp_path, deadline_s=20.0)
    assert errors(found)["zealot"] == {"type": "DuplicateUnit", "text": "waker is a unit of good"}
    assert [unit["name"] for unit in found["units"]] == [*shipped_catalog().units, "sleeper", "waker"]


def test_two_distributions_with_one_plugin_name(tmp_path: Path) -> None:
    """Our own comes first whatever others are called; the second of a name is told who has it."""
    write_plugin(tmp_path, "hero_livekit", "return Units(())", distribution="aaa")
    found, _ = load(tmp_path, deadline_s=20.0)
    assert [(plugin["distribution"], plugin["error"]) for plugin in found["plugins"]] == [
        ("hero-livekit-units", None),
        ("aaa", {"type": "DuplicatePlugin", "text": "hero-livekit-units has a plugin of this name"}),
    ]


def test_faults_in_definition_files_are_told(tmp_path: Path) -> None:
    """The author finds file, key and hint in the reason."""
    write_good(tmp_path, "sleeper")
    path = tmp_path / "unit_defs" / "sleeper" / "1.0-r2.toml"
    path.write_text(path.read_text().replace("SIGTERM", "SIGTREM"))
    found, _ = load(tmp_path, deadline_s=20.0)
    error = errors(found)["good"]
    assert error["type"] == "DefinitionInvalid"
    assert f"{path}:" in error["text"]
    assert "stop.signal: not a signal: 'SIGTREM'" in error["text"]


@pytest.mark.parametrize(
    "entry_points",
    ["[hero_proc.units]\nodd\n", "[hero_proc.units]\nodd = not a path!\n", "[hero_proc.units]\nodd = odd:missing\n"],
    ids=["no value", "no path", "no such function"],
)
def test_damaged_metadata(tmp_path: Path, entry_points: str) -> None:
    """A distribution whose entry point cannot be read is named; the others are there."""
    write_plugin(tmp_path, "odd", "pass", entry_points=entry_points)
    found, _ = load(tmp_path, deadline_s=20.0)
    assert errors(found)["hero_livekit"] is None
    assert errors(found)["odd"]["text"]


def test_metadata_that_no_one_can_read(tmp_path: Path) -> None:
    """Nor does a distribution without a name or with bytes instead of text matter to the others."""
    write_plugin(tmp_path, "odd", "pass")
    (tmp_path / "odd-1.0.dist-info" / "entry_points.txt").write_bytes(b"[hero_proc.units]\nodd = \xff\xfe:units\n")
    write_plugin(tmp_path, "nameless", "pass")
    (tmp_path / "nameless-1.0.dist-info" / "METADATA").write_text("")
    found, _ = load(tmp_path, deadline_s=20.0)
    assert errors(found)["hero_livekit"] is None


def test_of_two_installations_the_first_counts(tmp_path: Path) -> None:
    """As with imports: what the search path finds first."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        write_plugin(folder, folder.name, "return Units(())", distribution="twice")
    run = subprocess.run(
        [sys.executable, "-m", "hero_livekit_units.loader"],
        env=covered(search_path(first, second, ROOT)),
        check=True,
        capture_output=True,
    )
    assert list(errors(json.loads(run.stdout.splitlines()[0]))) == ["hero_livekit", "first"]


def test_what_a_plugin_leaves_running_holds_up_nothing(tmp_path: Path) -> None:
    """A process that a plugin started and that keeps the way of the answer open is not waited for."""
    left = tmp_path / "left"
    lines = ["import os, pathlib, time", "pid = os.fork()", "if not pid:", "    time.sleep(60)", "    os._exit(0)"]
    lines += [f"pathlib.Path({str(left)!r}).write_text(str(pid))", "return Units(())"]
    write_plugin(tmp_path, "leaves", "\n".join(lines))
    began = time.monotonic()
    try:
        found = load_to_file(tmp_path)
        assert (errors(found)["leaves"], time.monotonic() - began < 30.0) == (None, True)
    finally:
        os.kill(int(left.read_text()), signal.SIGKILL)


def load_to_file(folder: Path) -> dict[str, Any]:
    """As `load`, with files instead of pipes, which nobody has to close."""
    output = folder / "out.json"
    with output.open("wb") as file, (folder / "log").open("wb") as log:
        subprocess.run(
            [sys.executable, "-m", "hero_livekit_units.loader", "--deadline", "40"],
            env=covered(search_path(folder, ROOT)),
            check=True,
            stdout=file,
            stderr=log,
        )
    found: dict[str, Any] = json.loads(output.read_text().splitlines()[0])
    return found
