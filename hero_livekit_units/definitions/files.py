"""Reads definition files from disk: those that ship with the package, or a folder of the same shape."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hero_livekit_units.definitions import rules
from hero_livekit_units.definitions.catalog import Catalog, catalog
from hero_livekit_units.definitions.structure import load
from hero_livekit_units.errors import DefinitionInvalid, Issue
from hero_livekit_units.model.unit import Definition


def shipped_folder() -> Path:
    """Where the definitions of this package are: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "unit_defs"
    return inside if inside.is_dir() else package.parent / "unit_defs"


@cache
def shipped_catalog() -> Catalog:
    """The definitions of this package; they do not change while a process lives.

    Raises:
        DefinitionInvalid, DuplicateRelease: the installation is damaged.
    """
    return read_catalog(shipped_folder())


def read_catalog(folder: Path) -> Catalog:
    """Read every `UNIT/RELEASE.toml` below a folder.

    Raises:
        DefinitionInvalid: with all issues of all files.
        DuplicateRelease: two files define the same release.
    """
    issues: list[Issue] = []
    sources: list[tuple[str, Definition]] = []
    for path in sorted(folder.glob("*/*.toml")):
        found = _read(path)
        if isinstance(found, Definition):
            sources.append((str(path), found))
        else:
            issues += found
    if not sources and not issues:
        issues.append(Issue(str(folder), 0, 0, "", "no definitions found", "expected UNIT/RELEASE.toml below it"))
    if issues:
        raise DefinitionInvalid(issues)
    return catalog(sources)


def _read(path: Path) -> Definition | list[Issue]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [Issue(str(path), 0, 0, "", f"cannot be read: {error}")]
    return load(text, str(path), Definition, rules.faults)
