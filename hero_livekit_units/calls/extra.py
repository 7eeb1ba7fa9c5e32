"""The libraries of the optional extra `calls`: whether they are here, and what to say when they are not."""

from __future__ import annotations

from importlib.util import find_spec

from hero_livekit_units.errors import UnitsError

_LIBRARIES = ("numpy", "livekit.rtc")


def extra_missing(library: str) -> UnitsError:
    """The error for a library of the extra that cannot be imported."""
    return UnitsError(
        f"cannot measure calls: {library} is not installed", hint="pip install 'hero-livekit-units[calls]'"
    )


def require_extra() -> None:
    """Look for the libraries without the cost of loading them.

    Raises:
        UnitsError: one is missing.
    """
    for library in _LIBRARIES:
        try:
            found = find_spec(library) is not None
        except (ImportError, ValueError):  # the parent package is missing, or importing it was forbidden
            found = False
        if not found:
            raise extra_missing(library)
