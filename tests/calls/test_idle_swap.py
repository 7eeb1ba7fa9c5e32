"""An idle swap while people ask for tokens and join: nobody is refused, and nobody meets the end of the old server."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
from attrs import define, field

from hero_livekit_units.calls.call import SETTLE_S, Call
from hero_livekit_units.calls.verdict import judge
from tests.calls.conftest import FIGURES
from tests.calls.stack import HLU, Stack
from tests.calls.test_front_upgrade import signal_socket
from tests.calls.upgrading import assert_unnoticed, running, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hero_livekit_units.calls.call import Seat

pytestmark = [pytest.mark.servers, pytest.mark.calls]

TOKENS_A_SECOND = 20


@define
class Asked:
    """What became of the requests of many: how long each took, by the second at which it was sent, and what failed."""

    took_s: dict[float, float] = field(factory=dict)
    failed: list[str] = field(factory=list)


@contextmanager
def askers(stack: Stack) -> Iterator[Asked]:
    """Token requests all the time, each for a room of its own; nobody joins."""
    found, over = Asked(), threading.Event()

    def ask(number: int) -> None:
        began_s = time.monotonic()
        try:
            stack.seat(f"asker-{number}", f"asked-{number}")
        except OSError as error:
            found.failed.append(f"{number}: {error}")
        found.took_s[began_s] = time.monotonic() - began_s

    def come() -> None:
        with ThreadPoolExecutor(120) as pool:
            number = 0
            while not over.wait(1 / TOKENS_A_SECOND):
                pool.submit(ask, number)
                number += 1

    coming = threading.Thread(target=come)
    coming.start()
    try:
        yield found
    finally:
        over.set()
        coming.join()


def begun(stack: Stack) -> subprocess.Popen[str]:
    """`hlu ensure`, at the moment at which it has shut the gate."""
    command = subprocess.Popen(
        [HLU, "ensure", "--json"], env=stack.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    gate = stack.places.home / "gate.json"
    stack.until("the gate is shut", lambda: gate.exists() or command.poll() is not None)
    assert command.poll() is None, command.communicate()
    return command


@pytest.fixture
def idle(stack: Stack, livekit_servers: dict[str, Path]) -> Stack:
    """One slot, in which nobody is, and another release is wanted."""
    running(stack, "1.13.3", livekit_servers)
    assert stack.hlu("set", "livekit.two_slots", "false").returncode == 0
    assert stack.media.ensure().converged
    wanted(stack, "1.13.5", livekit_servers)
    return stack


def test_whoever_comes_during_an_idle_swap_gets_in(idle: Stack) -> None:
    """Token requests all the time, and joins from the moment on in which the gate is shut: on the new server, uncut."""
    old = idle.servers()
    with ExitStack() as open_until_the_end, ThreadPoolExecutor(24) as pool, askers(idle) as asked:
        time.sleep(1.0)
        shut_s = time.monotonic()
        command = begun(idle)

        def join(number: int) -> None:
            seat = idle.seat(f"joiner-{number}", f"joined-{number}")
            port = int(seat.url.rpartition(":")[2])
            open_until_the_end.enter_context(signal_socket(port, seat.token)).settimeout(0.0)

        def seated() -> list[Seat]:
            return [idle.seat(name, "call") for name in ("alice", "bob")]

        seats = pool.submit(seated)
        joins: list[Future[None]] = []
        while command.poll() is None:
            joins.append(pool.submit(join, len(joins)))
            time.sleep(1 / TOKENS_A_SECOND)
        swapped_s = time.monotonic() - shut_s
        said, _ = command.communicate()
        for each in joins:
            each.result()
        call = open_until_the_end.enter_context(Call())
        call.start(seats.result())
        call.listen(3.0)
        call.mark("after")
        people = idle.people()
        call.listen(SETTLE_S)
        reports = call.report()
    receipt = json.loads(said)
    swaps = [did for did in receipt["done"] if did["step"]["action"] == "restart"]
    assert (command.returncode, len(swaps)) == (0, 1), receipt
    assert (old, idle.servers()) == ({"a": "1.13.3-r1"}, {"a": "1.13.5-r1"})
    assert asked.failed == []
    assert people is not None
    assert people >= len(joins) + 2
    assert judge(reports).calls_dropped == 0
    assert_unnoticed(reports)
    held = max(took_s for at_s, took_s in asked.took_s.items() if at_s >= shut_s - 0.1)
    before = max(took_s for at_s, took_s in asked.took_s.items() if at_s < shut_s - 0.2)
    FIGURES.append(
        f"idle swap under {TOKENS_A_SECOND} token requests a second: {len(asked.took_s)} answered, all with "
        f"200, {len(joins)} joins; the longest wait for a token {held:.2f} s beside {before:.2f} s before, the command "
        f"took {swapped_s:.2f} s"
    )


def test_tokens_go_on_when_the_command_is_killed_at_the_shut_gate(idle: Stack) -> None:
    """`kill -9` of it: nobody waits for the lease, the server is as it was, and the next one does the swap."""
    old = idle.identities()["livekit-server@a"]
    with askers(idle) as asked:
        time.sleep(0.5)
        command = begun(idle)
        time.sleep(0.3)
        command.send_signal(signal.SIGKILL)
        killed_s = time.monotonic()
        idle.seat("after", "after")
        let_through_s = time.monotonic() - killed_s
        command.communicate()
        time.sleep(0.5)
    assert asked.failed == []
    assert idle.identities()["livekit-server@a"] == old
    assert (idle.places.home / "gate.json").exists()
    FIGURES.append(f"after a kill -9 of who shut the gate: {let_through_s:.2f} s to the next token")
    assert let_through_s < 5.0
    assert idle.media.ensure().converged
    assert idle.servers() == {"a": "1.13.5-r1"}
    assert not (idle.places.home / "gate.json").exists()
