"""Every road to livekit-server ends at the one path that a launch looks at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.errors import ProvisionFailed, UnitsError
from hero_livekit_units.livekit.desired import desired_specs
from hero_livekit_units.livekit.install import install
from hero_livekit_units.model.settings import Settings

if TYPE_CHECKING:
    from hero_livekit_units.definitions.catalog import Catalog


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the package keeps its files; not there yet."""
    return tmp_path / "home"


def program(path: Path, version: str = "1.13.5") -> Path:
    """A program that prints a version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho livekit-server version {version}\n")
    path.chmod(0o755)
    return path


def place(catalog: Catalog, home: Path) -> Path:
    """Where the launch looks for it."""
    return Path(desired_specs(catalog, Settings(), home=str(home), python="python3")[0].argv[0])


def test_a_program_elsewhere_is_linked_to(catalog: Catalog, home: Path, tmp_path: Path) -> None:
    """The user's program stays where it is, and the launch finds it."""
    own = program(tmp_path / "opt" / "livekit-server")
    (found,) = install(catalog, Settings(), home, named=own)
    assert (found.path, found.road, found.record) == (own, "named", "livekit-server version 1.13.5")
    assert place(catalog, home).is_symlink()
    assert place(catalog, home).resolve() == own


def test_installing_again_changes_nothing(catalog: Catalog, home: Path, tmp_path: Path) -> None:
    """The link is not even rewritten."""
    own = program(tmp_path / "opt" / "livekit-server")
    install(catalog, Settings(), home, named=own)
    before = place(catalog, home).lstat()
    install(catalog, Settings(), home, named=own)
    assert place(catalog, home).lstat() == before
    assert [path.name for path in place(catalog, home).parent.iterdir()] == ["livekit-server"]


def test_a_named_program_holds_without_being_named_again(
    catalog: Catalog, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who named it once is not overruled by a program on the search path later."""
    own = program(tmp_path / "opt" / "livekit-server")
    install(catalog, Settings(), home, named=own)
    program(tmp_path / "path" / "livekit-server")
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    (found,) = install(catalog, Settings(), home)
    assert found.path == own


def test_another_name_replaces_the_link(catalog: Catalog, home: Path, tmp_path: Path) -> None:
    """The latest word of the user counts."""
    install(catalog, Settings(), home, named=program(tmp_path / "one" / "livekit-server"))
    other = program(tmp_path / "two" / "livekit-server")
    install(catalog, Settings(), home, named=other)
    assert place(catalog, home).readlink() == other


def test_a_program_on_the_search_path(
    catalog: Catalog, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is installed already is used, when it is the right version."""
    own = program(tmp_path / "path" / "livekit-server")
    monkeypatch.setenv("PATH", f"{own.parent}:/usr/bin:/bin")
    (found,) = install(catalog, Settings(), home)
    assert (found.path, found.road) == (own, "path")
    assert place(catalog, home).resolve() == own


def test_a_link_whose_program_is_gone(
    catalog: Catalog, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link into nothing is no obstacle: the next road is taken, and the link mended."""
    gone = program(tmp_path / "one" / "livekit-server")
    install(catalog, Settings(), home, named=gone)
    gone.unlink()
    own = program(tmp_path / "path" / "livekit-server")
    monkeypatch.setenv("PATH", f"{own.parent}:/usr/bin:/bin")
    install(catalog, Settings(), home)
    assert place(catalog, home).resolve() == own


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda path: program(path, "1.9.12"), "prints 'livekit-server version 1.9.12'", id="version"),
        pytest.param(lambda path: path, "does not exist", id="missing"),
        pytest.param(lambda path: path.mkdir(parents=True), "is not a file", id="folder"),
        pytest.param(lambda path: program(path).chmod(0o644), "is not executable", id="not-executable"),
    ],
)
def test_a_wrong_program_is_refused(make: object, reason: str, catalog: Catalog, home: Path, tmp_path: Path) -> None:
    """Nothing is linked to what is not the release that was asked for."""
    path = tmp_path / "opt" / "livekit-server"
    assert callable(make)
    make(path)
    with pytest.raises(ProvisionFailed, match=reason):
        install(catalog, Settings(), home, named=path)
    assert not place(catalog, home).is_symlink()


def test_a_folder_that_cannot_be_made(catalog: Catalog, tmp_path: Path) -> None:
    """The error is one of ours and names the place."""
    own = program(tmp_path / "opt" / "livekit-server")
    (tmp_path / "home").touch()
    with pytest.raises(UnitsError, match=str(tmp_path / "home")):
        install(catalog, Settings(), tmp_path / "home", named=own)
