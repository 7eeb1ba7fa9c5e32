"""The address at which a room is joined: where it runs, or where new rooms go.

A room lives on one slot, and nobody else knows which: so the slots are asked. A new room is made on its slot before its
first token is handed out, so that whoever asks next finds it, also when new rooms go to another slot by then. While
the slot for new rooms does not answer, as in the moment in which it is replaced, a request is held.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from starlette.concurrency import run_in_threadpool

from hero_livekit_units.errors import DaemonError
from hero_livekit_units.livekit.asking import asked, bearer
from hero_livekit_units.model.launch import Port
from hero_livekit_units.model.unit import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from hero_livekit_units.backend.routes import Routes

HOLD_S = 5.0  # a livekit-server that is replaced answers again after 0.05 s; one that is read from a cold disk, 1 s
_ASK_AGAIN_S = 0.05
_ANSWER_S = 1.0
_LARGEST_ANSWER = 1 << 20
_NOT_OURS = {401, 403, 404}  # a program of somebody else on the port of a slot: no room of ours is there


class _NoAnswer(Exception):
    """A slot could not say; the text is why."""


class Rooms:
    """Finds rooms on the slots, and makes new ones.

    Args:
        routes: the routes as they are now; its DaemonError is passed on.
        key, secret: of livekit-server's API.
    """

    def __init__(self, routes: Callable[[], Routes], *, key: str, secret: str) -> None:
        self._routes = routes
        self._key = key
        self._secret = secret
        # Of two who ask for a new room while new rooms begin to go elsewhere, the second finds what the first made.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def address(self, room: str, until_s: float) -> str:
        """Where to join this room, ws:// or wss://; held until then at most, by the monotonic clock.

        Raises:
            DaemonError: that cannot be told for now.
        """
        turn = self._turns.setdefault(room, asyncio.Lock())
        while True:
            try:
                async with turn:
                    routes = self._routes()
                    return await run_in_threadpool(self._place, room, routes) if routes.slots else routes.url
            except _NoAnswer as error:
                if time.monotonic() >= until_s:
                    raise DaemonError(f"cannot tell where the room is joined: {error}", hint="try again") from error
            await asyncio.sleep(_ASK_AGAIN_S)

    def _place(self, room: str, routes: Routes) -> str:
        for url in routes.slots.values():
            if url != routes.url and self._runs(url, room):
                return url
        status, _ = self._ask(routes.url, "CreateRoom", {"name": room}, {"roomCreate": True})
        if status != 200:
            raise _NoAnswer(f"{routes.url} makes no room (HTTP {status})")
        return routes.url

    def _runs(self, url: str, room: str) -> bool:
        """Whether a slot that gets no new rooms has this one."""
        try:
            status, answer = self._ask(url, "ListRooms", {"names": [room]}, {"roomList": True})
        except ConnectionRefusedError:
            return False  # nothing runs there
        if status in _NOT_OURS:
            return False
        rooms = answer.get("rooms", []) if isinstance(answer, dict) else None
        if status != 200 or not isinstance(rooms, list):
            raise _NoAnswer(f"{url} does not say which rooms it has (HTTP {status})")
        return bool(rooms)

    def _ask(self, url: str, method: str, body: dict[str, Any], grant: dict[str, Any]) -> tuple[int, Any]:
        """Status and parsed body of one call of the RoomService; None for a body that is no JSON."""
        host, number = urlsplit(url).hostname or "", urlsplit(url).port or 80
        port = Port("http", number, Protocol.TCP, host)
        headers = bearer(self._key, self._secret, grant)
        path = f"/twirp/livekit.RoomService/{method}"
        try:
            with asked(port, path, _ANSWER_S, body=json.dumps(body).encode(), headers=headers) as answer:
                return answer.status, _parsed(answer.read(_LARGEST_ANSWER))
        except ConnectionRefusedError as error:
            if method == "ListRooms":
                raise
            raise _NoAnswer(f"nothing answers at {url}") from error
        except (OSError, http.client.HTTPException) as error:
            raise _NoAnswer(f"no answer from {url}") from error


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
