"""Reads definition files from disk: those that ship with the package, or a folder of the same shape."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hero_livekit_units.definitions import rules
from hero_livekit_units.definitions.catalog import Catalog, Listed, release_key
from hero_livekit_units.definitions.extends import BASE_FILE, Text, read
from hero_livekit_units.definitions.structure import located, structure
from hero_livekit_units.errors import DefinitionInvalid, Issue
from hero_livekit_units.model.unit import Definition


def shipped_folder() -> Path:
    """Where the definitions of this package are: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "unit_defs"
    return inside if inside.is_dir() else package.parent / "unit_defs"


@cache
def shipped_catalog() -> Catalog:
    """The definitions of this package, each read when it is asked for; they do not change while a process lives.

    Raises:
        DefinitionInvalid, DuplicateRelease: the installation is damaged.
    """
    return open_catalog(shipped_folder())


def open_catalog(folder: Path) -> Catalog:
    """The releases of a folder by the names of its files, `UNIT/RELEASE.toml`; a file is read when it is asked for.

    Raises:
        DefinitionInvalid: a file is not called like a release, or there is none. Later, the catalog raises it with the
            issues of a file that it reads.
    """
    listed, issues = _list(folder)
    if issues:
        raise DefinitionInvalid(issues)
    bases = _Bases()
    return Catalog(listed, lambda one: _definition(_read(one, bases)))


def read_catalog(folder: Path) -> Catalog:
    """Read everything below a folder, and check that the releases of each unit fit together.

    Raises:
        DefinitionInvalid: with all issues of all files.
        CatalogError: releases that do not fit together, see `lineage`.
    """
    listed, issues = _list(folder)
    bases = _Bases()
    found = {one: _read(one, bases) for one in listed}
    for one in found.values():
        issues += one if isinstance(one, list) else []
    if issues:
        # A fault of a base shows in every release that extends it.
        raise DefinitionInvalid(list({str(issue): issue for issue in issues}.values()))
    catalog = Catalog(listed, lambda one: _definition(found[one]))
    for unit in catalog.units:
        catalog.lineage(unit)
    return catalog


class _Bases:
    """The bases of a folder, each read once; by two threads at the same time, perhaps twice."""

    def __init__(self) -> None:
        self._found: dict[Path, Text | Issue | str] = {}

    def beside(self, trail: tuple[Path, ...], name: str) -> Text | Issue | str:
        """The base of this name that the last file of the trail extends, or why it cannot be had."""
        path = trail[-1].with_name(name)
        if path in trail:
            return f"{name} extends itself"
        if path not in self._found:
            there = path.exists()
            self._found[path] = _text((*trail, path), self) if there else f"there is no {name} beside this file"
        return self._found[path]


def _list(folder: Path) -> tuple[list[Listed], list[Issue]]:
    listed, issues = [], []
    for path in sorted(folder.glob("*/*.toml")):
        if BASE_FILE.fullmatch(path.name):
            continue
        try:
            release_key(path.stem)
        except ValueError:
            hint = "a release such as 1.13.5-r1.toml, or a base such as base-1.9.toml"
            issues.append(Issue(str(path), 0, 0, "", "not the name of a definition file", hint))
        else:
            listed.append(Listed(path.parent.name, path.stem, str(path)))
    if not listed and not issues:
        issues.append(Issue(str(folder), 0, 0, "", "no definitions found", "expected UNIT/RELEASE.toml below it"))
    return listed, issues


def _definition(found: Definition | list[Issue]) -> Definition:
    if isinstance(found, list):
        raise DefinitionInvalid(found)
    return found


def _text(trail: tuple[Path, ...], bases: _Bases) -> Text | Issue:
    """The last file of a trail, which its predecessor extends, and so on."""
    path = trail[-1]
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return Issue(str(path), 0, 0, "", f"cannot be read: {error}")
    return read(text, str(path), lambda name: bases.beside(trail, name))


def _read(one: Listed, bases: _Bases) -> Definition | list[Issue]:
    text = _text((Path(one.file),), bases)
    if isinstance(text, Issue):
        return [text]
    definition, faults = structure(text.tables, Definition, rules.faults)
    if definition and (definition.unit.name, definition.unit.release) != (one.unit, one.release):
        said = f"{definition.unit.name}/{definition.unit.release}.toml"
        faults = [(("unit",), f"is {said}, and the file is called otherwise", "give the file that name")]
        definition = None
    return definition or located(text.layers, faults)
