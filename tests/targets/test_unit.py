"""The program that has the files of a unit ready: what it writes, and what it says when it cannot."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.targets.saying import one_line
from hero_livekit_units.targets.specs import ORDER, UnitOrder
from tests.fakes.hero import FakeHero
from tests.fakes.plugins import EXAMPLE, ROOT, covered, search_path
from tests.launches import launch_file

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = EXAMPLE / "status_page" / "unit_defs"


def configure(order: UnitOrder, root: Path) -> subprocess.CompletedProcess[str]:
    """Run the program as hero_proc would."""
    environment = search_path(ROOT) | {"HOME": str(root), ORDER: order.as_text()}
    environment |= {"HERO_PROC_SOCKET": str(root / "hero.sock")}
    return subprocess.run(
        [sys.executable, "-m", "hero_livekit_units.targets.unit"],
        env=covered(environment),
        capture_output=True,
        text=True,
        check=False,
    )


def order(root: Path, release: str = "1.0.0-r2", definitions: Path = FOLDER) -> UnitOrder:
    """The example's unit, to live in a folder."""
    parameters = {"python": sys.executable, "binary": ""}
    return UnitOrder(str(definitions), "status-page", release, str(root / "home"), parameters=parameters)


def test_files_are_written_once(short_folder: Path) -> None:
    """With their modes, in a folder for the owner alone; a file that is as it should be is not touched."""
    first = configure(order(short_folder), short_folder)
    page = launch_file(short_folder / "home" / "page", "index.html")
    assert (first.returncode, first.stdout, first.stderr) == (0, f"wrote {page}\n", "")
    assert page.read_text().startswith("<!doctype html>")
    assert (stat.S_IMODE(page.stat().st_mode), stat.S_IMODE(page.parent.stat().st_mode)) == (0o600, 0o700)
    assert configure(order(short_folder), short_folder).stdout == ""
    page.write_text("something else")
    assert configure(order(short_folder), short_folder).stdout == f"wrote {page}\n"


def test_secrets_come_from_hero_proc(short_folder: Path) -> None:
    """They are asked for only where a file holds one; where hero_proc cannot be asked, the last line says so."""
    definitions = short_folder / "defs"
    shutil.copytree(FOLDER, definitions)
    base = definitions / "status-page" / "base-1.toml"
    base.write_text(base.read_text().replace("all is well on", "${secret.backend_secret}"))
    wanted = order(short_folder, "1.0.0-r1", definitions)

    failed = configure(wanted, short_folder)
    assert failed.returncode == 1
    assert failed.stdout.startswith("cannot call secret.get: ")
    assert failed.stdout.count("\n") == 1

    with FakeHero(short_folder / "hero.sock") as hero:
        assert configure(wanted, short_folder).returncode == 0
        (secret,) = [value for (_, name), value in hero.stored.items() if name == "backend_secret"]
    assert secret in launch_file(short_folder / "home" / "page", "index.html").read_text()


def test_what_is_wrong_is_one_line(short_folder: Path) -> None:
    """A release that has gone, a folder that cannot be made."""
    gone = configure(order(short_folder, "7.0.0-r1"), short_folder)
    assert (gone.returncode, gone.stdout) == (
        1,
        "cannot find release '7.0.0-r1' of status-page (known releases: 1.0.0-r1, 1.0.0-r2)\n",
    )
    (short_folder / "home").write_text("a file")
    blocked = configure(order(short_folder), short_folder)
    assert blocked.returncode == 1
    assert "Not a directory" in blocked.stdout
    assert os.listdir(short_folder) == ["home"]  # noqa: PTH208


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a\n\n  b\x1b[31m"), "a; b?[31m"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (ValueError("x" * 1000), "x" * 399 + "…"),
    ],
    ids=["lines", "no text", "long"],
)
def test_one_line(error: BaseException, line: str) -> None:
    """Printable, bounded, never empty."""
    assert one_line(error) == line
