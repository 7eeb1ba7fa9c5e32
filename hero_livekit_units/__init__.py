"""Keep live LiveKit calls up while the programs around them restart, crash and upgrade.

    definitions ──▶ observe ──▶ plan ──▶ execute
    text → values   world →     values    plan →
                    values      → plan    world
                       ▲                    │
                       └────── ensure ──────┘

A supervisor (hero_proc) owns the media programs. Whoever manages them is a stateless client:

    from hero_livekit_units import Media

    media = Media.connect()
    media.status()   # what lives, with the evidence
    media.plan()     # what would have to change, and why
    media.ensure()   # change it; safe to repeat, from anywhere, after any crash
"""

from __future__ import annotations

from hero_livekit_units.version import VERSION

TYPE_CHECKING = False  # typing is slow to import, and every `hlu status` loads this module
if TYPE_CHECKING:
    from typing import Any

    from hero_livekit_units.media import Media

__all__ = ["Media", "__version__"]

__version__ = VERSION


def __getattr__(name: str) -> Any:
    # Late, because `hlu status` loads this module and must not pay for what it does not use.
    if name == "Media":
        from hero_livekit_units.media import Media  # noqa: PLC0415

        return Media
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
