"""Where people join: the address for new rooms and those of the slots, from a file that others replace at any time.

Must not know who asks, nor which room is where.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from hero_livekit_units.backend.nodes import RedisAddress
from hero_livekit_units.backend.settings import is_livekit_url, private_text
from hero_livekit_units.errors import DaemonError

if TYPE_CHECKING:
    from pathlib import Path


@frozen
class Routes:
    """Addresses, ws:// or wss://.

    url: for new rooms. slots: of each slot, by its name; none where all join at `url`, whatever the slot of their room.
    redis: where the slots are nodes of one Redis. gauges: http://, those of each slot then.
    """

    url: str
    slots: Mapping[str, str] = field(factory=dict)
    gauges: Mapping[str, str] = field(factory=dict)
    redis: RedisAddress | None = None


class RoutesFile:
    """The routes as the file has them now. It is read again when it was replaced, and only then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[tuple[int, int, int], Routes] | None = None

    def now(self) -> Routes:
        """The routes.

        Raises:
            DaemonError: the file cannot be read, or does not hold what it should.
        """
        try:
            status = self._path.stat()
        except OSError as error:
            raise DaemonError(f"cannot read {self._path}: it is not there", hint="`hlu ensure` writes it") from error
        version = (status.st_ino, status.st_mtime_ns, status.st_size)
        if self._read is None or self._read[0] != version:
            self._read = (version, _routes(self._path, private_text(self._path)))
        return self._read[1]


def _routes(path: Path, text: str) -> Routes:
    try:
        found: Any = json.loads(text)
    except ValueError:
        raise DaemonError(f"cannot read {path}: it is not JSON") from None  # chained errors hold the text, and secrets
    url, slots = (found.get("join_url"), found.get("slots", {})) if isinstance(found, dict) else (None, {})
    if not isinstance(url, str) or not isinstance(slots, dict) or not all(map(_is_url, [url, *slots.values()])):
        raise DaemonError(f"cannot read {path}: join_url and slots are not addresses such as ws://HOST:PORT")
    gauges, redis = found.get("gauges"), found.get("redis")
    if gauges is None:
        return Routes(url, slots)
    where = _redis(redis) if isinstance(redis, dict) else None
    if where is None or not isinstance(gauges, dict) or not all(map(_is_gauges_url, gauges.values())):
        raise DaemonError(f"cannot read {path}: gauges needs addresses such as http://HOST:PORT, and a redis")
    return Routes(url, slots, gauges, where)


def _redis(found: Mapping[str, Any]) -> RedisAddress | None:
    """The Redis of the file; None where it says none, or something that is not understood."""
    host, colon, port = str(found.get("address", "")).rpartition(":")
    username, password = found.get("username", ""), found.get("password", "")
    db, tls = found.get("db", 0), found.get("tls", False)
    texts = isinstance(username, str) and isinstance(password, str)
    if not (colon and host and port.isdecimal() and texts and type(db) is int and isinstance(tls, bool)):
        return None
    return RedisAddress(host.strip("[]"), int(port), username, password, db, tls)


def _is_url(found: Any) -> bool:
    return isinstance(found, str) and is_livekit_url(found)


def _is_gauges_url(found: Any) -> bool:
    return isinstance(found, str) and found.startswith("http://") and is_livekit_url(f"ws{found.removeprefix('http')}")
