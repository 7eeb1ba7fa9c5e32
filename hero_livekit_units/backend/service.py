"""livekit-server's RoomService, so far as lk-backend needs it: has a slot this room, and make it.

Knows addresses and keys. Must not know which slot is meant for what.
"""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hero_livekit_units.livekit.asking import asked, bearer
from hero_livekit_units.model.launch import Port
from hero_livekit_units.model.unit import Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANSWER_S = 1.0
_LARGEST_ANSWER = 1 << 20
_NOT_OURS = {401, 403, 404}  # a program of somebody else on the port of a slot: no room of ours is there


class NoAnswer(Exception):
    """Somebody who has to be asked could not say; the text is who and why."""


class RoomService:
    """Asks slots by the address at which people join them.

    Args:
        key, secret: of livekit-server's API.
    """

    def __init__(self, *, key: str, secret: str) -> None:
        self._key = key
        self._secret = secret

    def has(self, url: str, room: str) -> bool:
        """Whether a slot has this room; one in which nothing runs has none.

        Raises:
            NoAnswer: it does not say.
        """
        try:
            status, answer = self._ask(url, "ListRooms", {"names": [room]}, {"roomList": True})
        except ConnectionRefusedError:
            return False
        if status in _NOT_OURS:
            return False
        rooms = answer.get("rooms", []) if isinstance(answer, dict) else None
        if status != 200 or not isinstance(rooms, list):
            raise NoAnswer(f"{url} does not say which rooms it has (HTTP {status})")
        return bool(rooms)

    def make(self, url: str, room: str, *, node: str = "") -> None:
        """Make a room, or find it made.

        Args:
            url: whom to ask.
            room: its name.
            node: with Redis, the node that it runs on, unless it runs on a node that lives already.

        Raises:
            NoAnswer: it is not certain that there is one.
        """
        body = {"name": room} | ({"node_id": node} if node else {})
        try:
            status, _ = self._ask(url, "CreateRoom", body, {"roomCreate": True})
        except ConnectionRefusedError as error:
            raise NoAnswer(f"nothing answers at {url}") from error
        if status != 200:
            raise NoAnswer(f"{url} makes no room (HTTP {status})")

    def _ask(self, url: str, method: str, body: Mapping[str, Any], grant: Mapping[str, Any]) -> tuple[int, Any]:
        """Status and parsed body of one call; None for a body that is no JSON."""
        headers = bearer(self._key, self._secret, grant)
        path = f"/twirp/livekit.RoomService/{method}"
        try:
            with asked(port_of(url), path, _ANSWER_S, body=json.dumps(body).encode(), headers=headers) as answer:
                return answer.status, _parsed(answer.read(_LARGEST_ANSWER))
        except ConnectionRefusedError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"no answer from {url}") from error


def port_of(url: str) -> Port:
    """Where an address leads to."""
    parts = urlsplit(url)
    return Port("http", parts.port or 80, Protocol.TCP, parts.hostname or "")


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
