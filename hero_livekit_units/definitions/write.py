"""A definition as one complete TOML text: bases and all, without what is at its default. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hero_livekit_units.definitions.digest import meaning

if TYPE_CHECKING:
    from hero_livekit_units.model.unit import Definition


def text_of(definition: Definition) -> str:
    """The TOML text that reads as this definition again."""
    import tomlkit  # noqa: PLC0415  only `hlu show --toml` pays for it

    return tomlkit.dumps(meaning(definition))
