"""What one definition file says: how a unit runs, is probed, counted, stopped and restarted.

The attributes carry the names of the TOML keys. `unit_defs/README.md` explains them for those who write definitions.
A new key needs a default: the digest of a definition passes over what is at its default, so that a frozen release keeps
its digest when the format grows.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

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
    LIST_ROOMS = "list-rooms"


class FileFormat(StrEnum):
    """How a file that we write is made: `text` from a template, the others from `values`."""

    TEXT = "text"
    YAML = "yaml"
    JSON = "json"


class FilePlace(StrEnum):
    """Where a file lies: in the instance's own folder, or in the home of the package, where other programs look."""

    FOLDER = "folder"
    HOME = "home"


class KeySource(StrEnum):
    """Where a list of configuration keys comes from: the release's own source, or what upstream said had changed."""

    MODULE_SOURCE = "module-source"
    CHANGE_LIST = "change-list"


class Strategy(StrEnum):
    """How one release may take the place of another, from the gentlest to the harshest.

    reload: the program takes it over by itself. restart: for what carries no calls. two-slot: the new one starts beside
    the old, whose rooms end by themselves. idle-swap: replaced while no call runs. move, swap: everyone reconnects,
    onto the other slot or the same ports. drain: the old one ends with its last call, then the new one starts.
    """

    RELOAD = "reload"
    RESTART = "restart"
    TWO_SLOT = "two-slot"
    IDLE_SWAP = "idle-swap"
    MOVE = "move"
    SWAP = "swap"
    DRAIN = "drain"


class Basis(StrEnum):
    """What an edge rests on: calls that were measured on both releases, or a reading of upstream's change list."""

    MEASURED = "measured"
    CHANGE_LIST = "change-list"


class HostTrait(StrEnum):
    """What a host can be like so that a release is unfit for it.

    qdisc-stats2-only: the kernel describes a queueing discipline by TCA_STATS2 without the older TCA_STATS.
    """

    QDISC_STATS2_ONLY = "qdisc-stats2-only"


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
    """`[binary.go]`: the exact Go module version to build from, and the program that the build leaves behind.

    `version` may hold `${version}`.
    """

    module: str
    package: str
    version: str
    built_name: str


@frozen
class BinarySection:
    """`[binary]`: the program and where it can be had.

    `version_prints` is what `program *version_argv` must print, to the letter but for surrounding white space. A
    program of the system, which is updated without us, has `version_at_least` instead: the first dotted number that it
    prints must not be older; and `system_package`, the name of the package to install. Both versions may hold
    `${version}`. A unit whose program is part of this package has `python_module` and needs no provisioning.
    """

    program: str = ""
    version_argv: tuple[str, ...] = ()
    version_prints: str = ""
    version_at_least: str = ""
    system_package: str = ""
    archive: ReleaseArchive | None = None
    go: GoModule | None = None
    python_module: str = ""


@frozen
class FileSection:
    """`[run.files."NAME"]`: a file that must be there before the start.

    format `text`: the file is `template`. Otherwise `values` are its keys, dotted, and what they are set to; a value
    that is `${name}` alone keeps its type, and one with a name that is not set is left out. Both may hold
    `${secret.NAME}`. place: the folder it lies in. read_at_start: whether a running unit takes a change over only by a
    restart. once: it is only what the unit begins with; from then on the file is the unit's own, and is never replaced.
    """

    mode: str = "0600"
    format: FileFormat = FileFormat.TEXT
    template: str = ""
    values: dict[str, Any] = field(factory=dict)
    place: FilePlace = FilePlace.FOLDER
    read_at_start: bool = True
    once: bool = False


@frozen
class RunSection:
    """`[run]`: the instance's working folder (relative to the package's home), argv, environment, files."""

    folder: str
    argv: tuple[str, ...]
    env: dict[str, str] = field(factory=dict)
    files: dict[str, FileSection] = field(factory=dict)


@frozen
class PortSection:
    """`[ports.NAME]`: number, transport and the address it is bound to (`*` for all).

    `when` and `unless` name a setting: the port is there only when, or only unless, the user has set it.
    """

    number: int
    protocol: Protocol = Protocol.TCP
    bind: str = "${network.bind}"
    when: str = ""
    unless: str = ""


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
    """One entry of `[calls] sources`: where to count, on which port. The order of the list is the order of trust.

    unless: a key of media.toml; while that is set, this source does not tell what is counted, and is not asked.
    """

    kind: CallSourceKind
    port: str
    unless: str = ""


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
class ConfigSection:
    """`[config]`: what the configuration file of this release may hold.

    file: the name of that file in `[run.files]`. keys: every key it knows, dotted, with the kind of its value (see
    `definitions.kinds`), or `removed` for one that its base still has. source: where the list comes from.
    """

    file: str = ""
    source: KeySource = KeySource.CHANGE_LIST
    keys: dict[str, str] = field(factory=dict)


@frozen
class BlockSection:
    """One entry of `[[blocked]]`: why nobody should run this release; with `where`, only on hosts of that kind."""

    reason: str
    where: HostTrait | None = None


@frozen
class ChangeSection:
    """One entry of `[[changes]]`: what this release changed that somebody who runs it may notice.

    upgrade, rollback: what to do about it on the way to this release, or back from it; "" for nothing.
    """

    what: str
    upgrade: str = ""
    rollback: str = ""


@frozen
class EdgeSection:
    """One edge of the lineage. `strategies` is empty for all that `[lineage]` names."""

    because: str
    basis: Basis = Basis.CHANGE_LIST
    strategies: tuple[Strategy, ...] = ()


@frozen
class LineageSection:
    """`[lineage]`: the releases that this one may follow, and those that may follow it in its place.

    upgrades_from: older releases that this one may replace. rolls_back_to: older ones that may replace it again.
    """

    strategies: tuple[Strategy, ...] = ()
    upgrades_from: dict[str, EdgeSection] = field(factory=dict)
    rolls_back_to: dict[str, EdgeSection] = field(factory=dict)


@frozen
class DependsSection:
    """`[depends]`: units that, where they are wanted, must be up before this one, and stay while people are in it."""

    after: tuple[str, ...] = ()


@frozen
class Definition:
    """The immutable content of one definition file, and of the bases that it extends."""

    unit: UnitSection
    binary: BinarySection
    run: RunSection
    ports: dict[str, PortSection]
    probes: dict[str, ProbeSection]
    stop: StopSection
    restart: RestartSection
    slots: dict[str, int] = field(factory=dict)
    calls: CallsSection | None = None
    config: ConfigSection = ConfigSection()
    depends: DependsSection = DependsSection()
    lineage: LineageSection = LineageSection()
    changes: tuple[ChangeSection, ...] = ()
    blocked: tuple[BlockSection, ...] = ()
