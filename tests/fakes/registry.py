"""A supervisor in memory, with a script of faults, and an observer that sees what it holds.

It owns no processes: what it "starts" is a row of its table with a pid that was never given out.
"""

from __future__ import annotations

import threading
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs

from hero_livekit_units.errors import RegistryUnavailable
from hero_livekit_units.model.launch import by_instance
from hero_livekit_units.model.observed import CallsSeen, Entry, EntryState, InstanceSeen, Observed, ProcessId
from hero_livekit_units.observe.files import files_that_differ
from hero_livekit_units.observe.observer import Observer
from hero_livekit_units.registry.port import Recorded, Survey
from tests import strategies

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hero_livekit_units.model.launch import LaunchSpec


class Fault(StrEnum):
    """What happens to a call: nothing is done, or it is done and the answer does not arrive."""

    REFUSED = "refused"
    LOST = "lost"


class MemoryRegistry:
    """A Registry. `acted` lists every call that changes something, in order; `faults` are by its number, from 1."""

    def __init__(self, faults: Mapping[int, Fault] | None = None) -> None:
        self.acted: list[str] = []
        self.entries: dict[str, Entry] = {}
        self.specs: dict[str, LaunchSpec] = {}
        self.running: dict[str, LaunchSpec] = {}
        self.stored: dict[str, str] = {}
        self.recorded: list[tuple[str, str]] = []
        self.answers = True
        self._faults = dict(faults or {})
        self._lock = threading.RLock()
        self._next_pid = 5_000_000  # above the highest pid of Linux

    def survey(self, instances: Sequence[str]) -> Survey:
        """The table, or silence."""
        if not self.answers:
            return Survey(strategies.SILENT, None)
        with self._lock:
            return Survey(
                strategies.ANSWERING, {name: self.entries[name] for name in instances if name in self.entries}
            )

    def register(self, spec: LaunchSpec) -> bool:
        """Store a spec."""
        with self._lock:
            old = self.entries.get(spec.instance)
            fresh = Entry(spec.instance, False, EntryState.STOPPED, None, "", "", log_file="/logs/it.log")  # noqa: FBT003

            def act() -> None:
                self.specs[spec.instance] = spec
                self.entries[spec.instance] = attrs.evolve(
                    old or fresh, digest=spec.digest, launch_digest=spec.launch_digest
                )

            if old is not None and old.digest == spec.digest:
                return False
            self._act(f"register {spec.instance}", act)
            return True

    def start(self, instance: str) -> None:
        """Give it a pid, if it has none."""

        def act() -> None:
            if self.entries[instance].process is None:
                self._launch(instance)
            self._change(instance, wanted=True, state=EntryState.RUNNING)

        self._act(f"start {instance}", act)

    def stop(self, instance: str) -> None:
        """Take its pid."""
        self._act(
            f"stop {instance}",
            lambda: self._change(instance, wanted=False, state=EntryState.STOPPED, process=None),
        )

    def kill(self, instance: str) -> None:
        """Take its pid."""
        self._act(f"kill {instance}", lambda: self._change(instance, process=None))

    def restart(self, instance: str) -> None:
        """Give it another pid."""
        self._act(f"restart {instance}", lambda: self._launch(instance))

    def secrets(self, names: Sequence[str]) -> dict[str, str]:
        """The stored ones."""
        if not self.answers:
            raise RegistryUnavailable("secret.get", "nobody is there")
        return {name: self.stored[name] for name in names if name in self.stored}

    def store_secret(self, name: str, value: str) -> None:
        """Store one."""
        self._act(f"store_secret {name}", lambda: self.stored.__setitem__(name, value))

    def delete_secret(self, name: str) -> None:
        """Delete one."""
        self._act(f"delete_secret {name}", lambda: self.stored.pop(name, None))

    def record(self, source: str, text: str) -> None:
        """Keep it."""
        self._act("record", lambda: self.recorded.append((source, text)))

    def history(self, source: str, lines: int) -> list[Recorded]:
        """What was kept; the first line was recorded at 1 s, and each a second after the one before."""
        if not self.answers:
            raise RegistryUnavailable("logs.get", "nobody is there")
        kept = enumerate(self.recorded, 1)
        return [Recorded(float(at_s), text) for at_s, (src, text) in kept if src == source][-lines:]

    def crash(self, instance: str) -> None:
        """The process ends by itself and is given up."""
        self._change(instance, state=EntryState.FAILED, process=None, last_error="exit status 0")

    def _launch(self, instance: str) -> None:
        self._next_pid += 1
        self.running[instance] = self.specs[instance]
        self._change(instance, process=ProcessId(self._next_pid, self._next_pid))

    def _change(self, instance: str, **changes: Any) -> None:
        self.entries[instance] = attrs.evolve(self.entries[instance], **changes)

    def _act(self, call: str, act: Callable[[], object]) -> None:
        with self._lock:
            self.acted.append(call)
            fault = self._faults.get(len(self.acted))
            if fault is not Fault.REFUSED:
                act()
        if fault is not None:
            raise RegistryUnavailable(call, f"the answer is {fault}")


class ReflectingObserver(Observer):
    """Sees each running row of a MemoryRegistry as a healthy process, and the real files.

    `people` is what is counted on a unit that carries calls; `distort` has the last word on each instance.
    """

    def __init__(self, registry: MemoryRegistry) -> None:
        super().__init__(registry)
        self._memory = registry
        self.people: int | None = 0
        self.distort: Callable[[InstanceSeen], InstanceSeen] = lambda found: found

    def observe(
        self, specs: Sequence[LaunchSpec], *, secrets: Mapping[str, Any] | None = None, files: bool = True
    ) -> Observed:
        """One moment of the table."""
        survey = self._memory.survey([spec.instance for spec in specs])
        entries = survey.entries or {}
        shown = secrets if files else None
        seen = [self.distort(self._see(found, entries.get(name), shown)) for name, found in by_instance(specs).items()]
        return Observed(survey.supervisor, tuple(seen), 1.0)

    def _see(
        self, variants: Sequence[LaunchSpec], entry: Entry | None, secrets: Mapping[str, Any] | None
    ) -> InstanceSeen:
        spec = variants[0]
        process = None
        if entry is not None and entry.process is not None:
            process = strategies.process(self._memory.running[spec.instance], id=entry.process)
        found = strategies.seen(
            spec,
            registry_looked=self._memory.answers,
            entry=entry,
            process=process,
            probes=strategies.probes(spec) if process else (),
            calls=CallsSeen(1, self.people, "debug-rooms") if process and spec.carries_calls else None,
        )
        differ = {each.digest: files_that_differ(each, secrets) if secrets is not None else () for each in variants}
        return attrs.evolve(found, files_differ=differ)
