"""The slots as nodes of one Redis: which node a slot is, which node has a room, and who makes a room now.

A node's id is made anew with each process, and no API tells it. It is the label of every gauge, in all releases and
whatever the log level; the log, which says it too, may be of a process that has ended.

LiveKit's keys are read and never written. Its routing has no lock: of two who make a room at once, each may put it on
another node. So whoever makes one has its turn, under a key of ours, and all lk-backends of that Redis keep to it.
"""

from __future__ import annotations

import http.client
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from hero_livekit_units.backend.service import NoAnswer, port_of
from hero_livekit_units.livekit.asking import asked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_NODES, _NODE_OF_ROOM = "nodes", "room_node_map"  # hashes of livekit-server
_TURN = "hlu:room:"  # and the name of the room
_TURN_LASTS_S = 10.0  # longer than all that is asked in one turn: a holder that was killed gives it up by this
_TURN_WAIT_S = 3.0
_ANSWER_S = 1.0
_LARGEST_PAGE = 1 << 20
_NODE_ID = re.compile(rb'^livekit_[a-z_]+\{(?:[^}]*,)?node_id="([^"]+)"', re.MULTILINE)


class RedisRefuses(NoAnswer):
    """Redis answers, and does not let us in: it has another password for now, or gives us no right to our own key."""


@frozen
class RedisAddress:
    """Where a Redis is, and who we are to it."""

    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)
    db: int = 0
    tls: bool = False


def nodes_of(gauges: Mapping[str, str]) -> dict[str, str]:
    """The node that each slot is, without those in which nothing runs; "" for one that does not say.

    Args:
        gauges: the address of its gauges, by slot.

    Raises:
        NoAnswer: something runs there, and nothing can be said about it.
    """
    found = {}
    for slot, url in gauges.items():
        try:
            with asked(port_of(url), "/metrics", _ANSWER_S) as answer:
                page = answer.read(_LARGEST_PAGE) if answer.status == 200 else b""
        except ConnectionRefusedError:
            continue
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"no answer from {url}") from error
        label = _NODE_ID.search(page)
        found[slot] = label[1].decode(errors="replace") if label else ""
    return found


class Cluster:
    """What the nodes of one Redis know of each other. Every method raises NoAnswer when Redis does not answer."""

    def __init__(self, where: RedisAddress) -> None:
        import redis  # noqa: PLC0415  7 MB that only those pay who have one
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        self._failed = redis.RedisError
        self._refused = (redis.AuthenticationError, redis.ResponseError)
        self._name = f"Redis at {where.host}:{where.port}"
        self._redis: Any = redis.Redis(
            host=where.host,
            port=where.port,
            username=where.username or None,
            password=where.password or None,
            db=where.db,
            ssl=where.tls,
            protocol=2,
            retry=Retry(NoBackoff(), 0),  # whoever asks is held and asks again
            socket_timeout=_ANSWER_S,
            socket_connect_timeout=_ANSWER_S,
            decode_responses=True,
            encoding_errors="surrogateescape",
        )

    @contextmanager
    def turn(self, room: str) -> Iterator[None]:
        """Nobody else who asks for a turn makes this room meanwhile."""
        lock = self._redis.lock(f"{_TURN}{room}", timeout=_TURN_LASTS_S, sleep=0.01, blocking_timeout=_TURN_WAIT_S)
        with self._answers():
            if not lock.acquire():
                raise NoAnswer("another lk-backend is making the room")
        try:
            yield
        finally:
            with self._answers():
                lock.release()

    def known(self, nodes: Collection[str]) -> set[str]:
        """Which of these are nodes of this Redis."""
        with self._answers():
            return {node for node in nodes if node and self._redis.hexists(_NODES, node)}

    def node_of(self, room: str) -> str:
        """The node that a room is on, "" for a room that is on none."""
        with self._answers():
            return self._redis.hget(_NODE_OF_ROOM, room) or ""

    def rooms_on(self, nodes: Collection[str]) -> dict[str, str]:
        """The rooms that are on one of these nodes, and on which."""
        with self._answers():
            return {room: node for room, node in self._redis.hscan_iter(_NODE_OF_ROOM, count=1000) if node in nodes}

    @contextmanager
    def _answers(self) -> Iterator[None]:
        try:
            yield
        except self._refused as error:
            raise RedisRefuses(f"{self._name} refuses us ({type(error).__name__})") from error
        except self._failed as error:
            raise NoAnswer(f"{self._name} does not answer as it should ({type(error).__name__})") from error
