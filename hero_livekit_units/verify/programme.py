"""What `hlu verify` is asked to do: who talks where, and what happens meanwhile. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX = "hlu-verify-"  # of the names of all rooms


class Kind(StrEnum):
    """What a stage does while the call lasts; `undisturbed` is nothing, to see what a call is like here."""

    UNDISTURBED = "undisturbed"
    CONTROL_PLANE = "control-plane-crash"
    SUPERVISOR = "supervisor-crash"
    ENSURE = "ensure"
    UPGRADE = "upgrade"


@frozen
class Stage:
    """One kind of damage, `times` times; `release` is the one to upgrade to, "" for all others."""

    kind: Kind
    times: int = 1
    release: str = ""

    @property
    def name(self) -> str:
        """For people, such as `3 supervisor crashes`."""
        return counted(self.kind, self.times, self.release)


@frozen
class Programme:
    """All of it.

    Attributes:
        rooms: how many calls at once, 1 or more.
        participants: in each of them, 2 or more.
        baseline_s: seconds of the undisturbed stretch before the first stage.
        stages: in order, never empty.
        allow_reconnect: an upgrade may make people reconnect.
        keep: stay at the last release, where all of them were reached.
        beside_calls: go on although others are in calls on this host, or nobody can tell.
        kill_running_plane: the control plane that runs already is the one to kill.
    """

    rooms: int
    participants: int
    baseline_s: float
    stages: tuple[Stage, ...]
    allow_reconnect: bool = False
    keep: bool = False
    beside_calls: bool = False
    kill_running_plane: bool = False

    def has(self, kind: Kind) -> bool:
        """Whether a stage is of this kind."""
        return any(stage.kind is kind for stage in self.stages)

    @property
    def releases(self) -> tuple[str, ...]:
        """To upgrade to, in order."""
        return tuple(stage.release for stage in self.stages if stage.kind is Kind.UPGRADE)


def stages(
    *, control_plane: int = 0, supervisor: int = 0, ensures: int = 0, releases: Sequence[str] = ()
) -> tuple[Stage, ...]:
    """What was named, in the order in which it is done: upgrades last, as no ensure before them may change anything."""
    named = (
        Stage(Kind.CONTROL_PLANE, control_plane),
        Stage(Kind.SUPERVISOR, supervisor),
        Stage(Kind.ENSURE, ensures),
        *(Stage(Kind.UPGRADE, release=release) for release in releases),
    )
    return tuple(stage for stage in named if stage.times) or (Stage(Kind.UNDISTURBED),)


def places_in_rooms(mark: str, rooms: int, participants: int) -> tuple[tuple[str, str], ...]:
    """Room and identity of each participant. `mark` tells this run from all others."""
    return tuple(
        (f"{PREFIX}{mark}-{room}", f"p{person}")
        for room in range(1, rooms + 1)
        for person in range(1, participants + 1)
    )


def counted(kind: Kind, times: int, release: str = "") -> str:
    """So many of a kind, for people."""
    many = "" if times == 1 else "s"
    match kind:
        case Kind.CONTROL_PLANE:
            return f"{times} control-plane crash{many and 'es'}"
        case Kind.SUPERVISOR:
            return f"{times} supervisor crash{many and 'es'}"
        case Kind.ENSURE:
            return f"{times} ensure{many}"
        case Kind.UPGRADE:
            return f"upgrade to {release}" if release else f"{times} upgrade{many}"
        case _:
            return "an undisturbed stretch"
