"""`hlu verify`: a real call on this host, measured while what manages it is killed."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hero_livekit_units.cli.main import EXIT_FAILED
from hero_livekit_units.cli.output import as_json_option, show, socket_option
from hero_livekit_units.cli.quick import EXIT_OK
from hero_livekit_units.cli.render import table
from hero_livekit_units.errors import UnitsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from hero_livekit_units.verify.programme import Programme

_MOST = 1000


@click.command()
@click.option("--rooms", type=click.IntRange(1, 50), default=1, show_default=True, help="How many calls at once.")
@click.option(
    "--participants",
    type=click.IntRange(2, 20),
    default=2,
    show_default=True,
    help="People in each; each is a process. About 24 in all measure well on two cores.",
)
@click.option(
    "--baseline",
    type=click.FloatRange(3.0, 3600.0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the call is left alone first.",
)
@click.option(
    "--crash-control-plane", type=click.IntRange(0, _MOST), default=0, metavar="N", help="kill -9 it so many times."
)
@click.option(
    "--crash-supervisor",
    type=click.IntRange(0, _MOST),
    default=0,
    metavar="N",
    help="kill -9 the embedded hero_proc so many times.",
)
@click.option(
    "--ensure-storm", type=click.IntRange(0, 10_000), default=0, metavar="N", help="So many ensures, several at once."
)
@click.option(
    "--upgrade",
    multiple=True,
    metavar="RELEASE",
    help="Ensure another livekit-server, such as 1.13.5. Repeat it, or a,b: one after the other.",
)
@click.option("--allow-reconnect", is_flag=True, help="An upgrade may let people lose the sound for a second.")
@click.option("--keep", is_flag=True, help="Stay at the last release, in media.toml too, if all of them were reached.")
@click.option("--beside-calls", is_flag=True, help="Go on although others are in calls here.")
@click.option("--kill-running-plane", is_flag=True, help="The control plane that runs already is the one to kill.")
@click.option(
    "--svg",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    default=None,
    metavar="FILE",
    help="Draw the timeline into this file.",
)
@socket_option
@as_json_option
def verify(svg: Path | None, socket: str | None, as_json: bool, **asked: Any) -> int:  # noqa: FBT001
    """Run a real call on this host, against the units that run here, and measure what people in it hear.

    First the call is left alone for a while, for comparison. Then comes what is named: crashes of the control plane,
    crashes of the supervisor, ensures, upgrades, in this order. At the end everything is as it was before.

    The control plane that is killed is one of verify's own, a `hlu plane`. Where one runs already, that is refused, as
    nobody can say whether it comes back; with --kill-running-plane it is killed, and whatever runs it, such as systemd,
    has to start it again. Of supervisors only the embedded hero_proc is killed, and started again at once.

    An upgrade changes livekit.version in media.toml and ensures. What ensure refuses is told and not forced. At the end
    media.toml is put back byte by byte, and what ran before is ensured again.

    Refused while others are in calls on this host, or when that cannot be told, unless --beside-calls.

    Exits 0 when no call was dropped or interrupted and all was done as named, 1 when not; 5 when the supervisor cannot
    be asked, 6 when it is refused. Needs the extra: pip install 'hero-livekit-units[calls]'.
    """
    from hero_livekit_units.calls.extra import require_extra  # noqa: PLC0415
    from hero_livekit_units.cli.progress import shown  # noqa: PLC0415
    from hero_livekit_units.media import Media  # noqa: PLC0415

    require_extra()
    from hero_livekit_units.verify.report import as_data  # noqa: PLC0415
    from hero_livekit_units.verify.run import Verification  # noqa: PLC0415
    from hero_livekit_units.verify.timeline import timeline  # noqa: PLC0415

    media = Media.connect(socket=socket)
    programme = _programme(media.catalog.release, **asked)
    with interrupted_once() as no_more, shown() as reporter:
        run = Verification(media, programme, hero_proc=socket, reporter=reporter, cleaning_up=no_more)
        try:
            report = run.run()
        except BaseException:
            for note in run.notes:
                sys.stderr.write(f"{note}\n")
            raise
    if svg is not None:
        try:
            svg.write_text(timeline(report), encoding="utf-8")
        except OSError as error:
            raise UnitsError(f"cannot write {svg}: {error.strerror}; {report.sentence}") from error
    show(as_data(report), verified_text, as_json=as_json)
    return EXIT_OK if report.well else EXIT_FAILED


def _programme(
    release_of: Any,
    *,
    crash_control_plane: int,
    crash_supervisor: int,
    ensure_storm: int,
    upgrade: Sequence[str],
    baseline: float,
    **rest: Any,
) -> Programme:
    from hero_livekit_units.livekit.desired import MEDIA  # noqa: PLC0415
    from hero_livekit_units.verify.programme import Programme, stages  # noqa: PLC0415

    named = [release_of(MEDIA, name.strip()) for text in upgrade for name in text.split(",")]
    return Programme(
        baseline_s=baseline,
        stages=stages(
            control_plane=crash_control_plane, supervisor=crash_supervisor, ensures=ensure_storm, releases=named
        ),
        **rest,
    )


@contextmanager
def interrupted_once() -> Iterator[Callable[[], None]]:
    """Ctrl-C, SIGTERM and SIGHUP end the work by KeyboardInterrupt, once: what is put back then is not interrupted.

    Nor is it after what this yields was called.
    """
    heard = False

    def no_more() -> None:
        nonlocal heard
        heard = True

    def hear(_number: int, _frame: FrameType | None) -> None:
        nonlocal heard
        if not heard:
            heard = True
            raise KeyboardInterrupt
        # Not by sys.stderr: a signal comes in the middle of its writing, too.
        with suppress(OSError):
            os.write(2, b"it is being cleaned up; that ends by itself within a minute or two\n")

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield no_more
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def verified_text(data: dict[str, Any]) -> str:
    """What was measured, for a person; `data` is that of `verify.report.as_data`."""
    rows = [("ROOM", "WHO", "LONGEST GAP", "UNDISTURBED", "DISCONNECTS", "RECONNECTS", "")]
    for person in data["participants"]:
        fate = "dropped" if person["dropped"] else "interrupted" if person["interrupted"] else ""
        gap, baseline = f"{person['longest_gap_ms']:.0f} ms", f"{person['baseline_gap_ms']:.0f} ms"
        away, back = str(person["disconnects"]), str(person["reconnects"])
        rows.append((person["room"], person["identity"], gap, baseline, away, back, fate))
    lines = [*table(rows), ""]
    for stage in data["stages"]:
        what = f"{stage['kind']} {stage['release']}".strip()
        lines.append(f"{what}: {stage['done']} of {stage['asked']}, longest gap {stage['longest_gap_ms']:.0f} ms")
        lines += [f"  {text}" for text in (stage["because"], *stage["notes"]) if text]
    lines += [_life(unit) for unit in data["units"]]
    lines += [f"because: {reason}" for reason in data["because"]]
    if data["restored"] is not None and not data["restored"]["because"]:
        lines.append("media.toml is what it was, and what it wants runs")
    lines += [f"note: {note}" for note in data["notes"]]
    return "\n".join([*lines, "", data["sentence"]])


def _life(unit: dict[str, Any]) -> str:
    if (unit["pid_before"], unit["start_before"]) == (unit["pid_after"], unit["start_after"]):
        return f"{unit['instance']}: pid {unit['pid_after']} before and after"
    releases = f", release {unit['release_before'] or '-'} → {unit['release_after'] or '-'}"
    return f"{unit['instance']}: pid {unit['pid_before'] or '-'} → {unit['pid_after'] or '-'}{releases}"
