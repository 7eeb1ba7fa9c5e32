"""`hlu show`, `hlu path`, `hlu units`, `hlu set`, `hlu unset`, `hlu config` as people type them."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.definitions import rules
from hero_livekit_units.definitions.digest import digest
from hero_livekit_units.definitions.files import shipped_catalog, shipped_folder
from hero_livekit_units.definitions.structure import load
from hero_livekit_units.model.unit import Definition

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine


def text(hlu: CommandLine, *arguments: str, code: int = 0) -> str:
    """What a command prints."""
    run = hlu.run(*arguments)
    assert run.returncode == code, run.stderr
    return run.stdout if code == 0 else run.stderr


def data(hlu: CommandLine, *arguments: str) -> Any:
    """The same as data."""
    return json.loads(text(hlu, *arguments, "--json"))


@pytest.mark.parametrize(
    ("release", "says", "verified"),
    [
        ("1.13.5", "309 keys of livekit.yaml, derived from the release's own source", True),
        ("1.11.0-r1", "291 keys of livekit.yaml, derived from the release's own source", True),
        ("1.12.0", "294 keys of livekit.yaml, NOT VERIFIED: derived from upstream's list of changes", False),
    ],
)
def test_show_says_where_the_keys_come_from(release: str, says: str, verified: bool, hlu: CommandLine) -> None:  # noqa: FBT001
    """Nobody has to trust a list that could not be checked without knowing it."""
    assert says in text(hlu, "show", "livekit-server", release)
    assert says in text(hlu, "show", "livekit-server", release, "--keys")
    assert data(hlu, "show", "livekit-server", release)["config"]["verified"] is verified


def test_show_tells_edges_changes_and_blocks(hlu: CommandLine) -> None:
    """What it may replace in either direction, what it changed, and on which hosts nobody should run it."""
    shown = text(hlu, "show", "livekit-server", "1.13.2")
    assert "may replace    1.13.1-r1 (upstream's list of changes): only a setting that switched off" in shown
    assert "changed        room.create_room_enabled is gone, and fatal if it is set" in shown
    assert "upgrade: remove room.create_room_enabled from [livekit.config]" in shown
    assert "on hosts with qdisc-stats2-only" in shown
    assert "it panics while calls run" in text(hlu, "show", "livekit-server", "1.9.10")
    found = data(hlu, "show", "livekit-server", "1.11.0")
    assert [edge["start"] for edge in found["may_replace"]] == ["1.9.12-r1", "1.10.1-r1", "1.12.0-r1", "1.13.3-r1"]


@pytest.mark.parametrize("unit", shipped_catalog().units)
def test_show_prints_a_complete_definition(unit: str, hlu: CommandLine) -> None:
    """Without bases, and it means the same."""
    found = load(text(hlu, "show", unit, "--toml"), "x.toml", Definition, rules.faults)
    assert isinstance(found, Definition)
    assert digest(found) == digest(shipped_catalog().find(unit)) == data(hlu, "show", unit)["digest"]


def test_path(hlu: CommandLine) -> None:
    """The chain, each edge with its reason and what it rests on, and what must be done on the way."""
    shown = text(hlu, "path", "livekit-server", "1.9.12", "1.13.5")
    assert shown.startswith("livekit-server 1.9.12-r1 → 1.13.5-r1: 3 steps\n")
    assert "1. 1.9.12-r1 → 1.11.0-r1\n   because " in shown
    assert "rests on  calls measured on both" in shown
    assert "1.10.0    the log's field pID is called participantID\n             do: whoever reads the log" in shown
    way = data(hlu, "path", "livekit-server", "1.9.12", "1.13.5")
    assert [(edge["start"], edge["end"]) for edge in way["edges"]] == [
        ("1.9.12-r1", "1.11.0-r1"),
        ("1.11.0-r1", "1.13.3-r1"),
        ("1.13.3-r1", "1.13.5-r1"),
    ]
    assert "1 step\n" in text(hlu, "path", "livekit-server", "1.13.5", "1.13.4")
    assert "nothing to do" in text(hlu, "path", "livekit-server", "1.13.5", "1.13.5-r1")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("path", "livekit-server", "1.9.9", "1.9.10"), 6, "livekit-server 1.9.10-r1 is blocked: it panics"),
        (("path", "livekit-server", "1.9.9", "2.0"), 4, "cannot find release '2.0' of livekit-server"),
        (("path", "livekit-sever", "1.9.9", "2.0"), 4, "did you mean 'livekit-server'?"),
        (("show", "lk-backend", "9"), 4, "known releases: 0.1.0-r1"),
        (("set", "livekit.version", "1.9.10"), 6, "is blocked: it panics"),
        (("unset", "livekit.ports.htp"), 6, "did you mean livekit.ports.http"),
        (("set", "livekit.version"), 2, "Missing argument"),
    ],
    ids=["blocked", "release", "unit", "show", "set", "unset", "usage"],
)
def test_what_cannot_be_is_told(arguments: tuple[str, ...], code: int, says: str, hlu: CommandLine) -> None:
    """With an exit code of its kind, and advice."""
    assert says in text(hlu, *arguments, code=code)


def test_units_of_a_folder_are_checked(hlu: CommandLine, tmp_path: Path) -> None:
    """Faults of one's own definitions come with file, line and column."""
    folder = tmp_path / "defs"
    shutil.copytree(shipped_folder(), folder)
    assert text(hlu, "units", "--folder", str(folder)) == text(hlu, "units")
    path = folder / "livekit-server" / "1.13.5-r1.toml"
    path.write_text(path.read_text().replace("revision", "revison"))
    assert f"{path}:7:1: unit.revison: unknown key" in text(hlu, "units", "--folder", str(folder), code=4)


def test_set_and_unset(hlu: CommandLine) -> None:
    """Nothing running is touched, and the file has the one change."""
    file = hlu.places.settings_file
    before = file.read_text()
    said = text(hlu, "set", "livekit.region", "here")
    assert (
        said == f"livekit.region set to 'here' in {file}; nothing running was touched, `hlu plan` shows what would be\n"
    )
    assert file.read_text() == f'{before}\n[livekit]\nregion = "here"\n'
    assert text(hlu, "set", "livekit.region", "here") == "livekit.region is 'here' already\n"
    assert data(hlu, "unset", "livekit.region") | {"file": ""} == {
        "file": "",
        "key": "livekit.region",
        "value": None,
        "changed": True,
        "left": [],
    }
    assert file.read_text() == before


def test_config(hlu: CommandLine) -> None:
    """Each file that would be written, with the names of secrets in the place of secrets."""
    files = data(hlu, "config")
    assert [path.rpartition("/")[2] for path in files] == ["livekit.yaml", "backend.env", "runtime.json"]
    assert next(iter(files)).startswith(str(hlu.places.home / "slots/a/launch-…/"))
    assert "keys: ${secret.api_keys}\n" in next(iter(files.values()))
    assert "LIVEKIT_API_SECRET=${secret.api_secret}\n" in text(hlu, "config")
