"""What one plugin contributes, as plain data. Everything that a hero_proc shows of a unit is made here.

A hero_proc serves these rows as they are. So what definitions can say grows here, and no hero_proc has to know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hero_livekit_units.definitions import rules
from hero_livekit_units.definitions.catalog import catalog
from hero_livekit_units.definitions.digest import digest
from hero_livekit_units.model.plain import plain
from hero_livekit_units.plugin import Target, Units

if TYPE_CHECKING:
    from hero_livekit_units.model.unit import Definition


def describe(contributed: object) -> dict[str, Any]:
    """Units and targets of a plugin.

    Args:
        contributed: what the function of its entry point returned.

    Returns:
        `{"units": [{"name", "summary", "release", "releases": [...]}], "targets": [{"service", "actions"}]}`.
        `release` is the newest one that is not blocked, None when all are. `releases` are in order; each has "release",
        "digest", "summary", "file", "blocked", "upgrades_from", "rolls_back_to", "probes", "definition".

    Raises:
        TypeError, ValueError: it is not Units, or something in it is not what it should be.
        DuplicateRelease: it defines a release twice.
    """
    if not isinstance(contributed, Units):
        raise TypeError(f"it gave {_kind(contributed)} instead of hero_livekit_units.plugin.Units")
    if not callable(contributed.ask):
        raise TypeError(f"its ask is {_kind(contributed.ask)} and cannot be called")
    units: dict[str, dict[str, Any]] = {}
    for file, definition in _sources(contributed):
        row = _release_row(definition, file)
        unit = units.setdefault(
            definition.unit.name, {"name": definition.unit.name, "summary": "", "release": None, "releases": []}
        )
        unit["releases"].append(row)
        if not row["blocked"] or unit["release"] is None:
            unit["summary"] = row["summary"]
        if not row["blocked"]:
            unit["release"] = row["release"]
    return {"units": list(units.values()), "targets": _targets(contributed)}


def _sources(contributed: Units) -> list[tuple[str, Definition]]:
    """Files and definitions in order, all of them checked by the rules for files."""
    definitions, files = contributed.definitions, contributed.files
    if files and len(files) != len(definitions):
        raise ValueError(f"it gave {len(definitions)} definitions, but {len(files)} files")
    sources = list(zip(files or [f"definition {at + 1}" for at in range(len(definitions))], definitions, strict=True))
    for file, definition in sources:
        for path, text, _ in rules.faults(definition):
            raise ValueError(f"{file}: {'.'.join(map(str, path))}: {text}")
    ordered = catalog(sources)
    return list(zip(ordered.files if files else [""] * len(sources), ordered.definitions, strict=True))


def _release_row(definition: Definition, file: str) -> dict[str, Any]:
    return {
        "release": definition.unit.release,
        "digest": digest(definition),
        "summary": str(definition.unit.summary),
        "file": file or None,
        "blocked": plain(definition.blocked),
        # By release: what is said about the way from there, or back to there.
        "upgrades_from": plain(definition.lineage.upgrades_from),
        "rolls_back_to": plain(definition.lineage.rolls_back_to),
        "probes": sorted(definition.probes),
        "definition": plain(definition),
    }


def _targets(contributed: Units) -> list[dict[str, Any]]:
    rows = []
    services: set[str] = set()
    actions: set[str] = set()
    for target in contributed.targets:
        if not isinstance(target, Target):
            raise TypeError(f"one of its targets is {_kind(target)}")
        name = target.service["name"]
        own = [action["name"] for action in target.actions]
        if name in services:
            raise ValueError(f"two of its targets are called {name}")
        if clashing := sorted(actions & set(own)):
            raise ValueError(f"two of its targets have an action {clashing[0]}")
        services.add(name)
        actions |= set(own)
        rows.append({"service": dict(target.service), "actions": [dict(action) for action in target.actions]})
    return rows


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"
