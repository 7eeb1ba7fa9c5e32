"""The units of the plugins as the wire has them, taken from what the loader wrote down. Pure.

Nothing here knows what a definition says: the rows are the plugins' own.
"""

from __future__ import annotations

from typing import Any

from hero_livekit_units.embedded.faults import NotFound


def listed(contributed: dict[str, Any]) -> list[dict[str, Any]]:
    """All units by name: the newest release that is not blocked, and how many there are."""
    return [
        {
            "name": unit["name"],
            "summary": unit["summary"],
            "plugin": unit["plugin"],
            "release": unit["release"],
            "releases": len(unit["releases"]),
        }
        for unit in contributed["units"]
    ]


def release(contributed: dict[str, Any], name: str, chosen: str | None) -> dict[str, Any]:
    """One release of a unit; by default the newest that is not blocked, or else the newest.

    Its "definition" is the number of the line that has it, see `Plugins.definition`.

    Raises:
        NotFound: there is no such unit, or no such release of it.
    """
    unit = _unit(contributed, name)
    rows: list[dict[str, Any]] = unit["releases"]
    wanted = chosen or unit["release"] or rows[-1]["release"]
    for row in rows:
        if row["release"] == wanted:
            return {"name": name, "plugin": unit["plugin"]} | row
    known = ", ".join(row["release"] for row in rows)
    raise NotFound("release", f"{name} {wanted}", hint=f"known releases: {known}")


def history(contributed: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The releases of a unit in order, without their definitions.

    Raises:
        NotFound: there is no such unit.
    """
    kept = ("release", "digest", "summary", "file", "blocked", "upgrades_from", "rolls_back_to")
    return [{key: row[key] for key in kept} for row in _unit(contributed, name)["releases"]]


def _unit(contributed: dict[str, Any], name: str) -> dict[str, Any]:
    units: list[dict[str, Any]] = contributed["units"]
    for unit in units:
        if unit["name"] == name:
            return unit
    known = ", ".join(unit["name"] for unit in units)
    raise NotFound("unit", name, hint=f"known units: {known}" if known else "no plugin contributes any")
