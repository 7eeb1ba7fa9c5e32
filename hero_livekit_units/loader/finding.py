"""Which plugins are installed: entry points of the group `hero_proc.units`, with their distributions."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint, distributions
from typing import TYPE_CHECKING

from attrs import frozen

from hero_livekit_units.plugin import GROUP

if TYPE_CHECKING:
    from importlib.metadata import Distribution

OWN_DISTRIBUTION = "hero-livekit-units"
_DAMAGED = (OSError, ValueError, TypeError, KeyError, AttributeError)  # what importlib.metadata meets in bad files


@frozen
class Installed:
    """One installed plugin. `point` is None where the metadata of its distribution are damaged."""

    name: str
    distribution: str
    version: str
    point: EntryPoint | None


def installed_plugins() -> list[Installed]:
    """All of them, our own first, then by name."""
    seen: set[str] = set()
    found: list[Installed] = []
    for distribution in distributions():
        name = _name(distribution)
        # Of two installations of one distribution, the first on the search path is the one that is imported.
        if name and name not in seen:
            seen.add(name)
            found += _plugins(distribution, name)
    return sorted(found, key=lambda plugin: (plugin.distribution != OWN_DISTRIBUTION, plugin.name, plugin.distribution))


def _name(distribution: Distribution) -> str:
    try:
        return re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()
    except _DAMAGED:
        return ""


def _plugins(distribution: Distribution, name: str) -> list[Installed]:
    try:
        version = distribution.version or ""
        return [Installed(point.name, name, version, point) for point in distribution.entry_points.select(group=GROUP)]
    except _DAMAGED:
        return [Installed(name, name, "", None)] if _mentions_group(distribution) else []


def _mentions_group(distribution: Distribution) -> bool:
    try:
        return GROUP in (distribution.read_text("entry_points.txt") or "")
    except _DAMAGED:
        return False
