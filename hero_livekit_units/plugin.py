"""The plugin: what a hero_proc written in Python gets from the entry-point group `hero_proc.units`."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.model.launch import Probe
from hero_livekit_units.model.observed import ProbeSeen
from hero_livekit_units.model.unit import Definition
from hero_livekit_units.observe.probes import ask


@frozen
class Units:
    """What a plugin contributes: definitions, and the function that puts one of their probes to a running unit."""

    definitions: tuple[Definition, ...]
    ask: Callable[[Probe], ProbeSeen]


def units() -> Units:
    """Our definitions and probes.

    Raises:
        DefinitionInvalid, DuplicateRelease: the installation is damaged.
    """
    return Units(shipped_catalog().definitions, ask)
