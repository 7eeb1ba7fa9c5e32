"""What was done here, read back from the supervisor's log: lines of text to plain data. Pure.

The log outlives every release of this package, so a receipt may lack what today's have and hold what they do not.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hero_livekit_units.registry.port import Recorded

SOURCE = "hero_livekit.ensure"
MOST_LINES = 1000
_SHOWN = 200  # signs of a line that is no receipt
_DEEPEST = 50  # a receipt needs ten; without an end to it, whoever shows or sends it would run out of stack


def receipts(lines: Iterable[Recorded]) -> list[dict[str, Any]]:
    """One object a line, in the same order, each with `at_s` (seconds since 1970).

    `at_s` is the receipt's own, or when the line was logged where it has none. A line that holds no JSON object is
    `{"at_s", "unreadable"}`, the latter its beginning.
    """
    return [_receipt(line) for line in lines]


def _receipt(line: Recorded) -> dict[str, Any]:
    try:
        found = json.loads(line.text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or _deeper(found, _DEEPEST):
        return {"at_s": line.at_s, "unreadable": line.text[:_SHOWN]}
    own = found.get("at_s")
    timed = isinstance(own, int | float) and not isinstance(own, bool)
    return {"at_s": line.at_s} | found if timed else found | {"at_s": line.at_s}


def _refuse(constant: str) -> NoReturn:
    # Python reads and writes NaN and Infinity; other readers of `--json` and of the wire stop at them.
    raise ValueError(constant)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _deeper(value: Any, levels: int) -> bool:
    """Whether a value holds others to more than this depth."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return bool(inner) and (levels == 0 or any(_deeper(item, levels - 1) for item in inner))
