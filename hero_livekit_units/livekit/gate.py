"""The admission gate: a file that says until when nobody gets a token, as a livekit-server is being replaced. Pure.

Who replaces it shuts the gate, and lk-backend holds token requests meanwhile. It is a lease: whatever becomes of who
shut it, it is open again soon. A front knows no gate: it queues the joins themselves while a slot does not answer.

Its times are those of the kernel's monotonic clock, which all processes of a host share: a wall clock is set back.
"""

from __future__ import annotations

import json
import math
from typing import Any

import attrs
from attrs import frozen

FILE = "gate.json"  # in the home of the group, beside runtime.json
# Longer than a supervisor may take to answer, and than the wait for those on their way: no end of it comes in between.
LEASE_S = 12.0


@frozen
class Shut:
    """The gate is shut.

    until_s: by the monotonic clock. because: for whoever is held. pid, start_time: who shut it; its end opens it.
    """

    until_s: float
    because: str
    pid: int
    start_time: int

    def left_s(self, now_s: float) -> float:
        """Seconds until it is open by itself, 0 when it is. What lasts longer than any lease is of another boot."""
        left_s = self.until_s - now_s
        return left_s if 0.0 < left_s <= LEASE_S else 0.0


def serialise(shut: Shut) -> str:
    """The text of the file."""
    return json.dumps(attrs.asdict(shut)) + "\n"


def parse(text: str) -> Shut:
    """What `serialise` wrote.

    Raises:
        ValueError: it did not write this.
    """
    found: Any = json.loads(text)
    if not isinstance(found, dict) or {name: type(value) for name, value in found.items()} != _TYPES:
        raise ValueError(f"it does not hold {', '.join(_TYPES)}")
    if not math.isfinite(found["until_s"]):
        raise ValueError("until_s is not a time")
    return Shut(**found)


_TYPES = {"until_s": float, "because": str, "pid": int, "start_time": int}
