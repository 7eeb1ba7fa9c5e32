"""Who came back, and when: by a clock that the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.execute.comeback import MOST_RETURNS, Watch
from hero_livekit_units.model.comeback import Attendance, Comeback, Return, Sign
from hero_livekit_units.model.desired import Returning

if TYPE_CHECKING:
    from collections.abc import Callable

COMEBACK_S = Returning().within_s
ASK_S = 0.05  # a look comes at most so much too late


class Server:
    """What a server says, by the time since its predecessor was killed; before its first word it does not answer."""

    def __init__(self, *says: tuple[float, Attendance | None]) -> None:
        self.now_s = 100.0
        self._says = says

    def ask(self) -> Attendance | None:
        """The latest that is due; asking takes 1 ms."""
        self.now_s += 0.001
        due = [said for at_s, said in self._says if at_s <= self.now_s - 100.0]
        return due[-1] if due else None

    def clock(self) -> float:
        """Its time."""
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Let some pass."""
        self.now_s += seconds


def call(people: str, *sent: str, tracks: int = 1, tells: bool = True) -> Attendance:
    """A room with people of one letter each; `ab` is the sound of a that goes to b."""
    flows = {("weekly", one[0], one[1]): 1 for one in sent}
    return Attendance({("weekly", one): tracks for one in people}, flows if tells else None)


BEFORE = call("abc", "ab", "ba", "ac", "ca")


def watched(before: Attendance, *says: tuple[float, Attendance | None]) -> Comeback:
    """What comes of it."""
    server = Server(*says)
    watch = Watch(before, server.ask, COMEBACK_S, server.clock, server.sleep)
    watch.begin()
    return watch.finish()


def at(comeback: Comeback) -> dict[str, float | None]:
    """When each was back."""
    return {one.identity: one.after_s for one in comeback.returns}


def near(seconds: float) -> object:
    """Never earlier than it was, and little later."""
    return pytest.approx(seconds + ASK_S / 2, abs=ASK_S / 2)


def test_back_is_who_hears_and_is_heard() -> None:
    """A is there early, but back only when c hears a; b does not wait for c."""
    found = watched(
        BEFORE,
        (0.1, call("a")),
        (0.3, call("ab", "ab", "ba")),
        (0.5, call("abc", "ab", "ba", "ca")),
        (0.7, BEFORE),
    )
    assert at(found) == {"a": near(0.7), "b": near(0.3), "c": near(0.7)}
    assert (found.people, found.back, found.sign, found.missing) == (3, 3, Sign.SOUND, 0)
    assert found.median_s == found.longest_s == near(0.7)


def test_who_does_not_come_keeps_nobody() -> None:
    """C is named first, and a is back without c; it was looked until the end."""
    server = Server((0.4, call("ab", "ab", "ba")))
    watch = Watch(BEFORE, server.ask, COMEBACK_S, server.clock, server.sleep)
    watch.begin()
    found = watch.finish()
    assert found.returns[0] == Return("weekly", "c", None)
    assert at(found) == {"c": None, "a": near(0.4), "b": near(0.4)}
    assert (found.people, found.back, found.missing, found.within_s) == (3, 2, 0, COMEBACK_S)
    assert server.now_s - 100.0 == pytest.approx(COMEBACK_S, abs=ASK_S)


def test_nobody_comes() -> None:
    """The server may even be down: there is nothing to measure."""
    found = watched(BEFORE)
    assert (found.back, found.median_s, found.longest_s, found.missing) == (0, None, None, 0)
    assert at(found) == dict.fromkeys("abc")


def test_sound_that_does_not_come_again() -> None:
    """All are there, and from a to c nothing goes: that is told, and is nobody's absence."""
    found = watched(BEFORE, (0.2, call("abc", "ab", "ba", "ca")))
    assert (found.back, found.missing) == (3, 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [(call("ab", tells=False), BEFORE), (BEFORE, call("abc", tells=False))],
    ids=["it-told-nothing", "its-heir-tells-nothing"],
)
def test_a_server_that_does_not_tell_who_is_heard(before: Attendance, after: Attendance) -> None:
    """Then being there with all tracks is all that can be said, and it is named so."""
    found = watched(before, (0.2, after))
    assert (found.back, found.sign, found.longest_s) == (len(before.tracks), Sign.TRACKS, near(0.2))


def test_a_server_that_tells_only_sometimes() -> None:
    """One answer of another source, as under load, is no reason to know less."""
    found = watched(BEFORE, (0.2, call("abc", tells=False)), (0.6, BEFORE))
    assert (found.sign, found.longest_s) == (Sign.SOUND, near(0.6))


def test_tracks_that_are_missing() -> None:
    """Who was in with two tracks is back with two."""
    found = watched(call("a", tracks=2), (0.1, call("a")), (0.6, call("a", tracks=2)))
    assert at(found) == {"a": near(0.6)}


def test_who_has_left_again_was_back() -> None:
    """The first time counts."""
    assert at(watched(call("a"), (0.2, call("a")), (0.3, call("")))) == {"a": near(0.2)}


def test_it_looks_while_something_else_is_waited_for() -> None:
    """So a figure is none the longer for it."""
    server = Server((0.2, call("a")))
    watch = Watch(call("a"), server.ask, COMEBACK_S, server.clock, server.sleep)
    watch.begin()
    watch.pass_time(1.0)
    assert server.now_s - 100.0 == pytest.approx(1.0, abs=ASK_S)
    assert at(watch.finish()) == {"a": near(0.2)}


def test_time_counts_from_the_end_of_the_server() -> None:
    """Not from when it was asked who is there."""
    server = Server((0.5, call("a")))
    watch = Watch(call("a"), server.ask, COMEBACK_S, server.clock, server.sleep)
    server.sleep(0.3)
    watch.begin()
    assert at(watch.finish()) == {"a": near(0.2)}


@pytest.mark.parametrize("come", [True, False], ids=["all-come", "nobody-comes"])
def test_a_crowd_is_counted_and_not_listed(come: bool) -> None:  # noqa: FBT001
    """A receipt stays small: it names as many as are of use."""
    crowd = Attendance({("weekly", str(one)): 1 for one in range(3 * MOST_RETURNS)}, {})
    says: Callable[[], tuple[tuple[float, Attendance], ...]] = lambda: ((0.1, crowd),) if come else ()  # noqa: E731
    found = watched(crowd, *says())
    assert (found.people, found.back) == (3 * MOST_RETURNS, 3 * MOST_RETURNS if come else 0)
    assert len(found.returns) == MOST_RETURNS
