"""Checks of single parameters of the wire methods: each returns the value, or raises -32602 with its name."""

from __future__ import annotations

import signal
from typing import Any

from hero_livekit_units.herosocket.rpc import invalid_params

LARGEST_NUMBER = 2**53


def text(key: str, value: Any) -> str:
    """A string that can be stored anywhere."""
    if not isinstance(value, str) or "\0" in value:
        raise invalid_params(f"{key} must be a string without NUL")
    return value


def number(key: str, value: Any) -> int:
    """A whole number that every JSON reader keeps exactly."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST_NUMBER:
        raise invalid_params(f"{key} must be a whole number, not negative")
    return value


def flag(key: str, value: Any) -> bool:
    """True or false, and nothing that merely looks like it."""
    if not isinstance(value, bool):
        raise invalid_params(f"{key} must be true or false")
    return value


def text_list(key: str, value: Any) -> list[str] | None:
    """An array of strings, or null."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise invalid_params(f"{key} must be an array or null")
    return [text(f"{key}[{at}]", item) for at, item in enumerate(value)]


def some(key: str, value: Any) -> list[Any]:
    """An array with something in it."""
    if not isinstance(value, list) or not value:
        raise invalid_params(f"{key} must be an array with something in it")
    return value


def signal_number(value: Any) -> int | None:
    """A signal by its name or number, or null."""
    if value is None:
        return None
    try:
        if isinstance(value, str):
            return signal.Signals[value]
        return signal.Signals(number("signal", value))
    except (KeyError, ValueError):
        raise invalid_params(f"signal {str(value)[:30]!r} is not known", hint="such as SIGTERM, or 15") from None
