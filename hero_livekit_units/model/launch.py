"""A definition with every parameter filled in: exactly what a supervisor runs and an observer looks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from hero_livekit_units.model.lineage import Edge
from hero_livekit_units.model.unit import (
    CallSource,
    FileFormat,
    ProbeKind,
    ProbeLevel,
    Protocol,
    RestartSection,
    StopSection,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


LAUNCHES = "launch-"  # what the names of those folders begin with
FAILED = "failed.json"  # in such a folder: how the last start of the launch failed


def instance_name(unit: str, slot: str) -> str:
    """Name of an instance: `name@slot`, or `name` for a unit without slots."""
    return f"{unit}@{slot}" if slot else unit


def connect_host(bind: str) -> str:
    """Where a program on the same host reaches a listener that is bound to this address, or to `*`."""
    return {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)


def launch_folder(folder: str, launch_digest: str) -> str:
    """Where the files lie that a launch reads at its start, in the folder of its instance.

    A supervisor may start a process again at any time, by an entry of any age: it reads what that launch is to read.
    """
    return f"{folder}/{LAUNCHES}{launch_digest}"


@frozen
class LaunchFile:
    """A file to write before the start, still with `${secret.NAME}` in it: secrets never enter a LaunchSpec.

    template: of a text file. values: of a structured one, nested as the file will have it. read_at_start: whether the
    unit takes a change over only by a restart; then the file lies in the folder of the launch. once: it is written only
    where it is missing.
    """

    path: str
    mode: int
    format: FileFormat = FileFormat.TEXT
    template: str = ""
    values: dict[str, Any] = field(factory=dict)
    read_at_start: bool = True
    once: bool = False


@frozen
class Port:
    """A port of an instance; `bind` is an address or `*`."""

    name: str
    number: int
    protocol: Protocol
    bind: str

    @property
    def connect_host(self) -> str:
        """Where a probe on the same host reaches it."""
        return connect_host(self.bind)


@frozen
class Probe:
    """A probe of an instance, with its port resolved. Times are seconds."""

    name: str
    kind: ProbeKind
    level: ProbeLevel
    port: Port
    path: str
    expect_status: int
    interval_s: float
    timeout_s: float
    failures: int


def by_instance(specs: Iterable[LaunchSpec]) -> dict[str, list[LaunchSpec]]:
    """The ways in which each instance may run, in their order."""
    found: dict[str, list[LaunchSpec]] = {}
    for spec in specs:
        found.setdefault(spec.instance, []).append(spec)
    return found


@frozen
class LaunchSpec:
    """How one instance runs.

    digest: of all that a supervisor is told. launch_digest: of the part that needs a restart to take effect; the
    process carries it in its environment, so that the running process itself says which launch it is. after: instances
    that must be up before it. new_rooms: the slot that it is to send new rooms to, "" for what sends none; changed
    while it runs. blocked: why nobody should run this release here, "" for most. replaces: the edges of the
    lineage that lead to it. No digest sees these two: a unit that runs does not change when it gets a successor.
    """

    unit: str
    release: str
    slot: str
    carries_calls: bool
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    folder: str
    files: tuple[LaunchFile, ...]
    ports: tuple[Port, ...]
    probes: tuple[Probe, ...]
    calls: tuple[tuple[CallSource, Port], ...]
    stop: StopSection
    restart: RestartSection
    after: tuple[str, ...] = ()
    new_rooms: str = ""
    blocked: str = ""
    replaces: tuple[Edge, ...] = ()
    digest: str = ""
    launch_digest: str = ""

    @property
    def instance(self) -> str:
        """`name@slot`, or `name` for a unit without slots."""
        return instance_name(self.unit, self.slot)

    @property
    def failed_file(self) -> str:
        """Where it is recorded that the last start of this launch failed."""
        return f"{launch_folder(self.folder, self.launch_digest)}/{FAILED}"

    @property
    def start_files(self) -> tuple[LaunchFile, ...]:
        """The files that are read at the start, which belong to this launch alone."""
        return tuple(file for file in self.files if file.read_at_start)

    @property
    def live_files(self) -> tuple[LaunchFile, ...]:
        """The files that are read while it runs, by it or by other programs."""
        return tuple(file for file in self.files if not file.read_at_start)

    @property
    def environment(self) -> dict[str, str]:
        """What the process is started with: the definition's variables and the marks by which it is known."""
        marks = {
            "HLU_UNIT": self.unit,
            "HLU_RELEASE": self.release,
            "HLU_DIGEST": self.launch_digest,
            "HLU_SLOT": self.slot,
            "HLU_PORTS": ",".join(f"{port.name}={port.number}" for port in self.ports),
        }
        return dict(self.env) | marks

    def edge_from(self, release: str) -> Edge | None:
        """The edge of the lineage that leads from a release to this one, None where none does."""
        return next((edge for edge in self.replaces if edge.start == release), None)

    def port(self, name: str) -> Port:
        """The port of this name.

        Raises:
            KeyError: there is none.
        """
        return {port.name: port for port in self.ports}[name]
