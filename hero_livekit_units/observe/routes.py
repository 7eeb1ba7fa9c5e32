"""What the front says of itself, as the planner needs it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from hero_livekit_units.livekit.front import Front, mark_of
from hero_livekit_units.model.observed import IdleRoom, RoutesSeen

if TYPE_CHECKING:
    from hero_livekit_units.model.launch import LaunchSpec

_CERTIFICATE = re.compile(r"^ *bind .* ssl crt (\S+)", re.MULTILINE)


def see_routes(spec: LaunchSpec, deadline_s: float) -> RoutesSeen | None:
    """What the front of this folder says; None when it cannot be asked in time."""
    front = Front(Path(spec.folder))
    seen = front.see(deadline_s)
    if seen is None:
        return None
    certificate = certificate_of(spec)
    return RoutesSeen(
        new_rooms=seen.new_rooms,
        mark=seen.mark,
        idle=tuple(IdleRoom(room.name, room.slot, room.quiet_s) for room in seen.rooms if not room.connections),
        certificate_shown=front.shows(certificate, deadline_s=deadline_s) if certificate else None,
    )


def certificate_of(spec: LaunchSpec) -> Path | None:
    """The file with the certificate that the front shows, None where it takes plain connections."""
    found = next((found for file in spec.files if (found := _CERTIFICATE.search(file.template))), None)
    return Path(found[1]) if found else None


def not_taken_over(spec: LaunchSpec, routes: RoutesSeen | None) -> set[str]:
    """Paths of the files of a LaunchSpec that are not those that the running front has read."""
    if routes is None:
        return set()
    return {file.path for file in spec.files if mark_of(file.template) not in {"", routes.mark}}
