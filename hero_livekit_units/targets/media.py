"""`python -m hero_livekit_units.targets.media`: ensure the media, as the action `configure` of hero_livekit_media.

What goes wrong is told in one line, the last one: hero_proc shows that as the reason of the failure.
"""

from __future__ import annotations

import os
import sys

from hero_livekit_units.errors import UnitsError
from hero_livekit_units.herosocket.address import HERO_PROC_SOCKET
from hero_livekit_units.media import Media
from hero_livekit_units.targets.saying import one_line


def main() -> int:
    """Ensure once; the exit status."""
    try:
        receipt = Media.connect(socket=os.environ.get(HERO_PROC_SOCKET)).ensure()
    except UnitsError as error:
        print(one_line(error), flush=True)  # noqa: T201  into the log of the action
        return 1
    for did in receipt.done:
        print(f"{did.step.instance}: {did.outcome}")  # noqa: T201
    for refusal in receipt.refusals:
        print(f"{refusal.instance}: {refusal.because}; possible when {refusal.possible_when}")  # noqa: T201
    if not receipt.converged and not receipt.refusals:
        states = ", ".join(f"{state.instance} is {state.verdict}" for state in receipt.after)
        print(f"not as wanted yet: {states}")  # noqa: T201
    return 0 if receipt.converged else 1


if __name__ == "__main__":
    sys.exit(main())
