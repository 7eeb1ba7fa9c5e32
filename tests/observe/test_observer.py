"""The whole look at real processes: who is found, who is not taken for it, and how long it takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from hero_livekit_units.definitions.render import file_text
from hero_livekit_units.execute.files import write_atomically
from hero_livekit_units.livekit.desired import desired_specs
from hero_livekit_units.livekit.keys import ensure_secrets
from hero_livekit_units.model.observed import Entry, EntryState, InstanceSeen, ProcessId, Verdict
from hero_livekit_units.model.settings import LivekitSettings, Settings
from hero_livekit_units.observe.kernel import see_process
from hero_livekit_units.observe.observer import Observer
from hero_livekit_units.registry.hero_proc import HeroProcRegistry
from tests.fakes.registry import MemoryRegistry
from tests.fakes.socket_peer import BEHAVIOURS, SocketPeer

if TYPE_CHECKING:
    from collections.abc import Callable

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.launch import LaunchSpec

    LaunchUnit = Callable[..., subprocess.Popen[bytes]]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def spec(catalog: Catalog, tmp_path: Path, free_port: Callable[[], int]) -> LaunchSpec:
    """The media unit on free ports, old enough to be ready."""
    ports = {name: free_port() for name in ("http", "rtc_tcp", "rtc_udp", "prometheus", "debug")}
    media, _ = desired_specs(
        catalog, Settings(livekit=LivekitSettings(ports=ports)), home=str(tmp_path), python=sys.executable
    )
    return attrs.evolve(media, restart=attrs.evolve(media.restart, ready_within_s=0.0))


def words(spec: LaunchSpec) -> list[str]:
    """What the fake unit has to listen on."""
    return [f"{port.protocol}:{'0.0.0.0' if port.bind == '*' else port.bind}:{port.number}" for port in spec.ports]


def registered(spec: LaunchSpec, pid: int, **changes: Any) -> MemoryRegistry:
    """A supervisor that says it runs the spec as this process."""
    seen = see_process(pid)
    assert seen is not None
    registry = MemoryRegistry()
    running = Entry(spec.instance, True, EntryState.RUNNING, seen.id, spec.digest, spec.launch_digest)  # noqa: FBT003
    registry.entries[spec.instance] = attrs.evolve(running, **changes)
    return registry


def look(registry: Any, spec: LaunchSpec, *, deadline_s: float = 1.0) -> InstanceSeen:
    """One look at one instance."""
    return Observer(registry, deadline_s=deadline_s).observe([spec]).instances[0]


def test_marks_stand_in_for_a_start_time_that_the_supervisor_does_not_give(
    spec: LaunchSpec, launch_unit: LaunchUnit
) -> None:
    """Pid and marks together are as good; a pid without them is somebody else's."""
    marked = launch_unit(*words(spec), marks=spec.environment).pid
    assert look(registered(spec, marked, process=ProcessId(marked, 0)), spec).owned
    assert not look(registered(spec, marked, process=ProcessId(os.getpid(), 0)), spec).owned


def test_a_healthy_unit(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """Everybody agrees: it is ours, on its ports, it answers, and its calls are counted."""
    pid = launch_unit(*words(spec), marks=spec.environment).pid
    found = look(registered(spec, pid), spec)
    assert (found.verdict, found.because) == (Verdict.HEALTHY, f"pid {pid} answers")
    assert found.owned
    assert found.calls is not None
    assert (found.calls.rooms, found.calls.people) == (0, 0)
    assert {port.owner_pid for port in found.ports} == {pid}
    assert {evidence.speaks_for for evidence in found.evidence} == {True}
    assert [evidence.witness.split(" ")[0] for evidence in found.evidence] == [
        "supervisor",
        "kernel",
        *["port"] * 5,
        *["probe"] * 2,
        "calls",
    ]


def with_ports(spec: LaunchSpec, **numbers: int) -> LaunchSpec:
    """The spec as another media.toml would make it, with other numbers for some ports, and so another launch."""
    ports = {port.name: attrs.evolve(port, number=numbers.get(port.name, port.number)) for port in spec.ports}
    return attrs.evolve(
        spec,
        ports=tuple(ports.values()),
        probes=tuple(attrs.evolve(probe, port=ports[probe.port.name]) for probe in spec.probes),
        calls=tuple((source, ports[port.name]) for source, port in spec.calls),
        launch_digest="0" * 16,
    )


def test_a_unit_that_was_launched_with_other_ports(
    spec: LaunchSpec, launch_unit: LaunchUnit, free_port: Callable[[], int]
) -> None:
    """It is looked at where it is: a changed media.toml makes nobody unhealthy."""
    pid = launch_unit(*words(spec), marks=spec.environment).pid
    wanted = with_ports(spec, http=free_port(), debug=free_port())
    found = look(registered(spec, pid), wanted)
    assert (found.verdict, found.because) == (Verdict.HEALTHY, f"pid {pid} answers")
    assert (found.spec, found.in_the_way) == (wanted, ())
    assert {seen.port.number for seen in found.ports} == {port.number for port in spec.ports}
    assert found.calls is not None
    assert found.calls.people == 0


def test_a_port_of_another_release_is_not_missed(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """A release that has no /debug/rooms is healthy without it, and its calls are counted elsewhere."""
    older = attrs.evolve(spec, ports=tuple(port for port in spec.ports if port.name != "debug"))
    pid = launch_unit(*words(older), marks=older.environment).pid
    found = look(registered(spec, pid), attrs.evolve(spec, launch_digest="0" * 16))
    assert found.verdict is Verdict.HEALTHY
    assert found.calls is not None
    assert "debug" not in found.calls.source


def test_a_stranger_on_a_port_that_is_wanted_next(
    spec: LaunchSpec, launch_unit: LaunchUnit, free_port: Callable[[], int]
) -> None:
    """What runs is healthy; that its successor could not start is told beside it."""
    pid = launch_unit(*words(spec), marks=spec.environment).pid
    wanted = with_ports(spec, debug=free_port())
    stranger = launch_unit(f"tcp:127.0.0.1:{wanted.port('debug').number}").pid
    found = look(registered(spec, pid), wanted)
    assert found.verdict is Verdict.HEALTHY
    assert [(seen.port.name, seen.owner_pid) for seen in found.in_the_way] == [("debug", stranger)]


def test_the_supervisor_is_away(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """The process is found by its ports and the marks in its environment, and it serves."""
    pid = launch_unit(*words(spec), marks=spec.environment).pid
    registry = MemoryRegistry()
    registry.answers = False
    found = look(registry, spec)
    assert (found.verdict, found.because) == (
        Verdict.HEALTHY,
        f"pid {pid} answers; the supervisor cannot be asked",
    )
    assert not found.owned
    assert found.evidence[0].speaks_for is None


def test_a_supervisor_that_hangs_leaves_the_others_their_time(
    spec: LaunchSpec, launch_unit: LaunchUnit, short_folder: Path
) -> None:
    """A stopped hero_proc uses up its own part of the time and no more: the media are still seen healthy."""
    pid = launch_unit(*words(spec), marks=spec.environment).pid
    with SocketPeer(short_folder / "s", BEHAVIOURS["silent"]) as peer:
        began = time.monotonic()
        found = look(HeroProcRegistry(peer.path), spec)
        took_s = time.monotonic() - began
    assert (found.verdict, found.because) == (
        Verdict.HEALTHY,
        f"pid {pid} answers; the supervisor cannot be asked",
    )
    assert took_s < 1.3


def test_the_supervisor_has_lost_it(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """An orphan that serves is healthy, and the drift is told."""
    pid = launch_unit(*words(spec), marks=spec.environment).pid
    found = look(MemoryRegistry(), spec)
    assert (found.verdict, found.because) == (
        Verdict.HEALTHY,
        f"pid {pid} answers; the supervisor does not know it",
    )


def test_the_supervisor_says_failed(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """What serves calls is healthy whatever the supervisor says."""
    pid = launch_unit(*words(spec), marks=spec.environment).pid
    found = look(registered(spec, pid, state=EntryState.FAILED, process=None), spec)
    assert (found.verdict, found.because) == (
        Verdict.HEALTHY,
        f"pid {pid} answers; the supervisor says failed instead",
    )


def test_a_stranger_on_a_port(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """It answers our probe, yet it is not ours: named with pid and command, never asked, never healthy."""
    http = spec.port("http").number
    pid = launch_unit(f"tcp:127.0.0.1:{http}").pid
    found = look(MemoryRegistry(), spec)
    assert found.verdict is Verdict.FOREIGN
    assert found.because.startswith(f"port {http} (http) is held by pid {pid} ({sys.executable}")
    assert f"unit.py tcp:127.0.0.1:{http}" in found.because
    assert found.process is None
    assert {probe.says.partition(": ")[2] for probe in found.probes} == {"not asked, as the port is not ours"}


def test_a_stranger_with_the_marks_of_another_slot(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """Slot b on the ports of slot a is as foreign as anybody."""
    launch_unit(*words(spec), marks=spec.environment | {"HLU_SLOT": "b"})
    assert look(MemoryRegistry(), spec).verdict is Verdict.FOREIGN


def test_ours_and_a_stranger_on_two_ports(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """One port of ours, one of somebody else's: the stranger is what has to be told."""
    debug, *rest = words(spec)
    assert debug.endswith(str(spec.port("debug").number))
    ours = launch_unit(*rest, marks=spec.environment).pid
    stranger = launch_unit(debug).pid
    found = look(registered(spec, ours), spec)
    assert found.verdict is Verdict.FOREIGN
    assert f"(debug) is held by pid {stranger}" in found.because
    assert {probe.says.partition(": ")[2] for probe in found.probes} == {"not asked, as the port is not ours"}
    assert found.calls is not None
    assert (found.calls.people, found.calls.source) == (None, "not asked")


def test_the_same_port_on_another_address_is_not_in_the_way(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """A neighbour on 127.0.0.2 does not hold our 127.0.0.1."""
    launch_unit(f"tcp:127.0.0.2:{spec.port('http').number}")
    assert look(MemoryRegistry(), spec).verdict is Verdict.STOPPED


def test_a_reused_pid(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """The supervisor's pid is now somebody else's: the process that was meant is gone."""
    pid = launch_unit("tcp:127.0.0.1:0").pid
    registry = registered(spec, pid, process=ProcessId(pid, 1))
    found = look(registry, spec)
    assert found.process is None
    assert (found.verdict, found.because) == (
        Verdict.UNHEALTHY,
        "it ended by itself and the supervisor is starting it again",
    )


def test_a_stopped_unit_is_not_taken_for_dead(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """SIGSTOP: its ports accept and never answer. It is alive, suspended, and the look stays within its time."""
    unit = launch_unit(*words(spec), marks=spec.environment)
    registry = registered(spec, unit.pid)
    unit.send_signal(signal.SIGSTOP)
    ends = time.monotonic() + 5.0
    while not ((process := see_process(unit.pid)) and process.suspended):
        assert time.monotonic() < ends
        time.sleep(0.005)
    began = time.monotonic()
    found = look(registry, spec, deadline_s=0.3)
    assert time.monotonic() - began < 0.8
    assert (found.verdict, found.because) == (
        Verdict.UNHEALTHY,
        f"pid {unit.pid} is suspended (stopped by a signal)",
    )
    assert found.calls is not None
    assert found.calls.people is None
    unit.send_signal(signal.SIGCONT)
    # A process wakes at its own pace, with callers of before still in its queue.
    while look(registry, spec).verdict is not Verdict.HEALTHY:
        assert time.monotonic() < ends


def test_a_slow_unit_is_unknown(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """It accepts and does not answer before the look is over: not healthy, not unhealthy, and calls are not 0."""
    pid = launch_unit("--silent", *words(spec), marks=spec.environment).pid
    began = time.monotonic()
    found = look(registered(spec, pid), spec, deadline_s=0.4)
    assert time.monotonic() - began < 0.9
    ready = f"GET / on port {spec.port('http').number}: no answer within 0.4 s"
    assert (found.verdict, found.because) == (Verdict.UNKNOWN, ready)
    assert found.calls is not None
    assert (found.calls.rooms, found.calls.people, found.calls.source) == (None, None, "no answer within 0.4 s")


def test_a_port_that_is_not_open(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """The unit answers, but nobody could send media: it is not healthy."""
    udp = f"udp:0.0.0.0:{spec.port('rtc_udp').number}"
    pid = launch_unit(*[word for word in words(spec) if word != udp], marks=spec.environment).pid
    found = look(registered(spec, pid), spec)
    assert (found.verdict, found.because) == (
        Verdict.UNHEALTHY,
        f"pid {pid} is alive, but port {spec.port('rtc_udp').number} (rtc_udp) is not open",
    )


def test_nothing_runs(spec: LaunchSpec) -> None:
    """All witnesses looked and saw nothing: stopped. Without the supervisor the same sight is unknown."""
    registry = MemoryRegistry()
    assert look(registry, spec).verdict is Verdict.STOPPED
    registry.answers = False
    assert look(registry, spec).verdict is Verdict.UNKNOWN


def test_files_are_compared_when_asked(spec: LaunchSpec) -> None:
    """Comparing needs the secrets, so a mere status does not do it."""
    registry = MemoryRegistry()
    secrets = ensure_secrets(registry)
    observer = Observer(registry)

    def differ(secrets: dict[str, Any] | None) -> tuple[str, ...] | None:
        return observer.observe([spec], secrets=secrets).instances[0].files_differ

    assert differ(None) is None
    assert differ(secrets) == (spec.files[0].path,)
    write_atomically(Path(spec.files[0].path), file_text(spec.files[0], secrets), 0o600)
    assert differ(secrets) == ()


def test_a_missing_program_is_told(spec: LaunchSpec) -> None:
    """Before anything is started it is known that it cannot be."""
    assert look(MemoryRegistry(), spec).program_missing == spec.argv[0]
    program = Path(spec.argv[0])
    program.parent.mkdir(parents=True)
    program.touch()
    assert look(MemoryRegistry(), spec).program_missing == ""


def test_a_look_at_several_is_as_long_as_at_one(
    catalog: Catalog, tmp_path: Path, launch_unit: LaunchUnit, spec: LaunchSpec, free_port: Callable[[], int]
) -> None:
    """All are asked side by side, with one deadline for the whole."""
    _, backend = desired_specs(catalog, Settings(), home=str(tmp_path), python=sys.executable)
    number = free_port()
    port = attrs.evolve(backend.ports[0], number=number)
    probes = tuple(attrs.evolve(probe, port=port) for probe in backend.probes)
    backend = attrs.evolve(backend, ports=(port,), probes=probes)
    launch_unit("--silent", *words(spec), marks=spec.environment)
    launch_unit("--silent", *words(backend), marks=backend.environment)
    began = time.monotonic()
    observed = Observer(MemoryRegistry(), deadline_s=0.4).observe([spec, backend])
    assert time.monotonic() - began < 0.9
    assert [seen.verdict for seen in observed.instances] == [Verdict.UNKNOWN, Verdict.UNKNOWN]
    assert observed.took_ms < 900.0
    assert os.getpid() not in [seen.process.id.pid for seen in observed.instances if seen.process]


def test_a_process_that_proc_hides_is_unknown() -> None:
    """Where /proc shows other users' processes to nobody, a unit of theirs is neither running nor stopped."""
    if os.getuid():
        pytest.skip("needs root, who can mount /proc and look as another user")
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from hero_livekit_units.model.observed import Entry, EntryState, ProcessId\n"
        "from hero_livekit_units.observe.observer import Observer\n"
        "from tests import strategies\n"
        "from tests.fakes.registry import MemoryRegistry\n"
        "registry, spec = MemoryRegistry(), strategies.MEDIA\n"
        "registry.entries[spec.instance] = strategies.entry(spec, process=ProcessId(int(sys.argv[2]), 1))\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "print(Observer(registry).observe([spec]).instances[0].verdict)\n"
    )
    look_again = [sys.executable, "-c", code, str(ROOT), str(os.getpid())]
    run = subprocess.run(
        ["unshare", "--mount", "sh", "-c", 'mount -t proc -o hidepid=1 proc /proc && exec "$0" "$@"', *look_again],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.stderr) == ("unknown\n", "")
