"""Another client of the supervisor: it has a unit started, and is killed. Run as a program of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

from hero_livekit_units.errors import ExaminationFailed
from hero_livekit_units.registry.choice import registry_at

_DONE = b"started\n"
_LONGEST_S = 60.0


class Client(Protocol):
    """Another client. It lives from the start of a unit until it is killed."""

    def kill(self) -> None:
        """`kill -9`."""


class OtherProcess:
    """A client in a process and a session of its own, which has started an instance.

    Args:
        socket: of the supervisor.
        home: the folder of the media group.
        instance: that it starts; it is registered already.

    Raises:
        ExaminationFailed: it could not start it.
    """

    def __init__(self, socket: str, home: Path, instance: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, socket, str(home), instance],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        said = self._process.stdout.readline() if self._process.stdout else b""
        if said != _DONE:
            error = self._process.communicate()[1].decode(errors="replace").strip()
            raise ExaminationFailed(f"another client of {socket} cannot start {instance}: {error}")

    def kill(self) -> None:
        """`kill -9`, and wait for its end."""
        self._process.kill()
        self._process.communicate()


def main(socket: str, home: str, instance: str) -> None:
    """Start an instance, say so, and wait for the end."""
    registry_at(socket, Path(home)).start(instance)
    sys.stdout.buffer.write(_DONE)
    sys.stdout.buffer.flush()
    time.sleep(_LONGEST_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
