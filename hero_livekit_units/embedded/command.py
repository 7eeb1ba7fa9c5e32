"""The arguments of `python -m hero_livekit_units.embedded`."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TYPE_CHECKING

from hero_livekit_units.embedded.daemon import check, run
from hero_livekit_units.embedded.logtrim import LogLimits
from hero_livekit_units.errors import DaemonError
from hero_livekit_units.version import VERSION

# Named here, as what they do is not imported where none is asked for.
QUIRKS = ("errors", "green-while-dead", "red-while-alive", "set-restarts", "stop-window")

if TYPE_CHECKING:
    from hero_livekit_units.embedded.handover import Handover


def _positive(text: str) -> float:
    """A number above 0."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return found


def _quirks(text: str) -> tuple[str, ...]:
    """Names of faults."""
    names = tuple(text.split(","))
    if unknown := set(names) - set(QUIRKS):
        raise argparse.ArgumentTypeError(f"{min(unknown)!r} is none of {', '.join(QUIRKS)}")
    return names


def obey(handover: Handover | None) -> int:
    """Do what the command line says; the exit status.

    Args:
        handover: from the program that this one replaces by exec, None when it was started anew.
    """
    parser = argparse.ArgumentParser(
        prog="python -m hero_livekit_units.embedded", description="The embedded hero_proc."
    )
    parser.add_argument(
        "--socket", required=True, metavar="PATH", help="the Hero socket, such as .../hero_proc/rpc.sock"
    )
    parser.add_argument("--state", required=True, metavar="FOLDER", help="for the database and the logs")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    parser.add_argument(
        "--check", action="store_true", help="only say whether it could take the place of a daemon that runs"
    )
    limits = LogLimits()
    parser.add_argument(
        "--log-mib",
        type=_positive,
        default=limits.largest / 2**20,
        metavar="MIB",
        help="kept of each log file (default: %(default)g)",
    )
    parser.add_argument(
        "--log-days",
        type=_positive,
        default=limits.age_s / 86400,
        metavar="DAYS",
        help="kept of each log file (default: %(default)g)",
    )
    parser.add_argument(
        "--quirks",
        type=_quirks,
        default=(),
        metavar="NAME,...",
        help="have these faults of real supervisors, to test a client: " + ", ".join(QUIRKS),
    )
    arguments = parser.parse_args()
    limits = LogLimits(round(arguments.log_mib * 2**20), arguments.log_days * 86400)
    logging.basicConfig(
        level=arguments.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        if arguments.check:
            print(check(arguments.state, VERSION))  # noqa: T201  for the one who asked
            return 0
        return run(arguments.socket, arguments.state, VERSION, limits, handover, arguments.quirks)
    except DaemonError as error:
        advice = f" ({error.hint})" if error.hint else ""
        print(f"{error}{advice}", file=sys.stderr)  # noqa: T201  for the one who started it
        return 1
