"""All plugins together: each one called, and nobody in anybody's way.

A unit belongs to one plugin: the first that has it, our own before all others, then in the order of their names. Who
comes later with the same unit, or under the same name, contributes nothing at all, and is told why.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from hero_livekit_units.loader.apart import Fault, call_apart
from hero_livekit_units.loader.describe import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_livekit_units.loader.finding import Installed


def gather(plugins: Sequence[Installed], *, deadline_s: float) -> dict[str, Any]:
    """Call the plugins, each within the deadline.

    Returns:
        `{"plugins": [...], "units": [...]}`. A plugin has "name", "distribution", "version", "error" (None, or an
        object with "type" and "text"), "units" (their names) and "targets"; a unit is as `describe` says, with its
        "plugin".
    """
    answers = call_apart([partial(_load, plugin) for plugin in plugins], deadline_s=deadline_s)
    rows: list[dict[str, Any]] = []
    units: dict[str, dict[str, Any]] = {}
    for plugin, answer in zip(plugins, answers, strict=True):
        fault = answer if isinstance(answer, Fault) else _in_the_way(plugin, answer, rows, units)
        contributed = {"units": [], "targets": []} if isinstance(answer, Fault) or fault else answer
        rows.append(
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "error": {"type": fault.type, "text": fault.text} if fault else None,
                "units": [unit["name"] for unit in contributed["units"]],
                "targets": contributed["targets"],
            }
        )
        units |= {unit["name"]: unit | {"plugin": plugin.name} for unit in contributed["units"]}
    return {"plugins": rows, "units": [units[name] for name in sorted(units)]}


def _load(plugin: Installed) -> dict[str, Any]:
    if plugin.point is None:
        raise ValueError("the metadata of its distribution are damaged")
    return describe(plugin.point.load()())


def _in_the_way(
    plugin: Installed, answer: dict[str, Any], rows: Sequence[dict[str, Any]], units: dict[str, dict[str, Any]]
) -> Fault | None:
    for row in rows:
        if row["name"] == plugin.name:
            return Fault("DuplicatePlugin", f"{row['distribution']} has a plugin of this name")
    for unit in answer["units"]:
        if unit["name"] in units:
            return Fault("DuplicateUnit", f"{unit['name']} is a unit of {units[unit['name']]['plugin']}")
    return None
