"""`python -m hero_livekit_units.targets.unit`: have the folder and the files of a unit ready, before its start.

What goes wrong is told in one line, the last one: hero_proc shows that as the reason of the failure.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.definitions.render import file_text
from hero_livekit_units.definitions.template import names
from hero_livekit_units.errors import UnitsError
from hero_livekit_units.execute.lock import acting_lock
from hero_livekit_units.herosocket.address import HERO_PROC_SOCKET, socket_path
from hero_livekit_units.livekit.keys import ensure_secrets
from hero_livekit_units.observe.files import files_that_differ
from hero_livekit_units.places import find_places
from hero_livekit_units.registry.hero_proc import HeroProcRegistry
from hero_livekit_units.targets.saying import one_line
from hero_livekit_units.targets.specs import ORDER, UnitOrder

_LOCK_WAIT_S = 60.0


def main() -> int:
    """Write what differs; the exit status."""
    try:
        spec = UnitOrder.from_text(os.environ[ORDER]).read()
        Path(spec.folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        secrets = _secrets() if any(names([file.template, file.values]) for file in spec.files) else {}
        differ = files_that_differ(spec, secrets)
        for file in spec.files:
            if file.path in differ if differ is not None else not file.once:
                write_atomically(Path(file.path), file_text(file, secrets), file.mode)
                print(f"wrote {file.path}")  # noqa: T201  into the log of the action
    except (UnitsError, OSError, ValueError) as error:
        print(one_line(error), flush=True)  # noqa: T201
        return 1
    return 0


def _secrets() -> dict[str, Any]:
    registry = HeroProcRegistry(os.environ.get(HERO_PROC_SOCKET) or socket_path("hero_proc", os.environ))
    with acting_lock(find_places().home, timeout_s=_LOCK_WAIT_S):
        return ensure_secrets(registry)


if __name__ == "__main__":
    sys.exit(main())
