"""The front as the package sets it up, run by the test in place of a supervisor."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.definitions.render import file_text
from hero_livekit_units.livekit.desired import desired_specs
from hero_livekit_units.livekit.front import Front
from hero_livekit_units.livekit.settings import read_settings
from tests.calls.media import free_ports
from tests.front.slots import Crowd, Joined, Slot, join

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from hero_livekit_units.livekit.frontstate import FrontSeen
    from hero_livekit_units.model.launch import LaunchSpec

HAPROXY = shutil.which("haproxy", path="/usr/local/sbin:/usr/sbin:/usr/bin") or "haproxy"
DEADLINE_S = 10.0
SLOT_B = 10  # how far the ports of slot b are from those of a


class RunningFront:
    """A front with two stand-ins for slots. It is started like by a supervisor, and ended by its pid."""

    def __init__(self, home: Path, *, extra: str = "", answers_after_s: float = 0.0) -> None:
        self.port, self.status = free_ports(2)
        (media,) = free_ports(1, beside=SLOT_B)
        self._home = home
        self._text = f"[front.ports]\nhttp = {self.port}\nstatus = {self.status}\n[livekit.ports]\nhttp = {media}\n"
        self.a = Slot("a", media, answers_after_s=answers_after_s)
        self.b = Slot("b", media + SLOT_B, answers_after_s=answers_after_s)
        self.spec = self.spec_with(extra)
        self.folder = Path(self.spec.folder)
        self.folder.mkdir(parents=True)
        for file in self.spec.files:
            Path(file.path).write_text(file_text(file, {}))
        self.front = Front(self.folder)
        self.process: subprocess.Popen[bytes] | None = None
        self._people: list[Joined] = []
        self._crowds: list[Crowd] = []

    def spec_with(self, extra: str) -> LaunchSpec:
        """Its launch with further keys of `[front]`."""
        catalog = shipped_catalog()
        settings = read_settings(f"[front]\nenabled = true\n{extra}{self._text}", "media.toml", catalog)
        specs = desired_specs(catalog, settings, home=str(self._home), python="python3")
        return next(spec for spec in specs if spec.unit == "livekit-front")

    def config(self, extra: str = "") -> str:
        """The text of its configuration, with further keys of `[front]`."""
        (file,) = (file for file in self.spec_with(extra).files if file.path.endswith("/haproxy.cfg"))
        return file_text(file, {})

    def start(self) -> FrontSeen:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [HAPROXY, *self.spec.argv[1:]], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until_s = time.monotonic() + DEADLINE_S
        while (seen := self.front.see()) is None:
            assert self.process.poll() is None, self.log
            assert time.monotonic() < until_s, self.log
            time.sleep(0.01)
        return seen

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "log").read_text()

    def seen(self) -> FrontSeen:
        """What it says of itself now; it must answer."""
        seen = self.front.see(5.0)
        assert seen is not None, self.log
        return seen

    def join(self, room: str | None, *, tls: ssl.SSLContext | None = None, given: str = "") -> Joined:
        """Somebody joins a room and stays."""
        joined = join(self.port, room, tls=tls, given=given)
        self._people.append(joined)
        return joined

    def leave(self, room: str) -> None:
        """Everybody in this room hangs up."""
        for one in self._people:
            if one.room == room:
                one.leave()

    def crowd(self) -> Crowd:
        """Many people, who stay."""
        self._crowds.append(Crowd(self.port))
        return self._crowds[-1]

    def close(self) -> None:
        """End it and the slots, and send everybody away."""
        for one in self._people:
            one.leave()
        for crowd in self._crowds:
            crowd.leave()
        if self.process is not None:
            self.process.terminate()
            self.process.wait(DEADLINE_S)
        self.a.stop()
        self.b.stop()


def wait_for(running: RunningFront, right: Callable[[FrontSeen], bool]) -> FrontSeen:
    """Look until what it says of itself is right."""
    until_s = time.monotonic() + DEADLINE_S
    # While a worker takes over there is no answer for a moment.
    while (seen := running.front.see(5.0)) is None or not right(seen):
        assert time.monotonic() < until_s, seen
        time.sleep(0.01)
    return seen
