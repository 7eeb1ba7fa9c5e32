"""`python -m hero_livekit_units.embedded --socket PATH --state FOLDER`: the daemon in the foreground."""

from __future__ import annotations

import sys

# asyncio imports ssl if it is there, and OpenSSL costs 6 MB of memory for as long as the daemon lives. It speaks on a
# Unix socket only and asks its health checks in plain HTTP, so here, and only here, there is no ssl. asyncio is made to
# work without it. This has to stand before the first import of asyncio.
sys.modules["ssl"] = None  # type: ignore[assignment]

import argparse  # noqa: E402
import logging  # noqa: E402

from hero_livekit_units.embedded.daemon import run  # noqa: E402
from hero_livekit_units.embedded.logtrim import LogLimits  # noqa: E402
from hero_livekit_units.errors import DaemonError  # noqa: E402
from hero_livekit_units.version import VERSION  # noqa: E402


def _positive(text: str) -> float:
    """A number above 0."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return found


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(
        prog="python -m hero_livekit_units.embedded", description="The embedded hero_proc."
    )
    parser.add_argument(
        "--socket", required=True, metavar="PATH", help="the Hero socket, such as .../hero_proc/rpc.sock"
    )
    parser.add_argument("--state", required=True, metavar="FOLDER", help="for the database and the logs")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
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
    arguments = parser.parse_args()
    limits = LogLimits(round(arguments.log_mib * 2**20), arguments.log_days * 86400)
    logging.basicConfig(
        level=arguments.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        return run(arguments.socket, arguments.state, VERSION, limits)
    except DaemonError as error:
        advice = f" ({error.hint})" if error.hint else ""
        print(f"{error}{advice}", file=sys.stderr)  # noqa: T201  for the one who started it
        return 1


if __name__ == "__main__":
    sys.exit(main())
