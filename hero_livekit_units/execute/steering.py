"""Brings a running front to what is wanted: its configuration, its certificate, where new rooms go, what it forgets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hero_livekit_units.errors import FrontError, StepFailed
from hero_livekit_units.livekit.front import Front, mark_of
from hero_livekit_units.observe.routes import certificate_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hero_livekit_units.model.launch import LaunchSpec

_SEEN_S = 2.0  # for the front to say where rooms are, before their slot ends


def steer(spec: LaunchSpec, rooms: Sequence[str], write: Callable[[], str]) -> str:
    """Steer the front of this LaunchSpec; the caller holds the acting lock.

    Args:
        spec: of the front.
        rooms: names that it is to forget.
        write: writes its files, and says so.

    Returns:
        What was done, in words.

    Raises:
        StepFailed: its new configuration is no good, and the old one is as it was; or it could not be told.
    """
    front = Front(Path(spec.folder))
    configs = [file.template for file in spec.live_files if mark_of(file.template)]
    try:
        for config in configs:
            if faults := front.check(config, spec.argv[0]):
                first = faults[0]
                raise StepFailed(f"update {spec.instance}", f"line {first.line} of its configuration: {first.text}")
        done = [write()]
        seen = front.see()
        if seen is not None and any(mark_of(config) != seen.mark for config in configs):
            reloaded = front.reload()
            done.append(f"reloaded as pid {reloaded.pid} with {reloaded.rooms} rooms")
        certificate = certificate_of(spec)
        if certificate is not None and front.shows(certificate) is False:
            front.renew(certificate)
            done.append("shows its new certificate")
        seen = front.route(spec.new_rooms)
        done.append(f"new rooms go to slot {seen.new_rooms}")
        if rooms:
            left = front.forget([room for room in seen.rooms if room.name in set(rooms)])
            done.append(f"{len(rooms) - len(left)} rooms that have ended are forgotten")
    except FrontError as error:
        raise StepFailed(f"update {spec.instance}", str(error), hint=error.hint) from error
    return "; ".join(done)


def move_rooms(spec: LaunchSpec, old: str, new: str) -> None:
    """Have the front send who joins a room of slot `old` to slot `new`; the caller ends the old one in the same moment.

    Args:
        spec: of the front.
        old: the slot that is about to end.
        new: the slot that new rooms go to.

    Raises:
        StepFailed: it could not be told: who lost the old slot would wait for it until they give up.
    """
    action = f"move the rooms of slot {old}"
    front = Front(Path(spec.folder))
    seen = front.see(_SEEN_S)
    if seen is None:
        raise StepFailed(action, "the front could not be asked where they are")
    try:
        front.move([room for room in seen.rooms if room.slot == old], new)
    except FrontError as error:
        raise StepFailed(action, str(error), hint=error.hint) from error
