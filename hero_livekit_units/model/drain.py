"""A drain: a slot that gets no new rooms and ends with its last one. On whose word, since when, and what if it lasts.

It is recorded once, in the folder of the instance, and belongs to the process: with that it is over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from types import NoneType

from attrs import evolve, field, frozen

from hero_livekit_units.model.observed import ProcessId
from hero_livekit_units.model.plain import plain


class Then(StrEnum):
    """What happens at the deadline of a drain.

    wait: nothing, it goes on. announce: every room gets a data message, once. move: the old one is killed, and
    everybody reconnects to the new one; never unless asked for by name.
    """

    WAIT = "wait"
    ANNOUNCE = "announce"
    MOVE = "move"


class Signal(StrEnum):
    """Whether the process was asked to end: not, perhaps (its asker may have died in that moment), or surely."""

    NONE = "none"
    SENDING = "sending"
    SENT = "sent"


@frozen
class Terms:
    """How long a drain may last.

    within_s: seconds until the deadline, None for none. then: what happens there. idle_room_s: for how many seconds
    somebody may be alone in a room of it until that room is ended, None for ever.
    """

    within_s: float | None = None
    then: Then = Then.WAIT
    idle_room_s: float | None = None


@frozen
class Drain:
    """The record. Times are seconds since the epoch.

    process: that is drained. by: who asked. asked: somebody asked for this slot by name; it gets no new rooms although
    it runs as media.toml says. refusing: they accepted that joins are refused until its last call has ended. until_s:
    the deadline, None for none. alone: since when somebody is alone in a room, by its name, so far as that was seen.
    """

    process: ProcessId
    by: str
    since_s: float
    asked: bool = False
    refusing: bool = False
    until_s: float | None = None
    then: Then = Then.WAIT
    idle_room_s: float | None = None
    announced: bool = False
    signal: Signal = Signal.NONE
    alone: Mapping[str, float] = field(factory=dict)

    def on(self, terms: Terms, now_s: float) -> Drain:
        """The same drain on other terms, which count from now."""
        until_s = None if terms.within_s is None else now_s + terms.within_s
        return evolve(self, until_s=until_s, then=terms.then, idle_room_s=terms.idle_room_s, announced=False)


@frozen
class DrainSeen:
    """A drain at the moment `now_s`."""

    drain: Drain
    now_s: float

    @property
    def for_s(self) -> float:
        """For how many seconds it lasts."""
        return max(self.now_s - self.drain.since_s, 0.0)

    @property
    def left_s(self) -> float | None:
        """Seconds until the deadline, 0 where it is over, None where there is none."""
        return None if self.drain.until_s is None else max(self.drain.until_s - self.now_s, 0.0)

    def alone_for_s(self, room: str) -> float:
        """For how many seconds somebody is alone in a room, so far as that is known."""
        return max(self.now_s - self.drain.alone.get(room, self.now_s), 0.0)


def drain_text(drain: Drain) -> str:
    """A record as JSON."""
    return json.dumps(plain(drain), indent=2, ensure_ascii=False) + "\n"


def read_drain(text: str) -> Drain | None:
    """The inverse of `drain_text`; None for anything else, as a drain that nobody understands is none."""
    try:
        found = json.loads(text)
        process = ProcessId(**found.pop("process"))
        then, signal = Then(found.pop("then")), Signal(found.pop("signal"))
        drain = Drain(process=process, then=then, signal=signal, **found)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return drain if _is_sound(drain) else None


def _is_sound(drain: Drain) -> bool:
    """Whether what was read is of the kinds that are declared: a file may hold anything."""
    process, alone = drain.process, drain.alone
    kinds: list[tuple[object, type | tuple[type, ...]]] = [
        (process.pid, int),
        (process.start_time, int),
        (drain.by, str),
        (drain.since_s, (int, float)),
        (drain.asked, bool),
        (drain.refusing, bool),
        (drain.announced, bool),
        (drain.until_s, (int, float, NoneType)),
        (drain.idle_room_s, (int, float, NoneType)),
        (alone, dict),
    ]
    return all(isinstance(*one) for one in kinds) and all(isinstance(at_s, int | float) for at_s in alone.values())
