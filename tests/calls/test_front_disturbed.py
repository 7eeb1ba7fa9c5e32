"""The front is reloaded or dies between the switch of new rooms and the end of the old slot.

What a dead HAProxy does: the WebSockets through it are cut, so that clients notice and come back by themselves. It
carries no media, which go to the slots by UDP; what is heard of it is how long a client takes to come back. And who
comes back, or joins late, must still reach the slot that has the room.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.calls.call import SETTLE_S, Call
from hero_livekit_units.calls.verdict import judge
from hero_livekit_units.execute.lock import acting_lock
from hero_livekit_units.livekit.front import Front
from hero_livekit_units.livekit.haproxy import processes
from hero_livekit_units.observe.kernel import is_alive, see_process
from tests.calls.conftest import FIGURES, gaps
from tests.calls.stack import FrontedStack
from tests.calls.upgrading import (
    BASELINE_S,
    assert_unnoticed,
    assert_what_runs,
    people_in,
    rooms,
    running,
    until_over,
    wanted,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.servers, pytest.mark.calls, pytest.mark.timeout(300)]

OLD, NEW = "1.13.3", "1.13.5"
FRONT = "livekit-front"
# Measured: 0.9 to 1.7 s, 3 s where twenty others want the processor. Who is lost for good is heard no more at all.
LONGEST_GAP_MS = 10_000.0


@pytest.fixture
def stack(livekit_server: Path) -> Iterator[FrontedStack]:
    """A host with hero_proc running and nothing else."""
    running = FrontedStack(livekit_server)
    try:
        running.start_hero_proc()
        yield running
    finally:
        running.close()


def folder(stack: FrontedStack) -> Path:
    """Of the front."""
    return stack.places.home / "front"


def reload_as_the_package(stack: FrontedStack) -> None:
    """As `ensure` does for another configuration."""
    with acting_lock(stack.places.home, timeout_s=30.0):
        Front(folder(stack)).reload()


def reload_as_an_administrator(stack: FrontedStack) -> None:
    """The signal of `systemctl reload haproxy`, which tells nobody."""
    before = processes(folder(stack), time.monotonic() + 5.0)
    os.kill(before.master, signal.SIGUSR2)
    front = Front(folder(stack))
    stack.until("a new worker serves", lambda: (seen := front.see()) is not None and seen.pid != before.worker)


@pytest.mark.night
@pytest.mark.parametrize("reload", [reload_as_the_package, reload_as_an_administrator])
def test_a_reload_within_an_upgrade(
    reload: Callable[[FrontedStack], None], stack: FrontedStack, livekit_servers: dict[str, Path]
) -> None:
    """Nobody notices; who joins late, or a new room, goes where it should, and the old slot ends as ever."""
    running(stack, OLD, livekit_servers)
    with Call() as call, Call() as late, Call() as new_room, Call() as newer_room:
        call.start([stack.seat(who, "stays") for who in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("reload")
        wanted(stack, NEW, livekit_servers)
        assert stack.hlu("ensure").returncode == 3  # the old slot is waited for
        new_room.start([stack.seat(who, "new") for who in ("dora", "emil")])
        new_room.listen(BASELINE_S)
        new_room.mark("reload")
        for _ in range(2):
            reload(stack)
        late.start([stack.seat(who, "stays") for who in ("carol", "dave")])
        newer_room.start([stack.seat(who, "newer") for who in ("fay", "gil")])
        assert (rooms(stack, "a"), rooms(stack, "b")) == ({"stays"}, {"new", "newer"})
        assert stack.hlu("ensure").returncode == 3
        call.listen(SETTLE_S)
        reports = (*call.report(), *new_room.report())
    assert_unnoticed(reports)
    FIGURES.append(f"front reloaded twice within an upgrade ({reload.__name__}): {gaps(reports)}")
    until_over(stack)
    assert_what_runs(stack, f"{NEW}-r1", "b")


@pytest.mark.parametrize("whom", ["master", pytest.param("worker", marks=pytest.mark.night)])
def test_a_kill_within_an_upgrade(whom: str, stack: FrontedStack, livekit_servers: dict[str, Path]) -> None:
    """All come back by themselves to the slot of their room, and so do late joiners; the upgrade ends as ever."""
    running(stack, OLD, livekit_servers)
    with Call() as call, Call() as late, Call() as new_room, Call() as newer_room:
        call.start([stack.seat(who, "stays") for who in ("alice", "bob")])
        call.listen(BASELINE_S)
        wanted(stack, NEW, livekit_servers)
        call.mark("upgrade")
        assert stack.hlu("ensure").returncode == 3  # the old slot is waited for
        new_room.start([stack.seat(who, "new") for who in ("dora", "emil")])
        new_room.listen(BASELINE_S)
        media = {who: which for who, which in stack.identities().items() if who != FRONT}
        assert_unnoticed(call.report())
        for some in (call, new_room):
            some.mark("killed")
        killed = processes(folder(stack), time.monotonic() + 5.0)
        seen = see_process(killed.master if whom == "master" else killed.worker)
        assert seen is not None
        os.kill(seen.id.pid, signal.SIGKILL)
        killed_s = time.monotonic()
        stack.until("it is dead", lambda: not is_alive(seen.id))
        stack.until("another one serves", lambda: Front(folder(stack)).see() is not None)
        back_s = time.monotonic() - killed_s
        for some in (call, new_room):
            assert some.wait_until(lambda reports: all(report.reconnects for report in reports), timeout_s=25.0)
        all_back_s = time.monotonic() - killed_s
        assert {who: which for who, which in stack.identities().items() if who != FRONT} == media
        late.start([stack.seat(who, "stays") for who in ("carol", "dave")])
        newer_room.start([stack.seat(who, "newer") for who in ("fay", "gil")])
        assert stack.hlu("ensure").returncode == 3
        stack.until(
            "all are on the slot of their room",
            lambda: (people_in(stack, "a"), people_in(stack, "b")) == ({"stays": 4}, {"new": 2, "newer": 2}),
        )
        call.listen(SETTLE_S)
        reports = (*call.report(), *new_room.report())
    assert judge(reports).calls_dropped == 0, reports
    assert [(report.disconnects, report.reconnects, report.unheard) for report in reports] == [(0, 1, ())] * 4
    assert max(report.gap_since_mark_ms for report in reports) < LONGEST_GAP_MS
    FIGURES.append(
        f"{whom} of the front killed within an upgrade: it serves again after {back_s:.2f} s, all were back after"
        f" {all_back_s:.2f} s; {gaps(reports)}"
    )
    until_over(stack)
    assert_what_runs(stack, f"{NEW}-r1", "b")
