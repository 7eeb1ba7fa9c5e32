"""One function a verb. Each builds what it needs, does one call of the library and shows the result."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hero_livekit_units.cli import catalog, daemons, doctor, render, secret, settings, verify
from hero_livekit_units.cli.drain import Duration, followed
from hero_livekit_units.cli.main import EXIT_REFUSED
from hero_livekit_units.cli.output import as_json_option, show, socket_option
from hero_livekit_units.cli.quick import EXIT_DRIFT, EXIT_OK, EXIT_SUPERVISOR, look
from hero_livekit_units.history import MOST_LINES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TextIO

    from hero_livekit_units.media import Media
    from hero_livekit_units.model.plan import Allowed, Goal, Refusal
    from hero_livekit_units.model.receipt import Receipt


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
hlu.add_command(verify.verify)
hlu.add_command(doctor.doctor)


@hlu.command()
@click.option("--evidence", is_flag=True, help="Also show what each witness said (as --json does).")
@socket_option
@as_json_option
def status(evidence: bool, socket: str | None, as_json: bool) -> int:  # noqa: FBT001
    """Show what lives, and why that is concluded.

    Exits 0 when all is healthy, 3 when not, 5 when the supervisor cannot be asked.
    """
    return look(socket, as_json=as_json, evidence=evidence)


def _harm(command: Callable[..., int]) -> Callable[..., int]:
    """Options by which the user allows what an upgrade does to people in calls, or that it is tried again."""
    reconnect = click.option(
        "--allow-reconnect", "reconnect", is_flag=True, help="People may lose the sound for a second and come back."
    )
    drain = click.option("--allow-drain", "drain", is_flag=True, help="Joins may be refused until the last call ends.")
    retry = click.option("--retry", is_flag=True, help="Start once more what has failed beside the slot that serves.")
    return reconnect(drain(retry(command)))


@hlu.command()
@click.option("--check", is_flag=True, help="Exit 3 when something would have to change.")
@click.option("--stop", "stopping", is_flag=True, help="Plan the stop of everything instead.")
@_harm
@socket_option
@as_json_option
def plan(check: bool, stopping: bool, socket: str | None, as_json: bool, **allow: bool) -> int:  # noqa: FBT001
    """Say what would have to change, why, and what it does to calls. Changes nothing.

    With --json it is what `hlu ensure --plan FILE` does later, up to the first step that no longer fits.
    """
    from hero_livekit_units.model.plain import plain  # noqa: PLC0415
    from hero_livekit_units.plan.explain import explain  # noqa: PLC0415
    from hero_livekit_units.plan.serial import plan_text  # noqa: PLC0415

    found = _media(socket).plan(_goal("stop" if stopping else "run"), allowed=_allowed(allow))
    if as_json:
        click.echo(plan_text(found))
    else:
        click.echo(render.plan_text(plain(found), explain(found)))
    if found.refusals:
        return _refused(found.refusals)
    return EXIT_DRIFT if check and not found.converged else EXIT_OK


@hlu.command()
@click.option(
    "--plan", "file", type=click.File(encoding="utf-8"), default=None, help="Do the plan in this file (- for stdin)."
)
@_harm
@socket_option
@as_json_option
def ensure(file: TextIO | None, socket: str | None, as_json: bool, **allow: bool) -> int:  # noqa: FBT001
    """Start what does not run, replace what is not as wanted, leave alone what is. Safe to repeat.

    Exits 0 when all is as wanted, 3 when something is still waited for, 6 when something was refused.
    """
    if file is None:
        return _ensure(socket, "run", as_json=as_json, allow=allow)
    from hero_livekit_units.cli.progress import Steps  # noqa: PLC0415
    from hero_livekit_units.plan.serial import read_plan  # noqa: PLC0415

    found = read_plan(file.read())
    return _tell(_media(socket).execute(found, progress=Steps(sys.stderr)), as_json=as_json)


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
    return _ensure(socket, "stop", as_json=as_json, allow={"drop": allow_drop})


@hlu.command()
@click.argument("slot", default="")
@click.option("--cancel", is_flag=True, help="Let new rooms come to it again.")
@click.option("--within", "within_s", type=Duration(), help="Its deadline from now on, such as 30min or 2h.")
@click.option(
    "--then",
    type=click.Choice(["wait", "announce", "move"]),
    help="At the deadline: go on, tell its rooms by a data message, or have everybody reconnect to the new one.",
)
@click.option("--idle-room", "idle_room_s", type=Duration(), help="End rooms in which somebody is alone for so long.")
@click.option("--wait", "waiting", is_flag=True, help="Stay until it has ended.")
@_harm
@socket_option
@as_json_option
def drain(slot: str, cancel: bool, waiting: bool, socket: str | None, as_json: bool, **named: Any) -> int:  # noqa: FBT001
    """Send new rooms to another slot, and let SLOT end with its last room. Nobody in a call notices.

    SLOT is by default the one that is drained already, else the one that new rooms go to. It is recorded: a control
    plane (`hlu plane`) goes on with it by itself, and so does each `hlu ensure`. `hlu status` shows it.

    Exits 0 when it has ended, 3 while people are still in it, 6 when it was refused.
    """
    from hero_livekit_units.cli.progress import Steps  # noqa: PLC0415
    from hero_livekit_units.model.drain import Then  # noqa: PLC0415

    allow = {name: named.pop(name) for name in ("reconnect", "drain")}
    given = {name: Then(value) if name == "then" else value for name, value in named.items() if value}
    if cancel and (given or any(allow.values())):
        raise click.UsageError("--cancel goes with no terms")
    if "then" in given and "within_s" not in given:
        raise click.UsageError("--then needs a deadline: --within")
    media, steps = _media(socket), Steps(sys.stderr)
    if cancel:
        receipt = media.cancel_drain(slot, progress=steps)
    else:
        receipt = media.drain(slot, terms=media.terms(**given), allowed=_allowed(allow), progress=steps)
    return _tell(followed(media, receipt, steps) if waiting else receipt, as_json=as_json)


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


def _ensure(socket: str | None, goal: str, *, as_json: bool, allow: Mapping[str, bool] | None = None) -> int:
    from hero_livekit_units.cli.progress import Steps  # noqa: PLC0415

    receipt = _media(socket).ensure(_goal(goal), allowed=_allowed(allow or {}), progress=Steps(sys.stderr))
    return _tell(receipt, as_json=as_json)


def _tell(receipt: Receipt, *, as_json: bool) -> int:
    from hero_livekit_units.model.plain import plain  # noqa: PLC0415

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


def _allowed(allow: Mapping[str, bool]) -> set[Allowed]:
    from hero_livekit_units.model.plan import Allowed  # noqa: PLC0415

    return {Allowed(name) for name, value in allow.items() if value}


def _goal(name: str) -> Goal:
    from hero_livekit_units.model.plan import Goal  # noqa: PLC0415

    return Goal(name)
