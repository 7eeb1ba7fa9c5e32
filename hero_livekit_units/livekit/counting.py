"""How many rooms and people are on a livekit-server, in the order of trust that the definition gives.

A count that could not be had is None, never 0.
"""

from __future__ import annotations

import http.client
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from hero_livekit_units.livekit.asking import asked, bearer
from hero_livekit_units.model.observed import CallsSeen
from hero_livekit_units.model.unit import CallSource, CallSourceKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hero_livekit_units.model.launch import Port

_LARGEST_ANSWER = 64 * 1024 * 1024


def count_calls(
    sources: Sequence[tuple[CallSource, Port]],
    timeout_s: float,
    api_keys: Mapping[str, str] | None = None,
    *,
    closely: bool = False,
) -> CallsSeen:
    """Ask the sources in turn until one answers.

    Args:
        sources: where to ask, in order of trust.
        timeout_s: for each source.
        api_keys: secrets by API key, for the source that lets in only who has one.
        closely: also ask one that tells the rooms apart, where the first one that answers does not.
    """
    reasons = []
    for at, (source, port) in enumerate(sources):
        try:
            found = _COUNTS[source.kind](port, timeout_s, api_keys or {})
        except (OSError, http.client.HTTPException, ValueError, OverflowError) as error:
            reasons.append(f"{source.kind} on port {port.number}: {str(error) or type(error).__name__}")
        else:
            seen = CallsSeen(found.rooms, found.people, f"{source.kind} on port {port.number}")
            if found.lonely is None and closely and found.people:
                found = _closer(sources[at + 1 :], timeout_s, api_keys or {}) or found
            return attrs.evolve(seen, longest_s=found.longest_s, lonely=found.lonely)
    return CallsSeen(None, None, "; ".join(reasons) or "nothing to ask")


@frozen
class _Counted:
    """What a source says; the last two as in CallsSeen."""

    rooms: int
    people: int
    longest_s: float | None = None
    lonely: tuple[str, ...] | None = None


def _closer(
    sources: Sequence[tuple[CallSource, Port]], timeout_s: float, api_keys: Mapping[str, str]
) -> _Counted | None:
    for source, port in sources:
        with suppress(OSError, http.client.HTTPException, ValueError, OverflowError):
            found = _COUNTS[source.kind](port, timeout_s, api_keys)
            if found.lonely is not None:
                return found
    return None


def _told_apart(rooms: Sequence[tuple[Any, Any, int]]) -> _Counted:
    """From the name, the time of creation in seconds since the epoch, and the number of people of each room."""
    began_s = [float(at_s) for _, at_s, _ in rooms if isinstance(at_s, int | float) and at_s > 0]
    return _Counted(
        rooms=len(rooms),
        people=sum(people for _, _, people in rooms),
        longest_s=max(time.time() - min(began_s), 0.0) if began_s else None,
        lonely=tuple(sorted(str(name) for name, _, people in rooms if people == 1)),
    )


def debug_rooms(port: Port, timeout_s: float) -> list[tuple[dict[str, Any], Any]]:
    """Each room, and who is in it by identity: what livekit-server's own drain decides by (1.13.3 and later).

    Raises:
        OSError, http.client.HTTPException, ValueError: there is no answer, or none that is understood.
    """
    rooms = json.loads(_get(port, "/debug/rooms", timeout_s))
    if not isinstance(rooms, list) or not all(isinstance(room, dict) for room in rooms):
        raise ValueError("not a list of rooms")
    return [(room, _people(room)) for room in rooms]


def _people(room: dict[str, Any]) -> Any:
    participants = room.get("Participants", "")
    if participants is None:
        return {}  # nobody has joined it yet
    if not isinstance(participants, dict | list):
        # A room of a shape that is not known here may hold people: that is no zero.
        raise ValueError("a room without participants")  # noqa: TRY004  the answer is wrong, not a call of ours
    return participants


def _debug_rooms(port: Port, timeout_s: float, _: Mapping[str, str]) -> _Counted:
    rooms = debug_rooms(port, timeout_s)
    return _told_apart([(room.get("Name"), room.get("CreatedAt"), len(people)) for room, people in rooms])


def _prometheus(port: Port, timeout_s: float, _: Mapping[str, str]) -> _Counted:
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
    return _Counted(int(totals["livekit_room_total"]), int(totals["livekit_participant_total"]))


def room_service(
    port: Port,
    method: str,
    request: Mapping[str, Any],
    grant: Mapping[str, Any],
    timeout_s: float,
    api_keys: Mapping[str, str],
) -> Any:
    """What RoomService answers to whoever has a key, as plain data.

    Args:
        port: of livekit-server.
        method: such as ListRooms.
        request: its fields.
        grant: what the token has to allow.
        timeout_s: for all keys together.
        api_keys: secrets by API key.

    Raises:
        OSError, http.client.HTTPException, ValueError: there is no answer, or none that is understood.
    """
    if not api_keys:
        raise ValueError("no key known")
    body, path = json.dumps(dict(request)).encode(), f"/twirp/livekit.RoomService/{method}"
    for key, secret in api_keys.items():  # while a key is being replaced there are two, and the server may know one
        signed = bearer(key, secret, grant)
        with asked(port, path, timeout_s / len(api_keys), body=body, headers=signed) as answer:
            if answer.status != 401:
                return json.loads(_body(answer))
    raise ValueError("it does not know our key")


def _list_rooms(port: Port, timeout_s: float, api_keys: Mapping[str, str]) -> _Counted:
    """What RoomService tells whoever has a key. It may lag, and it leaves out agents, so it is asked last."""
    return _listed(room_service(port, "ListRooms", {}, {"roomList": True}, timeout_s, api_keys))


def _listed(answer: Any) -> _Counted:
    rooms = answer.get("rooms") if isinstance(answer, dict) else None
    if not isinstance(rooms, list) or not all(isinstance(room, dict) for room in rooms):
        raise ValueError("not a list of rooms")
    people = [room.get("num_participants", room.get("numParticipants")) for room in rooms]
    if not all(type(count) is int and count >= 0 for count in people):
        raise ValueError("a room without a number of people")
    return _told_apart([(room.get("name"), _seconds(room), count) for room, count in zip(rooms, people, strict=True)])


def _seconds(room: dict[str, Any]) -> float | None:
    """When a room was made, in seconds since the epoch; protobuf writes 64 bits as text."""
    try:
        return float(room.get("creation_time", room.get("creationTime", "")))
    except (TypeError, ValueError):
        return None


def _get(port: Port, path: str, timeout_s: float) -> bytes:
    with asked(port, path, timeout_s) as answer:
        return _body(answer)


def _body(answer: http.client.HTTPResponse) -> bytes:
    if answer.status != 200:
        raise ValueError(f"HTTP {answer.status}")
    body = answer.read(_LARGEST_ANSWER)
    if answer.length:
        raise ValueError("the answer ends early")
    return body


_COUNTS = {
    CallSourceKind.DEBUG_ROOMS: _debug_rooms,
    CallSourceKind.PROMETHEUS: _prometheus,
    CallSourceKind.LIST_ROOMS: _list_rooms,
}
