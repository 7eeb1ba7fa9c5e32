"""The kinds of value that a configuration key can have, and whether a value is of its kind. Pure.

A list of tables has a key for each key of its tables, `rtc.turn_servers[].host`; a table whose keys are free likewise,
`x{}.y`. A `tree` is not looked into.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

REMOVED = "removed"
_DURATION = re.compile(r"[+-]?(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+")
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


def is_port_range(text: str) -> bool:
    """Whether it is `7882`, or `7882-7892` with the lower number first."""
    found = _PORTS.fullmatch(text)
    return found is not None and 1 <= int(found[1]) <= int(found[2] or found[1]) <= 65535


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_duration(value: Any) -> bool:
    return isinstance(value, str) and _DURATION.fullmatch(value) is not None


def _within(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: _is_integer(value) and least <= value <= most


# The least and the most that an integer of a kind may be; plain `integer` has 64 bits and a sign.
LIMITS = {
    "integer": (-(2**63), 2**63 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint8": (0, 2**8 - 1),
    "uint16": (0, 2**16 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
_SCALARS: dict[str, Callable[[Any], bool]] = {
    "bool": lambda value: isinstance(value, bool),
    **{kind: _within(*limits) for kind, limits in LIMITS.items()},
    "number": lambda value: _is_integer(value) or isinstance(value, float),
    "text": lambda value: isinstance(value, str),
    "duration": _is_duration,
}


def _lists(fits_one: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(fits_one, value))


def _tables(fits_one: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(fits_one, value.values()))


_IS: dict[str, Callable[[Any], bool]] = {
    **_SCALARS,
    **{f"list of {kind}": _lists(fits_one) for kind, fits_one in _SCALARS.items()},
    **{f"table of {kind}": _tables(fits_one) for kind, fits_one in _SCALARS.items()},
    "port range": lambda value: (_is_integer(value) or isinstance(value, str)) and is_port_range(str(value)),
    "empty table": lambda value: value == {},
    "tree": lambda _: True,
    REMOVED: lambda _: False,
}
KINDS = tuple(_IS)
_EXAMPLES = {"duration": 'such as "1.5s"', "port range": 'such as "50000-60000"'}


def fits(kind: str, value: Any) -> bool:
    """Whether a value is of a kind."""
    return _IS[kind](value)


def expected(kind: str) -> str:
    """The kind in words for a message."""
    if kind in LIMITS:
        least, most = LIMITS[kind]
        return f"expected an integer, {least} to {most}"
    return f"expected {kind}{f', {_EXAMPLES[kind]}' if kind in _EXAMPLES else ''}"
