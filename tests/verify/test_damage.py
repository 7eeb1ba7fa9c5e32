"""What a stage does and says, on units that are none."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

import pytest

from hero_livekit_units.errors import SettingRefused, StepFailed, StepTimedOut
from hero_livekit_units.model.observed import ProcessId, Verdict
from hero_livekit_units.model.plan import Allowed, Goal, InstanceState, Refusal, Wait
from hero_livekit_units.model.receipt import Receipt
from hero_livekit_units.verify.damage import Damage, reach
from hero_livekit_units.verify.programme import Kind, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from hero_livekit_units.media import Media
    from hero_livekit_units.verify.daemons import OwnPlane, Supervisor
    from hero_livekit_units.verify.wishes_kept import WishesKept

REFUSAL = Refusal("livekit-server@a", "that would cut off 2 people in 1 room", "nobody is in a call")
LEAVING = Wait("livekit-server@a", "in its calls: 2 people in 1 room", "its last room has ended")


def serving(release: str = "1.13.3-r1", verdict: Verdict = Verdict.HEALTHY) -> InstanceState:
    """The media in the other slot."""
    return InstanceState("livekit-server@b", verdict, "", release, ProcessId(7, 70), 0, 0, "d")


def receipt(**fields: Any) -> Receipt:
    """Of an ensure that found all as wanted, unless told otherwise."""
    empty: dict[str, Any] = dict.fromkeys(("done", "choices", "refusals", "waits", "notes", "before", "after"), ())
    more = {"converged": True, "changed": False, "failed": "", "done_by": "", "looks": 1, "took_ms": 1.0}
    return Receipt(**{"id": "1", "by": "me", "at_s": 0.0, "goal": Goal.RUN, **more, **empty, **fields})


class FakeMedia:
    """Answers ensures in turn, the last one for ever."""

    def __init__(self, *answers: Receipt | Exception) -> None:
        self._answers = list(answers)
        self._lock = threading.Lock()
        self.allowed: list[frozenset[Allowed]] = []
        self.wishes: list[tuple[str, str]] = []

    def ensure(self, *, allowed: frozenset[Allowed] = frozenset(), progress: object = None) -> Receipt:
        """The next answer."""
        assert progress is None or hasattr(progress, "waiting")
        with self._lock:
            self.allowed.append(allowed)
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def set(self, key: str, value: str) -> None:
        """Note it, or refuse it."""
        if value == "bad":
            raise SettingRefused("cannot set livekit.version: it has no port for /debug/rooms", hint="unset it")
        self.wishes.append((key, value))


class Victim:
    """Dies `lives` times and comes back, and then does not."""

    def __init__(self, lives: int) -> None:
        self.lives = lives

    def crash(self) -> None:
        """Die."""
        if not self.lives:
            raise StepTimedOut("start hero_proc", "it does not come back", hint="start it")
        self.lives -= 1


class Wishes:
    """Notes what is done to it."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def about_to_change(self) -> None:
        """Before."""
        self.noted.append("before")

    def changed(self) -> None:
        """After."""
        self.noted.append("after")


def damage(media: FakeMedia, lives: int = 0, wishes: Wishes | None = None, **more: Any) -> Damage:
    """What can be done to a host of fakes, in no time."""
    victim = Victim(lives)
    return Damage(
        cast("Media", media),
        cast("OwnPlane", victim),
        cast("Supervisor", victim),
        cast("WishesKept", wishes),
        pause=lambda _: None,
        **more,
    )


@pytest.mark.parametrize("kind", [Kind.CONTROL_PLANE, Kind.SUPERVISOR])
def test_crashes(kind: Kind) -> None:
    """As often as asked, each with its time; one that does not come back ends it, with the reason."""
    deed = damage(FakeMedia(receipt()), lives=3).do(Stage(kind, 3))
    assert (deed.done, deed.because, len(deed.at_s)) == (3, "", 3)
    deed = damage(FakeMedia(receipt()), lives=1).do(Stage(kind, 3))
    assert (deed.done, len(deed.at_s)) == (1, 2)
    assert deed.because == "cannot start hero_proc: it does not come back (hint: start it)"


def test_a_storm_that_changes_nothing() -> None:
    """All of them return."""
    media = FakeMedia(receipt())
    deed = damage(media).do(Stage(Kind.ENSURE, 50))
    assert (deed.done, deed.changed, deed.because, len(media.allowed)) == (50, 0, "", 50)


def test_a_storm_that_changes_something() -> None:
    """That is what must not be, and so is one that fails or is refused."""
    media = FakeMedia(receipt(changed=True), StepFailed("write x", "full"), receipt(refusals=(REFUSAL,)), receipt())
    deed = damage(media).do(Stage(Kind.ENSURE, 10))
    assert (deed.done, deed.changed) == (9, 1)
    assert "cannot write x: full" in deed.because
    assert "refused: livekit-server@a: that would cut off 2 people in 1 room" in deed.because
    assert deed.because.endswith("1 of them changed something")


@pytest.mark.parametrize(
    ("answers", "because"),
    [
        pytest.param([receipt()], "", id="reached"),
        pytest.param(
            [receipt(converged=False, waits=(Wait("x", "soon", "then", 3.0),)), receipt()], "", id="reached later"
        ),
        pytest.param(
            [receipt(converged=False, refusals=(REFUSAL,))],
            "refused: livekit-server@a: that would cut off 2 people in 1 room",
            id="refused",
        ),
        pytest.param([receipt(converged=False, waits=(LEAVING,), after=(serving(),))], "", id="new rooms go to it"),
        pytest.param(
            [receipt(converged=False, waits=(LEAVING,), after=(serving(verdict=Verdict.STARTING),))],
            "had to wait: livekit-server@a: in its calls: 2 people in 1 room, until its last room has ended",
            id="waits for people",
        ),
        pytest.param(
            [receipt(converged=False, waits=(LEAVING,), after=(serving("1.13.5-r1"),))],
            "had to wait: livekit-server@a: in its calls: 2 people in 1 room, until its last room has ended",
            id="another release serves",
        ),
        pytest.param([StepFailed("start x", "no")], "cannot start x: no", id="failed"),
    ],
)
def test_an_upgrade(answers: list[Receipt | Exception], because: str) -> None:
    """Set, then ensured; what it takes for done, and what it says when it is not."""
    media, wishes = FakeMedia(*answers), Wishes()
    deed = damage(media, wishes=wishes).do(Stage(Kind.UPGRADE, release="1.13.3-r1"))
    assert (deed.because, deed.done, len(deed.at_s)) == (because, 0 if because else 1, 1)
    assert media.wishes == [("livekit.version", "1.13.3-r1")]
    assert wishes.noted == ["before", "after"]


def test_an_old_server_that_ends_later_is_told() -> None:
    """The upgrade is done, and what is still waited for is no secret."""
    deed = damage(FakeMedia(receipt(converged=False, waits=(LEAVING,), after=(serving(),))), wishes=Wishes()).do(
        Stage(Kind.UPGRADE, release="1.13.3-r1")
    )
    assert deed.notes == ["livekit-server@a: in its calls: 2 people in 1 room, until its last room has ended"]


def test_what_comes_after_a_refused_upgrade_is_not_tried() -> None:
    """It would be another way than the one that was named."""
    media = FakeMedia(receipt())
    host = damage(media, wishes=Wishes())
    refused = host.do(Stage(Kind.UPGRADE, release="bad"))
    assert refused.because.startswith("cannot set livekit.version: it has no port")
    deed = host.do(Stage(Kind.UPGRADE, release="1.13.5-r1"))
    assert (deed.because, deed.done, deed.at_s) == ("not tried, as bad was not reached", 0, [])
    assert media.wishes == []


def test_nothing_is_allowed_that_was_not_named() -> None:
    """People are made to reconnect by no ensure, unless that upgrade may."""
    media = FakeMedia(receipt())
    damage(media).do(Stage(Kind.ENSURE, 2))
    damage(media, wishes=Wishes()).do(Stage(Kind.UPGRADE, release="1.13.3-r1"))
    assert set(media.allowed) == {frozenset()}
    reconnect = frozenset({Allowed.RECONNECT})
    damage(media, wishes=Wishes(), allowed=reconnect).do(Stage(Kind.UPGRADE, release="1.13.3-r1"))
    assert media.allowed[-1] == reconnect


def test_what_is_not_reached_in_time() -> None:
    """It says for how long, and what was waited for."""
    media = FakeMedia(receipt(converged=False, waits=(Wait("x", "soon", "then", 3.0),)))
    silent: Callable[[float], None] = lambda _: None  # noqa: E731
    told = reach(cast("Media", media), reporter=_Nobody(), within_s=0.0, pause=silent)
    assert told == "not reached within 0 s: x: soon, until then"


class _Nobody:
    def task(self, name: str) -> None:
        """Nobody hears."""

    def progress(self, done_bytes: int, total: int | None, text: str) -> None:
        """Nobody hears."""
