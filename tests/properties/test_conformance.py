"""What the host in memory does is what real programs do: the same steps, and the same expectations, on both."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.definitions.render import file_text
from hero_livekit_units.execute.files import write_atomically
from hero_livekit_units.livekit.desired import desired_specs
from hero_livekit_units.livekit.keys import ensure_secrets
from hero_livekit_units.model.observed import Entry, EntryState, ProcessId
from hero_livekit_units.model.settings import LivekitSettings, Settings
from hero_livekit_units.observe.kernel import is_alive, see_process
from hero_livekit_units.registry.hero_proc import HeroProcRegistry
from tests.calls.media import free_ports
from tests.embedded.running import Daemon
from tests.properties.world import Host, ModelRegistry, desired
from tests.servers import KEPT, built_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.registry.port import Registry

DEADLINE_S = 20.0


class Model:
    """The host in memory."""

    def __init__(self) -> None:
        self.host = Host(steering=False)
        self.registry: Registry = ModelRegistry(self.host)
        self.spec: LaunchSpec = next(iter(desired("1.13.5-r1", steering=False).media.values()))

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.host.advance(seconds)

    def alive(self, process: ProcessId) -> bool:
        """Whether a process lives."""
        found = self.host.kernel(process.pid)
        return found is not None and found.id == process

    def launch_digest(self, process: ProcessId) -> str:
        """The mark that a process carries."""
        spec = self.host.processes[process.pid].spec
        return spec.launch_digest if spec else ""

    def kill(self, process: ProcessId) -> None:
        """SIGKILL from outside."""
        self.host.kill_process(self.host.processes[process.pid])

    def kill_supervisor(self) -> None:
        """`kill -9`."""
        self.host.supervisor_dies(None)

    def start_supervisor(self) -> None:
        """Start it again."""
        self.host.supervisor_returns()

    def take_port(self) -> None:
        """Another program holds the port of the server."""
        self.host.stranger(self.spec.port("http"))

    def close(self) -> None:
        """Nothing is left over."""


class Real:
    """The embedded hero_proc with a real livekit-server of its own."""

    def __init__(self) -> None:
        built_server()
        self.root = Path(tempfile.mkdtemp(prefix="hp"))
        self.daemon = Daemon(self.root)
        self.daemon.start()
        self.registry: Registry = HeroProcRegistry(self.daemon.socket)
        http, rtc_tcp, rtc_udp, prometheus, debug = free_ports(5)
        ports = {"http": http, "rtc_tcp": rtc_tcp, "rtc_udp": rtc_udp, "prometheus": prometheus, "debug": debug}
        home = self.root / "home"
        home.mkdir()
        (home / "bin").symlink_to(KEPT)
        wanted = Settings(livekit=LivekitSettings(version="1.13.5-r1", ports=ports))
        found = desired_specs(shipped_catalog(), wanted, home=str(home), python="/usr/bin/python3")
        self.spec: LaunchSpec = next(spec for spec in found if spec.carries_calls)
        secrets = ensure_secrets(self.registry)
        for file in self.spec.files:
            write_atomically(Path(file.path), file_text(file, secrets), file.mode)
        Path(self.spec.folder).mkdir(parents=True, exist_ok=True)
        self._holder = socket.socket()

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    def alive(self, process: ProcessId) -> bool:
        """Whether a process lives."""
        return is_alive(process)

    def launch_digest(self, process: ProcessId) -> str:
        """The mark that a process carries."""
        seen = see_process(process.pid)
        return seen.launch_digest if seen else ""

    def kill(self, process: ProcessId) -> None:
        """SIGKILL from outside."""
        os.kill(process.pid, signal.SIGKILL)

    def kill_supervisor(self) -> None:
        """`kill -9`."""
        self.daemon.crash()

    def start_supervisor(self) -> None:
        """Start it again."""
        self.daemon.start()

    def take_port(self) -> None:
        """Another program holds the port of the server."""
        self._holder.bind(("127.0.0.1", self.spec.port("http").number))
        self._holder.listen()

    def close(self) -> None:
        """End all of it."""
        self._holder.close()
        self.daemon.clean_up()
        shutil.rmtree(self.root, ignore_errors=True)


Bench = Model | Real


@pytest.fixture(params=["model", pytest.param("real", marks=pytest.mark.servers)])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """One of both, with a livekit-server that is registered and not started."""
    made: Bench = Model() if request.param == "model" else Real()
    try:
        assert made.registry.register(made.spec)
        yield made
    finally:
        made.close()


def entry(bench: Bench) -> Entry:
    """What the supervisor says of the server."""
    found = bench.registry.survey([bench.spec.instance]).entries
    assert found is not None
    return found[bench.spec.instance]


def until(bench: Bench, reached: Callable[[], Any], what: str) -> None:
    """Let time pass until something is so."""
    for _ in range(round(DEADLINE_S / 0.02)):
        if reached():
            return
        bench.pass_time(0.02)
    raise AssertionError(f"in vain: {what}: {entry(bench)}")


def started(bench: Bench, *, age_s: float = 0.5) -> ProcessId:
    """The process, some time after its start."""
    bench.registry.start(bench.spec.instance)
    until(bench, lambda: entry(bench).process, "it has a process")
    bench.pass_time(age_s)
    process = entry(bench).process
    assert process is not None
    return process


def test_registering_starts_and_restarts_nothing(bench: Bench) -> None:
    """Neither the first time, nor again; it is wanted from then on."""
    assert (entry(bench).state, entry(bench).process, entry(bench).wanted) == (EntryState.STOPPED, None, True)
    process = started(bench)
    assert not bench.registry.register(bench.spec)
    assert entry(bench).process == process


def test_a_second_start_does_nothing(bench: Bench) -> None:
    """The process is the same."""
    process = started(bench)
    bench.registry.start(bench.spec.instance)
    bench.pass_time(0.3)
    assert (entry(bench).process, entry(bench).state) == (process, EntryState.RUNNING)


def test_who_is_killed_and_wanted_comes_back(bench: Bench) -> None:
    """As another process, after the back-off."""
    process = started(bench)
    bench.kill(process)
    until(bench, lambda: entry(bench).process not in {None, process}, "it has another process")
    assert (entry(bench).restarts, entry(bench).wanted) == (1, True)


def test_an_idle_one_ends_by_one_signal_when_it_is_old_enough(bench: Bench) -> None:
    """Asked twice, too early: the signal waits, is sent once, and it ends."""
    process = started(bench, age_s=0.2)
    bench.registry.stop(bench.spec.instance)
    bench.registry.stop(bench.spec.instance)
    assert (entry(bench).state, bench.alive(process)) == (EntryState.STOPPING, True)
    until(bench, lambda: entry(bench).state is EntryState.STOPPED, "it has ended")
    assert not bench.alive(process)
    bench.pass_time(0.5)
    assert entry(bench).process is None


def test_a_supervisor_that_was_killed_finds_it_again(bench: Bench) -> None:
    """While it is away nothing can be said; the process lives through it, and is the same."""
    process = started(bench)
    bench.kill_supervisor()
    assert bench.registry.survey([bench.spec.instance]).entries is None
    assert bench.alive(process)
    bench.start_supervisor()
    assert (entry(bench).process, entry(bench).state) == (process, EntryState.RUNNING)


def test_what_is_only_registered_starts_with_the_next_supervisor(bench: Bench) -> None:
    """It is wanted, and has no process."""
    bench.kill_supervisor()
    bench.start_supervisor()
    until(bench, lambda: entry(bench).process, "it has a process")


def test_a_port_that_is_taken_ends_it_with_status_0(bench: Bench) -> None:
    """Which is a failure, with its reason, and it is tried again."""
    bench.take_port()
    bench.registry.start(bench.spec.instance)
    until(bench, lambda: "address already in use" in entry(bench).last_error, "the reason is told")
    assert "status 0" in entry(bench).last_error
    until(bench, lambda: entry(bench).restarts, "it is tried again")


def test_a_start_at_once_after_a_kill_brings_it_back(bench: Bench) -> None:
    """Whether or not the supervisor has seen the end by then."""
    process = started(bench)
    bench.registry.kill(bench.spec.instance)
    bench.registry.start(bench.spec.instance)
    until(bench, lambda: entry(bench).process not in {None, process}, "it has another process")


def test_a_restart_brings_what_is_registered(bench: Bench) -> None:
    """Another process, after the end of the first."""
    process = started(bench, age_s=1.2)
    bench.registry.restart(bench.spec.instance)
    until(bench, lambda: entry(bench).process not in {None, process}, "it has another process")
    assert not bench.alive(process)


def test_a_life_after_a_bad_end_is_what_the_first_one_was(bench: Bench) -> None:
    """What was registered meanwhile counts only when somebody starts or restarts it."""
    process = started(bench)
    bench.registry.register(attrs.evolve(bench.spec, digest="e" * 16, launch_digest="e" * 16))
    bench.kill(process)
    until(bench, lambda: entry(bench).process not in {None, process}, "it has another process")
    bench.pass_time(1.2)
    back = entry(bench).process
    assert back is not None
    assert bench.launch_digest(back) == bench.spec.launch_digest
    assert entry(bench).launch_digest == "e" * 16
    bench.registry.restart(bench.spec.instance)
    until(bench, lambda: entry(bench).process not in {None, back}, "it has another process")
    bench.pass_time(0.3)
    new = entry(bench).process
    assert new is not None
    assert bench.launch_digest(new) == "e" * 16
