"""One look at the world, and what follows from it: the state of the group, the plan, what becomes of a rotation."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from hero_livekit_units.errors import RegistryError, RegistryProtocolError
from hero_livekit_units.execute.files import DISK, Disk
from hero_livekit_units.execute.lock import acting_lock
from hero_livekit_units.execute.lost import KERNEL, Kernel
from hero_livekit_units.livekit.attendance import see_attendance
from hero_livekit_units.livekit.keys import read_all
from hero_livekit_units.livekit.roomservice import ROOM_SERVICE, RoomService
from hero_livekit_units.livekit.rotation import End, Rotation, Secrets, following, rotation_note
from hero_livekit_units.model.comeback import Attendance
from hero_livekit_units.model.desired import Desired
from hero_livekit_units.model.launch import LaunchSpec
from hero_livekit_units.model.observed import Observed
from hero_livekit_units.model.plan import Allowed, Goal, Plan
from hero_livekit_units.observe.observer import Observer
from hero_livekit_units.plan.planner import plan
from hero_livekit_units.registry.port import Registry

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_LOCK_WAIT_S = 60.0


@frozen
class Clock:
    """The time: `now_s` seconds since the epoch, `monotonic_s` seconds that only go forward, `sleep` lets some pass."""

    now_s: Callable[[], float] = time.time
    monotonic_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@frozen
class Wish:
    """What a caller of `ensure` wants.

    desired: what should run, given the secrets, or None where those are not known. goal: what is wanted of it. allowed:
    what the user accepts by name for people in calls. token_ttl_s: how long the tokens that are made now are good for;
    a rotation lasts at least as long.
    """

    desired: Callable[[Mapping[str, Any] | None], Desired]
    goal: Goal = Goal.RUN
    allowed: frozenset[Allowed] = frozenset()
    token_ttl_s: float = 0.0


@frozen
class World:
    """Where a caller acts: the supervisor, who looks, the group's folder, the time, the disk, the rooms, the kernel.

    attend: who is in the calls of an instance, by name; see `see_attendance`.
    """

    registry: Registry
    observer: Observer
    home: Path
    clock: Clock = Clock()
    disk: Disk = DISK
    rooms: RoomService = ROOM_SERVICE
    kernel: Kernel = KERNEL
    attend: Callable[[LaunchSpec, float, Mapping[str, str] | None], Attendance | None] = see_attendance

    def lock(self) -> AbstractContextManager[None]:
        """The acting lock of this media group."""
        return acting_lock(self.home, timeout_s=_LOCK_WAIT_S)


def known_secrets(registry: Registry, goal: Goal) -> Secrets | None:
    """The secrets as they are now; None when they cannot be asked for, or nothing has to be compared with them.

    Raises:
        RegistryProtocolError: they are there and cannot be understood, so that any plan would be wrong.
    """
    try:
        return None if goal is Goal.STOP else read_all(registry)
    except RegistryProtocolError:
        raise
    except RegistryError:
        return None


@frozen
class Look:
    """One look at the world, and what follows from it."""

    secrets: Secrets | None
    desired: Desired
    observed: Observed
    plan: Plan
    turn: Rotation | End | None


def look(wish: Wish, world: World) -> Look:
    """Look, with the secrets as they are."""
    return look_with(known_secrets(world.registry, wish.goal), wish, world)


def look_with(secrets: Secrets | None, wish: Wish, world: World) -> Look:
    """Look, as if the secrets were these."""
    desired = wish.desired(values(secrets))
    observed = world.observer.observe(desired.specs, secrets=values(secrets))
    found = plan(observed, desired, wish.goal, allowed=wish.allowed)
    return Look(secrets, desired, observed, found, _turn(secrets, found, wish.token_ttl_s, world.clock.now_s))


def values(secrets: Secrets | None) -> dict[str, Any] | None:
    """The secrets by name, None where they are not known."""
    return secrets.values if secrets else None


def _turn(
    secrets: Secrets | None, wanted: Plan, token_ttl_s: float, clock: Callable[[], float]
) -> Rotation | End | None:
    """What becomes of the rotation now that the world is as this plan found it."""
    if secrets is None or secrets.rotation is None or wanted.goal is not Goal.RUN:
        return None
    return following(secrets.rotation, converged=wanted.converged, lifetime_s=token_ttl_s, now_s=clock())


def noted(wanted: Plan, secrets: Secrets | None) -> Plan:
    """The plan, with a word about the rotation that lasts."""
    if secrets is None or secrets.rotation is None:
        return wanted
    return attrs.evolve(wanted, notes=(*wanted.notes, rotation_note(secrets.rotation)))
