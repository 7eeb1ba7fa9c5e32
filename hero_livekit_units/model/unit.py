"""What one definition file says: how a unit runs, is probed, counted, stopped and restarted.

The attributes carry the names of the TOML keys. `unit_defs/README.md` explains them for those who write definitions.
"""

from __future__ import annotations

from enum import StrEnum

from attrs import field, frozen


class Protocol(StrEnum):
    """Transport of a port."""

    TCP = "tcp"
    UDP = "udp"


class ProbeKind(StrEnum):
    """How a probe asks."""

    HTTP = "http"
    TCP = "tcp"


class ProbeLevel(StrEnum):
    """What a failing probe means: `liveness`, that the unit is broken; `readiness`, that it may get no traffic yet."""

    LIVENESS = "liveness"
    READINESS = "readiness"


class CallSourceKind(StrEnum):
    """Where rooms and people can be counted."""

    DEBUG_ROOMS = "debug-rooms"
    PROMETHEUS = "prometheus"


@frozen
class UnitSection:
    """`[unit]`: who this is."""

    name: str
    version: str
    revision: int
    summary: str
    carries_calls: bool = False

    @property
    def release(self) -> str:
        """Version and revision together, such as `1.13.5-r1`."""
        return f"{self.version}-r{self.revision}"


@frozen
class ReleaseArchive:
    """`[binary.archive]`: upstream's release archive.

    `url` and `checksums` may hold `${version}` and `${arch}` (amd64, arm64, armv7). `sha256` pins hashes by arch; one
    that is not listed is checked against `checksums` alone.
    """

    url: str
    checksums: str
    member: str
    sha256: dict[str, str] = field(factory=dict)


@frozen
class GoModule:
    """`[binary.go]`: the exact Go module version to build from, and the program that the build leaves behind."""

    module: str
    package: str
    version: str
    built_name: str


@frozen
class BinarySection:
    """`[binary]`: the program and where it can be had.

    `version_prints` is what `program *version_argv` must print, to the letter but for surrounding white space. A unit
    whose program is part of this package has `python_module` instead and needs no provisioning.
    """

    program: str = ""
    version_argv: tuple[str, ...] = ()
    version_prints: str = ""
    archive: ReleaseArchive | None = None
    go: GoModule | None = None
    python_module: str = ""


@frozen
class FileTemplate:
    """`[run.files."NAME"]`: a file that must be there before the start; its `template` may hold `${secret.NAME}`."""

    template: str
    mode: str = "0600"


@frozen
class RunSection:
    """`[run]`: the instance's working folder (relative to the package's home), argv, environment, files."""

    folder: str
    argv: tuple[str, ...]
    env: dict[str, str] = field(factory=dict)
    files: dict[str, FileTemplate] = field(factory=dict)


@frozen
class PortSection:
    """`[ports.NAME]`: number, transport and the address it is bound to (`*` for all)."""

    number: int
    protocol: Protocol = Protocol.TCP
    bind: str = "${bind}"


@frozen
class ProbeSection:
    """`[probes.NAME]`: one question to the running unit. Times are seconds; `expect_status` counts for http only."""

    kind: ProbeKind
    level: ProbeLevel
    port: str
    path: str = "/"
    expect_status: int = 200
    interval_s: float = 5.0
    timeout_s: float = 1.0
    failures: int = 3


@frozen
class CallSource:
    """One entry of `[calls] sources`: where to count, on which port. The order of the list is the order of trust."""

    kind: CallSourceKind
    port: str


@frozen
class CallsSection:
    """`[calls]`: how rooms and people are counted."""

    sources: tuple[CallSource, ...]


@frozen
class StopSection:
    """`[stop]`: how the unit is asked to end.

    signal: sent once. minimum_age_s: no signal before the process is this old (livekit-server loses earlier ones).
    window_s: how long the end may take. kill_after_window: whether the process group is killed then.
    """

    signal: str
    minimum_age_s: float = 0.0
    window_s: float = 10.0
    kill_after_window: bool = True


@frozen
class RestartSection:
    """`[restart]`: what the supervisor does when the unit ends by itself. Times are seconds.

    exit_zero_is_failure: an end nobody asked for is a failure even with status 0. delay_s doubles up to max_delay_s and
    starts over after stable_after_s of life. ready_within_s: how long after a start readiness may take.
    """

    exit_zero_is_failure: bool
    delay_s: float = 1.0
    max_delay_s: float = 30.0
    stable_after_s: float = 30.0
    ready_within_s: float = 15.0


@frozen
class LineageSection:
    """`[lineage]`: the releases that this one may replace."""

    replaces: tuple[str, ...] = ()


@frozen
class Definition:
    """The immutable content of one definition file."""

    unit: UnitSection
    binary: BinarySection
    run: RunSection
    ports: dict[str, PortSection]
    probes: dict[str, ProbeSection]
    stop: StopSection
    restart: RestartSection
    slots: dict[str, int] = field(factory=dict)
    calls: CallsSection | None = None
    lineage: LineageSection = LineageSection()
