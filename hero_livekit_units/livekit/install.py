"""Puts every program that the desired state needs where its launch looks for it."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hero_livekit_units.definitions.resolve import binary_of, program_path
from hero_livekit_units.errors import ProvisionFailed, UnitsError
from hero_livekit_units.livekit.desired import MEDIA, wanted_units, wanted_version
from hero_livekit_units.livekit.progress import SILENT, Reporter
from hero_livekit_units.livekit.provision import provision

if TYPE_CHECKING:
    from collections.abc import Callable

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.livekit.roads import Provisioned
    from hero_livekit_units.model.settings import Settings
    from hero_livekit_units.model.unit import Definition


def install(
    catalog: Catalog,
    settings: Settings,
    home: Path,
    *,
    named: Path | None = None,
    reporter: Reporter = SILENT,
) -> tuple[Provisioned, ...]:
    """Provision the programs of all wanted units; those without one are part of this package. Safe to repeat.

    A program that the user names or has on PATH is linked to, so that a launch is the same whichever road it came.

    Raises:
        ProvisionFailed: no road leads to a program.
        UnitsError: the folder cannot be written.
    """
    found = []
    for unit in wanted_units(settings):
        definition = catalog.find(unit, wanted_version(settings, unit))
        if definition.binary.program:
            own = named if unit == MEDIA else None
            found.append(_provide(definition, home, named=own, reporter=reporter))
    return tuple(found)


def _provide(definition: Definition, home: Path, *, named: Path | None, reporter: Reporter) -> Provisioned:
    place = Path(program_path(definition, str(home)))
    flag = "--livekit-server PATH" if definition.unit.name == MEDIA else ""
    road = partial(
        provision,
        binary_of(definition),
        definition.unit.version,
        home / "bin",
        reporter=reporter,
        flag=flag,
    )
    found = road(named=named) if named else (_linked(place, road) or road())
    _link(place, found.path)
    return found


def _linked(place: Path, road: Callable[..., Provisioned]) -> Provisioned | None:
    """What was linked to before, if it still is the right program: the user named it once, and that holds."""
    if not place.is_symlink():
        return None
    try:
        return road(named=place.readlink())
    except ProvisionFailed:
        return None


def _link(place: Path, program: Path) -> None:
    if place == program or (place.is_symlink() and place.readlink() == program):
        return
    fresh = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(program)
        fresh.replace(place)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise UnitsError(f"cannot link {place} to {program}: {error.strerror}") from error
