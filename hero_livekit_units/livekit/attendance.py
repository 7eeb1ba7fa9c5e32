"""Who is in the calls of a livekit-server, by name, from the sources that its definition gives for counting."""

from __future__ import annotations

import http.client
from collections import Counter
from typing import TYPE_CHECKING, Any

from hero_livekit_units.livekit.counting import debug_rooms, room_service
from hero_livekit_units.model.comeback import Attendance
from hero_livekit_units.model.unit import CallSourceKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hero_livekit_units.model.launch import LaunchSpec, Port

_BOUND = 2  # of a track that is sent to somebody: it is negotiated, and packets go out


def see_attendance(spec: LaunchSpec, timeout_s: float, api_keys: Mapping[str, str] | None = None) -> Attendance | None:
    """Ask the sources of an instance in turn until one answers; None when none does.

    Args:
        spec: as it was launched: its ports are asked.
        timeout_s: for each question.
        api_keys: secrets by API key, for the source that lets in only who has one.
    """
    for source, port in spec.calls:
        try:
            match source.kind:
                case CallSourceKind.DEBUG_ROOMS:
                    return _from_debug_rooms(port, timeout_s)
                case CallSourceKind.LIST_ROOMS:
                    return _from_room_service(port, timeout_s, api_keys or {})
                case CallSourceKind.PROMETHEUS:
                    continue  # knows numbers only
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None


def _from_debug_rooms(port: Port, timeout_s: float) -> Attendance:
    tracks: dict[tuple[str, str], int] = {}
    sent: Counter[tuple[str, str, str]] = Counter()
    for found, people in debug_rooms(port, timeout_s):
        room, names = found["Name"], {person["ID"]: identity for identity, person in people.items()}
        for identity, person in people.items():
            if person["State"] != "ACTIVE":
                continue
            published = (person["UpTrackManager"] or {}).get("PublishedTracks") or {}
            tracks[room, identity] = len(published)
            sent.update(
                (room, identity, names[down["SubscriberID"]])
                for track in published.values()
                for down in track.get("DownTracks") or ()
                if down["BindState"] == _BOUND and not track["PubMuted"] and down["SubscriberID"] in names
            )
    return Attendance(tracks, dict(sent))


def _from_room_service(port: Port, timeout_s: float, api_keys: Mapping[str, str]) -> Attendance:
    def ask(method: str, request: Mapping[str, Any], grant: Mapping[str, Any]) -> Any:
        return room_service(port, method, request, grant, timeout_s, api_keys)

    tracks = {}
    for found in ask("ListRooms", {}, {"roomList": True})["rooms"]:
        room = found["name"]
        there = ask("ListParticipants", {"room": room}, {"roomAdmin": True, "room": room})["participants"]
        tracks.update({(room, one["identity"]): len(one["tracks"]) for one in there if one["state"] == "ACTIVE"})
    return Attendance(tracks)
