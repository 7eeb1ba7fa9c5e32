"""`python -m hero_livekit_units.embedded --socket PATH --state FOLDER`: the daemon in the foreground."""

from __future__ import annotations

import sys

# asyncio imports ssl if it is there, and OpenSSL costs 6 MB of memory for as long as the daemon lives. It speaks on a
# Unix socket only and asks its health checks in plain HTTP, so here, and only here, there is no ssl. asyncio is made to
# work without it. This has to stand before the first import of asyncio.
sys.modules["ssl"] = None  # type: ignore[assignment]

from hero_livekit_units.embedded.handover import go_back, received  # noqa: E402


def main() -> int:
    """Run. What cannot be imported after an exec leads back to the program before it."""
    handover = received()
    try:
        from hero_livekit_units.embedded.command import obey  # noqa: PLC0415  all the rest, within reach of the way back
    except Exception as error:
        if handover:
            go_back(handover, f"{type(error).__name__}: {error}")
        raise
    return obey(handover)


if __name__ == "__main__":
    sys.exit(main())
