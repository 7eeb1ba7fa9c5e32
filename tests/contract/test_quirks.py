"""The faults that the embedded hero_proc can have, and what is true of the media under a supervisor that has them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.embedded import command, quirks
from hero_livekit_units.embedded.quirks import Quirk
from hero_livekit_units.errors import RegistryRefused
from hero_livekit_units.model.ability import Ability
from hero_livekit_units.model.observed import ProcessId, Verdict
from hero_livekit_units.procfs import start_time_of
from tests.calls.stack import Stack
from tests.embedded.running import ROOT, Daemon, child, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RETRY_LATE = {"delay_ms": 60_000, "max_delay_ms": 60_000}


@pytest.fixture
def daemon(short_folder: Path, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """A daemon with one fault."""
    found = Daemon(short_folder)
    found.arguments = ("--quirks", request.param)
    found.start() if request.param != Quirk.ERRORS else _start_in_vain(found)
    yield found
    found.clean_up()


def _start_in_vain(daemon: Daemon) -> None:
    daemon.process = daemon.launch()
    until(lambda: os.path.exists(daemon.socket), "it listens")  # noqa: PTH110


def having(*names: Quirk) -> pytest.MarkDecorator:
    """A daemon that has these."""
    return pytest.mark.parametrize("daemon", names, indirect=True)


def test_the_command_line_names_all() -> None:
    """It may not import them to do so."""
    assert tuple(Quirk) == command.QUIRKS


@pytest.mark.servers
def test_a_fault_of_no_name_is_refused(short_folder: Path) -> None:
    """And what there is, is said."""
    run = subprocess.run(
        [
            *(sys.executable, "-m", "hero_livekit_units.embedded", "--quirks", "errors,eats-cheese"),
            *("--socket", str(short_folder / "s"), "--state", str(short_folder / "d")),
        ],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "'eats-cheese' is none of errors, green-while-dead" in run.stderr


@pytest.mark.servers
@having(Quirk.ERRORS)
def test_every_call_is_an_error(daemon: Daemon) -> None:
    """Whichever."""
    for method in ("system.ping", "service.list", "secret.list"):
        with pytest.raises(RegistryRefused, match="database is locked"):
            daemon.call(method)


@pytest.mark.servers
@having(Quirk.GREEN_WHILE_DEAD)
def test_what_is_dead_is_green(daemon: Daemon) -> None:
    """Until it lives again, or is stopped."""
    daemon.keep("s", "sleep 1000", retry_policy=RETRY_LATE)
    pid = daemon.job("s")["pid"]
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.3)
    assert (daemon.state_of("s"), daemon.job("s")["pid"]) == ("running", pid)
    daemon.call("service.stop", name="s")
    daemon.until_state("s", "inactive")


@pytest.mark.servers
@having(Quirk.RED_WHILE_ALIVE)
def test_what_lives_is_red(daemon: Daemon) -> None:
    """From the next life of the daemon on."""
    daemon.keep("s", "sleep 1000")
    pid = daemon.job("s")["pid"]
    assert daemon.state_of("s") == "running"
    daemon.restart()
    assert (daemon.state_of("s"), daemon.job("s")["pid"]) == ("failed", None)
    assert daemon.copies() == [pid]


@pytest.mark.servers
@having(Quirk.SET_RESTARTS)
def test_what_is_set_is_restarted(daemon: Daemon) -> None:
    """Even with the same."""
    daemon.keep("s", "sleep 1000")
    pid = daemon.job("s")["pid"]
    daemon.call("service.set", service={"name": "s", "actions": ["s"], "status": "start"})
    until(lambda: daemon.copies() not in ([pid], []), "another process runs")


@pytest.mark.servers
@having(Quirk.STOP_WINDOW)
def test_no_window_is_kept(daemon: Daemon) -> None:
    """What has a short one lives on, for half a minute."""
    daemon.keep("s", child("count", daemon.folder / "signals"), stop_timeout_ms=100)
    until((daemon.folder / "signals").exists, "it heeds signals")
    pid = daemon.job("s")["pid"]
    daemon.call("service.stop", name="s")
    time.sleep(1.0)
    assert daemon.copies() == [pid]


@pytest.mark.servers
@pytest.mark.night
@having(Quirk.STOP_WINDOW)
def test_what_ends_slowly_is_killed(daemon: Daemon) -> None:
    """What is asked to end, when the half minute is over, however long its own window is."""
    daemon.keep("s", child("count", daemon.folder / "signals"), stop_timeout_ms=3_600_000, stop_kill=False)
    until((daemon.folder / "signals").exists, "it heeds signals")
    daemon.call("service.stop", name="s")
    time.sleep(quirks.STOP_WINDOW_MS / 1000 - 1.0)
    assert len(daemon.copies()) == 1
    until(lambda: not daemon.copies(), "it is killed")


# -- the media under them


class QuirkyStack(Stack):
    """A host whose hero_proc has a fault."""

    quirk: Quirk | None

    def start_hero_proc(self) -> ProcessId:
        """In the foreground of the test."""
        command_line = [sys.executable, "-m", "hero_livekit_units.embedded"]
        command_line += ["--quirks", self.quirk] if self.quirk else []
        command_line += ["--socket", str(self.places.socket("hero_proc")), "--state", str(self.places.hero_proc)]
        with (self.root / "hero_proc.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                command_line, env=self.environment | {"PYTHONPATH": str(ROOT)}, stderr=log, start_new_session=True
            )
        self.until("hero_proc answers", lambda: self.media.status().supervisor.verdict is Verdict.HEALTHY)
        started = start_time_of(self._daemon.pid)
        assert started is not None
        return ProcessId(self._daemon.pid, started)

    def kill_hero_proc(self) -> None:
        """`kill -9`."""
        self._daemon.kill()
        self._daemon.wait()

    def close(self) -> None:
        """Its next life has no fault, and can end what runs. It was started here, so it is waited for here."""
        self.quirk = None
        self.kill_hero_proc()
        self.start_hero_proc()
        super().close()
        self._daemon.wait()


class RedStack(QuirkyStack):
    """What runs is said to have failed."""

    quirk = Quirk.RED_WHILE_ALIVE


class GreenStack(QuirkyStack):
    """What has ended is said to run."""

    quirk = Quirk.GREEN_WHILE_DEAD


@pytest.fixture
def stack(livekit_server: Path, request: pytest.FixtureRequest) -> Iterator[QuirkyStack]:
    """A host with such a hero_proc."""
    running: QuirkyStack = request.param(livekit_server)
    try:
        running.start_hero_proc()
        yield running
    finally:
        running.close()


@pytest.mark.servers
@pytest.mark.parametrize("stack", [RedStack], indirect=True)
def test_media_that_are_said_to_have_failed_are_left_alone(stack: QuirkyStack) -> None:
    """They are healthy by the kernel's word; nothing is started beside them, and what is wrong is said."""
    assert stack.media.ensure().converged
    before = {seen.spec.instance: seen.process and seen.process.id for seen in stack.media.status().instances}
    stack.kill_hero_proc()
    stack.start_hero_proc()
    for _ in range(2):
        receipt = stack.media.ensure()
        assert not [step for step in receipt.done if step.step.action in {"start", "restart", "kill", "swap"}]
    seen = stack.media.status().instances
    assert {one.spec.instance: one.process and one.process.id for one in seen} == before
    assert [one.verdict for one in seen] == [Verdict.HEALTHY] * 2
    assert all("the supervisor says failed instead" in one.because for one in seen), [one.because for one in seen]


class SetStack(QuirkyStack):
    """What is registered anew is restarted."""

    quirk = Quirk.SET_RESTARTS


@pytest.mark.servers
@pytest.mark.parametrize("stack", [SetStack], indirect=True)
def test_media_that_are_restarted_by_their_registration(stack: QuirkyStack) -> None:
    """A change in their place comes to its end when nobody is in a call, however often they are restarted for it."""
    assert Ability.SET_LEAVES_ALONE in stack.media.doctor().lacks
    assert stack.media.ensure().converged
    stack.media.set("livekit.two_slots", "false")
    stack.media.set("livekit.log_level", "debug")
    assert [choice.way for choice in stack.media.plan().choices] == [None]  # it is young yet
    stack.until("it runs as wanted", lambda: stack.media.ensure().converged)
    assert [one.verdict for one in stack.media.status().instances] == [Verdict.HEALTHY] * 2
    assert stack.media.plan().converged


@pytest.mark.servers
@pytest.mark.parametrize("stack", [GreenStack], indirect=True)
def test_media_that_are_said_to_run_are_not_taken_for_alive(stack: QuirkyStack) -> None:
    """A dead one is seen to be dead at once, and is there again after an `ensure`."""
    assert stack.media.ensure().converged
    before = stack.media.status().instance("livekit-server@a").process
    assert before is not None
    os.kill(before.id.pid, signal.SIGSTOP)  # until it is looked at: it would be there again too soon
    assert stack.media.status().instance("livekit-server@a").verdict is Verdict.UNHEALTHY
    os.kill(before.id.pid, signal.SIGKILL)
    stack.until("it is there again", lambda: stack.media.ensure().converged)
    after = stack.media.status().instance("livekit-server@a")
    assert after.process is not None
    assert (after.verdict, after.process.id != before.id) == (Verdict.HEALTHY, True)
