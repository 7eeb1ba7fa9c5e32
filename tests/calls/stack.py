"""The whole stack on free ports in a folder of its own: hero_proc, control planes, the media, and seats in calls."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hero_livekit_units.calls.call import Seat
from hero_livekit_units.errors import RegistryError
from hero_livekit_units.herosocket.client import HeroClient
from hero_livekit_units.livekit.install import install
from hero_livekit_units.media import Media
from hero_livekit_units.model.observed import ProcessId
from hero_livekit_units.observe.kernel import is_alive
from hero_livekit_units.places import find_places
from hero_livekit_units.procfs import start_time_of
from tests.calls.media import free_ports
from tests.zinit_daemon import ZinitDaemon

if TYPE_CHECKING:
    from collections.abc import Callable

HLU = str(Path(sys.executable).parent / "hlu")
DEADLINE_S = 20.0
# A client's word that it leaves can be lost as its process ends. livekit-server then counts it for 20.3 s (measured
# three times with participants that were killed).
LEAVING_S = 60.0
SLOT_OFFSET = 10  # from the ports of slot a to those of slot b


class Stack:
    """Everything that a host runs. `close` leaves no process behind."""

    def __init__(self, livekit_server: Path) -> None:
        # Not in pytest's folder: the path of a Unix socket has 107 bytes at most.
        self.root = Path(tempfile.mkdtemp(prefix="hlu-"))
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.root), "PATH_ROOT": str(self.root)}
        self.places = find_places(self.environment)
        self.media = Media.connect(places=self.places)
        self.plane_client = HeroClient(str(self.places.socket("hero_livekit")), deadline_s=10.0)
        self.hero_proc_client = HeroClient(str(self.places.socket("hero_proc")), deadline_s=10.0)
        self._planes: list[subprocess.Popen[bytes]] = []
        self.write_settings()
        install(self.media.catalog, self.media.settings(), self.places.home, named=livekit_server)

    def write_settings(self, **changes: str) -> None:
        """Write media.toml: free ports, kept once chosen, and changes to `[livekit]`."""
        if not hasattr(self, "ports"):
            self.ports = free_ports(6, beside=SLOT_OFFSET)
        http, rtc_tcp, rtc_udp, prometheus, debug, backend = self.ports
        lines = [f'{key} = "{value}"' for key, value in changes.items()]
        self.places.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.places.settings_file.write_text(
            "[livekit]\n"
            + "".join(f"{line}\n" for line in lines)
            + f"[livekit.ports]\nhttp = {http}\nrtc_tcp = {rtc_tcp}\nrtc_udp = {rtc_udp}\n"
            + f"prometheus = {prometheus}\ndebug = {debug}\n[backend.ports]\nhttp = {backend}\n"
        )

    def hlu(self, *arguments: str, feed: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command line, with a text on its standard input."""
        command = [HLU, *arguments]
        return subprocess.run(
            command, env=self.environment, input=feed, capture_output=True, text=True, check=False, timeout=60
        )

    def start_hero_proc(self) -> ProcessId:
        """Start the embedded hero_proc, detached."""
        run = self.hlu("hero-proc", "start", "--json")
        assert run.returncode == 0, run.stderr
        found = json.loads(run.stdout)
        return ProcessId(found["pid"], found["pid_start"])

    def kill_hero_proc(self) -> None:
        """`kill -9` of the hero_proc that answers."""
        found = self.hero_proc_client.call("system.ping")
        process = ProcessId(found["pid"], found["pid_start"])
        os.kill(process.pid, signal.SIGKILL)
        self.until("hero_proc is gone", lambda: not is_alive(process))

    def start_plane(self) -> subprocess.Popen[bytes]:
        """Start a control plane, the leader of its own process group, and wait for its first status."""
        with (self.root / "plane.log").open("ab") as log:
            plane = subprocess.Popen(
                [HLU, "plane"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._planes.append(plane)
        self.until("the control plane answers", lambda: self._answers(plane))
        return plane

    def _answers(self, plane: subprocess.Popen[bytes]) -> bool:
        assert plane.poll() is None, (self.root / "plane.log").read_text()
        try:
            self.plane_client.call("livekitservice.status")
        except RegistryError:
            return False
        return True

    def seat(self, identity: str, room: str) -> Seat:
        """A participant with a token from lk-backend."""
        secret = json.loads((self.places.home / "runtime.json").read_text())["backend_secret"]
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports[5]}/api/token",
            data=json.dumps({"room": room, "identity": identity}).encode(),
            headers={"authorization": f"Bearer {secret}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            given = json.load(answer)
        return Seat(identity=identity, room=room, url=given["url"], token=given["token"])

    def identities(self) -> dict[str, tuple[Any, Any]]:
        """Pid and start time of each unit, as the library sees them."""
        return {
            seen.spec.instance: (seen.process.id.pid, seen.process.id.start_time) if seen.process else (None, None)
            for seen in self.media.status().instances
        }

    def people(self) -> int | None:
        """Who is in a call, by the server's own count; None when that could not be had."""
        counts = [seen.calls.people for seen in self.media.status().instances if seen.calls]
        return None if None in counts else sum(count or 0 for count in counts)

    def slot_of(self, seat: Seat) -> str:
        """The slot that a seat was sent to."""
        return {self.ports[0]: "a", self.ports[0] + SLOT_OFFSET: "b"}[int(seat.url.rpartition(":")[2])]

    def media_instance(self) -> str:
        """The livekit-server that new rooms go to."""
        return f"livekit-server@{self.media.status().slot}"

    def servers(self) -> dict[str, str]:
        """The release of each livekit-server that runs, by slot."""
        return {
            seen.spec.slot: seen.release for seen in self.media.status().instances if seen.spec.slot and seen.process
        }

    def until_empty(self) -> None:
        """Wait until the server knows that everybody has left."""
        self.until("everybody is seen to have left", lambda: self.people() == 0, within_s=LEAVING_S)

    def until(self, what: str, condition: Callable[[], bool], *, within_s: float = DEADLINE_S) -> None:
        """Wait for something with a deadline."""
        end = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < end, f"not true within {within_s:g} s: {what}"
            time.sleep(0.02)

    def close(self) -> None:
        """Stop the media, calls or not, then the daemons, and see that nothing of it lives."""
        for plane in self._planes:
            plane.kill()
            plane.wait()
        self.hlu("hero-proc", "start")
        pids = [pid for pid, _ in self.identities().values() if pid]
        stopped = self.hlu("stop", "--allow-drop")
        ended = self.hlu("hero-proc", "stop")
        left = [pid for pid in pids if Path("/proc", str(pid)).exists() and is_ours(pid, self.root)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.root, ignore_errors=True)
        assert not left, f"still running: {left}\n{stopped.stdout}{stopped.stderr}{ended.stdout}{ended.stderr}"


class ZinitStack(Stack):
    """A stack whose supervisor is a real zinit."""

    def __init__(self, livekit_server: Path) -> None:
        super().__init__(livekit_server)
        self.zinit = ZinitDaemon(self.root, self.places.zinit, self.environment)
        self.media = Media.connect(socket=str(self.places.zinit), places=self.places)

    def start_hero_proc(self) -> ProcessId:
        """Start zinit, or its next life, and wait until it answers."""
        self.zinit.start()
        started = start_time_of(self.zinit.pid)
        assert started is not None
        return ProcessId(self.zinit.pid, started)

    def kill_hero_proc(self) -> None:
        """`kill -9` of zinit."""
        self.zinit.kill()

    def close(self) -> None:
        """Stop the media, calls or not, then zinit, and see that nothing of it lives."""
        for plane in self._planes:
            plane.kill()
            plane.wait()
        if not self.zinit.lives:
            self.zinit.start()
        pids = [pid for pid, _ in self.identities().values() if pid]
        stopped = self.hlu("stop", "--allow-drop")
        self.zinit.end()
        left = [pid for pid in pids if Path("/proc", str(pid)).exists() and is_ours(pid, self.root)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.root, ignore_errors=True)
        assert not left, f"still running: {left}\n{stopped.stdout}{stopped.stderr}"


class FrontedStack(Stack):
    """A stack with a front before both slots."""

    def write_settings(self, **changes: str) -> None:
        """As `Stack`, with a front on ports of its own."""
        super().write_settings(**changes)
        if not hasattr(self, "front_ports"):
            self.front_ports = free_ports(2)
        http, status = self.front_ports
        with self.places.settings_file.open("a") as file:
            file.write(f"[front]\nenabled = true\n[front.ports]\nhttp = {http}\nstatus = {status}\n")


def is_ours(pid: int, root: Path) -> bool:
    """Whether a process still belongs to this stack: its arguments name the folder, and it is no zombie."""
    try:
        return str(root).encode() in Path("/proc", str(pid), "cmdline").read_bytes()
    except OSError:
        return False
