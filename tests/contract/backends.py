"""The supervisors that the contract is checked on: in memory, the embedded hero_proc with and without faults, zinit.

Any other hero_proc takes part where HLU_CONTRACT_SOCKET names its socket: it must not run anything of value.
"""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from hero_livekit_units.embedded.quirks import Quirk
from hero_livekit_units.model.unit import RestartSection, StopSection
from hero_livekit_units.procfs import lives, start_time_of
from hero_livekit_units.registry.choice import registry_at
from hero_livekit_units.registry.hero_proc import HeroProcRegistry
from hero_livekit_units.registry.zinit import ZinitRegistry
from tests.embedded.running import CHILD, Daemon, until
from tests.fakes.registry import MemoryRegistry
from tests.strategies import BACKEND
from tests.zinit_daemon import ZinitDaemon

if TYPE_CHECKING:
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import Entry
    from hero_livekit_units.registry.port import Registry

OTHER = os.environ.get("HLU_CONTRACT_SOCKET", "")


class Backend:
    """A supervisor and our client of it. `folder` is for what its units write."""

    registry: Registry

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def other(self) -> Registry:
        """Another client of the same supervisor."""
        return self.registry

    def entry(self, instance: str) -> Entry | None:
        """Its word about an instance."""
        entries = self.registry.survey([instance]).entries
        assert entries is not None, self.registry.survey([instance]).supervisor.says
        return entries.get(instance)

    def spec(self, unit: str = "lk-backend", *, slot: str = "", ends_after_s: float = 0.0) -> LaunchSpec:
        """A unit whose program notes the signals that it gets, and ends so long after the first one; below 0 never."""
        name = f"{unit}@{slot}" if slot else unit
        argv = (sys.executable, "-S", "-E", str(CHILD), "note", str(self.folder / f"{name}.notes"), str(ends_after_s))
        return attrs.evolve(
            BACKEND,
            unit=unit,
            slot=slot,
            argv=argv,
            env=(),
            folder=str(self.folder),
            files=(),
            ports=(),
            probes=(),
            after=(),
            stop=StopSection(signal="SIGTERM", window_s=20.0, kill_after_window=False),
            restart=RestartSection(exit_zero_is_failure=True, delay_s=0.05, max_delay_s=0.2, stable_after_s=60.0),
            digest=f"{name}-1",
            launch_digest=f"{name}-1",
        )

    def notes(self, spec: LaunchSpec) -> list[str]:
        """What the processes of a unit have written: `pid N` at their start, the number of each signal."""
        try:
            return Path(spec.argv[-2]).read_text().splitlines()
        except FileNotFoundError:
            return []

    def pids(self, spec: LaunchSpec) -> list[int]:
        """The processes of a unit that live, by the kernel's word."""
        started = [int(line.split()[1]) for line in self.notes(spec) if line.startswith("pid ")]
        return [pid for pid in started if _runs(pid, spec.argv[-2])]

    def signals(self, spec: LaunchSpec) -> list[str]:
        """The signals that they got."""
        return [line for line in self.notes(spec) if not line.startswith("pid ")]

    def run(self, spec: LaunchSpec) -> int:
        """Register it and start it; its pid, once it can be asked to end."""
        self.registry.register(spec)
        self.registry.start(spec.instance)
        (pid,) = until(lambda: self.pids(spec), f"{spec.instance} runs")
        until(lambda: self._knows(spec, pid), "the supervisor knows its pid")
        return int(pid)

    def _knows(self, spec: LaunchSpec, pid: int) -> bool:
        found = self.entry(spec.instance)
        return found is not None and found.process is not None and found.process.pid == pid

    def crash(self) -> None:
        """`kill -9` of the supervisor, and its next life."""
        raise NotImplementedError

    def close(self) -> None:
        """End all that runs."""


class Memory(Backend):
    """Without processes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.registry = MemoryRegistry()


class Embedded(Backend):
    """The embedded hero_proc."""

    quirks: tuple[Quirk, ...] = ()

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.daemon = Daemon(folder)
        if self.quirks:
            self.daemon.arguments = ("--quirks", ",".join(self.quirks))
        self.daemon.start()
        self.registry = HeroProcRegistry(self.daemon.socket)

    def other(self) -> Registry:
        """As another process has it."""
        return HeroProcRegistry(self.daemon.socket)

    def crash(self) -> None:
        """`kill -9`, then start again."""
        self.daemon.restart()

    def close(self) -> None:
        """And what it started."""
        self.daemon.clean_up()


class GreenWhileDead(Embedded):
    """It says that what has ended runs still."""

    quirks = (Quirk.GREEN_WHILE_DEAD,)


class RedWhileAlive(Embedded):
    """It says that what its earlier life started has failed."""

    quirks = (Quirk.RED_WHILE_ALIVE,)


class SetRestarts(Embedded):
    """It restarts what is set again."""

    quirks = (Quirk.SET_RESTARTS,)


class StopWindow(Embedded):
    """It kills after half a minute, whatever was said."""

    quirks = (Quirk.STOP_WINDOW,)


class Zinit(Backend):
    """A real zinit 0.3.9."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._socket = folder / "zinit.sock"
        self.daemon = ZinitDaemon(folder, self._socket, {"PATH": os.environ["PATH"], "HOME": str(folder)})
        self.daemon.start()
        self.registry = self.other()

    def other(self) -> Registry:
        """As another process has it."""
        return ZinitRegistry(str(self._socket), self.folder / "kept")

    def crash(self) -> None:
        """`kill -9`, then start again."""
        self.daemon.kill()
        self.daemon.start()

    def close(self) -> None:
        """And what it has lost."""
        self.daemon.end()
        end_all(self.folder)


class Other(Backend):
    """Whichever hero_proc listens on HLU_CONTRACT_SOCKET. Its units have names of their own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._mark = uuid.uuid4().hex[:8]
        self._used: set[str] = set()
        self.registry = registry_at(OTHER, folder)

    def spec(self, unit: str = "lk-backend", *, slot: str = "", ends_after_s: float = 0.0) -> LaunchSpec:
        """As always, by another name."""
        found = super().spec(f"hlu-contract-{self._mark}-{unit}", slot=slot, ends_after_s=ends_after_s)
        self._used.add(found.instance)
        return found

    def close(self) -> None:
        """Stop what was used; what does not end is killed."""
        for instance in self._used:
            if self.entry(instance):
                self.registry.stop(instance)
        end_all(self.folder)


def end_all(folder: Path) -> None:
    """Kill every process of our program whose notes lie in a folder."""
    for notes in folder.glob("*.notes"):
        for line in notes.read_text().splitlines():
            if line.startswith("pid ") and _runs(pid := int(line.split()[1]), str(notes)):
                os.kill(pid, 9)


def _runs(pid: int, notes: str) -> bool:
    """Whether a process is one of those that write these notes, and no zombie."""
    started = start_time_of(pid)
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return started is not None and lives(pid, started) and notes.encode() in command.split(b"\0")
