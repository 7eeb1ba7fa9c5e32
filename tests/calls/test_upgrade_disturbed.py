"""What goes wrong around an upgrade: the supervisor dies or forgets, two upgrade at once, the old slot freezes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.calls.call import SETTLE_S, Call
from hero_livekit_units.model.plan import ENDING
from hero_livekit_units.registry.hero_proc import HeroProcRegistry
from tests.calls.conftest import FIGURES, gaps
from tests.calls.stack import HLU, Stack
from tests.calls.upgrading import (
    BASELINE_S,
    assert_end,
    assert_unnoticed,
    copies,
    freeze,
    rooms,
    running,
    steps_of,
    thaw,
    until_over,
    wanted,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.servers, pytest.mark.calls, pytest.mark.timeout(300)]

OLD, NEW = "1.13.3", "1.13.5"
FROZEN_S = 2.0


def start_ensure(stack: Stack) -> subprocess.Popen[str]:
    """`hlu ensure` in a process of its own, with its steps on its standard error while they begin."""
    command = [HLU, "ensure", "--json"]
    return subprocess.Popen(command, env=stack.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_supervisor_dies_while_the_old_slot_is_left_and_again_while_it_ends(
    stack: Stack, livekit_servers: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both slots are found again, the old one ends after its last room and not before, and nothing starts twice."""
    running(stack, OLD, livekit_servers)
    old = stack.identities()["livekit-server@a"]
    with Call() as call:
        call.start([stack.seat(who, "stays") for who in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("supervisor")
        wanted(stack, NEW, livekit_servers)
        assert not stack.media.ensure().converged
        before = stack.identities()
        stack.kill_hero_proc()
        stack.start_hero_proc()
        again = stack.media.ensure()
        assert (again.changed, [wait.instance for wait in again.waits]) == (False, ["livekit-server@a"])
        assert stack.identities() == before
        call.listen(SETTLE_S)
        reports = call.report()
    assert_unnoticed(reports)
    FIGURES.append(f"supervisor killed between two slots: {gaps(reports)}")

    def stop(registry: HeroProcRegistry, instance: str) -> None:
        """Ask as ever; frozen, the old slot has not ended when the supervisor dies and when the next one finds it."""
        if killed:
            ask(registry, instance)
            return
        killed.append(instance)
        with frozen(old[0]):
            ask(registry, instance)
            stack.kill_hero_proc()
            stack.start_hero_proc()
            assert len(copies(stack)) == 2

    killed: list[str] = []
    ask = HeroProcRegistry.stop
    monkeypatch.setattr(HeroProcRegistry, "stop", stop)
    stack.until_empty()
    until_over(stack)
    assert_end(stack, f"{NEW}-r1")
    assert killed == ["livekit-server@a"]
    assert stack.identities() == {who: which for who, which in before.items() if who != "livekit-server@a"}


def test_two_control_planes_at_once_do_one_upgrade(stack: Stack, livekit_servers: dict[str, Path]) -> None:
    """One does it, the other finds it done; each step is done once, and nobody in the call notices."""
    running(stack, OLD, livekit_servers)
    with Call() as call:
        call.start([stack.seat(who, "stays") for who in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("two at once")
        wanted(stack, NEW, livekit_servers)
        expected = steps_of(stack)
        both = [start_ensure(stack) for _ in range(2)]
        receipts = [json.loads(ensure.communicate(timeout=60)[0]) for ensure in both]
        assert stack.servers() == {"a": f"{OLD}-r1", "b": f"{NEW}-r1"}
        assert len(copies(stack)) == 2
        call.listen(SETTLE_S)
        reports = call.report()
    done = [(did["step"]["action"], did["step"]["instance"]) for receipt in receipts for did in receipt["done"]]
    assert done == [*expected, ("drain", "livekit-server@a")]
    assert sorted(receipt["changed"] for receipt in receipts) == [False, True]
    assert [ensure.returncode for ensure in both] == [3, 3]  # both wait for the old slot
    assert_unnoticed(reports)


@pytest.mark.night
def test_two_control_planes_at_once_want_two_releases(stack: Stack, livekit_servers: dict[str, Path]) -> None:
    """Who comes first upgrades; the other is told so and undoes nothing. Asked again, it says what is in its way."""
    assert stack.hlu("unset", "livekit.ports.debug").returncode == 0  # 1.11.0 has none
    running(stack, OLD, livekit_servers)
    with Call() as call:
        call.start([stack.seat(who, "stays") for who in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("two releases")
        wanted(stack, NEW, livekit_servers)
        first = start_ensure(stack)
        assert first.stderr is not None
        next(line for line in first.stderr if line.startswith("start "))
        first.send_signal(signal.SIGSTOP)  # it holds the lock until the other one waits for it
        wanted(stack, "1.11.0", livekit_servers)
        second = start_ensure(stack)
        stack.until("the other waits for its turn", lambda: waits_for_lock(stack, second.pid))
        first.send_signal(signal.SIGCONT)
        receipt = json.loads(first.communicate(timeout=60)[0])
        _, told = second.communicate(timeout=60)
        assert (first.returncode, receipt["changed"]) == (3, True)
        assert second.returncode == 1
        assert "by another definition meanwhile" in told
        assert receipt["id"] in told
        before = stack.identities()
        assert stack.servers() == {"a": f"{OLD}-r1", "b": f"{NEW}-r1"}
        again = stack.hlu("ensure", "--json")
        call.listen(SETTLE_S)
        reports = call.report()
    assert again.returncode in {3, 6}, again.stderr
    assert stack.identities()["livekit-server@a"] == before["livekit-server@a"]
    assert len(copies(stack)) == 2
    assert_unnoticed(reports)


def waits_for_lock(stack: Stack, pid: int) -> bool:
    """Whether a process has the acting lock's file open, which somebody else holds."""
    lock = stack.places.home / ".acting.lock"
    with contextlib.suppress(OSError):
        return any(found.readlink() == lock for found in Path("/proc", str(pid), "fd").iterdir())
    return False


@pytest.mark.parametrize(
    "lost", ["processes", *(pytest.param(what, marks=pytest.mark.night) for what in ("units", "everything"))]
)
def test_a_supervisor_that_has_forgotten_ends_nothing(
    lost: str, stack: Stack, livekit_servers: dict[str, Path]
) -> None:
    """What runs without its knowledge runs on, whatever is wanted; what cannot be done is said."""
    running(stack, OLD, livekit_servers)
    before = stack.identities()
    with Call() as call:
        call.start([stack.seat(who, "stays") for who in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("forgotten")
        forget(stack, lost)
        wanted(stack, NEW, livekit_servers)
        done = stack.hlu("ensure", "--json")
        receipt = json.loads(done.stdout)
        call.listen(SETTLE_S)
        reports = call.report()
    after = stack.identities()
    servers = stack.servers()
    found = copies(stack)
    try:
        assert_unnoticed(reports)
        assert done.returncode in {0, 3, 6}
        assert after["livekit-server@a"] == before["livekit-server@a"]
        assert before["livekit-server@a"][0] in found
        # A copy that the supervisor tries ends on the busy port, at once, again and again.
        assert len(found) - len(servers) in ({0, 1} if lost == "processes" else {0})
        assert servers in ({"a": f"{OLD}-r1"}, {"a": f"{OLD}-r1", "b": f"{NEW}-r1"})
        said = [
            f"{said['instance']}: {said.get('because') or said.get('text')}"
            for kind in ("refusals", "waits", "notes")
            for said in receipt[kind]
        ]
        assert any(words.startswith("livekit-server@a: ") for words in said)
        FIGURES.append(f"{lost} forgotten: {sorted(servers)} run; {'; '.join(said)}")
    finally:
        # Nobody will end what nobody knows.
        for pid in {*found, *(pid for pid, _ in before.values())}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def forget(stack: Stack, lost: str) -> None:
    """Take the memory of hero_proc away while it does not run: its processes, its units, or all that it knew."""
    assert stack.hlu("hero-proc", "stop").returncode == 0
    if lost == "everything":
        for file in stack.places.hero_proc.glob("hero_proc.db*"):
            file.unlink()
    else:
        with contextlib.closing(sqlite3.connect(stack.places.hero_proc / "hero_proc.db")) as db, db:
            for table in ("runs", "jobs", *(("services", "actions") if lost == "units" else ())):
                db.execute(f"DELETE FROM {table}")  # noqa: S608
    stack.start_hero_proc()


@pytest.mark.night
def test_the_old_slot_freezes_in_the_middle_of_an_upgrade(stack: Stack, livekit_servers: dict[str, Path]) -> None:
    """What cannot be seen is not ended: it goes on when the old slot does, with people in it as without."""
    running(stack, OLD, livekit_servers)
    old = stack.identities()["livekit-server@a"]
    with Call() as call:
        call.start([stack.seat(who, "stays") for who in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("frozen")
        wanted(stack, NEW, livekit_servers)
        ensure = start_ensure(stack)
        assert ensure.stderr is not None
        next(line for line in ensure.stderr if line.startswith("start "))
        with ThreadPoolExecutor(1) as pool, frozen(old[0]):
            during = pool.submit(stack.hlu, "ensure", "--json")
            time.sleep(FROZEN_S)
        first = json.loads(ensure.communicate(timeout=60)[0])
        receipts = [first, json.loads(during.result().stdout)]
        assert [did for receipt in receipts for did in receipt["done"] if did["step"]["action"] in ENDING] == []
        assert stack.hlu("ensure").returncode == 3
        assert stack.servers() == {"a": f"{OLD}-r1", "b": f"{NEW}-r1"}
        assert stack.slot_of(stack.seat("carol", "stays")) == "a"
        assert stack.slot_of(stack.seat("dora", "new")) == "b"
        call.listen(SETTLE_S)
        reports = call.report()
    assert_unnoticed(reports)
    assert stack.identities()["livekit-server@a"] == old
    FIGURES.append(f"old slot frozen for {FROZEN_S:g} s: {gaps(reports)}")
    stack.until_empty()
    with frozen(old[0]):
        empty = stack.media.ensure()
        assert [did for did in empty.done if did.step.action in ENDING] == []
        assert len(copies(stack)) == 2
    until_over(stack)
    assert rooms(stack, "a") == set()
    assert_end(stack, f"{NEW}-r1")


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """SIGSTOP for a while."""
    freeze(pid)
    try:
        yield
    finally:
        thaw(pid)
