"""Two hosts that take the same steps: the one in memory, and real programs. Each has one livekit-server."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.calls.call import Call, Seat
from hero_livekit_units.calls.network import require_interface
from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.definitions.render import file_text
from hero_livekit_units.errors import UnitsError
from hero_livekit_units.livekit.desired import BACKEND, desired_specs
from hero_livekit_units.livekit.keys import ensure_secrets
from hero_livekit_units.model.settings import LivekitSettings, Settings
from hero_livekit_units.observe.kernel import is_alive, see_process
from hero_livekit_units.registry.hero_proc import HeroProcRegistry
from tests.calls.media import free_ports, token
from tests.embedded.running import Daemon
from tests.properties.world import READY_S, Host, ModelRegistry, desired
from tests.servers import KEPT, built_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import Entry, ProcessId
    from hero_livekit_units.registry.port import Registry

DEADLINE_S = 20.0


class Model:
    """The host in memory."""

    name = "the model"

    def __init__(self) -> None:
        self.host = Host(steering=False)
        for spec in desired("1.13.5-r1", steering=False).preferred:
            self.host.disk.update({file.path: file.template for file in spec.files})
        self.registry: Registry = ModelRegistry(self.host)
        found = desired("1.13.5-r1", steering=False)
        self.spec: LaunchSpec = next(iter(found.media.values()))
        self._backend = next(spec for spec in found.specs if spec.unit == BACKEND)

    @property
    def now_s(self) -> float:
        """The clock."""
        return self.host.now_s

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.host.advance(seconds)

    def alive(self, process: ProcessId) -> bool:
        """Whether a process lives."""
        found = self.host.kernel(process.pid)
        return found is not None and found.id == process

    def launch_digest(self, process: ProcessId) -> str:
        """The mark that a process carries."""
        spec = self.host.processes[process.pid].spec
        return spec.launch_digest if spec else ""

    def kill(self, process: ProcessId) -> None:
        """SIGKILL from outside."""
        self.host.kill_process(self.host.processes[process.pid])

    def kill_supervisor(self) -> None:
        """`kill -9`."""
        self.host.supervisor_dies(None)

    def start_supervisor(self) -> None:
        """Start it again."""
        self.host.supervisor_returns()

    def take_port(self) -> None:
        """Another program holds the port of the server."""
        self.host.stranger(self.spec.port("http"))

    def answers(self) -> bool:
        """Whether the server answers by HTTP."""
        return any(one.ready for one in self.host.media())

    def stop_signal(self, process: ProcessId) -> None:
        """A stop signal from outside."""
        self.host.stop_signal(self.host.processes[process.pid])

    def join(self, **rooms: int) -> bool:
        """So many people join each room; whether all were let in."""
        if not self.host.alive(BACKEND):
            self.host.launch(self._backend)
            self.host.advance(READY_S)
        before = self.host.refused_joins
        for room, people in rooms.items():
            self.host.join(room, people)
        return self.host.refused_joins == before

    def leave(self) -> None:
        """Everybody leaves."""
        for room in self.host.rooms():
            self.host.leave(room)

    def rooms(self) -> dict[str, int]:
        """The people in each room, as the server counts them."""
        return {room: people for one in self.host.media() for room, people in one.rooms.items()}

    def dropped(self) -> int:
        """How many people were disconnected for good."""
        return self.host.dropped

    def close(self) -> None:
        """Nothing is left over."""


class Real:
    """The embedded hero_proc with a real livekit-server of its own."""

    name = "real"

    def __init__(self) -> None:
        built_server()
        self.root = Path(tempfile.mkdtemp(prefix="hp"))
        self.daemon = Daemon(self.root)
        self.daemon.start()
        self.registry: Registry = HeroProcRegistry(self.daemon.socket)
        names = ("http", "rtc_tcp", "rtc_udp", "prometheus", "debug")
        ports = dict(zip(names, free_ports(5), strict=True))
        home = self.root / "home"
        home.mkdir()
        (home / "bin").symlink_to(KEPT)
        wanted = Settings(livekit=LivekitSettings(version="1.13.5-r1", ports=ports))
        found = desired_specs(shipped_catalog(), wanted, home=str(home), python="/usr/bin/python3")
        self.spec: LaunchSpec = next(spec for spec in found if spec.carries_calls)
        self._secrets = secrets = ensure_secrets(self.registry)
        self._calls: list[Call] = []
        self.refusal = ""
        for file in self.spec.files:
            write_atomically(Path(file.path), file_text(file, secrets), file.mode)
        Path(self.spec.folder).mkdir(parents=True, exist_ok=True)
        self._holder = socket.socket()

    @property
    def now_s(self) -> float:
        """The clock."""
        return time.monotonic()

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    def alive(self, process: ProcessId) -> bool:
        """Whether a process lives."""
        return is_alive(process)

    def launch_digest(self, process: ProcessId) -> str:
        """The mark that a process carries."""
        seen = see_process(process.pid)
        return seen.launch_digest if seen else ""

    def kill(self, process: ProcessId) -> None:
        """SIGKILL from outside."""
        os.kill(process.pid, signal.SIGKILL)

    def kill_supervisor(self) -> None:
        """`kill -9`."""
        self.daemon.crash()

    def start_supervisor(self) -> None:
        """Start it again."""
        self.daemon.start()

    def take_port(self) -> None:
        """Another program holds the port of the server."""
        self._holder.bind(("127.0.0.1", self.spec.port("http").number))
        self._holder.listen()

    def answers(self) -> bool:
        """Whether the server answers by HTTP."""
        return self._get("http", "/") is not None

    def stop_signal(self, process: ProcessId) -> None:
        """A stop signal from outside."""
        assert is_alive(process)
        os.kill(process.pid, signal.SIGTERM)

    def join(self, **rooms: int) -> bool:
        """So many people join each room; whether all were let in."""
        require_interface()
        key, secret = self._secrets["api_key"], self._secrets["api_secret"]
        url = f"ws://127.0.0.1:{self.spec.port('http').number}"
        call = Call()
        names = [(f"{len(self._calls)}-{number}", room) for room, people in rooms.items() for number in range(people)]
        self._calls.append(call)
        try:
            call.start([Seat(name, room, url, token(name, room, secret, key)) for name, room in names])
        except UnitsError as error:
            self.refusal = str(error)
            return False
        return True

    def leave(self) -> None:
        """Everybody leaves."""
        for call in self._calls:
            call.stop()

    def rooms(self) -> dict[str, int]:
        """The people in each room, as the server counts them."""
        found = json.loads(self._get("debug", "/debug/rooms") or b"[]")
        people = {room["Name"]: len(room["Participants"] or ()) for room in found}
        return {room: number for room, number in people.items() if number}

    def dropped(self) -> int:
        """How many people were disconnected for good."""
        reports = [report for call in self._calls for report in call.snapshot()]
        assert not any(report.failure for report in reports), reports
        return sum(bool(report.disconnects) for report in reports)

    def _get(self, port: str, path: str) -> bytes | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.spec.port(port).number, timeout=2.0)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.read() if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def close(self) -> None:
        """End all of it."""
        self.leave()
        self._holder.close()
        self.daemon.clean_up()
        shutil.rmtree(self.root, ignore_errors=True)


Bench = Model | Real


def entry(bench: Bench) -> Entry:
    """What the supervisor says of the server."""
    found = bench.registry.survey([bench.spec.instance]).entries
    assert found is not None
    return found[bench.spec.instance]


def until(bench: Bench, reached: Callable[[], Any], what: str, *, within_s: float = DEADLINE_S) -> float:
    """Let time pass until something is so; how long that took."""
    began_s = bench.now_s
    while (passed_s := bench.now_s - began_s) < within_s:
        if reached():
            return passed_s
        bench.pass_time(0.02)
    raise AssertionError(f"in vain: {what}: {entry(bench)}")


def started(bench: Bench, *, age_s: float = 0.5) -> ProcessId:
    """The process, some time after its start."""
    bench.registry.start(bench.spec.instance)
    until(bench, lambda: entry(bench).process, "it has a process")
    bench.pass_time(age_s)
    process = entry(bench).process
    assert process is not None
    return process
