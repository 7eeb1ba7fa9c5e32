"""The wire methods of the control plane, under the names that the old one had. Each is one call of the library."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hero_livekit_units.herosocket.rpc import invalid_params
from hero_livekit_units.history import MOST_LINES
from hero_livekit_units.livekit.install import install
from hero_livekit_units.model.drain import Then
from hero_livekit_units.model.plain import plain
from hero_livekit_units.model.plan import Allowed, Goal
from hero_livekit_units.report import status_report

if TYPE_CHECKING:
    from collections.abc import Collection

    from hero_livekit_units.media import Media


_LONGEST_S = 366 * 24 * 3600


class LivekitService:
    """`livekitservice.*`: stateless, so that any number may run and any may die."""

    def __init__(self, media: Media) -> None:
        self._media = media

    def install(self, *, livekit_server: str = "") -> dict[str, Any]:
        """Have the programs on this host; `livekit_server` names one that is there already. May take minutes."""
        program = _text("livekit_server", livekit_server)
        named = Path(program) if program else None
        found = install(self._media.catalog, self._media.settings(), self._media.places.home, named=named)
        return {"programs": [{"path": str(item.path), "road": item.road, "sha256": item.sha256} for item in found]}

    def configure(self) -> dict[str, Any]:
        """Write the files and register the units, without starting or restarting anything."""
        return self._receipt(Goal.CONFIGURE)

    def start(self) -> dict[str, Any]:
        """Start what does not run. What runs is left alone."""
        return self._receipt(Goal.RUN)

    def stop(self, *, allow_drop: bool = False) -> dict[str, Any]:
        """Stop everything; refused while people are in calls, unless `allow_drop`."""
        return self._receipt(Goal.STOP, _allowed(drop=allow_drop))

    def status(self) -> dict[str, Any]:
        """What lives, with evidence: the shape of `report.status_report`."""
        seen = self._media.status()
        return status_report(seen, self._media.join_url(seen.slot), f"control plane, pid {os.getpid()}")

    def history(self, *, lines: int = 20) -> dict[str, Any]:
        """The newest receipts of what was done here, the newest last; `lines` is how many at most, 1 to 1000."""
        return {"receipts": self._media.history(_count("lines", lines, MOST_LINES))}

    def ensure_ready(self) -> dict[str, Any]:
        """As `ensure`, with `ready`: whether calls can be made now."""
        receipt = self._receipt(Goal.RUN)
        return {"ready": receipt["converged"]} | receipt

    def plan(
        self,
        *,
        goal: str = "run",
        allow_drop: bool = False,
        allow_reconnect: bool = False,
        allow_drain: bool = False,
        allow_retry: bool = False,
    ) -> dict[str, Any]:
        """What would have to change, and why. Changes nothing."""
        allowed = _allowed(drop=allow_drop, reconnect=allow_reconnect, drain=allow_drain, retry=allow_retry)
        return dict(plain(self._media.plan(_goal(goal), allowed=allowed)))

    def ensure(
        self,
        *,
        goal: str = "run",
        allow_drop: bool = False,
        allow_reconnect: bool = False,
        allow_drain: bool = False,
        allow_retry: bool = False,
    ) -> dict[str, Any]:
        """Bring the group to the goal; the receipt says what was seen, done, and not done and why."""
        allowed = _allowed(drop=allow_drop, reconnect=allow_reconnect, drain=allow_drain, retry=allow_retry)
        return self._receipt(_goal(goal), allowed)

    def drain(
        self,
        *,
        slot: str = "",
        within_s: int = 0,
        then: str = "",
        idle_room_s: int = 0,
        allow_drain: bool = False,
        allow_reconnect: bool = False,
    ) -> dict[str, Any]:
        """Send new rooms to another slot, and let this one end with its last room.

        slot: by default the one that is drained already, else the one that new rooms go to. Terms that are not named
        are those of media.toml: within_s is the deadline, then is wait, announce or move, idle_room_s for how long
        somebody may be alone in a room of it.
        """
        if then not in ["", *Then]:
            raise invalid_params(f"then must be one of {', '.join(Then)}")
        named = {
            "within_s": _seconds("within_s", within_s),
            "idle_room_s": _seconds("idle_room_s", idle_room_s),
            "then": Then(then) if then else None,
        }
        where, allowed = _text("slot", slot), _allowed(drain=allow_drain, reconnect=allow_reconnect)
        terms = self._media.terms(**{name: value for name, value in named.items() if value is not None})
        return dict(plain(self._media.drain(where, terms=terms, allowed=allowed)))

    def cancel_drain(self, *, slot: str = "") -> dict[str, Any]:
        """Let new rooms come to a slot again; what was started in its place ends with its last room."""
        return dict(plain(self._media.cancel_drain(_text("slot", slot))))

    def go_on(self) -> None:
        """Go on with what is drained, and touch nothing else."""
        self._media.ensure(Goal.DRAIN)

    def _receipt(self, goal: Goal, allowed: Collection[Allowed] = ()) -> dict[str, Any]:
        return dict(plain(self._media.ensure(goal, allowed=allowed)))


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise invalid_params(f"{name} must be a string")
    return value


def _count(name: str, value: Any, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise invalid_params(f"{name} must be an integer from 1 to {most}")
    return value


def _seconds(name: str, value: Any) -> int | None:
    """A time in seconds, None for the 0 that stands for none."""
    return None if type(value) is int and value == 0 else _count(name, value, _LONGEST_S)


def _flag(name: str, value: Any) -> bool:
    # `allow_drop: "false"` must not cut people off.
    if not isinstance(value, bool):
        raise invalid_params(f"{name} must be a boolean")
    return value


def _allowed(**flags: bool) -> set[Allowed]:
    return {Allowed(name) for name, value in flags.items() if _flag(f"allow_{name}", value)}


def _goal(value: Any) -> Goal:
    if value not in list(Goal):
        raise invalid_params(f"goal must be one of {', '.join(Goal)}")
    return Goal(value)
