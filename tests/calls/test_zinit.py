"""The media under a real zinit 0.3.9, which adopts nothing: what it has lost is found, and is its own again."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.calls.call import SETTLE_S, Call
from hero_livekit_units.calls.verdict import judge
from hero_livekit_units.model.observed import Verdict
from hero_livekit_units.model.plan import Action
from tests.calls.conftest import FIGURES, gaps
from tests.calls.stack import ZinitStack
from tests.calls.upgrading import ENDED_S, copies, wanted

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.servers,
    pytest.mark.calls,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="a /run of its own takes root"),
    pytest.mark.parametrize("stack", [pytest.param(ZinitStack, id="zinit")], indirect=True),
]

SERVICE = "hero_livekit_media_a"
BASELINE_S = 3.0
LIVES_S = 4.0  # in which zinit tries again and again to start what it has lost


def test_a_call_goes_on_when_its_control_plane_and_then_zinit_are_killed(stack: ZinitStack) -> None:
    """There is never a second copy. Who is in the call notices nothing, and zinit has it again when they have left."""
    plane = stack.start_plane()
    assert stack.plane_client.call("livekitservice.ensure", deadline_s=30.0)["converged"]
    before = stack.identities()
    most = 0
    with Call() as call:
        call.start([stack.seat(name, "zinit") for name in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("disturbed")
        os.killpg(plane.pid, signal.SIGKILL)
        plane.wait()
        stack.kill_hero_proc()
        assert [seen.verdict for seen in stack.media.status().instances] == [Verdict.HEALTHY] * 2
        stack.start_hero_proc()
        until_s = time.monotonic() + LIVES_S
        while time.monotonic() < until_s:
            most = max(most, len(copies(stack)))
        receipt = stack.media.ensure()
        waits = stack.media.plan().waits
        call.listen(SETTLE_S)
        reports = call.report()
    verdict = judge(reports)
    assert (verdict.calls_dropped, verdict.calls_interrupted) == (0, 0), reports
    assert most == 1
    assert [step.step.action for step in receipt.done if step.step.instance == "livekit-server@a"] == [Action.QUIET]
    assert any("2 people" in wait.because for wait in waits if wait.instance == "livekit-server@a"), waits
    assert stack.identities()["livekit-server@a"] == before["livekit-server@a"]
    stack.until("zinit has it again", lambda: stack.media.ensure().converged, within_s=60.0)
    assert all(seen.owned for seen in stack.media.status().instances)
    FIGURES.append(f"zinit and the control plane killed under a call: {gaps(reports)}, at most {most} copy")


def test_an_upgrade_under_zinit_is_not_noticed(stack: ZinitStack, livekit_servers: dict[str, Path]) -> None:
    """The other slot is another service: the first one is not touched, ends with its call, and stays ended."""
    wanted(stack, "1.13.3", livekit_servers)
    assert stack.media.ensure().converged
    with Call() as call:
        call.start([stack.seat(name, "stays") for name in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("upgrade")
        wanted(stack, "1.13.5", livekit_servers)
        stack.media.ensure()
        assert stack.servers() == {"a": "1.13.3-r1", "b": "1.13.5-r1"}
        call.listen(SETTLE_S)
        reports = call.report()
    verdict = judge(reports)
    assert (verdict.calls_dropped, verdict.calls_interrupted) == (0, 0), reports
    stack.until("the old slot has ended", lambda: stack.media.ensure().converged, within_s=ENDED_S)
    assert stack.servers() == {"b": "1.13.5-r1"}
    assert len(copies(stack)) == 1
    FIGURES.append(f"an upgrade under zinit: {gaps(reports)}")


def test_what_nobody_is_in_is_zinit_s_again_after_its_crash(stack: ZinitStack) -> None:
    """One process each, no second copy, nothing left to do; what an `ensure` finds right it does not start again."""
    assert stack.media.ensure().converged
    before = stack.identities()
    assert not stack.media.ensure().changed
    assert stack.identities() == before
    stack.kill_hero_proc()
    assert [seen.verdict for seen in stack.media.status().instances] == [Verdict.HEALTHY] * 2
    stack.start_hero_proc()
    assert SERVICE in stack.zinit.call("service.list")  # the copy
    # In its first moments a copy has not met the busy port yet.
    stack.until("both are seen as they were", lambda: stack.identities() == before, within_s=60.0)
    stack.until("the lost ones are replaced", lambda: stack.media.ensure().converged, within_s=60.0)
    seen = stack.media.status().instances
    assert [one.verdict for one in seen] == [Verdict.HEALTHY] * 2
    assert all(one.owned for one in seen)
    assert not set(before.values()) & set(stack.identities().values())
    assert len(copies(stack)) == 1
    assert not stack.media.ensure().changed
    assert stack.hlu("stop").returncode == 0
    assert copies(stack) == []
    stack.kill_hero_proc()
    stack.start_hero_proc()
    time.sleep(1.0)  # its next life tries all that it has a file of
    assert copies(stack) == []
    assert stack.media.ensure().converged
