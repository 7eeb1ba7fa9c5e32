"""`hlu secret`: what keys and passwords there are, where they have arrived, and how to replace them. Shows no value."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from hero_livekit_units.cli import render
from hero_livekit_units.cli.main import EXIT_REFUSED
from hero_livekit_units.cli.output import as_json_option, show, socket_option
from hero_livekit_units.cli.quick import EXIT_DRIFT, EXIT_OK, EXIT_SUPERVISOR

if TYPE_CHECKING:
    from hero_livekit_units.media import Media

_MARKS = {True: "●", False: "✗", None: "?"}


@click.group()
def secret() -> None:
    """Keys and passwords: where they are, and how to replace them. Values are never shown."""


@secret.command()
@socket_option
@as_json_option
def status(socket: str | None, as_json: bool) -> int:  # noqa: FBT001
    """Show which secrets there are, and whether files and processes have them.

    Exits 0 when all that are there agree, 3 when not, 5 when the supervisor, which keeps them, cannot be asked.
    """
    report = _media(socket).secret_status()
    show(report, status_text, as_json=as_json)
    if report["supervisor"]["verdict"] != "healthy":
        return EXIT_SUPERVISOR
    known = all(entry["exists"] or not entry["made"] for entry in report["secrets"])
    files_agree = all(entry["agrees"] for entry in report["files"])
    processes_agree = all(entry["agrees"] or entry["pid"] is None for entry in report["processes"])
    return EXIT_OK if known and files_agree and processes_agree else EXIT_DRIFT


@secret.command()
@click.argument("what", type=click.Choice(["api-key", "backend-secret"]), default="api-key")
@socket_option
@as_json_option
def rotate(what: str, socket: str | None, as_json: bool) -> int:  # noqa: FBT001
    """Replace a secret by a new one, without ending the tokens that people hold.

    Old and new are valid for one token lifetime. This begins the rotation, or goes on with the one that is there, and
    does all that can be done now; `hlu ensure` does the rest when it is due, and so does this command. livekit-server
    reads its keys only at its start: for the API key it is restarted twice, each time while nobody is in a call.
    """
    from hero_livekit_units.cli.progress import Steps  # noqa: PLC0415
    from hero_livekit_units.livekit.rotation import Rotated  # noqa: PLC0415
    from hero_livekit_units.model.plain import plain  # noqa: PLC0415
    from hero_livekit_units.plan.planner import SUPERVISOR  # noqa: PLC0415

    media = _media(socket)
    receipt = media.rotate_secret(Rotated(what), progress=Steps(sys.stderr))
    data = {"receipt": plain(receipt), "status": media.secret_status()}
    show(data, _rotated_text, as_json=as_json)
    if receipt.refusals:
        silent = any(refusal.instance == SUPERVISOR for refusal in receipt.refusals)
        return EXIT_SUPERVISOR if silent else EXIT_REFUSED
    return EXIT_OK if receipt.converged else EXIT_DRIFT


@secret.command(name="set")
@click.argument("name", type=click.Choice(["redis_password"]))
@socket_option
def set_(name: str, socket: str | None) -> int:
    """Store a secret that is yours to choose. The value is read from standard input, one line."""
    if sys.stdin.isatty():
        value = str(click.prompt(name, hide_input=True, err=True))
    else:
        value = sys.stdin.readline().rstrip("\r\n")
    _media(socket).set_secret(name, value)
    click.echo(f"stored {name}; `hlu plan` says what it changes, `hlu ensure` does it")
    return EXIT_OK


def _rotated_text(data: dict[str, Any]) -> str:
    return f"{render.receipt_text(data['receipt'])}\n\n{status_text(data['status'])}"


def status_text(report: dict[str, Any]) -> str:
    """The report of `Media.secret_status` as text."""
    exists = {True: "stored", False: "not there", None: "unknown"}
    names = [("", "SECRET", "")]
    names += [(_MARKS[entry["exists"]], entry["name"], exists[entry["exists"]]) for entry in report["secrets"]]
    rows = [("", "WHERE", "FINGERPRINT", "")]
    rows.append((" ", f"supervisor ({report['supervisor']['verdict']})", report["source"] or "-", "all that are made"))
    for entry in report["files"]:
        says = entry["says"]
        if entry["agrees"] is False and entry["found"] and entry["wanted"]:
            says += f", should be {entry['wanted']}"
        rows.append((_MARKS[entry["agrees"]], entry["path"], entry["found"] or "-", says))
    for entry in report["processes"]:
        pid = f"pid {entry['pid']}" if entry["pid"] else "-"
        rows.append((_MARKS[entry["agrees"]], entry["instance"], pid, entry["says"]))
    return "\n".join([*render.table(names), "", *render.table(rows), "", *_rotation_lines(report["rotation"])])


def _rotation_lines(rotation: dict[str, Any] | None) -> list[str]:
    if rotation is None:
        return ["rotation    none"]
    until = f", until {rotation['until']}" if rotation["until"] else ""
    when = f" (not before {rotation['not_before']})" if rotation["not_before"] else ""
    return [
        f"rotation    of the {rotation['what']}: phase {rotation['phase']} since {rotation['since']}{until}",
        f"next        {rotation['next']}{when}",
        f"calls       {rotation['effect']}",
        "            `hlu ensure` goes on when it is due",
    ]


def _media(socket: str | None) -> Media:
    from hero_livekit_units.media import Media  # noqa: PLC0415

    return Media.connect(socket=socket)
