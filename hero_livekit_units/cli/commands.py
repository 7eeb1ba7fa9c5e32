"""One function a verb. Each builds what it needs, does one call of the library and shows the result."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hero_livekit_units.cli import catalog, daemons, render, secret, settings
from hero_livekit_units.cli.main import EXIT_REFUSED
from hero_livekit_units.cli.output import as_json_option, show, socket_option
from hero_livekit_units.cli.quick import EXIT_DRIFT, EXIT_OK, EXIT_SUPERVISOR, look
from hero_livekit_units.history import MOST_LINES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_livekit_units.media import Media
    from hero_livekit_units.model.plan import Goal, Refusal


def _version() -> str:
    from hero_livekit_units.version import VERSION  # noqa: PLC0415

    return VERSION


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), prog_name="hlu")
def hlu() -> None:
    """Keep live LiveKit calls up while the programs around them restart, crash and upgrade."""


hlu.add_command(daemons.hero_proc)
hlu.add_command(daemons.plane)
for command in (catalog.units, catalog.show_unit, catalog.path, settings.set_value, settings.unset, settings.config):
    hlu.add_command(command)
hlu.add_command(secret.secret)


@hlu.command()
@click.option("--evidence", is_flag=True, help="Also show what each witness said (as --json does).")
@socket_option
@as_json_option
def status(evidence: bool, socket: str | None, as_json: bool) -> int:  # noqa: FBT001
    """Show what lives, and why that is concluded.

    Exits 0 when all is healthy, 3 when not, 5 when the supervisor cannot be asked.
    """
    return look(socket, as_json=as_json, evidence=evidence)


@hlu.command()
@click.option("--check", is_flag=True, help="Exit 3 when something would have to change.")
@click.option("--stop", "stopping", is_flag=True, help="Plan the stop of everything instead.")
@socket_option
@as_json_option
def plan(check: bool, stopping: bool, socket: str | None, as_json: bool) -> int:  # noqa: FBT001
    """Say what would have to change, why, and what it does to calls. Changes nothing."""
    from hero_livekit_units.model.plain import plain  # noqa: PLC0415

    found = _media(socket).plan(_goal("stop" if stopping else "run"))
    show(plain(found), render.plan_text, as_json=as_json)
    if found.refusals:
        return _refused(found.refusals)
    return EXIT_DRIFT if check and not found.converged else EXIT_OK


@hlu.command()
@socket_option
@as_json_option
def ensure(socket: str | None, as_json: bool) -> int:  # noqa: FBT001
    """Start what does not run and leave alone what does. Safe to repeat."""
    return _ensure(socket, "run", as_json=as_json)


@hlu.command()
@socket_option
@as_json_option
def configure(socket: str | None, as_json: bool) -> int:  # noqa: FBT001
    """Write the files and register the units, without starting or restarting anything."""
    return _ensure(socket, "configure", as_json=as_json)


@hlu.command()
@click.option("--allow-drop", is_flag=True, help="Cut people off who are in calls.")
@socket_option
@as_json_option
def stop(allow_drop: bool, socket: str | None, as_json: bool) -> int:  # noqa: FBT001
    """Stop everything. Refused while people are in calls."""
    return _ensure(socket, "stop", as_json=as_json, allow_drop=allow_drop)


@hlu.command()
@click.option(
    "--lines",
    type=click.IntRange(1, MOST_LINES),
    default=20,
    show_default=True,
    help="How many of the newest receipts.",
)
@socket_option
@as_json_option
def history(lines: int, socket: str | None, as_json: bool) -> int:  # noqa: FBT001
    """Show what was done here, by whom and why, the newest last.

    Exits 5 when the supervisor, which keeps it, cannot be asked.
    """
    return show(_media(socket).history(lines), render.history_text, as_json=as_json)


@hlu.command()
@click.option(
    "--livekit-server",
    type=click.Path(path_type=Path),
    default=None,
    help="Use this livekit-server instead of looking for one.",
)
@as_json_option
def install(livekit_server: Path | None, as_json: bool) -> int:  # noqa: FBT001
    """Have livekit-server on this host: find it, download it or build it."""
    from hero_livekit_units.cli.progress import shown  # noqa: PLC0415
    from hero_livekit_units.livekit.install import install as provide  # noqa: PLC0415

    media = _media(None)
    with shown() as reporter:
        found = provide(media.catalog, media.settings(), media.places.home, named=livekit_server, reporter=reporter)
    rows = [{"path": str(item.path), "road": item.road, "sha256": item.sha256, "record": item.record} for item in found]
    return show(rows, _installed_text, as_json=as_json)


def _installed_text(rows: list[dict[str, Any]]) -> str:
    return "\n".join(f"{row['path']} ({row['road']}: {row['record']})" for row in rows)


def _ensure(socket: str | None, goal: str, *, as_json: bool, allow_drop: bool = False) -> int:
    from hero_livekit_units.cli.progress import Steps  # noqa: PLC0415
    from hero_livekit_units.model.plain import plain  # noqa: PLC0415

    receipt = _media(socket).ensure(_goal(goal), allow_drop=allow_drop, progress=Steps(sys.stderr))
    show(plain(receipt), render.receipt_text, as_json=as_json)
    if receipt.refusals:
        return _refused(receipt.refusals)
    return EXIT_OK if receipt.converged else EXIT_DRIFT


def _refused(refusals: Sequence[Refusal]) -> int:
    from hero_livekit_units.plan.planner import SUPERVISOR  # noqa: PLC0415

    return EXIT_SUPERVISOR if any(refusal.instance == SUPERVISOR for refusal in refusals) else EXIT_REFUSED


def _media(socket: str | None) -> Media:
    from hero_livekit_units.media import Media  # noqa: PLC0415

    return Media.connect(socket=socket)


def _goal(name: str) -> Goal:
    from hero_livekit_units.model.plan import Goal  # noqa: PLC0415

    return Goal(name)
