"""What is done to the rooms of a livekit-server by its RoomService. Must not know why."""

from __future__ import annotations

import base64
import http.client
import json
from typing import TYPE_CHECKING, Any

from hero_livekit_units.errors import StepFailed
from hero_livekit_units.livekit.asking import asked, bearer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hero_livekit_units.model.launch import Port

TOPIC = "hero_livekit"  # of the data messages
_ANSWER_S = 2.0
_LARGEST_ANSWER = 1 << 24


class RoomService:
    """Acts on rooms. Nothing is kept."""

    def tell(self, server: Port, api_keys: Mapping[str, str], message: Mapping[str, Any]) -> int:
        """Send a data message, an object as JSON, to every room; how many there were.

        Args:
            server: the port of its API.
            api_keys: secrets by API key; while one is replaced the server may know either.
            message: what they get, reliably and on the topic TOPIC.

        Raises:
            StepFailed: it could not be sent to all.
        """
        data = base64.b64encode(json.dumps(message).encode()).decode()
        names = [str(room["name"]) for room in _listed(server, api_keys, "ListRooms", {}, {"roomList": True}, "rooms")]
        for name in names:
            body = {"room": name, "data": data, "kind": "RELIABLE", "topic": TOPIC}
            _ask(server, api_keys, "SendData", body, {"room": name, "roomAdmin": True})
        return len(names)

    def end_lonely(self, server: Port, api_keys: Mapping[str, str], room: str) -> bool:
        """End a room for whoever is in it; False where more than one is by now, who stay.

        Raises:
            StepFailed: that could not be done.
        """
        grant = {"room": room, "roomAdmin": True, "roomCreate": True}
        people = _listed(server, api_keys, "ListParticipants", {"room": room}, grant, "participants")
        if len(people) > 1:
            return False
        _ask(server, api_keys, "DeleteRoom", {"room": room}, grant)
        return True


ROOM_SERVICE = RoomService()


def _listed(
    server: Port, api_keys: Mapping[str, str], method: str, body: dict[str, Any], grant: dict[str, Any], what: str
) -> list[dict[str, Any]]:
    answer = _ask(server, api_keys, method, body, grant)
    found = answer.get(what, []) if isinstance(answer, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise StepFailed(f"ask livekit-server ({method})", f"its answer has no list of {what}")
    return found


def _ask(server: Port, api_keys: Mapping[str, str], method: str, body: dict[str, Any], grant: dict[str, Any]) -> Any:
    path, status = f"/twirp/livekit.RoomService/{method}", 0
    try:
        for key, secret in api_keys.items():
            signed = bearer(key, secret, grant)
            with asked(server, path, _ANSWER_S, body=json.dumps(body).encode(), headers=signed) as answer:
                status, text = answer.status, answer.read(_LARGEST_ANSWER)
            if status == http.client.OK:
                return json.loads(text)
            if status == http.client.NOT_FOUND:
                return {}  # the room has ended meanwhile
            if status != http.client.UNAUTHORIZED:
                break
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = str(error) or type(error).__name__
        raise StepFailed(f"ask livekit-server on port {server.number} ({method})", why) from error
    why = f"it answers HTTP {status}" if status else "no key is known"
    raise StepFailed(f"ask livekit-server on port {server.number} ({method})", why)
