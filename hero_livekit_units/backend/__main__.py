"""`python -m hero_livekit_units.backend`: the same as the console script `lk-backend`."""

import sys

from hero_livekit_units.backend.main import run

if __name__ == "__main__":
    sys.exit(run())
