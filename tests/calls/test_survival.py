"""The main promise, on real calls: what manages the media may die at any moment, and nobody in a call notices."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.calls.call import SETTLE_S, Call
from hero_livekit_units.calls.verdict import judge
from hero_livekit_units.errors import RegistryError
from hero_livekit_units.model.observed import Verdict
from tests.calls.conftest import FIGURES, gaps
from tests.embedded.running import Callers

if TYPE_CHECKING:
    from tests.calls.stack import Stack

pytestmark = [pytest.mark.servers, pytest.mark.calls]

BASELINE_S = 4.0
CRASHES = int(os.environ.get("HLU_CRASHES", "1000"))  # of control planes; of supervisors a fifth


def test_a_call_survives_the_group_kill_of_its_control_plane_and_the_crash_of_hero_proc(stack: Stack) -> None:
    """Neither takes the media along, nobody reconnects, and both find everything again."""
    plane = stack.start_plane()
    receipt = stack.plane_client.call("livekitservice.ensure", deadline_s=30.0)
    assert receipt["converged"]
    before = stack.identities()
    with Call() as call:
        call.start([stack.seat(name, "survival") for name in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("disturbed")
        os.killpg(plane.pid, signal.SIGTERM)  # as a supervisor does that restarts a service with its whole group
        plane.wait()
        plane = stack.start_plane()
        os.killpg(plane.pid, signal.SIGKILL)
        plane.wait()
        stack.kill_hero_proc()
        # Nobody manages anything now, and the media are seen to be well all the same.
        observed = stack.media.status()
        assert [seen.verdict for seen in observed.instances] == [Verdict.HEALTHY, Verdict.HEALTHY]
        assert observed.supervisor.verdict is Verdict.UNKNOWN
        stack.start_hero_proc()
        stack.start_plane()
        again = stack.plane_client.call("livekitservice.ensure", deadline_s=30.0)
        call.listen(SETTLE_S)
        reports = call.report()
    assert not again["changed"]
    assert stack.identities() == before
    assert judge(reports).calls_dropped == 0
    assert [(report.disconnects, report.reconnects) for report in reports] == [(0, 0), (0, 0)]


def test_a_call_goes_on_while_hero_proc_becomes_another_program(stack: Stack) -> None:
    """`hlu hero-proc upgrade` under a call and under clients that ask all the time: no call of any kind is cut off."""
    assert stack.media.ensure().converged
    before, supervisor = stack.identities(), stack.media.status().supervisor.process
    with Call() as call:
        call.start([stack.seat(name, "upgrade") for name in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("upgrade")
        with Callers(str(stack.places.socket("hero_proc"))) as callers:
            upgrade = stack.hlu("hero-proc", "upgrade")
        call.listen(SETTLE_S)
        reports = call.report()
    assert upgrade.returncode == 0, upgrade.stderr
    assert callers.faults == []
    assert stack.identities() == before
    assert stack.media.status().supervisor.process == supervisor
    assert stack.hero_proc_client.call("system.ping")["generation"] == 1
    assert judge(reports).calls_dropped == 0
    assert [(report.disconnects, report.reconnects) for report in reports] == [(0, 0), (0, 0)]
    FIGURES.append(
        f"hero_proc became another program: {len(callers.faults)} of {callers.calls} calls to it refused, the longest"
        f" took {callers.longest_s * 1000:.0f} ms; {gaps(reports)}"
    )


@pytest.mark.night
@pytest.mark.timeout(1800)
def test_a_call_survives_a_thousand_crashes(stack: Stack) -> None:
    """Each control plane is killed at some moment of an `ensure`, each hero_proc as it stands: nobody notices any."""
    dice = random.Random(CRASHES)  # noqa: S311  dice, no secret
    assert stack.media.ensure().converged
    before = stack.identities()
    with Call() as call:
        call.start([stack.seat(name, "crashes") for name in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("crashes")
        began_s = time.monotonic()
        for _ in range(CRASHES):
            plane = stack.start_plane()
            asking = threading.Thread(target=ask_in_vain, args=(stack,))
            asking.start()
            time.sleep(dice.uniform(0.0, 0.1))
            os.killpg(plane.pid, signal.SIGKILL)
            assert plane.wait() == -signal.SIGKILL
            asking.join()
        planes_s = time.monotonic() - began_s
        for _ in range(CRASHES // 5):
            stack.kill_hero_proc()
            stack.start_hero_proc()
        again = stack.media.ensure()
        took_s = time.monotonic() - began_s
        call.listen(SETTLE_S)
        reports = call.report()
    assert (again.converged, again.changed) == (True, False)
    assert stack.identities() == before
    assert judge(reports).calls_dropped == 0
    assert [(report.disconnects, report.reconnects) for report in reports] == [(0, 0), (0, 0)]
    FIGURES.append(
        f"{CRASHES} control planes killed in {planes_s:.0f} s and {CRASHES // 5} supervisors in"
        f" {took_s - planes_s:.0f} s: 0 calls dropped, {gaps(reports)}"
    )


def ask_in_vain(stack: Stack) -> None:
    """Ask the control plane for an `ensure`, whether or not it lives to answer."""
    with contextlib.suppress(RegistryError):
        stack.plane_client.call("livekitservice.ensure", deadline_s=30.0)


def test_a_hundred_callers_at_once_start_one_process_each(stack: Stack) -> None:
    """Whoever asks, and however often: one livekit-server, one lk-backend, and then nothing to do."""
    receipts = []
    lock = threading.Lock()

    def ask() -> None:
        receipt = stack.media.ensure()
        with lock:
            receipts.append(receipt)

    callers = [threading.Thread(target=ask) for _ in range(100)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(receipts) == 100
    assert all(receipt.converged for receipt in receipts)
    assert sum(receipt.changed for receipt in receipts) == 1
    assert len({str(receipt.after) for receipt in receipts}) == 1
    assert [seen.entry.restarts for seen in stack.media.status().instances if seen.entry] == [0, 0]


def test_a_server_that_dies_comes_back_and_so_do_the_people(stack: Stack) -> None:
    """hero_proc restarts what died by itself; clients reconnect, which is an interruption and no drop."""
    assert stack.media.ensure().converged
    with Call() as call:
        call.start([stack.seat(name, "crash") for name in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("crash")
        pid = stack.identities()["livekit-server@a"][0]
        os.kill(pid, signal.SIGKILL)
        assert call.wait_until(lambda reports: all(report.reconnects for report in reports), timeout_s=20.0)
        call.listen(SETTLE_S)
        verdict = judge(call.report())
    assert (verdict.calls_dropped, verdict.calls_interrupted) == (0, 1)
    seen = stack.media.status().instance("livekit-server@a")
    assert seen.verdict is Verdict.HEALTHY
    assert seen.entry is not None
    assert seen.entry.restarts == 1
    assert "signal 9" in seen.entry.last_error
