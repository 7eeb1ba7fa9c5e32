"""Worlds for the tests of the planner, put together from the parts of tests/strategies.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from hero_livekit_units.model.desired import Desired
from hero_livekit_units.model.observed import EntryState, InstanceSeen, Observed, PortSeen
from hero_livekit_units.model.plan import Allowed
from tests.strategies import (
    ANSWERING,
    BACKEND,
    BACKEND_B,
    BACKEND_BEHIND_FRONT,
    DESIRED,
    FRONT,
    MEDIA,
    MEDIA_B,
    MEDIA_ON_REDIS,
    REDIS,
    STEERED,
    entry,
    healthy,
    ports,
    probes,
    process,
    seen,
    with_media,
)

if TYPE_CHECKING:
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import ProcessSeen

OLD_LAUNCH = "0" * 16  # a launch of before: with another configuration, or of another release

OLDER = process(MEDIA, launch_digest=OLD_LAUNCH)
OLD_REDIS = process(REDIS, launch_digest=OLD_LAUNCH)
OLD_BACKEND = process(BACKEND, launch_digest=OLD_LAUNCH)
BEFORE = process(MEDIA, launch_digest=OLD_LAUNCH, release="1.13.4-r1")
BEFORE_B = process(MEDIA_B, launch_digest=OLD_LAUNCH, release="1.13.4-r1")
OTHER_RELEASE = process(MEDIA, launch_digest=OLD_LAUNCH, release="1.9.12-r1")

TAKEN = (PortSeen(MEDIA.port("debug"), looked=True, held=True, owner_pid=666, owner_command="httpd"),)
STOPPING = entry(MEDIA, state=EntryState.STOPPING)
BACKEND_B_RUNS = healthy(BACKEND_B)

BLOCKED = with_media(DESIRED, blocked="it panics")
STEERED_BLOCKED = with_media(STEERED, blocked="it panics")

NOTHING_ALLOWED: frozenset[Allowed] = frozenset()
RECONNECT, DRAIN, DROP = frozenset({Allowed.RECONNECT}), frozenset({Allowed.DRAIN}), frozenset({Allowed.DROP})
RETRY = frozenset({Allowed.RETRY})


def with_backend(**changes: Any) -> Desired:
    """The desired state with another lk-backend."""
    return Desired(
        {
            slot: tuple(spec if spec.carries_calls else attrs.evolve(spec, **changes) for spec in specs)
            for slot, specs in DESIRED.by_slot.items()
        },
        DESIRED.steering,
    )


def not_ready(spec: LaunchSpec = MEDIA, **changes: Any) -> InstanceSeen:
    """Alive and not ready, the supervisor owns it."""
    return seen(spec, entry=entry(spec), process=process(spec, **changes), probes=probes(spec, ok=False))


def unknown(spec: LaunchSpec, found: ProcessSeen | None = None) -> InstanceSeen:
    """Alive and owned, but a probe could not be asked."""
    return seen(spec, entry=entry(spec), process=found or process(spec), probes=probes(spec, ok=None))


def stranger(spec: LaunchSpec) -> InstanceSeen:
    """A process that is not ours holds all of its ports."""
    return seen(spec, ports=ports(spec, 666, "nginx"))


def everything(people: int = 0, **changes: InstanceSeen) -> Observed:
    """The media with all that may stand beside it."""
    by_name = {
        "redis": healthy(REDIS),
        "front": healthy(FRONT),
        "server": healthy(MEDIA_ON_REDIS, people=people),
        "backend": healthy(BACKEND_BEHIND_FRONT),
    }
    return Observed(ANSWERING, tuple((by_name | changes).values()), 1.0)


def between_two_lives(spec: LaunchSpec) -> InstanceSeen:
    """It ended by itself, and the supervisor starts it again."""
    return seen(spec, entry=entry(spec, state=EntryState.WAITING, process=None))


def lost(spec: LaunchSpec, found: ProcessSeen | None = None) -> InstanceSeen:
    """It serves, but the supervisor does not know it."""
    return seen(spec, process=found or process(spec), probes=probes(spec), calls=healthy(spec).calls)
