"""A supervisor in memory with real processes, which may be without any one ability."""

from __future__ import annotations

import signal
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import attrs

from hero_livekit_units.errors import EntryNotFound, RegistryRefused
from hero_livekit_units.model.ability import Ability
from hero_livekit_units.model.launch import LaunchSpec
from hero_livekit_units.model.observed import Entry, EntryState, ProcessId
from hero_livekit_units.procfs import start_time_of
from hero_livekit_units.registry.port import Survey
from tests import strategies
from tests.fakes.registry import MemoryRegistry

if TYPE_CHECKING:
    from collections.abc import Sequence


@attrs.define
class _Unit:
    spec: LaunchSpec
    wanted: bool = False
    stopping: bool = False
    process: subprocess.Popen[bytes] | None = None
    said: ProcessId | None = None


class ProcessRegistry(MemoryRegistry):
    """Of a Registry what an examination asks for.

    Args:
        without: the abilities that it has not.
        window_s: after which it kills what is to end, where it is without KEEPS_WINDOW; None for never.
        copies: whether it starts second copies, where it is without ADOPTS; else it has forgotten everything.
    """

    def __init__(self, *without: Ability, window_s: float | None = None, copies: bool = False) -> None:
        super().__init__()
        self._without = without
        self._window_s = window_s
        self._copies = copies
        self._units: dict[str, _Unit] = {}
        self._by_client: list[subprocess.Popen[bytes]] = []

    @property
    def known(self) -> list[str]:
        """What is registered."""
        return list(self._units)

    def survey(self, instances: Sequence[str]) -> Survey:
        """Its word about these."""
        with self._lock:
            return Survey(strategies.ANSWERING, {name: self._entry(name) for name in instances if name in self._units})

    def register(self, spec: LaunchSpec) -> bool:
        """Keep it."""
        with self._lock:
            unit = self._units.setdefault(spec.instance, _Unit(spec))
            unit.spec = spec
            if Ability.SET_LEAVES_ALONE in self._without and unit.process:
                unit.process.terminate()
            return True

    def start(self, instance: str) -> None:
        """Have it run."""
        with self._lock:
            unit = self._units[instance]
            unit.wanted, unit.stopping = True, False
            if unit.process is None:
                self._spawn(unit)

    def stop(self, instance: str) -> None:
        """Signal it, and kill it when its window is over."""
        with self._lock:
            unit = self._units[instance]
            unit.wanted = False
            process = unit.process
            if process is None or (unit.stopping and Ability.STOPS_ONCE not in self._without):
                return
            unit.stopping = True
            process.terminate()
            window_s = unit.spec.stop.window_s if unit.spec.stop.kill_after_window else None
            if Ability.KEEPS_WINDOW in self._without:
                window_s = self._window_s
            if window_s is not None:
                self._later(window_s, process.kill)

    def kill(self, instance: str) -> None:
        """SIGKILL."""
        with self._lock:
            if process := self._units[instance].process:
                process.kill()

    def forget(self, instance: str) -> None:
        """Delete what does not run."""
        with self._lock:
            unit = self._units.get(instance)
            if unit is None:
                raise EntryNotFound("service.delete", "it is not there", code=0)
            if unit.process is not None:
                raise RegistryRefused("service.delete", "it runs", code=0)
            del self._units[instance]

    def die(self) -> None:
        """Its own death, and its next life."""
        with self._lock:
            for unit in self._units.values():
                if Ability.ADOPTS in self._without and unit.process:
                    unit.process = unit.said = None
                    if self._copies:
                        self._spawn(unit)

    def client_of(self, instance: str) -> _Client:
        """Another client, which has started an instance."""
        self.start(instance)
        return _Client(self._units[instance].process if Ability.OUTLIVES_CLIENT in self._without else None)

    def _entry(self, name: str) -> Entry:
        unit = self._units[name]
        if unit.process is not None or unit.said is not None:
            state = EntryState.STOPPING if unit.stopping else EntryState.RUNNING
        else:
            state = EntryState.WAITING if unit.wanted else EntryState.STOPPED
        return Entry(name, unit.wanted, state, unit.said, unit.spec.digest, unit.spec.launch_digest)

    def _spawn(self, unit: _Unit) -> None:
        group = None if Ability.OWN_GROUP in self._without else 0
        process = unit.process = subprocess.Popen(unit.spec.argv, process_group=group)
        unit.said = ProcessId(process.pid, start_time_of(process.pid) or 0)
        threading.Thread(target=self._await_end, args=(unit, process), daemon=True).start()

    def _await_end(self, unit: _Unit, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        with self._lock:
            if unit.process is not process:
                return
            unit.process = None
            if Ability.NOTICES_DEATH in self._without and unit.wanted:
                return
            unit.said, unit.stopping = None, False
            if unit.wanted and (status or Ability.RESTARTS_AFTER_ZERO not in self._without):
                self._later(unit.spec.restart.delay_s, lambda: self._again(unit))

    def _again(self, unit: _Unit) -> None:
        with self._lock:
            if unit.wanted and unit.process is None:
                self._spawn(unit)

    def _later(self, after_s: float, act: object) -> None:
        timer = threading.Timer(after_s, act)  # type: ignore[arg-type]
        timer.daemon = True
        timer.start()


class _Client:
    """See `doctor.client.Client`; a process that is bound to it dies with it."""

    def __init__(self, bound: subprocess.Popen[bytes] | None) -> None:
        self._bound = bound

    def kill(self) -> None:
        """`kill -9`."""
        if self._bound is not None:
            with suppress(ProcessLookupError):
                self._bound.send_signal(signal.SIGKILL)
