"""The plugin: what a hero_proc written in Python gets from the entry-point group `hero_proc.units`.

An entry point of that group names a function without parameters that returns `Units`. That is all of the contract, for
our own plugin as for those of others; a hero_proc lists what they return, and starts their targets when asked to.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from hero_livekit_units.definitions.files import read_catalog, shipped_catalog
from hero_livekit_units.model.launch import Probe
from hero_livekit_units.model.observed import ProbeSeen
from hero_livekit_units.model.unit import Definition
from hero_livekit_units.observe.probes import ask
from hero_livekit_units.targets.specs import Target, media_target, unit_target

__all__ = ["GROUP", "Target", "Units", "ask", "read_catalog", "unit_target", "units"]

GROUP = "hero_proc.units"


@frozen
class Units:
    """What a plugin contributes.

    definitions: all releases of its units, in any order. ask: puts one of their probes to a running unit; the one of
    this module does for http and tcp. targets: services that a hero_proc offers by itself. files: where each definition
    comes from, in the same order, or empty.
    """

    definitions: tuple[Definition, ...]
    ask: Callable[[Probe], ProbeSeen] = ask
    targets: tuple[Target, ...] = ()
    files: tuple[str, ...] = ()


def units() -> Units:
    """Our definitions and probes, and the target `hero_livekit_media`.

    Raises:
        DefinitionInvalid, DuplicateRelease: the installation is damaged.
    """
    catalog = shipped_catalog()
    return Units(catalog.definitions, ask, (media_target(),), catalog.files)
