"""The address at which a room is joined: where it runs, or where new rooms go.

A room lives on one slot, and nobody else knows which: so the slots are asked, or, where they are nodes of one Redis,
that is. A new room is made on its slot before its first token is handed out, so that whoever asks next finds it, also
when new rooms go to another slot by then. While the slot for new rooms does not answer, as in the moment in which it is
replaced, a request is held.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from starlette.concurrency import run_in_threadpool

from hero_livekit_units.backend.nodes import Cluster, RedisAddress, RedisRefuses, nodes_of
from hero_livekit_units.backend.service import NoAnswer, RoomService
from hero_livekit_units.errors import DaemonError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hero_livekit_units.backend.routes import Routes

HOLD_S = 5.0  # a livekit-server that is replaced answers again after 0.05 s; one that is read from a cold disk, 1 s
_ASK_AGAIN_S = 0.05

_log = logging.getLogger("lk-backend")


class Rooms:
    """Finds rooms on the slots, and makes new ones.

    Args:
        routes: the routes as they are now; its DaemonError is passed on.
        key, secret: of livekit-server's API.
    """

    def __init__(self, routes: Callable[[], Routes], *, key: str, secret: str) -> None:
        self._routes = routes
        self._service = RoomService(key=key, secret=secret)
        # Of two who ask for a new room while new rooms begin to go elsewhere, the second finds what the first made.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._cluster: tuple[RedisAddress, Cluster] | None = None
        self._told = ""

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
            except NoAnswer as error:
                if time.monotonic() >= until_s:
                    raise DaemonError(f"cannot tell where the room is joined: {error}", hint="try again") from error
            await asyncio.sleep(_ASK_AGAIN_S)

    def _place(self, room: str, routes: Routes) -> str:
        if routes.redis is None:
            return self._place_on_slots(room, routes)
        cluster = self._cluster_at(routes.redis)
        try:
            with cluster.turn(room):
                return self._place_on_nodes(room, routes, cluster)
        except RedisRefuses as error:
            return self._place_unseen(room, routes, str(error))

    def _place_on_slots(self, room: str, routes: Routes) -> str:
        for url in routes.slots.values():
            if url != routes.url and self._service.has(url, room):
                return url
        self._service.make(routes.url, room)
        return routes.url

    def _place_on_nodes(self, room: str, routes: Routes, cluster: Cluster) -> str:
        """Any slot leads to any room, but a slot that is left ends: so who joins is sent to the one with the room."""
        nodes = nodes_of(routes.gauges)
        known = cluster.known(nodes.values())
        joined = {node: routes.slots[slot] for slot, node in nodes.items() if node in known and slot in routes.slots}
        wanted = next((node for node, url in joined.items() if url == routes.url), "")
        if not wanted:
            # Redis is wanted, but what runs does not use it yet.
            return self._place_on_slots(room, routes)
        if not cluster.node_of(room):
            for url in routes.slots.values():
                if url not in joined.values() and self._service.has(url, room):
                    return url
        self._service.make(routes.url, room, node=wanted)
        return joined.get(cluster.node_of(room), routes.url)

    def _place_unseen(self, room: str, routes: Routes, why: str) -> str:
        """While Redis does not let us in, as between its old password and the new one: livekit-server leads there."""
        if self._told != why:
            self._told = why
            _log.warning("%s: a room may be made by two at once, and who joins may be relayed", why)
        nodes = nodes_of(routes.gauges)
        wanted = next((node for slot, node in nodes.items() if routes.slots.get(slot) == routes.url), "")
        self._service.make(routes.url, room, node=wanted)
        return routes.url

    def _cluster_at(self, where: RedisAddress) -> Cluster:
        if self._cluster is None or self._cluster[0] != where:
            self._cluster = where, Cluster(where)
        return self._cluster[1]
