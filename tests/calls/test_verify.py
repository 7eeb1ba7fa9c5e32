"""`hlu verify` on a real host: what it measures, that its measurement can fail, and that it leaves all as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.calls.call import Call
from hero_livekit_units.observe.kernel import is_alive
from hero_livekit_units.verify.daemons import server_of
from tests.calls.stack import HLU, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.servers, pytest.mark.calls]

ATTEMPTS = 4


@pytest.fixture
def stack(livekit_server: Path) -> Iterator[Stack]:
    """A host whose media run."""
    running = Stack(livekit_server)
    try:
        running.start_hero_proc()
        assert running.hlu("ensure").returncode == 0
        yield running
    finally:
        running.close()


@contextmanager
def verifying(stack: Stack, *arguments: str, until: str) -> Iterator[subprocess.Popen[str]]:
    """A verify that has just said that it does something."""
    command = [HLU, "verify", "--json", *arguments]
    with subprocess.Popen(
        command, env=stack.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        try:
            assert run.stderr is not None
            told = []
            for line in run.stderr:
                told.append(line)
                if line.startswith(until):
                    break
            else:
                raise AssertionError("".join(told))
            yield run
        finally:
            run.kill()


MEDIA = "livekit-server@a"


def well(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The data of a run in which nothing is dropped and all is done.

    On a host that has other things to do as well, calls may be interrupted: then the report has to say so, and the exit
    status.
    """
    found: dict[str, Any] = json.loads(run.stdout)
    assert found["calls_dropped"] == 0, run.stdout + run.stderr
    assert [stage["because"] for stage in found["stages"]] == [""] * len(found["stages"]), run.stdout + run.stderr
    assert (run.returncode, found["well"]) == ((1, False) if found["calls_interrupted"] else (0, True))
    assert found["well"] or busy(found), run.stdout + run.stderr
    return found


def busy(found: dict[str, Any]) -> bool:
    """Whether a report says that it may have heard something else than what was done."""
    return any("busy" in note or "stood still" in note for note in found["notes"])


def left(stack: Stack) -> list[str]:
    """What verify leaves behind on this host: nothing."""
    found = [name for name in ("media.toml.before-verify",) if (stack.places.home / name).exists()]
    found += ["a control plane"] if server_of(str(stack.places.socket("hero_livekit"))) else []
    found += ["people"] if stack.people() else []
    return found


def test_a_call_survives_and_the_figures_say_so(stack: Stack, tmp_path: Path) -> None:
    """Two control planes and a hero_proc die, ten ensures change nothing, and nobody in two calls notices."""
    before = stack.identities()
    svg = tmp_path / "timeline.svg"
    run = stack.hlu(
        *("verify", "--rooms", "2", "--crash-control-plane", "2", "--crash-supervisor", "1", "--ensure-storm", "10"),
        *("--baseline", "4", "--svg", str(svg), "--json"),
    )
    found = well(run)
    assert (found["calls"], found["calls_dropped"]) == (2, 0)
    assert found["sentence"].startswith(
        f"0 calls dropped, {found['calls_interrupted']} interrupted in 2 control-plane crashes, 1 supervisor crash"
        " and 10 ensures; longest gap "
    )
    assert [(stage["kind"], stage["done"], stage["because"]) for stage in found["stages"]] == [
        ("control-plane-crash", 2, ""),
        ("supervisor-crash", 1, ""),
        ("ensure", 10, ""),
    ]
    assert found["stages"][2]["changed"] == 0
    assert [len(stage["at_s"]) for stage in found["stages"]] == [2, 1, 0]
    assert len({person["room"] for person in found["participants"]}) == 2
    for person in found["participants"]:
        assert (person["disconnects"], person["reconnects"], person["dropped"]) == (0, 0, "")
        assert person["baseline_gap_ms"] > 0
        assert bool(person["interrupted"]) == (person["longest_gap_ms"] > found["baseline_gap_ms"] + 60)
    for unit in found["units"]:
        assert (unit["pid_before"], unit["start_before"]) == (unit["pid_after"], unit["start_after"])
    assert stack.identities() == before
    assert svg.read_text().count('class="lane"') == 4
    assert left(stack) == []


@pytest.mark.night
def test_a_kill_is_seen(stack: Stack) -> None:
    """What ends the server under the call is told and makes the exit status 1, though everybody comes back."""
    assert_seen(ended_under_a_call(stack, [signal.SIGKILL]), "interrupted", dropped=0)


def test_the_measurement_bites(stack: Stack) -> None:
    """A second signal sends people away, which is told as a drop and makes the exit status 1."""
    # The word to leave races with the end of the server: where nobody hears it, all come back, and that is told too.
    for _ in range(ATTEMPTS):
        found = ended_under_a_call(stack, [signal.SIGTERM, signal.SIGTERM])
        if found["calls_dropped"]:
            break
        assert_seen(found, "interrupted", dropped=0)
    assert_seen(found, "dropped", dropped=1)


def ended_under_a_call(stack: Stack, signals: list[signal.Signals]) -> dict[str, Any]:
    """What `hlu verify` says of a call whose server is ended."""
    pid = stack.identities()[MEDIA][0]
    with verifying(stack, until="an undisturbed stretch") as run:
        for number in signals:
            os.kill(pid, number)
            time.sleep(0.3)  # two of a kind that are pending are one
        out, err = run.communicate(timeout=60)
    assert run.returncode == 1, out + err
    found: dict[str, Any] = json.loads(out)
    unit = found["units"][0]
    assert (unit["instance"], unit["pid_before"] == pid, unit["pid_after"] == pid) == (MEDIA, True, False)
    assert left(stack) == []
    return found


def assert_seen(found: dict[str, Any], fate: str, *, dropped: int) -> None:
    """It is told what became of the call and of each in it."""
    assert (found["well"], found["calls_dropped"]) == (False, dropped)
    for person in found["participants"]:
        assert person[fate], person
        assert person["longest_gap_ms"] > 250
        assert person["gaps"]
        assert person["gaps"][0]["at_s"] > 4.0
    assert found["because"]


@pytest.mark.night
def test_others_in_calls_are_left_alone(stack: Stack) -> None:
    """Refused beside them; where it is accepted, they hear nothing of it."""
    with Call() as call:
        call.start([stack.seat(name, "others") for name in ("alice", "bob")])
        call.listen(2.5)
        refused = stack.hlu("verify", "--crash-supervisor", "1")
        assert refused.returncode == 6
        assert refused.stderr.startswith(f"cannot verify beside calls: on {MEDIA}: 2 people in 1 room\n")
        assert "--beside-calls" in refused.stderr
        call.mark("beside")
        accepted = stack.hlu("verify", "--baseline", "3", "--beside-calls", "--ensure-storm", "4", "--json")
        assert well(accepted)["calls"] == 1
        reports = call.report()
    assert [(report.disconnects, report.reconnects, report.unheard) for report in reports] == [(0, 0, ())] * 2


@pytest.mark.night
def test_an_upgrade_that_would_cut_people_off_is_told_and_undone(
    stack: Stack, livekit_servers: dict[str, Path]
) -> None:
    """What ensure refuses is the report; media.toml is what it was, to the byte and the link."""
    have(stack, livekit_servers, "1.13.3")
    before, units = stack.places.settings_file.read_bytes(), stack.identities()
    run = stack.hlu("verify", "--baseline", "3", "--upgrade", "1.13.3,1.13.5", "--json")
    assert run.returncode == 1, run.stdout + run.stderr
    found = json.loads(run.stdout)
    assert (found["calls_dropped"], found["well"]) == (0, False)
    assert not found["calls_interrupted"] or busy(found)
    first, second = found["stages"]
    assert first["because"].startswith(f"refused: {MEDIA}: release 1.13.5-r1 runs, but that would cut off 2 people")
    assert second["because"] == "not tried, as 1.13.3-r1 was not reached"
    assert "not as asked: upgrade to 1.13.3-r1 (refused: " in found["sentence"]
    assert found["restored"] == {"settings": True, "converged": True, "because": ""}
    assert stack.places.settings_file.read_bytes() == before
    assert stack.identities() == units
    assert left(stack) == []


@pytest.mark.night
def test_an_upgrade_that_nobody_notices(stack: Stack, livekit_servers: dict[str, Path]) -> None:
    """By the other slot: the call goes on where it is, what is wanted runs, and in the end what the user had."""
    have(stack, livekit_servers, "1.13.3", two_slots=True)
    before, units = stack.places.settings_file.read_bytes(), stack.identities()
    run = stack.hlu("verify", "--baseline", "3", "--upgrade", "1.13.3", "--json")
    found = json.loads(run.stdout)
    assert found["calls_dropped"] == 0, run.stdout + run.stderr
    assert [(stage["done"], stage["because"]) for stage in found["stages"]] == [(1, "")], run.stdout
    assert [(person["disconnects"], person["reconnects"]) for person in found["participants"]] == [(0, 0)] * 2
    assert run.returncode == 0 or busy(found), run.stdout + run.stderr
    assert found["restored"] == {"settings": True, "converged": True, "because": ""}
    assert stack.places.settings_file.read_bytes() == before
    assert stack.servers() in ({"a": "1.13.5-r1"}, {"b": "1.13.5-r1"})
    assert stack.identities()["lk-backend"] == units["lk-backend"]
    assert left(stack) == []


@pytest.mark.night
def test_interrupted_it_puts_everything_back(stack: Stack, livekit_servers: dict[str, Path]) -> None:
    """Ctrl-C, twice, in the middle of an upgrade that lets people reconnect: what ran before runs again."""
    have(stack, livekit_servers, "1.13.3")
    before = stack.places.settings_file.read_bytes()
    arguments = ("--baseline", "3", "--upgrade", "1.13.3", "--allow-reconnect")
    with verifying(stack, *arguments, until="swap ") as run:
        run.send_signal(signal.SIGINT)
        assert run.stderr is not None
        for line in run.stderr:
            if line.startswith("cleaning up"):
                run.send_signal(signal.SIGINT)
                break
        err = run.stderr.read()
        assert run.stdout is not None
        assert (run.wait(60), run.stdout.read()) == (130, ""), err
    assert "it is being cleaned up" in err
    assert "Traceback" not in err
    assert stack.places.settings_file.read_bytes() == before
    seen = stack.media.status().instance(MEDIA)
    assert (seen.release, seen.verdict) == ("1.13.5-r1", "healthy")
    assert left(stack) == []


def test_interrupted_it_leaves_no_host_without_a_supervisor(stack: Stack) -> None:
    """SIGTERM, just when it has killed hero_proc."""
    victim = server_of(str(stack.places.socket("hero_proc")))
    assert victim is not None
    with verifying(stack, "--baseline", "3", "--crash-supervisor", "1", until="1 supervisor crash") as run:
        stack.until("hero_proc is gone", lambda: not is_alive(victim))
        run.send_signal(signal.SIGTERM)
        out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (130, ""), err
    seen = stack.media.status()
    assert seen.supervisor.verdict == "healthy"
    assert seen.supervisor.process not in {None, victim}
    assert left(stack) == []


@pytest.mark.night
def test_an_upgrade_that_is_kept(stack: Stack, livekit_servers: dict[str, Path]) -> None:
    """People reconnect, which was accepted and is told all the same; the release stays, in media.toml too."""
    have(stack, livekit_servers, "1.13.3")
    before = stack.places.settings_file.read_text()
    arguments = ("--baseline", "3", "--upgrade", "1.13.3", "--allow-reconnect", "--keep", "--json")
    run = stack.hlu("verify", *arguments)
    assert run.returncode == 1, run.stdout + run.stderr
    found = json.loads(run.stdout)
    assert (found["calls_dropped"], found["calls_interrupted"], found["participants_reconnected"]) == (0, 1, 2)
    assert [(stage["done"], stage["because"]) for stage in found["stages"]] == [(1, "")]
    assert (found["units"][0]["release_before"], found["units"][0]["release_after"]) == ("1.13.5-r1", "1.13.3-r1")
    assert found["restored"] is None
    assert stack.places.settings_file.read_text() != before
    assert stack.media.settings().livekit.version == "1.13.3-r1"
    assert stack.media.status().instance(MEDIA).release == "1.13.3-r1"
    assert left(stack) == []


@pytest.mark.night
def test_a_control_plane_that_something_starts_again(stack: Stack) -> None:
    """Refused, as nobody knows that it comes back; named, it is killed, and waited for until it is there again."""
    plane = stack.start_plane()
    refused = stack.hlu("verify", "--crash-control-plane", "1")
    assert refused.returncode == 6
    assert refused.stderr.startswith(f"cannot kill the control plane: pid {plane.pid} runs")
    assert plane.poll() is None

    def keep_running() -> None:
        plane.wait()
        stack.start_plane()

    keeper = threading.Thread(target=keep_running, daemon=True)
    keeper.start()
    run = stack.hlu("verify", "--baseline", "3", "--crash-control-plane", "1", "--kill-running-plane", "--json")
    keeper.join(30)
    assert plane.returncode == -signal.SIGKILL
    assert well(run)["stages"][0]["done"] == 1
    again = server_of(str(stack.places.socket("hero_livekit")))
    assert again is not None
    assert again.pid != plane.pid


def have(stack: Stack, servers: dict[str, Path], version: str, *, two_slots: bool = False) -> None:
    """Have another release on this host, without asking for it."""
    assert stack.hlu("unset", "livekit.ports.debug").returncode == 0
    assert stack.hlu("set", "livekit.two_slots", "true" if two_slots else "false").returncode == 0
    text = stack.places.settings_file.read_bytes()
    assert stack.hlu("set", "livekit.version", version).returncode == 0
    assert stack.hlu("install", "--livekit-server", str(servers[version])).returncode == 0
    stack.places.settings_file.write_bytes(text)
    assert stack.hlu("ensure").returncode == 0
