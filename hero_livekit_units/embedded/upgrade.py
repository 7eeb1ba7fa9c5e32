"""The daemon's own upgrade: which program takes its place, and whether that would work.

Owns: the check before the exec. Must not exec: `daemon` does, when all that was asked has been answered.

The new program is run once as a child first, with `--check`: it imports all of itself and opens a copy of the database.
What it cannot do there is said, and the old one goes on.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from hero_livekit_units.embedded.faults import UpgradeRefused
from hero_livekit_units.embedded.handover import PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Callable

    from hero_livekit_units.embedded.handover import Handover
    from hero_livekit_units.embedded.supervisor import Supervisor

CHECK_WITHIN_S = 60.0


class Upgrade:
    """The upgrade of this daemon, at most one at a time.

    command: what is to take our place, None as long as nothing is. generation, failed: as in the handover that we got.

    Args:
        supervisor: has to have written all that it knows.
        version: of this daemon.
        handover: that this program got, None when it was started anew.
        ready: called when `command` is there.
    """

    def __init__(
        self, supervisor: Supervisor, version: str, handover: Handover | None, ready: Callable[[], None]
    ) -> None:
        self._supervisor = supervisor
        self._version = version
        self._ready = ready
        self._busy = False
        self.command: list[str] | None = None
        self.generation = handover.generation if handover else 0
        self.failed = handover.failed if handover else None

    async def to(self, where: str | None) -> dict[str, Any]:
        """Check a program and let it take our place once the answer to this is out.

        Args:
            where: an interpreter, or the folder of a virtual environment; by default the interpreter that runs this.

        Raises:
            UpgradeRefused: it would not work, one is under way, or the daemon is ending. Nothing has changed.
        """
        if self._busy:
            raise UpgradeRefused("an upgrade is under way already")
        self._require_rest()
        self._busy = True
        try:
            command = [_interpreter(where), *sys.orig_argv[1:]]
            version = await asyncio.to_thread(_check, command)
            self._require_rest()
            self.command = command
        finally:
            self._busy = self.command is not None
        self._ready()
        return {"ok": True, "from": self._version, "to": version, "interpreter": command[0]}

    def _require_rest(self) -> None:
        if self._supervisor.closing:
            raise UpgradeRefused("it is ending")
        if not self._supervisor.jobs.all_written:
            raise UpgradeRefused("the state cannot be written", hint="is the disk full?")

    def cancel(self) -> None:
        """The end of the daemon was asked for, which goes first."""
        self.command = None


def _interpreter(where: str | None) -> str:
    if where is None:
        return sys.executable
    if not os.path.isabs(where):  # noqa: PTH117
        raise UpgradeRefused(f"{where} is not an absolute path")
    found = os.path.join(where, "bin", "python") if os.path.isdir(where) else where  # noqa: PTH112, PTH118
    if not os.access(found, os.X_OK):
        raise UpgradeRefused(f"{found} is not a program", hint="name a Python, or the folder of a virtual environment")
    return found


def _check(command: list[str]) -> str:
    """The version of a program that could take our place.

    Raises:
        UpgradeRefused: it could not.
    """
    try:
        done = subprocess.run(
            [*command, "--check"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CHECK_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UpgradeRefused(f"{command[0]} was not checked within {CHECK_WITHIN_S:g} s") from None
    except OSError as error:
        raise UpgradeRefused(f"{command[0]} cannot be executed: {error.strerror or error}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode} without a word"]
        raise UpgradeRefused(f"{command[0]} would not work: {lines[-1]}")
    try:
        said = json.loads(done.stdout)
        version, protocol = str(said["version"]), int(said["handover"])
    except (ValueError, LookupError, TypeError) as error:
        raise UpgradeRefused(f"{command[0]} does not answer --check with its version") from error
    if protocol != PROTOCOL:
        raise UpgradeRefused(f"version {version} hands over by protocol {protocol}, this one by {PROTOCOL}")
    return version
