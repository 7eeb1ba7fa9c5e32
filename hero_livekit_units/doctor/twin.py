"""A second supervisor of the same program, in a folder of its own, that may be killed: the media are not its.

What becomes of units when a supervisor dies is not tried out on the one that media run under.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from hero_livekit_units.doctor.ward import until
from hero_livekit_units.model.observed import Verdict
from hero_livekit_units.procfs import DEAD, lives, stat_fields
from hero_livekit_units.registry.choice import registry_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_livekit_units.model.observed import SupervisorSeen

_ANSWERS_WITHIN_S = 10.0
_LEFT_S = 2.0
_EMBEDDED, _ZINIT = "embedded", "zinit"
# zinit keeps its state for a planned restart in /run/zinit, whoever runs it: no other zinit may find this one's.
_OWN_RUN = 'mount --bind "$1" /run && shift && exec "$@"'


class NoTwin(Exception):
    """Why there can be no second one."""


class Twin:
    """A second supervisor: `registry` is our client of it, `socket` and `home` make another one.

    Args:
        supervisor: the one at hand.
        folder: its own, which the caller removes.

    Raises:
        NoTwin: none of its kind can be started here.
    """

    def __init__(self, supervisor: SupervisorSeen, folder: Path) -> None:
        self.socket = str(folder / ("zinit.sock" if supervisor.kind == _ZINIT else "rpc.sock"))
        self.home = folder / "home"
        self._version = supervisor.version
        self._log = folder / "log"
        self._command, self._environment = _command(supervisor, folder, self.socket)
        self._process: subprocess.Popen[bytes] | None = None
        self._sessions: set[int] = set()
        self.registry = registry_at(self.socket, self.home)

    def start(self) -> None:
        """Start it, or its next life, and wait until it answers.

        Raises:
            NoTwin: it does not, or is of another version by now.
        """
        with self._log.open("ab") as log:
            process = self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
        self._sessions.add(process.pid)
        until(lambda: process.poll() is not None or self._answers(), _ANSWERS_WITHIN_S)
        seen = self.registry.survey([]).supervisor
        if seen.verdict is not Verdict.HEALTHY:
            said = self._log.read_text(errors="replace").strip().splitlines()
            raise NoTwin(f"a second one does not answer ({said[-1] if said else 'without a word'})")
        if seen.version != self._version:
            raise NoTwin(f"its program is of version {seen.version} by now")

    def close(self) -> None:
        """Kill it, and wait until nothing is left of what it was about to start."""
        self.kill()
        if not until(lambda: not self._left(), _LEFT_S):
            for pid, started in self._left():
                if lives(pid, started):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    def _left(self) -> list[tuple[int, int]]:
        """Pid and start of what lives in the sessions of its lives, which were made for them."""
        found = []
        for pid in [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]:
            with suppress(PermissionError):  # another user's, and hidden
                fields = stat_fields(pid)
                if fields and fields[0] not in DEAD and int(fields[3]) in self._sessions:
                    found.append((pid, int(fields[19])))
        return found

    def kill(self) -> None:
        """`kill -9`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        return self.registry.survey([]).supervisor.verdict is Verdict.HEALTHY


def _command(supervisor: SupervisorSeen, folder: Path, socket: str) -> tuple[list[str], dict[str, str]]:
    """How one of the same program is started, and in which environment."""
    process = supervisor.process
    if process is None:
        raise NoTwin("its process cannot be seen")
    if supervisor.kind not in {_EMBEDDED, _ZINIT}:
        raise NoTwin(f"how another {supervisor.kind} is started is not known")
    try:
        seen = psutil.Process(process.pid)
        arguments, environment, program = seen.cmdline(), seen.environ(), seen.exe()
    except psutil.Error as error:
        raise NoTwin(f"how pid {process.pid} was started cannot be read: {error}") from error
    if supervisor.kind == _EMBEDDED:
        return _moved(arguments, {"--socket": socket, "--state": str(folder / "state")}), environment
    if os.geteuid() or not (unshare := shutil.which("unshare")):
        raise NoTwin("a second zinit takes root and the command unshare, for a /run of its own")
    if not Path(program).exists():
        raise NoTwin(f"its program is not there any more: {program}")
    run, config = folder / "run", folder / "zinit"
    run.mkdir()
    config.mkdir()
    alone = [unshare, "-m", "sh", "-c", _OWN_RUN, "sh", str(run)]
    return [*alone, program, "-c", str(config), "-s", socket], environment


def _moved(arguments: Sequence[str], places: dict[str, str]) -> list[str]:
    """A command line with other values of some options."""
    found = list(arguments)
    for option, value in places.items():
        if option not in found[:-1]:
            raise NoTwin(f"its command line has no {option}")
        found[found.index(option) + 1] = value
    return found
