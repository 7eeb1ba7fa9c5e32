"""Control plane and hero_proc of this host: killed by pid and start time, and started again.

`python -m hero_livekit_units.cli` starts them: whoever runs this has the package, and perhaps no script on the PATH.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from hero_livekit_units.errors import RegistryError, StepFailed, StepTimedOut, VerifyRefused
from hero_livekit_units.herosocket.client import HeroClient
from hero_livekit_units.model.observed import ProcessId, Verdict
from hero_livekit_units.observe.kernel import is_alive, see_process
from hero_livekit_units.procfs import stat_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from hero_livekit_units.media import Media
    from hero_livekit_units.places import Places

HLU = (sys.executable, "-P", "-m", "hero_livekit_units.cli")

_WITHIN_S = 20.0
_LOOK_AGAIN_S = 0.02
_OTHERS_FIRST_S = 1.0
_TTY = 4  # of the fields that `stat_fields` gives


class OwnPlane:
    """A control plane of this run: started by it, killed by it and ended by it."""

    def __init__(self, places: Places, hero_proc: str | None) -> None:
        """Start nothing yet.

        Args:
            places: of this host.
            hero_proc: its socket, None where it is in its place.
        """
        self._client = HeroClient(str(places.socket("hero_livekit")), deadline_s=5.0)
        self._command = [*HLU, "plane", *(("--socket", hero_proc) if hero_proc else ())]
        self._log: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait for its first status.

        Raises:
            StepFailed, StepTimedOut: it did not come up.
        """
        if self._log is None:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed by `end`
        # A session of its own: Ctrl-C is for this run, which ends it in order.
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True
        )
        until("start the control plane", "it answers", self._answers)

    def crash(self) -> None:
        """SIGKILL, and start it again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.start()

    def end(self) -> None:
        """End it for good."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise StepFailed("start the control plane", self._last_words())
        return _status(self._client) is not None

    def _last_words(self) -> str:
        if self._log is None:
            return "it was not started"
        self._log.seek(0)
        words = self._log.read().decode(errors="replace").strip().splitlines()
        return words[-1] if words else "it ended without a word"


class RunningPlane:
    """The control plane that somebody else runs, and must start again."""

    def __init__(self, places: Places) -> None:
        self._socket = str(places.socket("hero_livekit"))
        self._client = HeroClient(self._socket, deadline_s=5.0)

    def start(self) -> None:
        """It runs already."""

    def crash(self) -> None:
        """SIGKILL, and wait until whoever runs it has started it again.

        Raises:
            StepFailed: nobody can be seen to serve its socket.
            StepTimedOut: nobody started it again.
        """
        process = server_of(self._socket)
        if process is None:
            raise StepFailed("kill the control plane", f"who serves {self._socket} cannot be seen")
        kill(process)
        until(
            "kill the control plane",
            f"somebody has started it again (pid {process.pid} was killed)",
            lambda: _status(self._client) is not None,
            hint="start it as it was; it loses nothing by the kill",
        )

    def end(self) -> None:
        """It is not ours to end."""


def plane_for(places: Places, hero_proc: str | None, *, running: bool) -> OwnPlane | RunningPlane:
    """The control plane that may be killed.

    Args:
        places: of this host.
        hero_proc: its socket, None where it is in its place.
        running: the user names the one that runs already.

    Raises:
        VerifyRefused: one runs and was not named.
    """
    process = server_of(str(places.socket("hero_livekit")))
    if process is None:
        return OwnPlane(places, hero_proc)
    if running:
        return RunningPlane(places)
    raise VerifyRefused(
        f"cannot kill the control plane: pid {process.pid} runs, and is not known to come back",
        hint="end it, and verify runs one of its own; or --kill-running-plane, where something starts it again",
    )


class Supervisor:
    """The embedded hero_proc of this host."""

    def __init__(self, media: Media) -> None:
        self._media = media
        self._socket = str(media.places.socket("hero_proc"))
        self._client = HeroClient(self._socket, deadline_s=5.0)
        self._killed = False

    def require_embedded(self) -> ProcessId:
        """Its process, when it is one that can be started again as it was.

        Raises:
            VerifyRefused: it is another hero_proc, keeps its state elsewhere, or belongs to a terminal.
            RegistryError: it cannot be asked.
        """
        seen = self._media.status().supervisor
        if seen.socket != self._socket:
            raise _not_ours(f"the one on {seen.socket} is not where `hlu hero-proc start` would start one")
        found: Any = self._client.call("system.ping")
        kind = found.get("kind", "hero_proc") if isinstance(found, dict) else "?"
        if kind != "embedded":
            raise _not_ours(f"it is a {kind} and not the embedded one")
        process = ProcessId(found["pid"], found["pid_start"])
        running = see_process(process.pid)
        if running is None or running.id != process:
            raise _not_ours(f"pid {process.pid} cannot be seen")
        if f"--state {self._media.places.hero_proc} " not in f"{running.command} ":
            raise _not_ours("it keeps its state elsewhere")
        if stat_fields(process.pid)[_TTY] != b"0":
            raise _not_ours("it runs in the foreground of a terminal (`hlu hero-proc run`)")
        return process

    def crash(self) -> None:
        """SIGKILL, start it again, and wait until it has found its units.

        Raises:
            VerifyRefused: it is another one by now.
            StepFailed, StepTimedOut: it did not come back.
            RegistryError: it cannot be asked.
        """
        process = self.require_embedded()
        self._killed = True
        kill(process)
        self.bring_back()

    def bring_back(self) -> None:
        """Start it if this run has killed it. Nothing happens where it runs. Safe to repeat."""
        if not self._killed:
            return
        # Where something else runs it, such as systemd, that comes first: then it is run as it was.
        until_s = time.monotonic() + _OTHERS_FIRST_S
        while not self._answers() and time.monotonic() < until_s:
            time.sleep(_LOOK_AGAIN_S)
        # A session of its own: Ctrl-C must not stop it half-way.
        run = subprocess.run(
            [*HLU, "hero-proc", "start", "--json"],
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
        if run.returncode:
            raise StepFailed("start hero_proc", run.stderr.strip(), hint="`hlu hero-proc start`; calls do not need it")
        until("start hero_proc", "it has found its units again", self._is_well)
        self._killed = False

    def _answers(self) -> bool:
        try:
            self._client.call("system.ping")
        except RegistryError:
            return False
        return True

    def _is_well(self) -> bool:
        return self._media.status().supervisor.verdict is Verdict.HEALTHY


def _not_ours(why: str) -> VerifyRefused:
    return VerifyRefused(f"cannot kill the supervisor: {why}", hint="verify kills only what it can start again")


def server_of(path: str) -> ProcessId | None:
    """The process that serves a Unix socket, by the kernel's word; None when nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
            pid = int.from_bytes(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], "little")
        except OSError:
            return None
    seen = see_process(pid)
    return seen.id if seen else None


def kill(process: ProcessId) -> None:
    """SIGKILL to this very process, and wait for its end."""
    if is_alive(process):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    until(f"kill pid {process.pid}", "it is gone", lambda: not is_alive(process))


def until(act: str, what: str, condition: Callable[[], bool], *, hint: str = "") -> None:
    """Wait for something with a deadline.

    Raises:
        StepTimedOut: it did not come.
    """
    end = time.monotonic() + _WITHIN_S
    while not condition():
        if time.monotonic() >= end:
            raise StepTimedOut(act, f"it is not seen within {_WITHIN_S:g} s that {what}", hint=hint)
        time.sleep(_LOOK_AGAIN_S)


def _status(client: HeroClient) -> Any:
    """What the control plane says, None where it says nothing."""
    try:
        return client.call("livekitservice.status")
    except RegistryError:
        return None
