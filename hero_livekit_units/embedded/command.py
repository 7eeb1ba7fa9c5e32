"""The arguments of `python -m hero_livekit_units.embedded`."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TYPE_CHECKING

from hero_livekit_units.embedded.daemon import check, run
from hero_livekit_units.errors import DaemonError
from hero_livekit_units.version import VERSION

if TYPE_CHECKING:
    from hero_livekit_units.embedded.handover import Handover


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
    arguments = parser.parse_args()
    logging.basicConfig(
        level=arguments.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        if arguments.check:
            print(check(arguments.state, VERSION))  # noqa: T201  for the one who asked
            return 0
        return run(arguments.socket, arguments.state, VERSION, handover)
    except DaemonError as error:
        advice = f" ({error.hint})" if error.hint else ""
        print(f"{error}{advice}", file=sys.stderr)  # noqa: T201  for the one who started it
        return 1
