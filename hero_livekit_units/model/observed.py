"""What was seen of the world: one value for each witness, and the verdict with its evidence.

Every witness can fail to look. That is a value of its own (`None` or `UNKNOWN`), never a "no".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from attrs import frozen

from hero_livekit_units.model.ability import Ability
from hero_livekit_units.model.launch import LaunchSpec, Port, Probe

if TYPE_CHECKING:
    from hero_livekit_units.model.drain import DrainSeen  # noqa: TC004  it is made of what stands here


class Verdict(StrEnum):
    """What we conclude about an instance.

    healthy: alive, owns its ports, ready. starting: alive, not ready yet, still within its time. unhealthy: alive but
    not ready, or between two lives. stopped: looked everywhere, it does not run. foreign: a process that is not ours
    holds one of its ports. unknown: could not look.
    """

    HEALTHY = "healthy"
    STARTING = "starting"
    UNHEALTHY = "unhealthy"
    STOPPED = "stopped"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"


class EntryState(StrEnum):
    """The supervisor's word about an entry: `waiting` is between two lives (back-off), `failed` is given up."""

    STOPPED = "stopped"
    WAITING = "waiting"
    RUNNING = "running"
    STOPPING = "stopping"
    FAILED = "failed"
    UNKNOWN = "unknown"


@frozen
class ProcessId:
    """Identity of a process: pid and start time, in clock ticks since boot (field 22 of /proc/PID/stat)."""

    pid: int
    start_time: int


@frozen
class Entry:
    """An instance as the supervisor knows it.

    process: its start_time is 0 where the supervisor does not say it; the marks of the process then stand in for it.
    digest, launch_digest: of the LaunchSpec that was registered. last_error: why the last life ended, "" if nothing is
    known. log_file: absolute path, "" where the supervisor does not say.
    """

    instance: str
    wanted: bool
    state: EntryState
    process: ProcessId | None
    digest: str
    launch_digest: str
    restarts: int = 0
    last_error: str = ""
    log_file: str = ""


@frozen
class SupervisorSeen:
    """The supervisor: `verdict` is healthy when it answered, unknown when it did not; `says` is why.

    adopts: whether it finds the programs of its life before again. One that does not starts second copies, which its
    client can end without touching what lives. lacks: what it cannot do, as `hlu doctor` has seen it; None where
    nobody has looked.
    """

    kind: str
    version: str
    process: ProcessId | None
    verdict: Verdict
    says: str
    socket: str
    adopts: bool = True
    lacks: frozenset[Ability] | None = None

    def is_without(self, ability: Ability) -> bool:
        """Whether it was seen not to do something."""
        return self.lacks is not None and ability in self.lacks


@frozen
class ProcessSeen:
    """The kernel's word about a process.

    suspended: stopped by a signal or a debugger. age_s: seconds since its start. unit, slot, release, launch_digest:
    the marks in its environment, "" where there are none or they cannot be read. ports: numbers by name, as it was
    launched with, None likewise.
    """

    id: ProcessId
    suspended: bool
    age_s: float
    command: str
    unit: str = ""
    slot: str = ""
    release: str = ""
    launch_digest: str = ""
    ports: dict[str, int] | None = None


@frozen
class PortSeen:
    """Who holds a port. `looked` is false where the kernel would not tell; `owner` is None when nobody holds it.

    `owner_pid` is 0 for a holder whose process cannot be seen (another user's); `owner_command` describes it, and
    `owner_user` is the user, which is "" for a holder that can be seen.
    """

    port: Port
    looked: bool
    held: bool
    owner_pid: int = 0
    owner_command: str = ""
    owner_user: str = ""


@frozen
class ProbeSeen:
    """The answer to a probe: `ok` is None when it could not be asked."""

    probe: Probe
    ok: bool | None
    says: str
    took_ms: float


@frozen
class CallsSeen:
    """Rooms and people, or None where the count could not be had; `source` says where from, or why not.

    longest_s: the age of the oldest room in seconds, None where there is none or that is not known. lonely: the names
    of rooms with one in them, None where that is not known.
    """

    rooms: int | None
    people: int | None
    source: str
    longest_s: float | None = None
    lonely: tuple[str, ...] | None = None

    @property
    def says(self) -> str:
        """The count in words: "nobody", "1 person in 1 room"; "" where it could not be had."""
        if self.people is None or self.rooms is None:
            return ""
        if not self.people:
            return "nobody"
        people = "1 person" if self.people == 1 else f"{self.people} people"
        return f"{people} in {self.rooms} room{'' if self.rooms == 1 else 's'}"


@frozen
class Parent:
    """A process above another one; `command` is cut when long, and "" where it cannot be read."""

    pid: int
    command: str


@frozen
class Foreign:
    """A process that is not ours and holds a port of ours, so that somebody can decide what becomes of it.

    process: None where it cannot be seen; then user and command are all that is known, or less. command: cut when long.
    group, session: 0 where they are not known. parents: the next one first, up to pid 1 where they can be seen.
    dies_with: what would end it, in words. calls: None for a unit that carries none. age_s: seconds since its start.
    """

    process: ProcessId | None
    command: str
    user: str
    group: int
    session: int
    parents: tuple[Parent, ...]
    dies_with: str
    calls: CallsSeen | None
    age_s: float | None = None


@frozen
class IdleRoom:
    """A room that nobody is connected to through the front, for `quiet_s` seconds, and the slot that it belongs to."""

    name: str
    slot: str
    quiet_s: float


@frozen
class RoutesSeen:
    """What a unit that sends joins to slots says of itself.

    new_rooms: the slot that new rooms go to. mark: of the configuration that it has read. idle: rooms that it keeps the
    slot of although nobody is connected. certificate_shown: whether it shows the certificate that is in its file now,
    None where it has none or that could not be told.
    """

    new_rooms: str
    mark: str
    idle: tuple[IdleRoom, ...] = ()
    certificate_shown: bool | None = None


@frozen
class Failed:
    """That the last start of a launch failed while another slot served; it lies in the folder of the launch.

    at_s: seconds since the epoch. because: in words. line: the last line of its log that said something, "" for none.
    pid: of its last process, 0 where it had none any more.
    """

    at_s: float
    because: str
    line: str = ""
    pid: int = 0

    @property
    def says(self) -> str:
        """It in words, with the time in UTC."""
        when = datetime.fromtimestamp(self.at_s, UTC)
        return f"its last start failed at {when:%Y-%m-%d %H:%M:%S} UTC: {self.because}"


@frozen
class Evidence:
    """One thing that was seen: which witness said what, whether it speaks for the instance, how long looking took."""

    witness: str
    says: str
    speaks_for: bool | None
    took_ms: float


@frozen
class InstanceSeen:
    """Everything seen of one instance, and what follows.

    ports, probes and calls are those that the process was launched with, where it runs with other settings than the
    spec's. in_the_way: ports of the spec that it does not have, and that somebody else holds. foreign: who makes the
    verdict foreign.
    entry: None when the supervisor does not know it or could not be asked (`registry_looked` tells which).
    files_differ: for each LaunchSpec that it may run by, by digest, the paths that are missing or not as they should
    be; None when that could not be told.
    routes: None for a unit that sends no joins, or where it could not be asked.
    left: folders of launches that are neither registered nor run nor wanted, and the drain of a process that is gone:
    what they hold nobody will read.
    updated_for_s: seconds since the youngest of the files that are read while it runs was written, None where there is
    none or that could not be told. drain: of the process that runs, None where it is not drained. program_missing: the
    path of the program when it is not there, else "".
    began_for_s: seconds since the launch of the spec was first started, however many lives it has had since; None where
    that is unknown. failed: how the last start of that launch failed, None where it did not. log_line: what its log
    said last, since then; "" for a unit with which nothing is wrong.
    """

    spec: LaunchSpec
    registry_looked: bool
    entry: Entry | None
    process: ProcessSeen | None
    ports: tuple[PortSeen, ...]
    probes: tuple[ProbeSeen, ...]
    calls: CallsSeen | None
    files_differ: Mapping[str, tuple[str, ...] | None]
    program_missing: str
    verdict: Verdict
    because: str
    evidence: tuple[Evidence, ...]
    in_the_way: tuple[PortSeen, ...] = ()
    foreign: Foreign | None = None
    updated_for_s: float | None = None
    left: tuple[str, ...] = ()
    routes: RoutesSeen | None = None
    drain: DrainSeen | None = None
    began_for_s: float | None = None
    failed: Failed | None = None
    log_line: str = ""

    @property
    def release(self) -> str:
        """The release that runs, by its own mark; "" where none runs or it has no mark."""
        return self.process.release if self.process else ""

    def differ(self, spec: LaunchSpec) -> tuple[str, ...] | None:
        """Paths that are missing or not as a LaunchSpec has them, None when that could not be told."""
        return self.files_differ.get(spec.digest)

    @property
    def closed(self) -> bool:
        """Whether its process has had its time and has no port open: nobody can be in a call of it, nor come.

        Who is in a call is connected to the port that signals go over, for as long as the call lasts. Where somebody is
        counted all the same, one of the two witnesses is wrong, and it may be this one.
        """
        if self.calls is not None and self.calls.people:
            return False
        late = self.verdict is Verdict.UNHEALTHY and self.process is not None and not self.process.suspended
        return late and all(port.looked and not port.held for port in self.ports)

    @property
    def people(self) -> int | None:
        """How many are in its calls, None where that is unknown. A process that is closed cannot be asked."""
        counted = self.calls.people if self.calls else None
        return 0 if counted is None and self.closed else counted

    @property
    def owned(self) -> bool:
        """Whether the supervisor holds the very process that we see."""
        return (
            self.entry is not None
            and self.process is not None
            and self.entry.process == self.process.id
            and self.entry.state is EntryState.RUNNING
        )


@frozen
class Observed:
    """The world at one moment, instance by instance in the order of the desired state.

    slot: where new rooms go or should go, "" where nobody has concluded that.
    """

    supervisor: SupervisorSeen
    instances: tuple[InstanceSeen, ...]
    took_ms: float
    slot: str = ""

    def instance(self, name: str) -> InstanceSeen:
        """The instance of this name.

        Raises:
            KeyError: it was not looked at.
        """
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, InstanceSeen]:
        return {seen.spec.instance: seen for seen in self.instances}
