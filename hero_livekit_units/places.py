"""Where things lie on this host: the home of the package, the Hero sockets, the state of the embedded hero_proc.

The environment decides, in the order of the Hero conventions; nothing here creates anything.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from hero_livekit_units.herosocket.address import path_root, sockets_folder

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Places:
    """Absolute folders.

    home: files of the media (`media.toml`, `bin/`, `slots/`, `backend/`). sockets: one folder a service in it.
    hero_proc: database and logs of the embedded hero_proc. zinit: the socket of a zinit, where its own default puts it.
    """

    home: Path
    sockets: Path
    hero_proc: Path
    zinit: Path

    @property
    def settings_file(self) -> Path:
        """`media.toml`, which need not exist."""
        return self.home / "media.toml"

    def socket(self, service: str) -> Path:
        """The socket of a Hero service."""
        return self.sockets / service / "rpc.sock"

    def supervisor(self) -> Path:
        """The socket of the supervisor of this host: hero_proc's, or zinit's where only that is there."""
        hero_proc = self.socket("hero_proc")
        return self.zinit if self.zinit.exists() and not hero_proc.exists() else hero_proc


def find_places(environment: Mapping[str, str] | None = None) -> Places:
    """Read PATH_VAR, PATH_ROOT, PATH_SOCKET and HERO_SOCKET_DIR; the default is `~/hero/var`."""
    env = os.environ if environment is None else environment
    var = Path(env.get("PATH_VAR") or Path(path_root(env)) / "var").absolute()
    return Places(
        home=var / "hero_livekit",
        sockets=Path(sockets_folder(env)).absolute(),
        hero_proc=var / "hero_proc",
        zinit=var / "zinit.sock",
    )


def own_python() -> str:
    """The interpreter of this process, by one name, whichever of its names started it.

    It stands in launches: of two control planes under two names each would undo what the other did.
    """
    name = Path(sys.prefix, "bin", "python3")
    with suppress(OSError):
        if name.samefile(sys.executable):
            return str(name)
    return sys.executable
