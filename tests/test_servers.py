"""How the tests come by their zinit: built once, kept, and loud where that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers import zinit_server

if TYPE_CHECKING:
    from pathlib import Path

BUILDS = """#!/bin/sh
echo "$*" >> "${0%/*}/asked"
while [ "$1" != --root ]; do shift; done
mkdir -p "$2/bin" && echo built > "$2/bin/zinit-server"
"""


def cargo(folder: Path, text: str) -> str:
    """A PATH with a cargo that does this."""
    folder.mkdir()
    (folder / "cargo").write_text(text)
    (folder / "cargo").chmod(0o755)
    return str(folder)


def test_zinit_is_built_once_and_kept(tmp_path: Path) -> None:
    """With the versions that its crate was released with; what was built on the way is gone."""
    path = cargo(tmp_path / "path", BUILDS)
    programs = {zinit_server(tmp_path / "kept", path) for _ in range(2)}
    assert programs == {tmp_path / "kept" / "zinit-0.3.9" / "zinit-server"}
    assert programs.pop().read_text() == "built\n"
    (asked,) = (tmp_path / "path" / "asked").read_text().splitlines()
    assert asked.startswith("install zinit --version 0.3.9 --locked ")
    assert [kept.name for kept in (tmp_path / "kept").iterdir()] == ["zinit-0.3.9"]


def test_a_missing_cargo_is_told_with_what_to_do(tmp_path: Path) -> None:
    """Tests that are left out in silence prove nothing."""
    with pytest.raises(RuntimeError, match="the tests need cargo to build zinit"):
        zinit_server(tmp_path / "kept", str(tmp_path))


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """The next run tries again."""
    with pytest.raises(RuntimeError, match="failed with status 3"):
        zinit_server(tmp_path / "kept", cargo(tmp_path / "path", "#!/bin/sh\nexit 3\n"))
    assert list((tmp_path / "kept").iterdir()) == []
