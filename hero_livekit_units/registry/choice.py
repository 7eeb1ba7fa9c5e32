"""Which supervisor a socket belongs to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hero_livekit_units.registry.hero_proc import HeroProcRegistry

if TYPE_CHECKING:
    from pathlib import Path

    from hero_livekit_units.registry.port import Registry

# In the home of the package: what zinit does not keep, and how another hero_proc is spoken to.
FOLDER, MEMORY = "zinit", "hero_proc.json"


def registry_at(socket: str, home: Path) -> Registry:
    """The client for the supervisor behind a socket.

    Its name says which it is: `rpc.sock` is a hero_proc, `zinit.sock` a zinit. One of another name is asked: zinit
    answers a ping in a line of its own, where a hero_proc waits for HTTP.

    Args:
        socket: its path.
        home: the folder of the media group.
    """
    name = os.path.basename(socket)  # noqa: PTH119  no path is needed for it
    if name == "rpc.sock":
        return HeroProcRegistry(socket, memory=home / MEMORY)
    # Whoever has a hero_proc does not load the rest.
    from hero_livekit_units.registry.zinit import ZinitRegistry  # noqa: PLC0415
    from hero_livekit_units.registry.zinit_client import speaks_zinit  # noqa: PLC0415

    if name == "zinit.sock" or speaks_zinit(socket):
        return ZinitRegistry(socket, home / FOLDER)
    return HeroProcRegistry(socket, memory=home / MEMORY)
