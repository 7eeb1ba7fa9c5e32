"""The list of all services as it goes out: a line is made anew only when its service may have changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hero_livekit_units.embedded.render import service_row
from hero_livekit_units.herosocket.rpc import Encoded

if TYPE_CHECKING:
    from hero_livekit_units.embedded.supervisor import Supervisor


class Listing:
    """The list of the services of a supervisor, of which it is the only reader of `take_unlisted`."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._lines: dict[str, str] = {}

    def text(self) -> Encoded:
        """All services, sorted by name, as a JSON array of `service_row`."""
        for name in self._supervisor.take_unlisted():
            if self._supervisor.specs.knows(name):
                row = service_row(self._supervisor, name)
                self._lines[name] = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
            else:
                self._lines.pop(name, None)
        return Encoded(f"[{','.join(self._lines[name] for name in sorted(self._lines))}]")
