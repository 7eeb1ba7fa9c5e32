"""The units of plugins as they go over the wire, as types; the rest is in `shapes`, where it says what they are for."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from hero_livekit_units.embedded.plugins import Loading  # noqa: TC001  `document` reads it at run time


class UnitRow(TypedDict):
    """A unit in the list."""

    name: str
    summary: str
    plugin: str
    release: Annotated[str | None, Meta(description="the newest that is not blocked")]
    releases: Annotated[int, Meta(ge=1, description="how many there are")]


class UnitRelease(TypedDict):
    """A release of a unit."""

    release: str
    digest: Annotated[str, Meta(description="of the definition")]
    summary: str
    file: Annotated[str | None, Meta(description="where the definition comes from")]
    blocked: Annotated[list[dict[str, Any]], Meta(description="why nobody should run it; empty if there is no reason")]
    upgrades_from: Annotated[
        dict[str, dict[str, Any]],
        Meta(description="releases that it may replace, each with what is said about the way"),
    ]
    rolls_back_to: Annotated[
        dict[str, dict[str, Any]],
        Meta(description="releases that may replace it again, each with what is said about the way"),
    ]


class UnitDefinition(UnitRelease):
    """A release of a unit with its whole definition."""

    name: str
    plugin: str
    probes: Annotated[list[str], Meta(description="their names")]
    definition: Annotated[dict[str, Any], Meta(description="the whole of it, with the keys of its file")]


class PluginError(TypedDict):
    """Why a plugin contributes nothing."""

    type: Annotated[
        str, Meta(description="an exception, or Killed, Exited, TimedOut, TooLarge, DuplicateUnit, DuplicatePlugin")
    ]
    text: str


class Target(TypedDict):
    """A service that a plugin offers."""

    name: Annotated[str, Meta(description="of the service")]
    error: Annotated[str | None, Meta(description="why it is not registered")]


class Plugin(TypedDict):
    """An installed plugin."""

    name: str
    distribution: str
    version: str
    error: Annotated[PluginError | None, Meta(description="why it contributes nothing; null if it is whole")]
    units: list[str]
    targets: list[Target]


class PluginList(TypedDict):
    """The installed plugins."""

    state: Annotated[
        Loading,
        Meta(
            description="of this load; where it is not loaded, the plugins and units shown are those of the last one"
            " that succeeded"
        ),
    ]
    error: Annotated[str | None, Meta(description="why loading failed as a whole")]
    loaded_ms: Annotated[int | None, Meta(description="when what is shown was loaded")]
    plugins: list[Plugin]
