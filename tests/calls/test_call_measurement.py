"""Real participants on a real server: that the measurement sees what happens to a call, and can fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from hero_livekit_units.calls.call import SETTLE_S, Call, Role, Seat
from hero_livekit_units.calls.verdict import judge
from hero_livekit_units.errors import UnitsError
from tests.calls.media import token

if TYPE_CHECKING:
    from hero_livekit_units.calls.verdict import ParticipantReport
    from tests.calls.media import LiveServer

pytestmark = [pytest.mark.servers, pytest.mark.calls]

BASELINE_S = 3.0
ATTEMPTS = 4


def test_an_undisturbed_call(server: LiveServer) -> None:
    """Nothing happens, nothing is counted, and the longest gap is far from an interruption."""
    with Call() as call:
        call.start([server.seat("ana", "standup"), server.seat("ben", "standup")])
        call.listen(BASELINE_S)
        call.mark("nothing")
        call.listen(6.0)
        reports = call.report()
    verdict = judge(reports)

    assert (verdict.calls, verdict.calls_dropped, verdict.calls_interrupted) == (1, 0, 0)
    assert [report.reconnects for report in reports] == [0, 0]
    assert 35 < verdict.baseline_gap_ms < 160
    assert 35 < verdict.longest_gap_ms < 160


def test_a_server_that_freezes_for_a_second_interrupts(server: LiveServer) -> None:
    """Nobody is disconnected and frames keep arriving, yet a listener misses half a second or more."""
    with Call() as call:
        call.start([server.seat("ana", "standup"), server.seat("ben", "standup")])
        call.listen(BASELINE_S)
        call.mark("freeze")
        server.signal(signal.SIGSTOP)
        call.listen(1.0)
        server.signal(signal.SIGCONT)
        call.listen(SETTLE_S)
        verdict = judge(call.report())

    assert (verdict.calls_dropped, verdict.calls_interrupted) == (0, 1)
    assert 300 < verdict.longest_gap_ms < 1500


def test_a_crash_with_a_new_start_interrupts_and_does_not_drop(server: LiveServer) -> None:
    """Everyone comes back by themselves and is heard again; the clock goes on with the new track."""
    with Call() as call:
        call.start([server.seat("ana", "standup"), server.seat("ben", "standup")])
        call.listen(BASELINE_S)
        call.mark("crash")
        server.kill()
        server.start()
        assert call.wait_until(lambda reports: all(report.reconnects for report in reports), timeout_s=20)
        call.listen(SETTLE_S)
        reports = call.report()
    verdict = judge(reports)

    assert (verdict.calls_dropped, verdict.calls_interrupted) == (0, 1)
    assert verdict.participants_interrupted == 2
    assert all(report.reconnects >= 1 for report in reports)
    assert all(report.hears_at_end and not report.unheard for report in reports)
    assert 200 < verdict.longest_gap_ms < 5000


def test_a_forced_stop_drops(server: LiveServer) -> None:
    """A second SIGTERM tells everyone to leave for good, and it is counted so, with LiveKit's reason."""
    # The word to leave races with the end of the server: now and then somebody does not hear it and comes back, to an
    # empty room. Where all do, nobody was dropped.
    for _ in range(ATTEMPTS):
        reports = forcibly_stopped(server)
        told = [report.reasons for report in reports if report.disconnects]
        verdict = judge(reports)
        assert (verdict.calls_dropped, verdict.participants_dropped) == ((1, 2) if told else (0, 0))
        if told:
            break
    assert ("SERVER_SHUTDOWN",) in told


def forcibly_stopped(server: LiveServer) -> tuple[ParticipantReport, ...]:
    """What became of a call whose server got a second signal, and was started again."""
    with Call() as call:
        call.start([server.seat("ana", "standup"), server.seat("ben", "standup")])
        call.listen(BASELINE_S)
        server.wait_until_old(1.0)
        call.mark("forced stop")
        server.signal(signal.SIGTERM)
        server.wait_for_log("exit requested")
        server.signal(signal.SIGTERM)
        server.wait_until_ended()
        server.start()
        assert call.wait_until(lambda reports: all(one.disconnects or one.reconnects for one in reports), timeout_s=30)
        call.listen(SETTLE_S)
        return call.report()


def test_rooms_are_judged_apart(server: LiveServer) -> None:
    """One participant of one room is lost without a word; the other room is untouched."""
    with Call() as call:
        call.start(
            [
                server.seat("ana", "standup", Role.SPEAKER),
                server.seat("ben", "standup", Role.LISTENER),
                server.seat("cem", "retro", Role.SPEAKER),
                server.seat("dan", "retro", Role.LISTENER),
            ]
        )
        call.listen(BASELINE_S)
        call.mark("ana is killed")
        os.kill(call.pids["standup", "ana"], signal.SIGKILL)
        call.listen(SETTLE_S)
        reports = call.report()
    retro, standup = judge(reports).rooms

    assert (retro.dropped, retro.interrupted) == (False, False)
    assert standup.dropped
    assert standup.because[:2] == (
        "ana counts as dropped: its process ended by SIGKILL",
        "ben hears nothing at the end",
    )


def test_a_report_without_a_disturbance_is_refused(server: LiveServer) -> None:
    """Otherwise a forgotten mark would make every verdict a good one; so would a baseline of nothing."""
    with Call() as call:
        call.start([server.seat("ana", "standup"), server.seat("ben", "standup")])
        with pytest.raises(UnitsError, match=r"^cannot report call: only the baseline was heard$"):
            call.report()
        call.mark("too early")
        with pytest.raises(
            UnitsError, match=r"^cannot report call: a baseline of 0\.\d s is too short to compare with$"
        ):
            call.report()


@pytest.mark.parametrize(
    ("seat", "told"),
    [
        pytest.param("wrong secret", "it cannot join: ", id="wrong secret"),
        pytest.param("nobody listens", "it cannot join: ", id="nobody listens"),
    ],
)
def test_who_cannot_join_says_why(server: LiveServer, seat: str, told: str) -> None:
    """At once, by name, without the token, and nothing is left running."""
    secret = token("ana", "standup", "another secret, 0123456789abcdefgh")
    url = server.url
    if seat == "nobody listens":
        server.kill()
        secret = token("ana", "standup")
    with pytest.raises(UnitsError) as refused, Call() as call:
        call.start([Seat("ana", "standup", url, secret)])

    assert str(refused.value).startswith(f"cannot start call in room 'standup': ana: {told}")
    assert "eyJ" not in str(refused.value)
    commands = [child.cmdline() for child in psutil.Process().children()]
    assert not [command for command in commands if "hero_livekit_units.calls.participant" in command]


def test_the_token_is_in_no_argv_and_no_environment(server: LiveServer) -> None:
    """Other users of the host may read an argv."""
    seat = server.seat("ana", "standup")
    with Call() as call:
        call.start([seat])
        folder = Path("/proc", str(call.pids["standup", "ana"]))
        shown = folder.joinpath("cmdline").read_bytes() + folder.joinpath("environ").read_bytes()

    assert b"hero_livekit_units.calls.participant" in shown
    assert seat.token.encode() not in shown


def test_participants_end_with_their_parent(server: LiveServer) -> None:
    """The parent is killed, which no handler can catch: no participant stays in the room."""
    program = """
import sys, time
from hero_livekit_units.calls.call import Call, Seat
call = Call()
call.start([Seat("ana", "standup", sys.argv[1], sys.stdin.readline().strip())])
print(call.pids["standup", "ana"], flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(token("ana", "standup") + "\n")
        parent.stdin.flush()
        participant = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        gone, alive = psutil.wait_procs([participant], timeout=10)

    assert (len(gone), alive) == (1, [])


def test_stop_is_bounded(server: LiveServer) -> None:
    """A participant that does not move is ended when its time is over, and counts as dropped before."""
    with Call() as call:
        call.start([server.seat("ana", "standup"), server.seat("ben", "standup")])
        call.listen(BASELINE_S)
        call.mark("stuck")
        stuck = psutil.Process(call.pids["standup", "ben"])
        stuck.suspend()
        reports = call.report(timeout_s=1.0)
        began_s = time.monotonic()
        call.stop(timeout_s=2.0)
        took_s = time.monotonic() - began_s

    assert reports[1].failure == "its process gives no answer"
    assert judge(reports).calls_dropped == 1
    assert not stuck.is_running()
    assert took_s < 4.0


def test_who_misses_a_mark_counts_as_dropped(server: LiveServer) -> None:
    """It could count the disturbance as undisturbed, so nothing that it says later is believed."""
    with Call() as call:
        call.start([server.seat("ana", "standup"), server.seat("ben", "standup")])
        call.listen(BASELINE_S)
        slow = psutil.Process(call.pids["standup", "ben"])
        slow.suspend()
        call.mark("crash", timeout_s=0.5)
        slow.resume()
        reports = call.report()

    assert [report.failure for report in reports] == ["", "its process did not follow the mark 'crash' within 0.5 s"]
    assert judge(reports).calls_dropped == 1


def test_a_second_start_is_refused(server: LiveServer) -> None:
    """A Call starts once, and refusing the second start harms nobody."""
    with Call() as call:
        call.start([server.seat("ana", "standup")])
        with pytest.raises(UnitsError, match=r"^cannot start call: it is already running$"):
            call.start([server.seat("ben", "standup")])
        assert [report.failure for report in call.snapshot()] == [""]
