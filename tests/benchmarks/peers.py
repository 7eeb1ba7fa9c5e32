"""Supervisors for the benchmark: each on a folder of its own, with the same units, asked in its own way."""

from __future__ import annotations

import contextlib
import http.client
import importlib
import importlib.util
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import xmlrpc.client
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hero_livekit_units.errors import RegistryError
from hero_livekit_units.herosocket.client import HeroClient
from hero_livekit_units.procfs import start_time_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BIN = Path(sys.executable).parent
_ROOT = Path(__file__).parents[2]
_READY_S = 30.0


class Supervisor:
    """One supervisor. `commands` are the programs of its units by name; it knows them before it is launched.

    settle_s: how long a unit has to live until its next death is not taken for a loop.
    """

    name: ClassVar[str]
    settle_s: ClassVar[float] = 0.3

    def __init__(self, root: Path, commands: Mapping[str, Sequence[str]]) -> None:
        self.root = root
        self.commands = commands
        self.process: subprocess.Popen[bytes] | None = None
        self.prepare()

    @classmethod
    def missing(cls) -> str:
        """How to install it, "" when it is there."""
        return ""

    def prepare(self) -> None:
        """Write what it reads at its start."""

    def launch(self) -> None:
        """Start it; does not wait for the units."""
        raise NotImplementedError

    def status(self) -> Any:
        """All units, by one call on its socket, on a connection that is kept; None where it has none."""
        return None

    def hang_up(self) -> bool:
        """Let the next status be on a new connection; False where it always is, or there is none."""
        return False

    def pid_of_first(self) -> int | None:
        """The pid of the first unit by its word, 0 while it has none; None where it cannot be asked."""
        return None

    def pids(self) -> list[int]:
        """Its own processes."""
        assert self.process is not None
        return [self.process.pid]

    def close(self) -> None:
        """End it and its units."""
        units = self._units()
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid, born in units:
            if start_time_of(pid) == born:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _units(self) -> list[tuple[int, int]]:
        """What was started on this folder and lives: pid and start time."""
        found = []
        for file in self.root.glob("started-*"):
            with contextlib.suppress(ValueError, OSError):
                pid = int(file.read_text())
                if (born := start_time_of(pid)) is not None:
                    found.append((pid, born))
        return found

    def run(self, *command: str, **environment: str) -> None:
        """Start its daemon."""
        with (self.root / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )


class _OnUnixSocket(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


class Hero(Supervisor):
    """The embedded hero_proc.

    registered: services that it knows beside its units, and that do not run.
    """

    name = "hero_proc"

    def __init__(self, root: Path, commands: Mapping[str, Sequence[str]], registered: int = 0) -> None:
        self.socket = str(root / "hero_proc" / "rpc.sock")
        self._registered = registered
        self._client = HeroClient(self.socket, deadline_s=30.0)
        self._kept = _OnUnixSocket(self.socket)
        super().__init__(root, commands)

    def prepare(self) -> None:
        """Its database, as an earlier daemon left it, with every unit wanted."""
        self.launch()
        self._ready()
        retry = {"delay_ms": 0, "max_delay_ms": 100, "stability_period_ms": 100}
        for name, command in self.commands.items():
            action = {"name": name, "script": shlex.join(command), "interpreter": "exec", "is_process": True}
            self._client.call("action.set", {"action": action | {"retry_policy": retry}})
            self._client.call("service.set", {"service": {"name": name, "actions": [name], "status": "stop"}})
            self._client.call("service.set", {"service": {"name": name, "actions": [name], "status": "start"}})
        for number in range(self._registered):
            name = f"registered{number:05}"
            action = {"name": name, "script": "sleep 100000", "interpreter": "exec", "is_process": True}
            self._client.call("action.set", {"action": action})
            self._client.call("service.set", {"service": {"name": name, "actions": [name], "status": "stop"}})
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def upgrade(self) -> None:
        """Become another program of the same version; ends when that one answers."""
        self._client.call("system.upgrade", {"to": None})
        end = time.monotonic() + _READY_S
        while not self._client.call("system.ping")["generation"]:
            if time.monotonic() > end:
                raise TimeoutError("no other program has come")
            time.sleep(0.005)

    def launch(self) -> None:
        """Start it on its database."""
        self.run(
            *(sys.executable, "-m", "hero_livekit_units.embedded", "--log-level", "error"),
            *("--socket", self.socket, "--state", str(self.root / "state")),
            PYTHONPATH=str(_ROOT),
        )

    def status(self) -> Any:
        """All services."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "service.list", "params": {}})
        self._kept.request("POST", "/rpc", body, {"content-type": "application/json"})
        return json.loads(self._kept.getresponse().read())["result"]

    def hang_up(self) -> bool:
        """As `hlu` does after each call."""
        self._kept.close()
        return True

    def pid_of_first(self) -> int | None:
        """By its status."""
        status = self._client.call("service.status", {"name": next(iter(self.commands))})
        return int(status["actions"][0]["pid"] or 0)

    def _ready(self) -> None:
        end = time.monotonic() + _READY_S
        while True:
            try:
                self._client.call("system.ping")
            except RegistryError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
            else:
                return


class Supervisord(Supervisor):
    """supervisord, of PyPI."""

    name = "supervisord"

    @classmethod
    def missing(cls) -> str:
        """Installed with the tests."""
        return "" if importlib.util.find_spec("supervisor") else "pip install supervisor"

    def prepare(self) -> None:
        """One section a unit."""
        lines = [
            f"[unix_http_server]\nfile={self.root}/s.sock\n[supervisord]\nlogfile={self.root}/s.log",
            f"pidfile={self.root}/s.pid\n[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
        ]
        for name, command in self.commands.items():
            lines += [f"[program:{name}]", f"command={shlex.join(command)}", "startsecs=0", "autorestart=true"]
            lines += ["stdout_logfile=NONE", "stderr_logfile=NONE"]
        (self.root / "s.conf").write_text("\n".join(lines) + "\n")

    def launch(self) -> None:
        """Start it in the foreground."""
        from supervisor.xmlrpc import SupervisorTransport  # noqa: PLC0415  it may not be there

        self.run(str(_BIN / "supervisord"), "--nodaemon", "-c", str(self.root / "s.conf"))
        self._transport: Any = SupervisorTransport(None, None, serverurl=f"unix://{self.root}/s.sock")
        self._rpc: Any = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=self._transport)

    def status(self) -> Any:
        """All programs."""
        return self._rpc.supervisor.getAllProcessInfo()

    def hang_up(self) -> bool:
        """As its own command does at its end."""
        self._transport.close()
        return True

    def pid_of_first(self) -> int | None:
        """By its status."""
        return int(self._rpc.supervisor.getProcessInfo(next(iter(self.commands)))["pid"])


class Circus(Supervisor):
    """circusd, of PyPI."""

    name = "circus"

    @classmethod
    def missing(cls) -> str:
        """Not installed with the tests: it brings ZeroMQ and Tornado."""
        return "" if importlib.util.find_spec("circus") else "pip install circus"

    def prepare(self) -> None:
        """One section a unit."""
        self._endpoint = f"ipc://{self.root}/c.sock"
        lines = ["[circus]", f"endpoint = {self._endpoint}", f"pubsub_endpoint = ipc://{self.root}/p.sock"]
        lines += ["check_delay = 1"]
        for name, (program, *arguments) in self.commands.items():
            lines += [f"[watcher:{name}]", f"cmd = {program}", f"args = {shlex.join(arguments)}", "warmup_delay = 0"]
            lines += ["copy_env = true", "max_retry = -1"]
        (self.root / "c.ini").write_text("\n".join(lines) + "\n")

    def launch(self) -> None:
        """Start it in the foreground."""
        client = importlib.import_module("circus.client")  # it may not be there
        self.run(str(_BIN / "circusd"), "--log-level", "error", str(self.root / "c.ini"))
        self._client: Any = client.CircusClient(endpoint=self._endpoint, timeout=15)

    def status(self) -> Any:
        """The states of all watchers."""
        return self._client.send_message("status")

    def pid_of_first(self) -> int | None:
        """By its list of pids."""
        pids = self._client.send_message("list", name=next(iter(self.commands)))["pids"]
        return int(pids[0]) if pids else 0


class _Folders(Supervisor):
    """Supervisors that are a process a unit and have no socket: s6 and runit."""

    scan: ClassVar[str]
    package: ClassVar[str]

    @classmethod
    def missing(cls) -> str:
        """Of the distribution."""
        return "" if shutil.which(cls.scan) else f"apt-get install {cls.package}"

    def prepare(self) -> None:
        """One folder a unit, with its program in it."""
        for name, command in self.commands.items():
            folder = self.root / "services" / name
            folder.mkdir(parents=True)
            (folder / "run").write_text(f"#!/bin/sh\nexec {shlex.join(command)}\n")
            (folder / "run").chmod(0o755)

    def launch(self) -> None:
        """Start the process that starts one for each unit."""
        self.run(self.scan, str(self.root / "services"))

    def pids(self) -> list[int]:
        """The one, and those for the units."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def close(self) -> None:
        """Those for the units end their unit on SIGTERM, and then themselves."""
        own = [(pid, start_time_of(pid)) for pid in self.pids()]
        super().close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid, born in own:
                if born is not None and start_time_of(pid) == born:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
            end = time.monotonic() + 5.0
            while any(start_time_of(pid) == born for pid, born in own) and time.monotonic() < end:
                time.sleep(0.02)


class S6(_Folders):
    """s6-svscan with an s6-supervise a unit. It waits a second between two lives, by design."""

    name, scan, package = "s6", "s6-svscan", "s6"


class Runit(_Folders):
    """runsvdir with a runsv a unit."""

    name, scan, package = "runit", "runsvdir", "runit"
    settle_s = 1.1  # it waits a second before the next life of one that lived for less


class Zinit(Supervisor):
    """zinit 0.3.9, as `tests/run` builds it."""

    name = "zinit"
    _program = _ROOT / ".cache" / "bin" / "zinit-0.3.9" / "zinit-server"

    @classmethod
    def missing(cls) -> str:
        """Built with the servers of the tests."""
        return "" if cls._program.exists() else "python -m tests.servers"

    def prepare(self) -> None:
        """One file a unit."""
        folder = self.root / "cfg"
        folder.mkdir()
        for name, command in self.commands.items():
            service = f"[service]\nname = {json.dumps(name)}\nexec = {json.dumps(shlex.join(command))}\n"
            policy = (
                '[lifecycle]\nrestart = "always"\nrestart_delay_ms = 1\nstability_period_ms = 100\nmax_restarts = 0\n'
            )
            (folder / f"{name}.toml").write_text(service + policy)

    def launch(self) -> None:
        """Start it in the foreground."""
        socket_path = self.root / "z.sock"
        self.run(str(self._program), "-c", str(self.root / "cfg"), "-s", str(socket_path), "--log-level", "error")
        self._stream: Any = None

    def _ask(self, method: str, **params: str) -> Any:
        if self._stream is None:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(self.root / "z.sock"))
            self._stream = connection.makefile("rwb")
        self._stream.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n")
        self._stream.flush()
        return json.loads(self._stream.readline())["result"]

    def status(self) -> Any:
        """All services."""
        return self._ask("service.list_full")

    def pid_of_first(self) -> int | None:
        """By its status."""
        return int(self._ask("service.status", name=next(iter(self.commands)))["pid"])


PEERS: tuple[type[Supervisor], ...] = (Hero, Supervisord, Circus, S6, Runit, Zinit)
