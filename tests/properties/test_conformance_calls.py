"""What a livekit-server with people in it does on signals: the host in memory as real programs with real calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.model.observed import EntryState
from tests.properties.benches import Model, entry, started, until
from tests.properties.conftest import FIGURES
from tests.properties.world import BACK_S, DRAIN_LOOK_S, GIVE_UP_S, IDLE_END_S

if TYPE_CHECKING:
    from tests.properties.benches import Bench

pytestmark = pytest.mark.parametrize(
    "bench", ["model", pytest.param("real", marks=[pytest.mark.servers, pytest.mark.calls])], indirect=True
)

OLD_S = 1.2  # no signal is lost at this age
SLACK_S = 0.7  # for a busy machine
# A client's word that it leaves can be lost as its process ends; the server then counts it for 20 s more.
LEAVING_S = 40.0


def note(bench: Bench, what: str, seconds: float, constant: str) -> None:
    """Tell a figure at the end of the run."""
    FIGURES.append(f"{what}: {seconds:.3f} s ({bench.name}; {constant})")


def all_leave(bench: Bench) -> None:
    """Everybody leaves, and the server knows it."""
    bench.leave()
    until(bench, lambda: not bench.rooms(), "everybody has left", within_s=LEAVING_S)


def ended(bench: Bench, *, within_s: float = 20.0) -> float:
    """Wait for the end of a server that was asked to end; how long that took."""
    return until(bench, lambda: entry(bench).state is EntryState.STOPPED, "it has ended", within_s=within_s)


def lost(bench: Bench) -> None:
    """The server is killed, and stays away until somebody starts it."""
    bench.registry.stop(bench.spec.instance)
    bench.registry.kill(bench.spec.instance)
    ended(bench)


def test_one_stop_signal_drops_nobody_and_it_ends_when_it_sees_that_all_have_left(bench: Bench) -> None:
    """It serves on, lets people into its rooms and into new ones, and looks from time to time who is left."""
    process = started(bench, age_s=OLD_S)
    assert bench.join(standup=2)
    asked_s = bench.now_s
    bench.registry.stop(bench.spec.instance)
    bench.pass_time(1.0)
    assert bench.join(standup=1, another=1)
    bench.pass_time(max(0.0, asked_s + DRAIN_LOOK_S + 0.5 - bench.now_s))
    assert bench.rooms() == {"standup": 3, "another": 1}
    assert (entry(bench).state, bench.alive(process), bench.dropped()) == (EntryState.STOPPING, True, 0)
    all_leave(bench)
    after_s = ended(bench)
    looks = round((bench.now_s - asked_s) / DRAIN_LOOK_S)
    each_s = (bench.now_s - asked_s) / looks
    note(bench, "from the last one who left to the end", after_s, f"at most DRAIN_LOOK_S {DRAIN_LOOK_S:g}")
    note(bench, f"from the signal to the end, as {looks} looks, each", each_s, f"DRAIN_LOOK_S {DRAIN_LOOK_S:g}")
    assert after_s < DRAIN_LOOK_S + SLACK_S
    assert abs(bench.now_s - asked_s - looks * DRAIN_LOOK_S) < SLACK_S


def test_a_second_stop_signal_drops_people_for_good(bench: Bench) -> None:
    """Whoever is told so does not come back when it is started again.

    The model drops all of them. The real one can end before it has told one of them, who then comes back.
    """
    process = started(bench, age_s=OLD_S)
    assert bench.join(standup=3)
    bench.registry.stop(bench.spec.instance)
    bench.pass_time(0.5)
    assert (bench.rooms(), bench.dropped()) == ({"standup": 3}, 0)
    bench.stop_signal(process)
    note(bench, "from a second signal to the end", ended(bench), "0")
    assert not bench.alive(process)
    bench.pass_time(1.0)
    dropped = bench.dropped()
    FIGURES.append(f"dropped by a second signal: {dropped} of 3 ({bench.name})")
    assert dropped
    started(bench, age_s=2.0)
    assert bench.dropped() >= dropped
    assert sum(bench.rooms().values()) <= 3 - dropped
    if isinstance(bench, Model):
        assert dropped == 3
        assert bench.host.broken == [f"{bench.spec.instance} got a second stop signal"]


@pytest.mark.parametrize("away_s", [0.0, 3.0])
def test_who_lost_the_server_comes_back_to_it(bench: Bench, away_s: float) -> None:
    """By themselves, all of them and into their rooms, when it is started on the same ports at once or soon."""
    process = started(bench, age_s=OLD_S)
    assert bench.join(standup=2, another=1)
    lost(bench)
    assert not bench.alive(process)
    bench.pass_time(away_s)
    bench.registry.start(bench.spec.instance)
    back_s = until(bench, lambda: bench.rooms() == {"standup": 2, "another": 1}, "all are back", within_s=GIVE_UP_S)
    # Until then it looks as if nobody were in it.
    note(bench, f"from the start, {away_s:g} s after the end, to all are back", back_s, f"BACK_S {BACK_S:g}")
    assert bench.dropped() == 0


@pytest.mark.night
def test_who_lost_the_server_for_long_gives_up(bench: Bench) -> None:
    """And does not come back when it is started at last."""
    started(bench, age_s=OLD_S)
    assert bench.join(standup=2)
    lost(bench)
    gave_up_s = until(bench, lambda: bench.dropped() == 2, "they give up", within_s=2 * GIVE_UP_S)
    note(bench, "from the end until all give up", gave_up_s, f"GIVE_UP_S {GIVE_UP_S:g}")
    assert GIVE_UP_S / 2 < gave_up_s < GIVE_UP_S * 1.5
    started(bench, age_s=3.0)
    assert bench.rooms() == {}


@pytest.mark.parametrize("people", [0, 2])
def test_a_server_that_nobody_is_in_ends_at_once(bench: Bench, people: int) -> None:
    """Whether nobody ever was, or all have left."""
    started(bench, age_s=OLD_S)
    if people:
        assert bench.join(standup=people)
        all_leave(bench)
    asked_s = bench.now_s
    bench.registry.stop(bench.spec.instance)
    ended(bench)
    ended_s = bench.now_s - asked_s
    note(bench, f"from the signal to the end, after {people} people", ended_s, f"IDLE_END_S {IDLE_END_S:g}")
    assert ended_s < SLACK_S


def test_a_stop_signal_in_the_moment_of_the_first_answer_is_lost_and_counts(bench: Bench) -> None:
    """The server lives on, and the next signal is its second."""
    bench.registry.start(bench.spec.instance)
    seen = None
    for _ in range(10):  # the real one loses it for some 100 ms only, which a busy machine may miss
        until(bench, lambda seen=seen: entry(bench).process not in {None, seen}, "it has a process")  # type: ignore[misc]
        seen = entry(bench).process
        assert seen is not None
        until(bench, bench.answers, "it answers")
        bench.stop_signal(seen)
        bench.pass_time(1.5)
        if bench.alive(seen):
            break
    assert seen is not None
    assert bench.alive(seen)
    assert bench.answers()
    assert bench.join(standup=1)  # one signal would let it serve on
    bench.stop_signal(seen)
    until(bench, lambda: not bench.alive(seen), "it has ended")
