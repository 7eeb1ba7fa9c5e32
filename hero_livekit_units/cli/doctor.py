"""`hlu doctor`: what the supervisor at hand does, before media are trusted to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from hero_livekit_units.cli.output import as_json_option, show, socket_option
from hero_livekit_units.cli.quick import EXIT_DRIFT, EXIT_OK
from hero_livekit_units.cli.render import table

_MARKS = {True: "●", False: "✗", None: "?"}


@click.command()
@click.option("--again", is_flag=True, help="Examine it although this very one was examined already.")
@socket_option
@as_json_option
def doctor(again: bool, socket: str | None, as_json: bool) -> int:  # noqa: FBT001
    """See what the supervisor does, with units that harm nobody. Calls are not touched.

    It takes about ten seconds, and leaves nothing behind but the report, which is kept for as long as the same
    supervisor answers (its version, pid and start). What it does not do, `hlu plan` and `hlu ensure` reckon with.

    What becomes of units when the supervisor itself dies is tried out on a second one of the same program, in a folder
    of its own; under zinit all of it, as zinit cannot forget a unit without harm to others.

    Exits 0 when nothing was seen to be missing, 3 when something was, 5 when the supervisor cannot be asked.
    """
    from hero_livekit_units.cli.progress import shown  # noqa: PLC0415
    from hero_livekit_units.cli.verify import interrupted_once  # noqa: PLC0415
    from hero_livekit_units.doctor.report import as_data  # noqa: PLC0415
    from hero_livekit_units.media import Media  # noqa: PLC0415

    with interrupted_once(), shown() as reporter:
        report = Media.connect(socket=socket).doctor(again=again, says=lambda what: reporter.task(f"looking: {what}"))
    show(as_data(report), doctor_text, as_json=as_json)
    return EXIT_DRIFT if report.lacks else EXIT_OK


def doctor_text(data: dict[str, Any]) -> str:
    """A report as text; `data` is that of `doctor.report.as_data`."""
    rows = [("", "LOOKED AT", "SEEN")]
    rows += [(_MARKS[check["holds"]], check["asks"], check["says"]) for check in data["checks"]]
    lines = [*table(rows), ""]
    lines += [f"without {check['ability']}: {check['disables']}" for check in data["checks"] if check["disables"]]
    who, at = data["supervisor"], datetime.fromtimestamp(data["at_s"], UTC)
    lines.append(f"supervisor  {who['kind']} {who['version']}, pid {who['pid']}")
    lines.append(f"looked at   {at:%Y-%m-%d %H:%M:%S} UTC, in {data['took_s']:.1f} s")
    return "\n".join(lines)
