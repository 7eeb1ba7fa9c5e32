"""How many rooms and people are on a livekit-server, in the order of trust that the definition gives.

A count that could not be had is None, never 0.
"""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

from hero_livekit_units.livekit.asking import asked
from hero_livekit_units.model.observed import CallsSeen
from hero_livekit_units.model.unit import CallSource, CallSourceKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_livekit_units.model.launch import Port

_LARGEST_ANSWER = 64 * 1024 * 1024


def count_calls(sources: Sequence[tuple[CallSource, Port]], timeout_s: float) -> CallsSeen:
    """Ask the sources in turn until one answers; `timeout_s` is for each."""
    reasons = []
    for source, port in sources:
        try:
            rooms, people = _COUNTS[source.kind](port, timeout_s)
        except (OSError, http.client.HTTPException, ValueError, OverflowError) as error:
            reasons.append(f"{source.kind} on port {port.number}: {str(error) or type(error).__name__}")
        else:
            return CallsSeen(rooms, people, f"{source.kind} on port {port.number}")
    return CallsSeen(None, None, "; ".join(reasons) or "nothing to ask")


def _debug_rooms(port: Port, timeout_s: float) -> tuple[int, int]:
    """The data that livekit-server's own drain decides by (known to 1.13.3 and later)."""
    rooms = json.loads(_get(port, "/debug/rooms", timeout_s))
    if not isinstance(rooms, list) or not all(isinstance(room, dict) for room in rooms):
        raise ValueError("not a list of rooms")
    return len(rooms), sum(_people(room) for room in rooms)


def _people(room: dict[str, Any]) -> int:
    participants = room.get("Participants", "")
    if participants is None:
        return 0  # nobody has joined it yet
    if not isinstance(participants, dict | list):
        # A room of a shape that is not known here may hold people: that is no zero.
        raise ValueError("a room without participants")  # noqa: TRY004  the answer is wrong, not a call of ours
    return len(participants)


def _prometheus(port: Port, timeout_s: float) -> tuple[int, int]:
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415  only as a fallback

    totals = {"livekit_room_total": 0.0, "livekit_participant_total": 0.0}
    seen = set()
    for family in text_string_to_metric_families(_get(port, "/metrics", timeout_s).decode()):
        for sample in family.samples:
            if sample.name in totals:
                totals[sample.name] += sample.value
                seen.add(sample.name)
    if seen != set(totals):
        raise ValueError("no room and participant gauges")
    return int(totals["livekit_room_total"]), int(totals["livekit_participant_total"])


def _get(port: Port, path: str, timeout_s: float) -> bytes:
    with asked(port, path, timeout_s) as answer:
        if answer.status != 200:
            raise ValueError(f"HTTP {answer.status}")
        body = answer.read(_LARGEST_ANSWER)
        if answer.length:
            raise ValueError("the answer ends early")
        return body


_COUNTS = {CallSourceKind.DEBUG_ROOMS: _debug_rooms, CallSourceKind.PROMETHEUS: _prometheus}
