"""The README of the definitions, followed to the letter."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hero_livekit_units.definitions import kinds, rules
from hero_livekit_units.definitions.files import read_catalog, shipped_catalog, shipped_folder
from hero_livekit_units.definitions.kinds import REMOVED
from hero_livekit_units.livekit.desired import desired_specs
from hero_livekit_units.model.settings import Settings, setting_fields
from hero_livekit_units.model.unit import HostTrait, Strategy

README = (shipped_folder() / "README.md").read_text()
HLU = Path(sys.executable).parent / "hlu"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The definitions with the new release of the README, written as it says."""
    folder = tmp_path / "unit_defs"
    shutil.copytree(shipped_folder(), folder)
    found = re.search(r"<!-- (\S+) -->\n```toml\n(.*?)```", README, re.DOTALL)
    assert found, "the README has no example"
    (folder / found[1]).write_text(found[2])
    return folder


def test_a_new_release_is_one_file(folder: Path) -> None:
    """It is the newest, may follow the one before and be followed by it, and knows just the keys that it should."""
    catalog = read_catalog(folder)
    newest, before = catalog.find("livekit-server"), catalog.find("livekit-server", "1.13.5")
    assert newest.unit.release == "1.13.6-r1"
    known = {key for key, kind in newest.config.keys.items() if kind != REMOVED}
    assert known == set(before.config.keys) - {"room.create_room_enabled", "log_level"} | {"room.greeting"}
    lineage = catalog.lineage("livekit-server")
    assert [edge.start for edge in lineage.edges_into("1.13.6-r1")] == ["1.13.5-r1"]
    assert [edge.end for edge in lineage.edges_from("1.13.6-r1")] == ["1.13.5-r1"]
    media, _ = desired_specs(catalog, Settings(), home="/srv/media", python="python3")
    assert media.argv[0] == "/srv/media/bin/livekit-server-1.13.6/livekit-server"


def test_no_other_release_changes_by_it(folder: Path) -> None:
    """What was there has the same meaning as before."""
    catalog = read_catalog(folder)
    for definition in shipped_catalog().definitions:
        assert catalog.find(definition.unit.name, definition.unit.release) == definition


@pytest.mark.servers
def test_the_commands_work(folder: Path) -> None:
    """Each line that the README tells to type ends with status 0 and shows the new release."""
    block = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)[-1]
    assert block.count("hlu ") == 3
    for line in block.splitlines():
        _, *arguments = shlex.split(line)
        run = subprocess.run([HLU, *arguments], cwd=folder.parent, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        assert "1.13.6-r1" in run.stdout


def test_the_readme_knows_every_name() -> None:
    """Strategies, kinds, kinds of hosts, secrets and parameters: what the code knows, the README explains."""
    names = [*Strategy, *HostTrait, *rules.SECRETS, *rules.OPTIONAL_SECRETS]
    names += [kind for kind in kinds.KINDS if not kind.startswith(("list of ", "table of "))]
    missing = [name for name in names if f"`{name}`" not in README]
    assert missing == []
    own = [name for name in rules.PARAMETERS if name not in setting_fields()]
    assert [name for name in own if f"`{name}`" not in README] == []
