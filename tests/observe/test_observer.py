"""The whole look at real processes: who is found, who is not taken for it, and how long it takes."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import psutil
import pytest

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.definitions.render import file_text
from hero_livekit_units.livekit.desired import desired_specs
from hero_livekit_units.livekit.keys import ensure_secrets
from hero_livekit_units.model.observed import CallsSeen, Entry, EntryState, InstanceSeen, ProcessId, Verdict
from hero_livekit_units.model.settings import LivekitSettings, Settings
from hero_livekit_units.model.unit import CallSourceKind
from hero_livekit_units.observe.kernel import descendants, is_alive, see_process
from hero_livekit_units.observe.observer import Observer
from hero_livekit_units.registry.hero_proc import HeroProcRegistry
from tests.fakes.http_answers import HttpAnswers
from tests.fakes.registry import MemoryRegistry
from tests.fakes.socket_peer import BEHAVIOURS, SocketPeer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.registry.port import Survey

    Launch = Callable[..., subprocess.Popen[bytes]]
    LaunchUnit = Callable[..., subprocess.Popen[bytes]]

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "tests" / "fakes" / "unit.py"


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


def look(registry: Any, spec: LaunchSpec, *, deadline_s: float = 10.0) -> InstanceSeen:
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


def test_a_second_copy_of_what_the_supervisor_has_lost(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """The one with the ports is the unit, and no stranger, whether or not the copy lives in this moment."""
    first = launch_unit(*words(spec), marks=spec.environment).pid
    copy = launch_unit(marks=spec.environment).pid
    found = look(registered(spec, copy), spec)
    assert found.process is not None
    assert (found.process.id.pid, found.verdict) == (first, Verdict.HEALTHY)
    assert found.because == f"pid {first} answers; the supervisor says running instead"
    assert not found.owned


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


OLD_PLANE = "import subprocess, sys; subprocess.run(sys.argv[1:])"
# As a supervisor has it: what it starts gets a process group of its own.
SUPERVISOR = "import subprocess, sys; subprocess.run(sys.argv[1:], start_new_session=True)"
BARE = [sys.executable, "-S", "-E"]


@pytest.fixture
def launch_tree(launch: Launch) -> Iterator[Callable[..., int]]:
    """Starts programs, each the child of the one before, and a unit as the last; gives the pid of the first."""
    ends: list[int] = []

    def start(*programs: str, words: Sequence[str]) -> int:
        argv = [*BARE, str(UNIT), *words]
        for program in reversed(programs):
            argv = [*BARE, "-c", program, *argv]
        first = launch(argv, own_group=True).pid
        ends.extend(descendants(first))
        return first

    yield start
    for pid in ends:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_media_of_an_old_control_plane(spec: LaunchSpec, launch_tree: Callable[..., int]) -> None:
    """On the first day: who has the ports, under whom it runs, what would end its calls, and how many people they have.

    Nothing of it is signalled.
    """
    plane = launch_tree(OLD_PLANE, words=["--busy", *words(spec)])
    found = look(MemoryRegistry(), spec)
    assert (found.verdict, found.process) == (Verdict.FOREIGN, None)
    foreign = found.foreign
    assert foreign is not None
    assert foreign.process is not None
    pid = foreign.process.pid
    assert descendants(plane) == [pid]
    assert is_alive(foreign.process)
    assert f"pid {pid} " in found.because
    assert foreign.command.startswith(f"{sys.executable} -S -E {UNIT} --busy ")
    assert foreign.user == pwd.getpwuid(os.getuid()).pw_name
    assert (foreign.group, foreign.session) == (plane, plane)
    assert [parent.pid for parent in foreign.parents] == [above.pid for above in psutil.Process(pid).parents()]
    assert [parent.pid for parent in foreign.parents[:2]] == [plane, os.getpid()]
    assert foreign.parents[0].command.startswith(f"{sys.executable} -S -E -c {OLD_PLANE}")
    assert foreign.dies_with == (
        f"it is in process group {plane}, led by pid {plane} ({foreign.parents[0].command}): "
        f"whoever stops that group ends it; that its parent, pid {plane}, ends does not by itself end it"
    )
    assert foreign.calls == CallsSeen(1, 2, f"debug-rooms on port {spec.port('debug').number}", lonely=())
    (told,) = [piece for piece in found.evidence if piece.witness == "foreign"]
    assert (told.speaks_for, told.says.endswith(f"people in its calls: 2 in 1 rooms ({foreign.calls.source})")) == (
        False,
        True,
    )
    assert told.took_ms > 0.0


class Supervised(MemoryRegistry):
    """A supervisor that says which process it is."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self.pid = pid

    def survey(self, instances: Sequence[str]) -> Survey:
        """As the memory has it."""
        found = super().survey(instances)
        return attrs.evolve(found, supervisor=attrs.evolve(found.supervisor, process=ProcessId(self.pid, 1)))


def test_media_in_the_group_of_a_service(spec: LaunchSpec, launch_tree: Callable[..., int]) -> None:
    """A child of a plane that hero_proc runs ends with the restart of that service, and that is told."""
    supervisor = launch_tree(SUPERVISOR, OLD_PLANE, words=words(spec))
    plane, media = descendants(supervisor)
    foreign = look(Supervised(supervisor), spec).foreign
    assert foreign is not None
    assert foreign.process is not None
    assert (foreign.process.pid, foreign.group) == (media, plane)
    assert f", as restarting this service of the supervisor (pid {supervisor}) does" in foreign.dies_with


def test_media_that_outlived_their_plane(spec: LaunchSpec, launch_tree: Callable[..., int]) -> None:
    """Its parent has ended and it has not: only whoever stops the group that is left ends it."""
    plane = launch_tree(OLD_PLANE, words=words(spec))
    os.kill(plane, signal.SIGKILL)
    ends = time.monotonic() + 5.0
    while see_process(plane):
        assert time.monotonic() < ends
        time.sleep(0.005)
    foreign = look(MemoryRegistry(), spec).foreign
    assert foreign is not None
    assert foreign.group == plane
    assert foreign.dies_with.startswith(f"it is in process group {plane}, whose leader has ended or is hidden: ")


def test_a_stranger_without_a_port_to_count_at(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """Whoever counts on another port does not count its people: they are unknown, never 0."""
    launch_unit(f"tcp:127.0.0.1:{spec.port('rtc_tcp').number}")
    foreign = look(MemoryRegistry(), spec).foreign
    assert foreign is not None
    assert foreign.calls == CallsSeen(None, None, "it is not seen to hold a port where calls are counted")


def test_a_stranger_that_does_not_know_our_key(spec: LaunchSpec) -> None:
    """It is asked with our key where that is the only way, and its refusal is no 0."""
    refuses = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"
    with HttpAnswers({"/twirp/livekit.RoomService/ListRooms": refuses}) as server:
        taken = with_ports(spec, http=server.port)
        secrets = ensure_secrets(MemoryRegistry())
        foreign = Observer(MemoryRegistry(), deadline_s=10.0).observe([taken], secrets=secrets).instances[0].foreign
    assert foreign is not None
    assert foreign.process is not None
    assert foreign.process.pid == os.getpid()
    assert foreign.calls == CallsSeen(None, None, f"list-rooms on port {server.port}: it does not know our key")


def test_our_own_are_counted_with_our_key(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """The secrets that the look is given let it count where neither list nor gauges answer."""
    listed = attrs.evolve(spec, calls=tuple(one for one in spec.calls if one[0].kind is CallSourceKind.LIST_ROOMS))
    pid = launch_unit(*words(spec), marks=spec.environment).pid
    secrets = ensure_secrets(MemoryRegistry())
    without = look(registered(spec, pid), listed).calls
    found = Observer(registered(spec, pid), deadline_s=10.0).observe([listed], secrets=secrets).instances[0].calls
    where = f"list-rooms on port {spec.port('http').number}"
    assert without == CallsSeen(None, None, f"{where}: no key known")
    assert found is not None
    assert found.source.startswith(f"{where}: Expecting value")  # it was asked; the fake unit answers OK to everything


def test_a_stranger_that_does_not_answer(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """One deadline holds for the stranger too: it is described in time, and its people are unknown."""
    pid = launch_unit("--silent", *words(spec)).pid
    began = time.monotonic()
    found = look(MemoryRegistry(), spec, deadline_s=0.4)
    assert time.monotonic() - began < 0.9
    assert found.foreign is not None
    assert found.foreign.process is not None
    assert found.foreign.process.pid == pid
    assert found.foreign.calls == CallsSeen(None, None, "no answer within 0.4 s")
    assert found.evidence[-1].took_ms == 400.0


def test_a_stranger_of_a_unit_without_calls(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """Nobody is in its calls, as it has none: there is nothing to count."""
    launch_unit(*words(spec))
    foreign = look(MemoryRegistry(), attrs.evolve(spec, carries_calls=False, calls=())).foreign
    assert foreign is not None
    assert foreign.calls is None


def test_nobody_is_foreign(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """Ours is not described as a stranger, and neither is an empty port."""
    assert look(MemoryRegistry(), spec).foreign is None
    pid = launch_unit(*words(spec), marks=spec.environment).pid
    assert look(registered(spec, pid), spec).foreign is None


def test_a_stranger_of_another_user() -> None:
    """Who cannot be seen is told by the user, and nobody is counted."""
    if os.getuid():
        pytest.skip("needs root, who can look as another user")
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = (
            "import os, sys; sys.path.insert(0, sys.argv[1])\n"
            "import attrs\n"
            "from hero_livekit_units.observe.observer import Observer\n"
            "from tests import strategies\n"
            "from tests.fakes.registry import MemoryRegistry\n"
            "spec = strategies.MEDIA\n"
            "spec = attrs.evolve(spec, ports=(attrs.evolve(spec.port('http'), number=int(sys.argv[2])),))\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "seen = Observer(MemoryRegistry(), deadline_s=10.0).observe([spec]).instances[0]\n"
            "who = seen.foreign\n"
            "print(seen.verdict, who.process, who.user, who.calls.people, who.dies_with)\n"
        )
        argv = [sys.executable, "-c", code, str(ROOT), str(server.getsockname()[1])]
        run = subprocess.run(argv, capture_output=True, text=True, check=False)
    says = "its process cannot be seen from here: user root can see and end it"
    assert (run.stdout, run.stderr) == (f"foreign None root None {says}\n", "")


def test_every_piece_of_evidence_has_its_time(spec: LaunchSpec, launch_unit: LaunchUnit) -> None:
    """What was asked took time, and how long is told."""
    pid = launch_unit(*words(spec), marks=spec.environment).pid
    found = look(registered(spec, pid), spec)
    assert all(piece.took_ms > 0.0 for piece in found.evidence)


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
        return observer.observe([spec], secrets=secrets).instances[0].differ(spec)

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
