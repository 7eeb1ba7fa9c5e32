"""Watches who comes back after a server was ended with people in its calls."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, TypeVar

from hero_livekit_units.model.comeback import Attendance, Comeback, Return, Sign

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_RETURNS = 100  # that a receipt names
_ASK_S = 0.03
_TELLS_S = 1.0  # a server that says only who is there, and for so long, cannot say whose sound goes to whom

_Key = TypeVar("_Key")


class Watch:
    """Who was there, and since when each of them is back. A figure is at most one question's distance too long.

    Args:
        before: who was in the calls of the server that is to be ended.
        ask: who is in those of the one that takes over, None when it does not say.
        within_s: for how long anybody is waited for, in seconds from the end of the server.
        clock, sleep: seconds that only go forward, and to let them pass.
    """

    def __init__(
        self,
        before: Attendance,
        ask: Callable[[], Attendance | None],
        within_s: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._before = before
        self._ask = ask
        self._within_s = within_s
        self._clock = clock
        self._sleep = sleep
        self._ended_s = clock()
        self._told = False  # whether the server said whose sound goes to whom
        self._back: dict[tuple[str, str], float] = {}
        self._sent: dict[tuple[str, str, str], float] = {}

    @property
    def people(self) -> int:
        """How many were in the calls."""
        return len(self._before.tracks)

    def begin(self) -> None:
        """The server is ended now."""
        self._ended_s = self._clock()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and look meanwhile."""
        until_s = self._clock() + seconds
        while (left_s := until_s - self._clock()) > 0:
            self._look()
            self._sleep(min(left_s, _ASK_S))

    def finish(self) -> Comeback:
        """Look until all are back, or nobody is expected any more."""
        until_s = self._ended_s + self._within_s
        while True:
            self._look()
            if self._complete() or self._clock() >= until_s:
                return self._result()
            self._sleep(_ASK_S)

    def _look(self) -> None:
        now = self._ask()
        if now is None:
            return
        after_s = self._clock() - self._ended_s  # when the answer was there: rather too late than too early
        _note(self._back, self._before.tracks, now.tracks, after_s)
        if now.sent is not None:
            self._told = True
            _note(self._sent, self._before.sent or {}, now.sent, after_s)

    def _complete(self) -> bool:
        if len(self._back) < self.people:
            return False
        if self._told or not self._before.sent:
            return len(self._sent) == len(self._before.sent or ())
        return self._clock() - self._ended_s >= max(self._back.values()) + _TELLS_S

    def _result(self) -> Comeback:
        after_s = dict(self._back)
        missing = 0
        sound = self._told and self._before.sent is not None
        for room, sender, receiver in (self._before.sent or ()) if sound else ():
            ends = [(room, sender), (room, receiver)]
            if any(end not in self._back for end in ends):
                continue  # who is away keeps nobody from being back
            at_s = self._sent.get((room, sender, receiver))
            if at_s is None:
                missing += 1
                continue
            for end in ends:
                after_s[end] = max(after_s[end], at_s)
        returns = [Return(room, identity, after_s.get((room, identity))) for room, identity in self._before.tracks]
        late = sorted(returns, key=lambda one: (one.after_s is not None, -(one.after_s or 0.0), one.room, one.identity))
        return Comeback(
            people=len(returns),
            back=len(after_s),
            sign=Sign.SOUND if sound else Sign.TRACKS,
            median_s=median(after_s.values()) if after_s else None,
            longest_s=max(after_s.values(), default=None),
            within_s=self._within_s,
            missing=missing,
            returns=tuple(late[:MOST_RETURNS]),
        )


def _note(since: dict[_Key, float], before: Mapping[_Key, int], now: Mapping[_Key, int], at_s: float) -> None:
    """Note what is as it was before, once."""
    for key, count in before.items():
        if key in now and now[key] >= count:
            since.setdefault(key, at_s)
