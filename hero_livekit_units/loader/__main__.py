"""`python -m hero_livekit_units.loader [--deadline SECONDS]`: what the plugins contribute, as JSON on stdout."""

from __future__ import annotations

import argparse
import json
import sys

from hero_livekit_units.loader.finding import installed_plugins
from hero_livekit_units.loader.gather import gather

DEADLINE_S = 10.0


def main() -> int:
    """Print it."""
    parser = argparse.ArgumentParser(prog="python -m hero_livekit_units.loader", description="Load all plugins.")
    parser.add_argument("--deadline", type=float, default=DEADLINE_S, metavar="SECONDS", help="for each plugin")
    json.dump(gather(installed_plugins(), deadline_s=parser.parse_args().deadline), sys.stdout)
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
