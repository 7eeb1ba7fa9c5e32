"""The daemon as a process, and what a test needs to talk to it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import hero_livekit_units
from hero_livekit_units.errors import RegistryError, RegistryRefused, RegistryUnavailable
from hero_livekit_units.herosocket.client import HeroClient

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_S = 20.0
_CALLERS = 2
CHILD = Path(__file__).parents[1] / "fakes" / "child.py"
ROOT = Path(hero_livekit_units.__file__).parents[1]


def child(*arguments: object) -> str:
    """The script of an action that runs the misbehaving program."""
    return shlex.join([sys.executable, "-S", "-E", str(CHILD), *map(str, arguments)])


def until(reached: Callable[[], Any], what: str) -> Any:
    """Wait until something is so, and return what it gave."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := reached()):
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.005)
    return found


def lives(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def _leads_session(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


class Daemon:
    """A daemon with its socket and state in a folder. It may be killed and started again.

    `python` runs it; `environment` is on top of the little that it is given, `arguments` go to its command.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = str(folder / "hero_proc" / "rpc.sock")
        self.state = folder / "state"
        self.log = folder / "daemon.log"
        self.client = HeroClient(self.socket, deadline_s=DEADLINE_S)
        self.process: subprocess.Popen[bytes] | None = None
        self.python = sys.executable
        self.environment: dict[str, str] = {}
        self.arguments: tuple[str, ...] = ()

    @property
    def pid(self) -> int:
        """Of the daemon that runs now."""
        assert self.process is not None
        return self.process.pid

    def launch(self, *, socket: str = "", state: str = "", prefix: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start a process of the daemon without waiting for it."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [
                    *(*prefix, self.python, "-m", "hero_livekit_units.embedded"),
                    *("--socket", socket or self.socket, "--state", state or str(self.state)),
                    *self.arguments,
                ],
                env={name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
                | {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(self.folder), "SECRET": "no"}
                | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",  # as it is started detached: what is in the folder of its caller is not for it to import
            )

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process = self.launch()
        until(self._answers, "the daemon answers")

    def crash(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self.process = None

    def restart(self) -> None:
        """`kill -9`, then start again."""
        self.crash()
        self.start()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(DEADLINE_S)
        self.process = None
        return status

    def call(self, method: str, **params: Any) -> Any:
        """Call a method."""
        return self.client.call(method, params)

    def refusal(self, method: str, **params: Any) -> RegistryRefused:
        """Call a method that has to be refused."""
        try:
            result = self.client.call(method, params)
        except RegistryRefused as refused:
            return refused
        raise AssertionError(f"{method} was not refused: {result}")

    def keep(self, name: str, script: str, **fields: Any) -> None:
        """Store a service with one process action of the same name, quick to retry, and start it."""
        retry = {"delay_ms": 50, "max_delay_ms": 200, "stability_period_ms": 60_000}
        action = {"name": name, "script": script, "is_process": True, "retry_policy": retry} | fields
        self.call("action.set", action=action)
        self.call("service.set", service={"name": name, "actions": [name], "status": "start"})
        self.call("service.start", name=name)

    def job(self, name: str, action: str = "") -> dict[str, Any]:
        """The present job of an action of a service."""
        jobs = {job["name"]: job for job in self.call("service.status", name=name)["actions"]}
        found: dict[str, Any] = jobs[action or name]
        return found

    def state_of(self, name: str) -> str:
        """The state of a service."""
        return str(self.call("service.status", name=name)["state"])

    def until_state(self, name: str, state: str) -> None:
        """Wait for a state of a service."""
        until(lambda: self.state_of(name) == state, f"{name} is {state}")

    def copies(self) -> list[int]:
        """Pids of all live session leaders that carry the mark of this daemon's state."""
        return [pid for pid in self.marked() if _leads_session(pid)]

    def marked(self) -> list[int]:
        """Pids of all live processes that carry the mark, what the units themselves started among them."""
        marker = f"HOME={self.folder}\0".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                environment = entry.joinpath("environ").read_bytes()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if marker in environment and b"HERO_PROC_JOB=" in environment and lives(int(entry.name)):
                found.append(int(entry.name))
        return sorted(found)

    def clean_up(self) -> None:
        """End the daemon and everything that it started."""
        if self.process is not None:
            try:
                self.call("system.shutdown", keep_children=False, force=True)
            except RegistryError:
                self.process.kill()
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in self.marked():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended: {self.log.read_text()}")
        try:
            self.client.call("system.ping")
        except RegistryUnavailable:
            return False
        return True


class Callers:
    """Clients that call all the time, each call on a connection of its own; what went wrong, and the longest call."""

    def __init__(self, path: str, method: str = "service.list") -> None:
        self._method = method
        self.faults: list[str] = []
        self.calls = 0
        self.longest_s = 0.0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(path,)) for _ in range(_CALLERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        until(lambda: self.calls > 20 * _CALLERS, "they call")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call(self, path: str) -> None:
        client = HeroClient(path, deadline_s=DEADLINE_S)
        while not self._over.is_set():
            began = time.monotonic()
            try:
                client.call(self._method)
            except RegistryError as error:
                self.faults.append(str(error))
            self.calls += 1
            self.longest_s = max(self.longest_s, time.monotonic() - began)
