"""`python -m hero_livekit_units.loader [--deadline SECONDS]`: what the plugins contribute, as lines of JSON on stdout.

The first line is all but the definitions; each release has the number of the line with its own, counted from 1. So a
hero_proc that lists units, or shows one of them, need not hold them all.
"""

from __future__ import annotations

import argparse
import json
import sys

from hero_livekit_units.loader.finding import installed_plugins
from hero_livekit_units.loader.gather import gather

DEADLINE_S = 10.0


def main() -> int:
    """Print them."""
    parser = argparse.ArgumentParser(prog="python -m hero_livekit_units.loader", description="Load all plugins.")
    parser.add_argument("--deadline", type=float, default=DEADLINE_S, metavar="SECONDS", help="for each plugin")
    found = gather(installed_plugins(), deadline_s=parser.parse_args().deadline)
    definitions = []
    for unit in found["units"]:
        for row in unit["releases"]:
            definitions.append(row["definition"])
            row["definition"] = len(definitions)
    sys.stdout.writelines(f"{json.dumps(line)}\n" for line in (found, *definitions))
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
