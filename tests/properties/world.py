"""One host in memory, with a clock of its own: processes, ports, a supervisor, livekit with its calls, lk-backend.

Everything is deterministic: no thread, no file, no sleep. What a rule of the package forbids is noted in `Host.broken`
in the moment in which it happens. `ensure` runs unchanged on it, through a Registry, an Observer and a lock of the
model. Times are seconds; what is measured of real programs is the constants below.
"""

from __future__ import annotations

import heapq
from contextlib import contextmanager
from enum import StrEnum
from functools import cache, partial
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
from attrs import define, field, frozen

from hero_livekit_units import earlier
from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.drains import cancel_drain, order_drain
from hero_livekit_units.ensure import ensure
from hero_livekit_units.errors import EntryNotFound, RegistryUnavailable, StepFailed, StepTimedOut, UnitsError
from hero_livekit_units.execute.files import Disk
from hero_livekit_units.execute.lost import Kernel
from hero_livekit_units.livekit.desired import BACKEND, MEDIA, desired_state
from hero_livekit_units.livekit.gate import Shut, parse
from hero_livekit_units.livekit.roomservice import RoomService
from hero_livekit_units.look import Clock, Wish, World
from hero_livekit_units.model.comeback import Attendance
from hero_livekit_units.model.desired import Desired, Steering
from hero_livekit_units.model.drain import Drain, Terms, Then
from hero_livekit_units.model.launch import FAILED, LaunchFile, LaunchSpec, by_instance, launch_folder
from hero_livekit_units.model.observed import (
    CallsSeen,
    Entry,
    EntryState,
    Failed,
    InstanceSeen,
    Observed,
    PortSeen,
    ProbeSeen,
    ProcessId,
    ProcessSeen,
    SupervisorSeen,
    Verdict,
)
from hero_livekit_units.model.plan import Action, Allowed, Goal
from hero_livekit_units.model.receipt import Receipt
from hero_livekit_units.model.settings import LivekitSettings, Settings
from hero_livekit_units.observe.files import drain_of, is_over, unread
from hero_livekit_units.observe.observer import Observer, as_launched
from hero_livekit_units.observe.verdict import conclude, foreign_holder
from hero_livekit_units.registry.port import Recorded, Survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hero_livekit_units.model.launch import Port
    from hero_livekit_units.model.plan import Plan, Step

CATALOG = shipped_catalog()
RELEASES = CATALOG.lineage(MEDIA).releases

READY_S = 0.034  # from the start of a livekit-server to its first good answer
IDLE_END_S = 0.004  # from a stop signal to the end of a livekit-server that nobody is in
DRAIN_LOOK_S = 5.0  # one with people in it looks this often, counted from its stop signal, whether they have left
GIVE_UP_S = 20.0  # a client that lost its server tries for about this long (15 to 26 s) to come back
BACK_S = 5.0  # from the first answer of a server to the return of who lost it (0.3 to 5.5 s): it looks empty until then
DIES_S = 2.0  # from the readiness of a livekit-server that is no good to its end
NOTICE_S = 0.005  # until the supervisor knows that a process has ended
COMEBACK_S = 3.0  # until a supervisor that died is started again
HOLD_S = 5.0  # how long lk-backend holds a request at the gate
LOST_ANSWER_S = 10.0  # the deadline of a call to the supervisor
_LOOK_S = 0.002  # what a look takes

_ANSWERING = SupervisorSeen("model", "1", ProcessId(77, 5), Verdict.HEALTHY, "answered in 0.3 ms", "/s/rpc.sock")
_SILENT = SupervisorSeen("", "", None, Verdict.UNKNOWN, "nobody listens on /s/rpc.sock", "/s/rpc.sock")
_FOLLOWED, _STEERED, _UNSTEERED = (
    Steering(possible=True),
    Steering(possible=True, grace_s=10.0),
    Steering(possible=False, because="nothing here steers joins"),
)


class Dud(StrEnum):
    """What is wrong with each livekit-server that is started.

    sleeps: it lives and opens no port. exits: it says so and ends at once. dies: it gets ready, and ends after a while.
    """

    SLEEPS = "sleeps"
    EXITS = "exits"
    DIES = "dies"


class Crash(BaseException):
    """The end of a control plane in the middle of what it does: nothing that it would do next happens."""


class Fault(StrEnum):
    """What goes wrong with a look or an effect of a control plane, before or after it is done.

    lost: it is done and the answer does not arrive. refused: it is not done, and there is no answer. slow: as lost,
    after the deadline. away: the supervisor dies. other: another control plane ensures. join: somebody who has a token
    joins before a look; or asks for one just before a livekit-server is restarted.
    """

    CRASH_BEFORE = "crash-before"
    CRASH_AFTER = "crash-after"
    REFUSED = "refused"
    LOST = "lost"
    SLOW = "slow"
    AWAY_BEFORE = "away-before"
    AWAY_AFTER = "away-after"
    OTHER_BEFORE = "other-before"
    OTHER_AFTER = "other-after"
    JOIN = "join"


_LOST = {Fault.LOST, Fault.SLOW, Fault.AWAY_AFTER}  # it is done, and the answer does not arrive

_ROUTES: dict[str, str] = {}  # by what an lk-backend reads while it runs: the slot it sends new rooms to


@cache
def desired(release: str, *, steering: bool, follows: bool = False) -> Desired:
    """What should run, of this release; each reads one file at its start and one while it runs.

    steering: of joins. follows: whether who loses a slot comes to another one, as behind a front.
    """
    settings = Settings(livekit=LivekitSettings(version=release))
    found = desired_state(CATALOG, settings, home="/srv/media", python="/usr/bin/python3")
    by_slot = {slot: tuple(map(_with_files, specs)) for slot, specs in found.by_slot.items()}
    for slot, specs in by_slot.items():
        _ROUTES.update({spec.digest: slot for spec in specs if spec.unit == BACKEND})
    return Desired(by_slot, (_FOLLOWED if follows else _STEERED) if steering else _UNSTEERED)


def _with_files(spec: LaunchSpec) -> LaunchSpec:
    start = LaunchFile(f"{launch_folder(spec.folder, spec.launch_digest)}/start", 0o600, template=spec.launch_digest)
    live = LaunchFile(f"{spec.folder}/live", 0o600, template=spec.digest, read_at_start=False)
    return attrs.evolve(spec, files=(start, live))


@frozen
class Asked:
    """What somebody asks of a control plane."""

    release: str
    goal: Goal = Goal.RUN
    allowed: frozenset[Allowed] = frozenset()


@define(eq=False)
class Process:
    """A process. `spec` is None for a stranger; `rooms` are the people in each room of a livekit-server.

    signals: stop signals that it got. lost: it got one too early and will never act upon it.
    """

    id: ProcessId
    spec: LaunchSpec | None
    began_s: float
    ports: set[tuple[str, int]]
    ready: bool = False
    ready_since_s: float = 0.0
    late: bool = False
    rooms: dict[str, int] = field(factory=dict)
    signals: int = 0
    draining: bool = False
    lost: bool = False
    suspended: bool = False
    unhandled: int = 0

    @property
    def people(self) -> int:
        """In all of its rooms."""
        return sum(self.rooms.values())


@define(eq=False)
class Job:
    """What the supervisor holds of an instance.

    spec: as registered. life: of the process, and of the next one where that is a retry. due_s: of its next life.
    signal_due_s: of a stop signal to be sent. follow: whether a new process follows on the end of this one.
    """

    spec: LaunchSpec
    life: LaunchSpec
    wanted: bool = False
    state: EntryState = EntryState.STOPPED
    process: ProcessId | None = None
    began_s: float = 0.0
    failures: int = 0
    restarts: int = 0
    last_error: str = ""
    due_s: float | None = None
    signal_due_s: float | None = None
    follow: bool = False


@define(eq=False)
class Client:
    """People of a room who lost their server and try to come back: where they were, and until when."""

    room: str
    people: int
    slot: str
    until_s: float


class Host:
    """A host; nothing is on it.

    steering: whether a join for a room that exists is sent to the slot that has it. adopts: whether the next life of
    the supervisor finds what this one has started; if not, what it starts in its place sees that, and ends at once, as
    a script at zinit does. broken: rules that were broken. effects: everything that was done to the supervisor or the
    files, in order.
    """

    def __init__(self, *, steering: bool) -> None:
        self.steering = steering
        self.follows = False
        self.adopts = True
        self.now_s = 1000.0
        self.wall_offset_s = 1_700_000_000.0
        self.broken: list[str] = []
        self.effects: list[str] = []
        self.processes: dict[int, Process] = {}
        self.jobs: dict[str, Job] = {}
        self.disk: dict[str, str] = {}
        self.written_s: dict[str, float] = {}
        self.drains: dict[str, Drain] = {}
        self.told: list[str] = []
        self.stored = {name: f"{name}-value" for name in ("api_key", "api_secret", "backend_secret")}
        self.recorded: list[tuple[str, Recorded]] = []
        self.away = False
        self.locked = False
        self.blind: frozenset[str] = frozenset()
        self.disk_full = False
        self.ready_s = READY_S
        self.dud: Dud | None = None
        self.doomed_until_s = 0.0  # until then a livekit-server ends that is no good
        self.failed: dict[str, Failed] = {}  # by the file in which it is recorded
        self.reuse_pids = False
        self.clients: list[Client] = []
        self.dropped = 0
        self.refused_joins = 0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._next_pid = 1000
        self._freed: list[int] = []
        self._last_start = 0
        # The control planes that act now, the innermost last: what each was asked, its step, its script of faults.
        self._planes: list[_Plane] = []
        self._gate: tuple[Shut, _Plane | None] | None = None

    # -- time

    @property
    def wall_s(self) -> float:
        """The clock on the wall."""
        return self.now_s + self.wall_offset_s

    def advance(self, seconds: float) -> None:
        """Let time pass, and happen what is due."""
        until = self.now_s + seconds
        while self._timers and self._timers[0][0] <= until:
            at_s, _, act = heapq.heappop(self._timers)
            self.now_s = max(self.now_s, at_s)
            act()
        self.now_s = until

    def _in(self, seconds: float, act: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._timers, (self.now_s + max(seconds, 0.0), self._count, act))

    # -- the kernel

    def kernel(self, pid: int) -> Process | None:
        """The process of this pid."""
        return self.processes.get(pid)

    def alive(self, instance: str) -> list[Process]:
        """The processes with the marks of an instance."""
        return [one for one in self.processes.values() if one.spec is not None and one.spec.instance == instance]

    def media(self) -> list[Process]:
        """All livekit-servers."""
        return [one for one in self.processes.values() if one.spec is not None and one.spec.carries_calls]

    def differ(self, spec: LaunchSpec) -> tuple[str, ...]:
        """Paths that are missing or not as they should be."""
        return tuple(file.path for file in spec.files if self.disk.get(file.path) != file.template)

    def launch_folders(self, spec: LaunchSpec) -> set[str]:
        """The folders of launches that an instance has."""
        folders = {path.rpartition("/")[0] for path in self.disk if path.endswith("/start")}
        return {folder for folder in folders if folder.startswith(f"{spec.folder}/")}

    @property
    def routed(self) -> str:
        """The slot that new rooms are sent to."""
        return _ROUTES.get(self.disk.get("/srv/media/backend/live", ""), "a")

    @property
    def gate_is_shut(self) -> bool:
        """Whether tokens are held: for a lease, and no longer than the control plane lives that wants it."""
        if self._gate is None:
            return False
        shut, plane = self._gate
        return shut.left_s(self.now_s) > 0 and (plane in self._planes)

    def set_gate(self, text: str) -> None:
        """The file of the gate is another one, or none."""
        self._gate = (parse(text), self._planes[-1] if self._planes else None) if text else None

    def owner(self, port: tuple[str, int]) -> Process | None:
        """Who holds a port."""
        return next((one for one in self.processes.values() if port in one.ports), None)

    def stranger(self, port: Port) -> None:
        """Another program takes a port, if it is free."""
        if self.owner(_number(port)) is None:
            self._spawn(None, {_number(port)})

    def strangers_leave(self) -> None:
        """End all other programs."""
        for one in [one for one in self.processes.values() if one.spec is None]:
            self._end(one, "")

    def kill_process(self, process: Process) -> None:
        """SIGKILL, by whoever; its people come back to where joins are sent."""
        for room, people in process.rooms.items():
            assert process.spec is not None
            self.clients.append(Client(room, people, process.spec.slot, self.now_s + GIVE_UP_S))
        process.rooms.clear()
        self._end(process, "killed by SIGKILL")
        self._in(BACK_S, self._land)
        self._in(GIVE_UP_S + 0.001, self._land)

    def suspend(self, process: Process, *, suspended: bool) -> None:
        """SIGSTOP or SIGCONT."""
        process.suspended = suspended
        if not suspended and process.unhandled:
            process.unhandled = 0
            self.stop_signal(process)

    def _spawn(self, spec: LaunchSpec | None, ports: set[tuple[str, int]]) -> Process:
        if self.reuse_pids and self._freed:
            pid = self._freed.pop()
        else:
            self._next_pid += 1
            pid = self._next_pid
        self._last_start = max(self._last_start + 1, int(self.now_s * 100))
        process = Process(ProcessId(pid, self._last_start), spec, self.now_s, ports)
        self.processes[pid] = process
        return process

    def _end(self, process: Process, error: str) -> None:
        if self.processes.get(process.id.pid) is not process:
            return
        del self.processes[process.id.pid]
        self._freed.append(process.id.pid)
        if process.spec is not None:
            instance, id_ = process.spec.instance, process.id
            self._in(NOTICE_S, lambda: self._notice(instance, id_, error))

    # -- livekit-server and lk-backend

    def launch(self, spec: LaunchSpec) -> Process:
        """A process of an instance; one whose ports are taken ends with status 0, as livekit-server does."""
        # What has no port open and no owner, nobody can find.
        if any(one.ports or self._is_owned(one) for one in self.alive(spec.instance)):
            self.broken.append(f"a second {spec.instance} was started")
        ports = {_number(port) for port in spec.ports}
        taken = [port for port in ports if self.owner(port) is not None]
        process = self._spawn(spec, set() if taken else ports)
        if any(file.path not in self.disk for file in spec.files):
            self.broken.append(f"{spec.instance} was started without its files")
        dud = self.dud if spec.carries_calls else None
        if dud is Dud.SLEEPS:
            process.ports.clear()
        elif dud is Dud.EXITS:
            self._in(0.03, lambda: self._end(process, "exit status 1: could not parse config"))
        elif taken:
            number = min(number for _, number in taken)
            error = f"exit status 0: listen tcp 127.0.0.1:{number}: bind: address already in use"
            self._in(0.001, lambda: self._end(process, error))
        else:
            process.late = self.ready_s > READY_S
            self._in(self.ready_s, lambda: self._ready(process))
            if dud is Dud.DIES:
                self.doomed_until_s = self.now_s + self.ready_s + 2 * DIES_S
                self._in(self.ready_s + DIES_S, lambda: self._die(process))
        return process

    def _die(self, process: Process) -> None:
        if self.processes.get(process.id.pid) is process:
            self.kill_process(process)

    def _ready(self, process: Process) -> None:
        process.ready, process.ready_since_s = True, self.now_s
        self._in(BACK_S, self._land)

    def stop_signal(self, process: Process) -> None:
        """The stop signal arrives."""
        assert process.spec is not None
        if process.suspended:
            process.unhandled += 1
            return
        if not process.spec.carries_calls:
            self._end(process, "")
            return
        process.signals += 1
        if process.signals > 1:
            self.broken.append(f"{process.spec.instance} got a second stop signal")
            # The worst that happens: the real one may end before it has told one of them, who then comes back.
            self.dropped += process.people
            process.rooms.clear()
            self._end(process, "forced shutdown")
        elif self.now_s - process.began_s < process.spec.stop.minimum_age_s - 1e-9:
            process.lost = True
            self.broken.append(f"{process.spec.instance} got its stop signal too early and lost it")
        else:
            self._end_if_empty(process)

    def _end_if_empty(self, process: Process) -> None:
        if self.processes.get(process.id.pid) is not process:
            return
        if process.people or process.suspended:
            self._in(DRAIN_LOOK_S, lambda: self._end_if_empty(process))
        else:
            process.ready = False  # from here on it lets nobody in
            self._in(IDLE_END_S, lambda: self._end(process, "exit status 0"))

    # -- people

    def join(self, room: str, people: int = 1) -> None:
        """People ask lk-backend where the room is, and join there; while the gate is shut they wait."""
        self._ask(room, people, self.now_s + HOLD_S)

    def _ask(self, room: str, people: int, until_s: float) -> None:
        if self.gate_is_shut and self.now_s < until_s:
            self._in(0.05, lambda: self._ask(room, people, until_s))
        elif self.gate_is_shut or not [one for one in self.alive("lk-backend") if one.ready and not one.suspended]:
            self.refused_joins += people
        else:
            self.arrive(room, people)

    def arrive(self, room: str, people: int = 1) -> None:
        """People who have a token join."""
        server = self._server(room, self.routed)
        if server is None:
            self.refused_joins += people
        else:
            server.rooms[room] = server.rooms.get(room, 0) + people
            self._check_rooms(room)

    def leave(self, room: str) -> None:
        """Everybody leaves a room."""
        self.clients = [client for client in self.clients if client.room != room]
        for one in self.media():
            one.rooms.pop(room, None)

    def rooms(self) -> list[str]:
        """All rooms that somebody is in, or wants to come back to."""
        found = {room for one in self.media() for room in one.rooms} | {client.room for client in self.clients}
        return sorted(found)

    def _server(self, room: str, slot: str) -> Process | None:
        media = self.media()
        if self.steering:
            holding = [one for one in media if room in one.rooms]
            if holding:
                return holding[0] if holding[0].ready and not holding[0].suspended else None
        there = [one for one in media if one.spec and one.spec.slot == slot and one.ready and not one.suspended]
        return there[0] if there else None

    def _land(self) -> None:
        """Who lost the server comes back, where one answers; or gives up."""
        for client in list(self.clients):
            if client.until_s < self.now_s:
                self.clients.remove(client)
                self.dropped += client.people
                continue
            server = self._server(client.room, self.routed if self.steering else client.slot)
            if server is not None and self.now_s - server.ready_since_s >= BACK_S - 1e-9:
                self.clients.remove(client)
                server.rooms[client.room] = server.rooms.get(client.room, 0) + client.people
                self._check_rooms(client.room)

    def serves(self, spec: LaunchSpec) -> bool:
        """Whether a livekit-server in another slot lets people in, and is known to."""
        others = [one for one in self.media() if one.spec and one.spec.slot != spec.slot and one.ready]
        return any(not one.suspended and self._is_owned(one) and one.signals == 0 for one in others)

    def _is_owned(self, process: Process) -> bool:
        return any(job.process == process.id for job in self.jobs.values())

    def begins(self, spec: LaunchSpec) -> None:
        """A launch is begun: one that has failed beside a slot that serves only by the word of the user."""
        plane = self._planes[-1] if self._planes else None
        unasked = plane is not None and not plane.executes and Allowed.RETRY not in plane.asked.allowed
        if unasked and spec.failed_file in self.failed and not self.blind and self.serves(spec):
            self.broken.append(f"{spec.instance}, which has failed, was tried again beside one that serves")
        self.failed.pop(spec.failed_file, None)
        for file in spec.start_files:
            self.written_s[file.path] = self.now_s

    def _check_rooms(self, room: str) -> None:
        if self.steering and sum(room in one.rooms for one in self.media()) > 1:
            self.broken.append(f"room {room} is on two slots")

    # -- the supervisor, inside

    def supervisor_dies(self, comeback_s: float | None = COMEBACK_S) -> None:
        """`kill -9`; it is started again after a while, or never by itself."""
        self.away = True
        if comeback_s is not None:
            self._in(comeback_s, self.supervisor_returns)

    def supervisor_returns(self) -> None:
        """It adopts what lives, takes in what ended, and goes on; or forgets what it had, and starts what is wanted."""
        if not self.away:
            return
        self.away = False
        for job in self.jobs.values():
            if not self.adopts:
                job.process, job.signal_due_s, job.due_s, job.state = None, None, None, EntryState.STOPPED
                if job.wanted:
                    self.launch_now(job)
            elif job.process is not None:
                process = self.processes.get(job.process.pid)
                if process is None or process.id != job.process:
                    self._take_end(job, "it ended while no supervisor ran, exit code unknown")
                elif job.signal_due_s is not None:
                    job.follow = job.wanted
                    self._in(job.signal_due_s - self.now_s, lambda job=job: self._send_stop(job))  # type: ignore[misc]
            elif job.due_s is not None:
                self._in(job.due_s - self.now_s, lambda job=job: self._launch_due(job))  # type: ignore[misc]
            elif job.wanted:
                self.launch_now(job)

    def supervisor_forgets(self) -> None:
        """It loses all that it knows; what runs lives on without an owner."""
        self.jobs.clear()

    def _notice(self, instance: str, id_: ProcessId, error: str) -> None:
        job = self.jobs.get(instance)
        if not self.away and job is not None and job.process == id_:
            self._take_end(job, error)

    def _take_end(self, job: Job, error: str) -> None:
        lived_s, stopping = self.now_s - job.began_s, job.state is EntryState.STOPPING
        job.process, job.signal_due_s = None, None
        if stopping:
            job.state, job.last_error = EntryState.STOPPED, ""
            if job.follow and job.wanted:
                self.launch_now(job)
            return
        job.last_error = error
        job.failures = 1 if lived_s >= job.life.restart.stable_after_s else job.failures + 1
        delay_s = min(job.life.restart.delay_s * 2 ** min(job.failures - 1, 16), job.life.restart.max_delay_s)
        job.state, job.due_s = EntryState.WAITING, self.now_s + delay_s
        self._in(delay_s, lambda: self._launch_due(job))

    def _launch_due(self, job: Job) -> None:
        known = not self.away and self.jobs.get(job.spec.instance) is job
        if known and job.due_s is not None and job.due_s <= self.now_s + 1e-9:
            job.restarts += 1
            self._begin(job)

    def launch_now(self, job: Job) -> None:
        """A new job, as it is registered."""
        job.life, job.failures, job.restarts = job.spec, 0, 0
        self._begin(job)

    def _begin(self, job: Job) -> None:
        job.due_s, job.follow = None, False
        if not self.adopts and self.alive(job.life.instance):
            job.began_s = self.now_s
            self._take_end(job, "not started: the process of an earlier start lives")
            return
        process = self.launch(job.life)
        job.state, job.process, job.began_s = EntryState.RUNNING, process.id, self.now_s

    def ask_stop(self, job: Job) -> None:
        """Ask it to end, once."""
        if job.state is EntryState.WAITING:
            job.state, job.due_s = EntryState.STOPPED, None
        elif job.state is EntryState.RUNNING and job.process is not None:
            job.state, job.follow = EntryState.STOPPING, False
            job.signal_due_s = job.began_s + job.life.stop.minimum_age_s
            if job.signal_due_s <= self.now_s:
                self._send_stop(job)
            else:
                self._in(job.signal_due_s - self.now_s, lambda: self._send_stop(job))

    def _send_stop(self, job: Job) -> None:
        if self.away or job.signal_due_s is None or job.process is None or job.signal_due_s > self.now_s + 1e-9:
            return
        job.signal_due_s = None
        process = self.processes.get(job.process.pid)
        if process is not None and process.id == job.process:
            self.stop_signal(process)
            if job.life.stop.kill_after_window:
                self._in(job.life.stop.window_s, lambda: self._close_window(process))

    def _close_window(self, process: Process) -> None:
        if self.processes.get(process.id.pid) is process:
            self.kill_process(process)

    # -- the supervisor, as it is asked

    def act(self, name: str, do: Callable[[], Any], *, asks: bool = True) -> Any:
        """One effect of the control plane that acts now, with the faults that its script has for it.

        asks: whether the supervisor is asked for it, and may fail to answer.
        """
        plane = self._planes[-1] if self._planes else None
        faults = plane.next_effect() if plane else ()
        self._before(plane, faults)
        if Fault.JOIN in faults and name.startswith("restart"):
            self.join("late", 2)
        if asks:
            if Fault.REFUSED in faults:
                raise RegistryUnavailable(name, "nobody answers")
            self.check_there(name)
        self.effects.append(name)
        result = do()
        if Fault.AWAY_AFTER in faults:
            self.supervisor_dies()
        if plane and Fault.OTHER_AFTER in faults:
            plane.meet_other()
        if plane and Fault.CRASH_AFTER in faults:
            plane.crash()
        if Fault.SLOW in faults:
            self.advance(LOST_ANSWER_S)
        if asks and _LOST.intersection(faults):
            raise RegistryUnavailable(name, "the answer did not arrive")
        return result

    def _before(self, plane: _Plane | None, faults: tuple[Fault, ...]) -> None:
        if plane and (plane.crashed or Fault.CRASH_BEFORE in faults):
            plane.crash()
        if plane and Fault.OTHER_BEFORE in faults:
            plane.meet_other()
        if Fault.AWAY_BEFORE in faults:
            self.supervisor_dies()

    def check_there(self, name: str) -> None:
        """Nobody answers for a supervisor that is away."""
        if self.away:
            raise RegistryUnavailable(name, "nobody listens")

    def look(self) -> None:
        """A look of the control plane that acts now, with the faults that its script has for it."""
        self.advance(_LOOK_S)
        plane = self._planes[-1] if self._planes else None
        faults = plane.next_look() if plane else ()
        self._before(plane, faults)
        if Fault.JOIN in faults:
            self.arrive("late", 2)

    def job(self, instance: str) -> Job:
        """What is registered of this name."""
        if instance not in self.jobs:
            raise EntryNotFound("service.status", f"no service {instance}", code=-32001)
        return self.jobs[instance]

    def may_hit(self, process: Process, how: str) -> None:
        """Note it where a process with people in it is asked to end, or killed, and nobody allowed that by name."""
        plane = self._planes[-1] if self._planes else None
        if plane is None or not process.people:
            return
        step = plane.step_now.action if plane.step_now else None
        granted = plane.asked.allowed | self._granted(process)
        if step in {Action.KILL, Action.SWAP}:
            fits = Allowed.DROP if plane.asked.goal is Goal.STOP else Allowed.RECONNECT
        else:
            fits = Allowed.DRAIN
        if fits not in granted or (step is Action.RESTART):
            what = process.spec.instance if process.spec else "a stranger"
            self.broken.append(f"{what} with {process.people} people got a {how} in {step}, allowed: {sorted(granted)}")

    def _granted(self, process: Process) -> set[Allowed]:
        """What was asked for by name for this process, in the record of its drain."""
        found = self.drains.get(process.spec.instance) if process.spec else None
        if found is None or found.process != process.id:
            return set()
        over = found.until_s is not None and found.until_s <= self.wall_s
        moves = {Allowed.RECONNECT} if found.then is Then.MOVE and over else set()
        return moves | ({Allowed.DRAIN} if found.refusing else set())

    # -- control planes

    @contextmanager
    def plane(self, plane: _Plane) -> Iterator[None]:
        """A control plane acts."""
        self._planes.append(plane)
        try:
            yield
        finally:
            self._planes.pop()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """The acting lock; who holds it does not go on while somebody else waits for it, so that one waits in vain."""
        if self.locked:
            raise StepTimedOut("act on the media group", "somebody else acts on it")
        self.locked = True
        try:
            yield
        finally:
            self.locked = False

    def end(self) -> dict[str, tuple[Any, ...]]:
        """What it has come to: for each instance what runs, is wanted, is registered and lies on the disk."""
        found: dict[str, tuple[Any, ...]] = {}
        for instance, job in sorted(self.jobs.items()):
            alive = self.alive(instance)
            spec = alive[0].spec if alive else None
            if spec is None and not job.wanted:
                continue  # what is left of a slot that is not used is of no matter
            found[instance] = (
                spec.launch_digest if spec else "",
                job.wanted,
                job.state.value,
                job.spec.digest,
                tuple(text for path, text in sorted(self.disk.items()) if path.startswith(f"{job.spec.folder}/")),
            )
        return found


class _Plane:
    """A control plane that acts: a Progress that notes its step."""

    def __init__(
        self,
        host: Host,
        asked: Asked,
        script: Sequence[tuple[str, int, Fault]],
        other: Asked | None,
        *,
        executes: bool,
    ) -> None:
        self.host = host
        self.executes = executes  # a plan that somebody saw before
        self.asked = asked
        self.step_now: Step | None = None
        self.met = False
        self.crashed = False
        self._script = script
        self._other = other
        self._effects = self._looks = 0

    def crash(self) -> NoReturn:
        """The end of it; whatever it tries to do afterwards does not happen either."""
        self.crashed = True
        raise Crash

    def next_effect(self) -> tuple[Fault, ...]:
        self._effects += 1
        return tuple(fault for what, at, fault in self._script if what == "effect" and at == self._effects)

    def next_look(self) -> tuple[Fault, ...]:
        self._looks += 1
        return tuple(fault for what, at, fault in self._script if what == "look" and at == self._looks)

    def meet_other(self) -> None:
        """Another control plane does what it is asked, as far as it comes."""
        if self._other is not None:
            self.met = True
            run(self.host, self._other)

    def step(self, step: Step) -> None:
        """A step begins."""
        self.step_now = step

    def waiting(self, instance: str, what: str) -> None:
        """Say nothing."""


class ModelDisk(Disk):
    """The files of the host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def write(self, files: Sequence[LaunchFile], _secrets: Mapping[str, Any]) -> None:
        """Write each of them."""
        for file in files:
            self._host.act(f"write {file.path}", partial(self._write, file), asks=False)

    def _write(self, file: LaunchFile) -> None:
        if self._host.disk_full:
            raise StepFailed(f"write {file.path}", "No space left on device; the old file is as it was")
        self._host.disk[file.path] = file.template
        self._host.written_s[file.path] = self._host.now_s

    def write_text(self, path: Path, text: str) -> None:
        """The gate is shut, or its lease renewed."""
        self._host.act(f"write {path}", partial(self._write_gate, path, text), asks=False)

    def _write_gate(self, path: Path, text: str) -> None:
        if self._host.disk_full:
            raise StepFailed(f"write {path}", "No space left on device; the old file is as it was")
        self._host.set_gate(text)

    def remove(self, path: Path) -> None:
        """The gate is opened."""
        self._host.act(f"remove {path}", lambda: self._host.set_gate(""), asks=False)

    def differ(self, spec: LaunchSpec, _secrets: Mapping[str, Any]) -> tuple[str, ...]:
        """Paths that are missing or not as they should be."""
        return self._host.differ(spec)

    def drain(self, spec: LaunchSpec) -> Drain | None:
        """The drain that is recorded for an instance."""
        return self._host.drains.get(spec.instance)

    def record_drain(self, spec: LaunchSpec, drain: Drain) -> None:
        """Keep it."""
        self._host.act(f"record the drain of {spec.instance}", partial(self._record_drain, spec, drain), asks=False)

    def _record_drain(self, spec: LaunchSpec, drain: Drain) -> None:
        if self._host.disk_full:
            raise StepFailed(f"write the drain of {spec.instance}", "No space left on device")
        self._host.drains[spec.instance] = drain

    def forget_drain(self, spec: LaunchSpec) -> None:
        """Keep it no longer."""
        self._host.act(
            f"forget the drain of {spec.instance}", lambda: self._host.drains.pop(spec.instance, None), asks=False
        )

    def begin(self, spec: LaunchSpec) -> None:
        """A launch begins anew."""
        self._host.act(f"begin {spec.instance}", lambda: self._host.begins(spec), asks=False)

    def record_failed(self, spec: LaunchSpec, failed: Failed) -> None:
        """Keep it."""

        def do() -> None:
            if self._host.disk_full:
                raise StepFailed(f"write {spec.failed_file}", "No space left on device; the old file is as it was")
            self._host.failed[spec.failed_file] = failed

        self._host.act(f"write {spec.failed_file}", do, asks=False)

    def remove_unread(self, seen: InstanceSeen, wanted: LaunchSpec) -> None:
        """Remove what launches have read that are over."""
        for folder in unread(seen, [wanted], self._host.launch_folders(wanted)):
            del self._host.disk[f"{folder}/start"]
            self._host.failed.pop(f"{folder}/{FAILED}", None)
        if is_over(seen, self._host.drains.get(wanted.instance)):
            del self._host.drains[wanted.instance]


class ModelRooms(RoomService):
    """The rooms of the host's livekit-servers."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def tell(self, server: Port, _api_keys: Mapping[str, str], _message: Mapping[str, Any]) -> int:
        """Every room of the one that listens there hears it."""
        rooms = list(self._server(server).rooms)
        self._host.act(f"tell the rooms on port {server.number}", lambda: self._host.told.extend(rooms), asks=False)
        return len(rooms)

    def end_lonely(self, server: Port, _api_keys: Mapping[str, str], room: str) -> bool:
        """End it, where one is in it at most, who was alone for as long as the drain says."""
        process = self._server(server)
        if process.rooms.get(room, 0) > 1:
            return False

        def do() -> None:
            drain = self._host.drains.get(process.spec.instance if process.spec else "")
            since_s = drain.alone.get(room) if drain and drain.process == process.id else None
            limit_s = drain.idle_room_s if drain else None
            if since_s is None or limit_s is None or self._host.wall_s - since_s < limit_s:
                self._host.broken.append(f"room {room} was ended before its time")
            process.rooms.pop(room, None)

        self._host.act(f"end room {room}", do, asks=False)
        return True

    def _server(self, port: Port) -> Process:
        process = self._host.owner(_number(port))
        if process is None or not process.ready or process.suspended:
            raise StepFailed("ask livekit-server", "no answer")
        return process


class ModelKernel(Kernel):
    """Signals to the processes of the host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def send(self, process: ProcessId, name: str) -> None:
        """To this very process, if it lives."""
        self._host.act(f"send {name} to pid {process.pid}", partial(self._send, process, name), asks=False)

    def _send(self, id_: ProcessId, name: str) -> None:
        if not self.lives(id_):
            return
        process = self._host.processes[id_.pid]
        if process.spec is not None and process.spec.carries_calls:
            self._host.may_hit(process, name)
        if name == "SIGKILL":
            self._host.kill_process(process)
        else:
            self._host.stop_signal(process)

    def lives(self, process: ProcessId) -> bool:
        """Whether it has not ended."""
        found = self._host.kernel(process.pid)
        return found is not None and found.id == process


class ModelRegistry:
    """The supervisor of the host, as the Registry port has it."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def survey(self, instances: Sequence[str]) -> Survey:
        """Its word, or silence."""
        host = self._host
        host.look()
        if host.away:
            return Survey(_SILENT, None)
        answering = attrs.evolve(_ANSWERING, adopts=host.adopts)
        return Survey(answering, {name: _entry(host.jobs[name]) for name in instances if name in host.jobs})

    def register(self, spec: LaunchSpec) -> bool:
        """A new service is wanted from now on, and starts with the supervisor or when it is asked to."""
        self._host.check_there("action.get")
        job = self._host.jobs.get(spec.instance)
        if job is not None and job.spec.digest == spec.digest:
            return False

        def do() -> None:
            if job is None:
                self._host.jobs[spec.instance] = Job(spec, spec, wanted=True)
            else:
                job.spec = spec

        self._host.act(f"register {spec.instance}", do)
        return True

    def start(self, instance: str) -> None:
        """What runs is left alone, what waits for its next life is started now."""

        def do() -> None:
            job = self._host.job(instance)
            job.wanted = True
            if job.state in {EntryState.STOPPED, EntryState.WAITING}:
                self._host.launch_now(job)
            elif job.state is EntryState.STOPPING:
                job.follow = True

        self._host.act(f"start {instance}", do)

    def stop(self, instance: str) -> None:
        """The stop signal is sent once."""

        def do() -> None:
            job = self._host.job(instance)
            self._hits(job, "stop signal")
            job.wanted, job.follow = False, False
            self._host.ask_stop(job)

        self._host.act(f"stop {instance}", do)

    def kill(self, instance: str) -> None:
        """SIGKILL to its process, if it has one."""

        def do() -> None:
            job = self._host.job(instance)
            process = self._process(job)
            if process is not None:
                self._hits(job, "SIGKILL")
                self._host.kill_process(process)

        self._host.act(f"kill {instance}", do)

    def restart(self, instance: str) -> None:
        """Stop, and start as it is registered when it has ended."""

        def do() -> None:
            job = self._host.job(instance)
            self._hits(job, "stop signal")
            job.wanted = True
            self._host.ask_stop(job)
            if job.state is EntryState.STOPPING:
                job.follow = True
            else:
                self._host.launch_now(job)

        self._host.act(f"restart {instance}", do)

    def secrets(self, names: Sequence[str]) -> dict[str, str]:
        """Those that exist."""
        self._host.check_there("secret.get")
        return {name: self._host.stored[name] for name in names if name in self._host.stored}

    def store_secret(self, name: str, value: str) -> None:
        """Store one."""
        self._host.act(f"store_secret {name}", lambda: self._host.stored.__setitem__(name, value))

    def delete_secret(self, name: str) -> None:
        """Delete one."""
        self._host.act(f"delete_secret {name}", lambda: self._host.stored.pop(name, None))

    def record(self, source: str, text: str) -> None:
        """Keep a line."""
        line = Recorded(self._host.wall_s, text)
        self._host.act("record", lambda: self._host.recorded.append((source, line)))

    def history(self, source: str, lines: int) -> list[Recorded]:
        """The newest lines."""
        self._host.check_there("logs.get")
        return [line for kept, line in self._host.recorded if kept == source][-lines:]

    def _process(self, job: Job) -> Process | None:
        process = self._host.kernel(job.process.pid) if job.process else None
        return process if process is not None and process.id == job.process else None

    def _hits(self, job: Job, how: str) -> None:
        process = self._process(job)
        if process is not None and process.spec is not None and process.spec.carries_calls:
            self._host.may_hit(process, how)


class ModelObserver(Observer):
    """Looks at a host by the rules of `Observer`; `Host.blind` names the witnesses that cannot look."""

    def __init__(self, host: Host, registry: ModelRegistry) -> None:
        self._host = host
        self._asked = registry

    def observe(
        self, specs: Sequence[LaunchSpec], *, secrets: Mapping[str, Any] | None = None, files: bool = True
    ) -> Observed:
        """See the supervisor and every instance."""
        variants = by_instance(specs)
        survey = self._asked.survey(list(variants))
        seen = [self._see(found, survey, secrets if files else None) for found in variants.values()]
        return Observed(survey.supervisor, tuple(seen), 1.0)

    def _see(self, variants: list[LaunchSpec], survey: Survey, secrets: Mapping[str, Any] | None) -> InstanceSeen:
        host, spec = self._host, variants[0]
        entry = survey.entries.get(spec.instance) if survey.entries is not None else None
        ports = self._ports(spec.ports)
        process = self._owned(entry) or self._by_marks(spec, ports)
        seen = self._process(process) if process is not None else None
        launched = as_launched(spec, seen) if seen else spec
        in_the_way: tuple[PortSeen, ...] = ()
        if seen and launched is not spec:
            new = [port for port in ports if port.port not in launched.ports]
            in_the_way = tuple(port for port in new if port.held and port.owner_pid != seen.id.pid)
            ports = self._ports(launched.ports)
        asked = seen is not None and foreign_holder(seen, ports) is None
        written_s = host.written_s.get(spec.live_files[0].path)
        began_s = host.written_s.get(spec.start_files[0].path)
        failed = host.failed.get(spec.failed_file)
        good = None if "probes" in host.blind or (process and process.suspended) else bool(process and process.ready)
        probes = tuple(
            ProbeSeen(probe, good if asked else False, f"{probe.name}: {good}", 0.5) for probe in launched.probes
        )
        verdict, because = conclude(
            launched,
            registry_looked=survey.entries is not None,
            entry=entry,
            process=seen,
            ports=ports,
            probes=probes,
        )
        found = InstanceSeen(
            spec=spec,
            registry_looked=survey.entries is not None,
            entry=entry,
            process=seen,
            ports=ports,
            probes=probes,
            calls=self._calls(process) if asked and spec.carries_calls else None,
            files_differ={one.digest: None if secrets is None else host.differ(one) for one in variants},
            program_missing="",
            verdict=verdict,
            because=f"{because}; {failed.says}" if failed and verdict is Verdict.STOPPED else because,
            evidence=(),
            in_the_way=in_the_way,
            updated_for_s=host.now_s - written_s if written_s is not None else None,
            began_for_s=host.now_s - began_s if began_s is not None else None,
            failed=failed,
            drain=drain_of(seen, host.drains.get(spec.instance), host.wall_s),
        )
        if secrets is None:
            return found
        over = ["drain.json"] if is_over(found, host.drains.get(spec.instance)) else []
        return attrs.evolve(found, left=(*unread(found, variants, host.launch_folders(spec)), *over))

    def _owned(self, entry: Entry | None) -> Process | None:
        if entry is None or entry.process is None:
            return None
        process = self._host.kernel(entry.process.pid)
        return process if process is not None and process.id == entry.process else None

    def _by_marks(self, spec: LaunchSpec, ports: Sequence[PortSeen]) -> Process | None:
        for seen in ports:
            process = self._host.kernel(seen.owner_pid)
            if process and process.spec and process.spec.instance == spec.instance:
                return process
        return None

    def _ports(self, ports: Sequence[Port]) -> tuple[PortSeen, ...]:
        if "ports" in self._host.blind:
            return tuple(PortSeen(port, looked=False, held=False) for port in ports)
        return tuple(self._port(port) for port in ports)

    def _port(self, port: Port) -> PortSeen:
        owner = self._host.owner(_number(port))
        if owner is None:
            return PortSeen(port, looked=True, held=False)
        command = owner.spec.argv[0] if owner.spec else "/usr/sbin/stranger"
        return PortSeen(port, looked=True, held=True, owner_pid=owner.id.pid, owner_command=command)

    def _process(self, process: Process) -> ProcessSeen:
        spec = process.spec
        assert spec is not None
        return ProcessSeen(
            process.id,
            process.suspended,
            self._host.now_s - process.began_s,
            spec.argv[0],
            spec.unit,
            spec.slot,
            spec.release,
            spec.launch_digest,
            {port.name: port.number for port in spec.ports},
        )

    def _calls(self, process: Process | None) -> CallsSeen:
        if process is None or not process.ready or process.suspended or "calls" in self._host.blind:
            return CallsSeen(None, None, "no answer within 1 s")
        lonely = tuple(sorted(room for room, people in process.rooms.items() if people == 1))
        return CallsSeen(len(process.rooms), process.people, "debug-rooms", lonely=lonely)


@frozen
class Place(World):
    """A host as `ensure` takes it, with the lock of the model."""

    host: Host | None = None

    def lock(self) -> Any:
        """The acting lock of the model."""
        assert self.host is not None
        return self.host.lock()


def attend(host: Host) -> Callable[[LaunchSpec, float, Any], Attendance | None]:
    """Tells who is in the calls of an instance: everybody is heard by all in the room."""

    def tell(spec: LaunchSpec, _timeout_s: float, _keys: Any) -> Attendance | None:
        ready = [one for one in host.alive(spec.instance) if one.ready and not one.suspended]
        if not ready or "calls" in host.blind:
            return None
        people = {room: [f"{room}-{at}" for at in range(count)] for room, count in ready[0].rooms.items()}
        return Attendance(
            {(room, one): 1 for room, names in people.items() for one in names},
            {(room, one, other): 1 for room, names in people.items() for one, other in permutations(names, 2)},
        )

    return tell


def place(host: Host) -> Place:
    """A host as `ensure` takes it."""
    registry = ModelRegistry(host)
    clock = Clock(lambda: host.wall_s, lambda: host.now_s, host.advance)
    return Place(
        registry,
        ModelObserver(host, registry),
        Path("/srv/media"),
        clock,
        ModelDisk(host),
        ModelRooms(host),
        ModelKernel(host),
        attend(host),
        host=host,
    )


def wish(host: Host, asked: Asked) -> Wish:
    """What is asked for, as `ensure` takes it."""
    found = desired(asked.release, steering=host.steering, follows=host.follows)
    return Wish(lambda _: found, asked.goal, asked.allowed)


@frozen
class Went:
    """How an ensure went: its receipt, or why there is none; met: whether another control plane came in between."""

    receipt: Receipt | None
    error: str = ""
    met: bool = False

    @property
    def converged(self) -> bool:
        """Whether it reached its goal."""
        return self.receipt is not None and self.receipt.converged


def run(
    host: Host,
    asked: Asked,
    script: Sequence[tuple[str, int, Fault]] = (),
    other: Asked | None = None,
    found: Plan | None = None,
) -> Went:
    """One ensure, or the execution of a plan, by a control plane of its own."""
    plane = _Plane(host, asked, script, other, executes=found is not None)
    with host.plane(plane):
        try:
            if found is not None:
                receipt = earlier.execute(found, wish(host, asked), place(host), plane)
            else:
                receipt = ensure(wish(host, asked), place(host), plane)
        except Crash:
            return Went(None, "crashed", plane.met)
        except UnitsError as error:
            return Went(None, str(error), plane.met)
    return Went(receipt, "", plane.met)


def order(host: Host, asked: Asked, slot: str, terms: Terms | None) -> str:
    """Somebody asks that a slot is drained, or with None for the terms that it is not; why it is refused, or ""."""
    plane = _Plane(host, asked, (), None, executes=False)
    with host.plane(plane):
        try:
            if terms is None:
                cancel_drain(wish(host, asked), place(host), slot)
            else:
                order_drain(wish(host, asked), place(host), slot, terms)
        except UnitsError as error:
            return str(error)
    return ""


def foresee(host: Host, asked: Asked) -> Plan:
    """What an ensure would do."""
    return earlier.foresee(wish(host, asked), place(host))


def _entry(job: Job) -> Entry:
    return Entry(
        instance=job.spec.instance,
        wanted=job.wanted,
        state=job.state,
        process=job.process,
        digest=job.spec.digest,
        launch_digest=job.spec.launch_digest,
        restarts=job.restarts,
        last_error=job.last_error,
    )


def _number(port: Port) -> tuple[str, int]:
    return (port.protocol.value, port.number)
