"""`hlu units`, `hlu show`, `hlu path`: what the definitions say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hero_livekit_units.cli import render
from hero_livekit_units.cli.output import as_json_option, show

if TYPE_CHECKING:
    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.unit import Definition

_folder = click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=None,
    help="Read and check the definitions of this folder instead of those that ship with the package.",
)


@click.command()
@_folder
@as_json_option
def units(folder: Path | None, as_json: bool) -> int:  # noqa: FBT001
    """List the unit definitions."""
    from hero_livekit_units.definitions.digest import digest  # noqa: PLC0415

    catalog = _catalog(folder)
    rows = [
        {
            "name": definition.unit.name,
            "release": definition.unit.release,
            "summary": definition.unit.summary,
            "blocked": catalog.blocked(definition),
            "digest": digest(definition),
            "file": catalog.file(definition.unit.name, definition.unit.release),
        }
        for definition in catalog.definitions
    ]
    return show(rows, render.units_text, as_json=as_json)


@click.command("show")
@click.argument("unit")
@click.argument("release", default="")
@click.option("--keys", is_flag=True, help="List the keys that its configuration file may hold.")
@click.option("--toml", is_flag=True, help="Print the whole definition as one file, without bases.")
@_folder
@as_json_option
def show_unit(unit: str, release: str, keys: bool, toml: bool, folder: Path | None, as_json: bool) -> int:  # noqa: FBT001
    """Show a release: where it comes from, what it may follow, what changed, what it can be configured with.

    RELEASE is a version such as 1.13.5 or a release such as 1.13.5-r1; by default the newest.
    """
    from hero_livekit_units.definitions.write import text_of  # noqa: PLC0415

    catalog = _catalog(folder)
    definition = catalog.find(unit, release)
    if toml:
        click.echo(text_of(definition), nl=False)
        return 0
    if keys:
        return show(_keys(definition), render.keys_text, as_json=as_json)
    return show(_described(catalog, definition), render.unit_text, as_json=as_json)


@click.command()
@click.argument("unit")
@click.argument("start")
@click.argument("end")
@_folder
@as_json_option
def path(unit: str, start: str, end: str, folder: Path | None, as_json: bool) -> int:  # noqa: FBT001
    """Print the way from one release to another: each step, why it is safe, and what must be done on the way.

    START and END are versions such as 1.9.12, or releases such as 1.9.12-r1. Going back is a way like any other.
    """
    from hero_livekit_units.model.plain import plain  # noqa: PLC0415

    catalog = _catalog(folder)
    way = catalog.lineage(unit).path(catalog.release(unit, start), catalog.release(unit, end))
    return show(plain(way), render.path_text, as_json=as_json)


def _catalog(folder: Path | None) -> Catalog:
    from hero_livekit_units.definitions.files import read_catalog, shipped_catalog  # noqa: PLC0415
    from hero_livekit_units.livekit.traits import host_traits  # noqa: PLC0415

    return (read_catalog(folder) if folder else shipped_catalog()).on(host_traits())


def _described(catalog: Catalog, definition: Definition) -> dict[str, Any]:
    from hero_livekit_units.definitions.digest import digest  # noqa: PLC0415
    from hero_livekit_units.model.plain import plain  # noqa: PLC0415

    unit = definition.unit
    edges = catalog.lineage(unit.name).edges_into(unit.release)
    return {
        "name": unit.name,
        "release": unit.release,
        "summary": unit.summary,
        "digest": digest(definition),
        "file": catalog.file(unit.name, unit.release),
        "blocked": catalog.blocked(definition),
        "blocks": plain(definition.blocked),
        "may_replace": plain(edges),
        "changes": plain(definition.changes),
        "config": _keys(definition),
        "definition": plain(definition),
    }


def _keys(definition: Definition) -> dict[str, Any]:
    from hero_livekit_units.definitions.kinds import REMOVED  # noqa: PLC0415
    from hero_livekit_units.model.unit import KeySource  # noqa: PLC0415

    config = definition.config
    return {
        "file": config.file,
        "verified": config.source is KeySource.MODULE_SOURCE,
        "source": config.source.value,
        "keys": {key: kind for key, kind in sorted(config.keys.items()) if kind != REMOVED},
    }
