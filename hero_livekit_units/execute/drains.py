"""Keeps the record of a drain, and does to its rooms what its terms say."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

from hero_livekit_units.errors import PlanStale
from hero_livekit_units.livekit.keys import ensure_secrets
from hero_livekit_units.model.drain import Drain, DrainSeen, Signal
from hero_livekit_units.model.plan import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hero_livekit_units.execute.files import Disk
    from hero_livekit_units.livekit.roomservice import RoomService
    from hero_livekit_units.model.drain import Terms
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import InstanceSeen
    from hero_livekit_units.model.plan import Step
    from hero_livekit_units.registry.port import Registry

DRAINING = frozenset({Action.DRAIN, Action.ANNOUNCE, Action.END_ROOMS, Action.CANCEL})
_ANNOUNCEMENT = (
    "This call is on a server that is being replaced. Please end it when you can; the next one runs on the new."
)


class Drains:
    """The drains of the group.

    Args:
        registry: the supervisor, which keeps the keys.
        disk: where the records lie.
        rooms: how something is done to rooms.
        terms: of a drain that begins.
        now_s: seconds since the epoch.
    """

    def __init__(
        self, registry: Registry, disk: Disk, rooms: RoomService, terms: Terms, now_s: Callable[[], float]
    ) -> None:
        self._registry = registry
        self._disk = disk
        self._rooms = rooms
        self._terms = terms
        self._now_s = now_s

    def do(self, step: Step, spec: LaunchSpec, seen: InstanceSeen) -> str:
        """Do something to a drain, or to the rooms of it; what was done, in words.

        Raises:
            PlanStale: it does not run any more.
            StepFailed: it could not be recorded, or its rooms could not be reached.
            RegistryError: the keys could not be had.
        """
        if step.action is Action.CANCEL:
            self._disk.forget_drain(spec)
            return "new rooms come to it again"
        if step.action is Action.DRAIN:
            now_s = self._now_s()
            drain = self._drain_of(spec, seen)
            alone = {room: drain.alone.get(room, now_s) for room in step.rooms}
            self._disk.record_drain(spec, attrs.evolve(drain, alone=alone))
            return f"it gets no new rooms, on the word of {drain.by}"
        server = next(port.port for port in seen.ports if port.port.name == "http")
        api_keys = ensure_secrets(self._registry)["api_keys"]
        if step.action is Action.END_ROOMS:
            due = self._due(spec, seen, step.rooms)
            ended = [room for room in due if self._rooms.end_lonely(server, api_keys, room)]
            return f"ended {', '.join(ended) or 'none, as nobody is alone in them any more'}"
        drain = self._drain_of(spec, seen)
        told = self._rooms.tell(server, api_keys, {"type": "drain", "text": _ANNOUNCEMENT, "since_s": drain.since_s})
        self._disk.record_drain(spec, attrs.evolve(drain, announced=True))
        return f"told {told} {'room' if told == 1 else 'rooms'}"

    def _due(self, spec: LaunchSpec, seen: InstanceSeen, rooms: Sequence[str]) -> list[str]:
        """Those whose time is over by the record of now: company may have come and gone since they were chosen."""
        drain = DrainSeen(self._drain_of(spec, seen), self._now_s())
        limit_s = drain.drain.idle_room_s
        return [room for room in rooms if limit_s is not None and drain.alone_for_s(room) >= limit_s]

    @contextmanager
    def signalling(self, step: Step, spec: LaunchSpec, before: InstanceSeen) -> Iterator[None]:
        """While it is asked to end. Where people are in it, that is written down before: nobody is to ask it twice."""
        if not (spec.carries_calls and step.needs.people_at_most is None and before.process is not None):
            yield
            return
        drain = self._drain_of(spec, before)
        self._disk.record_drain(spec, attrs.evolve(drain, signal=Signal.SENDING))
        yield
        self._disk.record_drain(spec, attrs.evolve(drain, signal=Signal.SENT))

    def _drain_of(self, spec: LaunchSpec, seen: InstanceSeen) -> Drain:
        """The drain of a process as it is recorded, or one that begins now."""
        if seen.process is None:
            raise PlanStale(f"drain {spec.instance}", ["it does not run any more"])
        found = self._disk.drain(spec)
        if found is not None and found.process == seen.process.id:
            return found
        now_s = self._now_s()
        return Drain(seen.process.id, myself(), now_s).on(self._terms, now_s)


def myself() -> str:
    """Who acts, for a record: this process and its user."""
    return f"pid {os.getpid()} of user {os.geteuid()}"
