"""A new slot that fails: nobody in a call notices, new rooms stay with the old slot, and the receipt says why.

The new release is no good in three ways: it opens no port, it ends at once, it is killed again and again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.calls.call import SETTLE_S, Call
from tests.calls.conftest import FIGURES, gaps
from tests.calls.stack import SLOT_OFFSET
from tests.calls.upgrading import (
    BASELINE_S,
    assert_end,
    assert_unnoticed,
    copies,
    rooms,
    running,
    steps_of,
    until_over,
    wanted,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.calls.stack import Stack

pytestmark = [pytest.mark.servers, pytest.mark.calls, pytest.mark.timeout(300)]

OLD, NEW = "1.13.3", "1.13.5"
NEW_SLOT = "livekit-server@b"
QUICK_S = 10.0  # far more than an ensure takes that starts nothing, and less than one that waits for a start
FAILED = 6


def broken(stack: Stack, real: Path, instead: str) -> tuple[Path, Path]:
    """A program that says that it is the release and does something else, and the file that mends it."""
    program, mended = stack.root / "livekit-server", stack.root / "mended"
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = --version ] || [ -e "{mended}" ]; then exec "{real}" "$@"; fi\n{instead}\n'
    )
    program.chmod(0o755)
    return program, mended


@contextlib.contextmanager
def newcomers(stack: Stack) -> Iterator[list[str]]:
    """Somebody wants a new room twice a second; the slots that they were sent to and reached, "" for one in vain."""
    found: list[str] = []
    over = threading.Event()

    def come() -> None:
        while not over.wait(0.5):
            try:
                slot = stack.slot_of(stack.seat("somebody", f"room {len(found)}"))
                port = stack.ports[0] + (SLOT_OFFSET if slot == "b" else 0)
                with socket.create_connection(("127.0.0.1", port), timeout=2):
                    found.append(slot)
            except OSError:
                found.append("")

    coming = threading.Thread(target=come)
    coming.start()
    try:
        yield found
    finally:
        over.set()
        coming.join()


def fails(stack: Stack, servers: dict[str, Path], fail: Callable[[], None], says: str, mended: Path | None) -> None:
    """An upgrade that fails under a call, an ensure after it, and one more try when it is good."""
    with Call() as call, Call() as new_room:
        call.start([stack.seat(who, "stays") for who in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("failure")
        before = stack.identities()
        with newcomers(stack) as came:
            wanted(stack, NEW, servers)
            fail()
            done = stack.hlu("ensure", "--json")
            returned = len(came)
            assert done.returncode == FAILED, done.stdout + done.stderr
            receipt = json.loads(done.stdout)
            acted = [did["step"]["action"] for did in receipt["done"] if did["step"]["instance"] == NEW_SLOT]
            assert acted[-2:] == ["record-failure", "stop"]
            because = receipt["refusals"][0]["because"]
            stays = f"release {OLD}-r1 runs, but new rooms stay on slot a: its last start failed at .* UTC: {NEW_SLOT} "
            assert re.fullmatch(stays + says, because), because
            assert (stack.servers(), len(copies(stack))) == ({"a": f"{OLD}-r1"}, 1)
            began_s = time.monotonic()
            again = stack.hlu("ensure", "--json")
            took_s = time.monotonic() - began_s
            assert (again.returncode, json.loads(again.stdout)["changed"]) == (FAILED, False)
            assert took_s < QUICK_S
            assert steps_of(stack) == []
            status = stack.hlu("status")
            assert (status.returncode, because.partition("slot a: ")[2] in status.stdout) == (3, True)
            new_room.start([stack.seat(who, "new") for who in ("dora", "emil")])
            assert rooms(stack, "a") >= {"stays", "new"}
            call.listen(SETTLE_S)
            reports = call.report()
        assert_unnoticed(reports)
        assert {who: stack.identities()[who] for who in before} == before
        assert set(came[returned:]) == {"a"}
        FIGURES.append(
            f"{because.partition('UTC: ')[2]}: {gaps(reports)}; of {len(came)} who wanted a new room "
            f"{came.count('')} in vain; the next ensure took {took_s:.2f} s"
        )
        if mended is not None:
            assert set(came) == {"a"}
            mended.touch()
        retried = stack.hlu("ensure", "--retry", "--json")
        assert retried.returncode == 3, retried.stdout + retried.stderr
        assert stack.servers() == {"a": f"{OLD}-r1", "b": f"{NEW}-r1"}
    until_over(stack)
    assert_end(stack, f"{NEW}-r1")


@pytest.mark.night
@pytest.mark.parametrize(
    ("instead", "says"),
    [
        pytest.param("exec sleep 1000", r"did not become ready within 15 s", id="never-ready"),
        pytest.param(
            'exec "{real}" --config /nowhere/livekit.yaml',
            r"ended by itself \d+ times: .*/nowhere/livekit.yaml.*",
            id="ends-at-once",
        ),
    ],
)
def test_a_new_release_that_does_not_come_up(
    instead: str, says: str, stack: Stack, livekit_servers: dict[str, Path]
) -> None:
    """Its time passes, then it is stopped; all the while new rooms are made in the old slot."""
    running(stack, OLD, livekit_servers)
    real = livekit_servers[NEW]
    program, mended = broken(stack, real, instead.format(real=real))
    fails(stack, livekit_servers | {NEW: program}, lambda: None, says, mended)


def test_a_new_release_that_ends_in_its_first_minutes(stack: Stack, livekit_servers: dict[str, Path]) -> None:
    """It was ready, and new rooms went there already: they go back, and it ends when nobody can be on the way to it."""
    running(stack, OLD, livekit_servers)

    def fail() -> None:
        assert stack.hlu("ensure").returncode == 3
        for _ in range(2):
            pid = stack.identities()[NEW_SLOT][0]
            os.kill(pid, signal.SIGKILL)
            stack.until("it is up again", lambda pid=pid: is_up(stack, pid))  # type: ignore[misc]

    fails(
        stack,
        livekit_servers,
        fail,
        r"ended by itself \d times in its first minutes: killed by signal 9 \(SIGKILL\).*",
        None,
    )


def is_up(stack: Stack, before: int) -> bool:
    """Whether the new slot has another process than this one."""
    return stack.identities().get(NEW_SLOT, (None, None))[0] not in {None, before}
