"""Rooms of nodes that were slots of ours and have ended without a word: livekit-server gets them back, and ends them.

With Redis, a room whose node was killed stays in every list, with the people who were in it, until somebody joins it
again and it ends. No API removes such a room or person: each asks the node. But who makes a room that is there has it
taken over by a node that lives, and that ends it in its own time if nobody is in it, people of the past and all. For
whoever has come back meanwhile nothing changes: so no room that lives can come to harm by this.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.backend.nodes import Cluster, nodes_of
from hero_livekit_units.backend.service import NoAnswer, RoomService
from hero_livekit_units.errors import DaemonError, StepFailed

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from hero_livekit_units.backend.nodes import RedisAddress
    from hero_livekit_units.backend.routes import Routes

LOOK_EVERY_S = 5.0
# Clients try to come back for 15 to 25 s. Until then the room is theirs, and comes with them to where they go.
LEFT_ALONE_S = 30.0

_log = logging.getLogger("lk-backend")


class EndedNodes:
    """Looks after the rooms of nodes of ours that have ended.

    A node is ours when it was seen in a slot of ours; it has ended when each slot is seen to be another one, or empty.
    What cannot be asked may be it: then nothing is done.

    Args:
        routes: the routes as they are now.
        service: livekit-server's API.
        file: where it is kept which nodes are ours, so that it is known after a restart of lk-backend.
        left_alone_s: for how long a room is left to those who may come back.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        routes: Callable[[], Routes],
        service: RoomService,
        file: Path,
        *,
        left_alone_s: float = LEFT_ALONE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._routes = routes
        self._service = service
        self._file = file
        self._left_alone_s = left_alone_s
        self._clock = clock
        self._ours = _read(file)
        self._since_s: dict[str, float] = {}
        self._cluster: tuple[RedisAddress, Cluster] | None = None

    def watch(self, over: threading.Event) -> None:
        """Look again and again until `over` is set."""
        while not over.wait(LOOK_EVERY_S):
            try:
                self.look()
            except (DaemonError, NoAnswer):
                continue  # who asks for a token is told
            except StepFailed as error:
                _log.warning("%s", error)

    def look(self) -> int:
        """Look once.

        Returns:
            How many rooms were given to a node that lives.

        Raises:
            NoAnswer: somebody could not be asked, and nothing was done, or not all.
            DaemonError: there are no routes.
            StepFailed: it cannot be kept which nodes are ours.
        """
        routes = self._routes()
        if routes.redis is None:
            return 0
        nodes = nodes_of(routes.gauges)
        if not all(nodes.values()):
            return 0
        if self._cluster is None or self._cluster[0] != routes.redis:
            self._cluster = routes.redis, Cluster(routes.redis)
        cluster = self._cluster[1]
        living = cluster.known(nodes.values())
        self._keep(self._ours | living)
        ended = self._ours - set(nodes.values())
        wanted = next((node for slot, node in nodes.items() if routes.slots.get(slot) == routes.url), "")
        left = cluster.rooms_on(ended) if ended else {}
        now_s = self._clock()
        self._since_s = {room: self._since_s.get(room, now_s) for room in left}
        if not left:
            self._keep(living)
        due = [room for room, since_s in self._since_s.items() if now_s - since_s >= self._left_alone_s]
        if wanted not in living:
            return 0
        given = 0
        for room in due:
            with cluster.turn(room):
                self._service.make(routes.url, room, node=wanted)
                given += cluster.node_of(room) != left[room]
            self._since_s[room] = now_s  # livekit-server may hold that its node lives: it is not asked all the time
        if given:
            _log.info("%d rooms of nodes that have ended are given to %s, which ends them", given, wanted)
        return given

    def _keep(self, ours: set[str]) -> None:
        if ours != self._ours:
            write_atomically(self._file, json.dumps(sorted(ours)) + "\n", 0o600)
            self._ours = ours


def _read(file: Path) -> set[str]:
    """The nodes of the file. Without one, or with a broken one, those that ended before are nobody's of ours."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return {node for node in found if isinstance(node, str)} if isinstance(found, list) else set()
