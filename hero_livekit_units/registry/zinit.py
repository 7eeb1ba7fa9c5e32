"""The client of zinit 0.3.9: it does what a Registry promises, by the few calls that zinit can be trusted with.

A service of ours is set at zinit once, when it first starts, and then neither changed nor deleted, only started and
stopped. What it runs is a script of ours, which says how, and whether at all. That is so because

- `service.set` starts at once, a service that is set to wait can never be started, and a second `service.set` of one
  name dead-locks zinit;
- deleting a service makes zinit lose sight of another one, the one that was set last: its end is never noticed, or is
  taken for the end of a service that is set later, of which there are two copies then;
- deleting one that runs, or is ending, holds up everything for five seconds and kills it;
- a service that was stopped is started again by the next life of zinit, and one that was stopped between two lives
  even by this one: its script ends at once.

zinit adopts nothing. After its crash it would start a second copy of each program that lives; the script sees that one
and ends, again and again, until that program has ended. `stop` touches nothing that zinit does not have.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from hero_livekit_units.errors import EntryNotFound, RegistryError, RegistryProtocolError, RegistryRefused
from hero_livekit_units.model.observed import Entry, ProcessId, SupervisorSeen, Verdict
from hero_livekit_units.procfs import start_time_of
from hero_livekit_units.registry import zinit_wire as wire
from hero_livekit_units.registry.port import Survey
from hero_livekit_units.registry.wire import service_name
from hero_livekit_units.registry.zinit_client import ZinitClient
from hero_livekit_units.registry.zinit_store import ZinitStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.registry.port import Recorded
    from hero_livekit_units.registry.zinit_wire import Registration

KIND = "zinit"
_LOOK_DEADLINE_S = 0.5  # half of a whole look: a supervisor that hangs must leave the other witnesses their time
_ACT_DEADLINE_S = 10.0
_LOOK_AGAIN_S = 0.01
_LEARNT_S = 1.0  # zinit has learnt of an end by then
_LONGEST_END_S = 30.0  # that a restart waits
_LARGEST_LOG = 32 * 1024 * 1024  # then a start begins a new one
_LOST = "that is a fault of zinit after a deletion: restart zinit when nobody is in a call, then ensure"
_UNSHAPED = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


class ZinitRegistry:
    """zinit behind the Registry port.

    Args:
        socket: zinit's.
        folder: where is kept what zinit does not keep.
    """

    def __init__(self, socket: str, folder: Path) -> None:
        self._socket = socket
        self._client = ZinitClient(socket, deadline_s=_ACT_DEADLINE_S)
        self._store = ZinitStore(folder)

    def survey(self, instances: Sequence[str]) -> Survey:
        """Ask everything on one connection."""
        began = time.monotonic()
        try:
            units = self._store.units()
            names = [_name(instance, units.get(instance)) for instance in instances]
            calls: list[tuple[str, dict[str, Any] | None]] = [("system.ping", None)]
            calls += [("service.status", {"name": name}) for name in names]
            answers = self._client.batch(calls, deadline_s=_LOOK_DEADLINE_S)
            ping, *statuses = answers.results
            supervisor = self._supervisor(ping, answers.peer, time.monotonic() - began)
            entries: dict[str, Entry] = {}
            for instance, status in zip(instances, statuses, strict=True):
                if found := wire.entry(instance, units.get(instance), _known(status)):
                    entries[instance] = found
        except RegistryError as error:
            return Survey(self._silent(error), None)
        except _UNSHAPED as error:
            return Survey(self._silent(_garbage("service.status", error)), None)
        return Survey(supervisor, entries)

    def register(self, spec: LaunchSpec) -> bool:
        """Keep how it is to run; what runs hears of it with its next start. False when that is kept already."""
        if self._registered(spec) == self._store.units().get(spec.instance):
            return False
        with self._store.lock():
            new, old = self._registered(spec), self._store.units().get(spec.instance)
            if new == old:
                return False
            self._keep(spec.instance, new)
            return True

    def start(self, instance: str) -> None:
        """Want it to run.

        Raises:
            RegistryRefused: it is ending, and zinit would not start it; or zinit has not noticed that it has ended.
        """
        with self._store.lock():
            kept = self._want(instance, wanted=True)
            status = self._status(kept.name)
            if status is None or not (pid := wire.pid_of(status)):
                self._begin(instance, kept)
            elif start_time_of(pid) is None and not self._has_ended(kept.name, _LEARNT_S):
                raise RegistryRefused("service.start", f"zinit has lost sight of {instance}", code=0, hint=_LOST)
            elif start_time_of(pid) is None:
                self._begin(instance, kept)
            elif status["state"] == "stopping":
                raise RegistryRefused("service.start", f"{instance} is ending", code=0, hint="ask when it has ended")

    def stop(self, instance: str) -> None:
        """Want it not to run: what zinit has of it gets its stop signal once."""
        with self._store.lock():
            self._ask_to_end(self._want(instance, wanted=False))

    def kill(self, instance: str) -> None:
        """SIGKILL to what zinit has of it."""
        with self._store.lock():
            kept = self._store.units().get(instance)
            name = _name(instance, kept)
            try:
                self._client.call("service.kill", {"name": name, "signal": "SIGKILL"})
            except RegistryRefused as error:
                # It may have ended by itself since it was looked at, and that is all that was wanted.
                if isinstance(error, EntryNotFound) if kept is None else not self._has_ended(name, 0.0):
                    raise

    def restart(self, instance: str) -> None:
        """Stop, wait for the end, start.

        Raises:
            RegistryRefused: it has not ended in its time, or not within half a minute.
        """
        with self._store.lock():
            kept = self._want(instance, wanted=True)
            self._ask_to_end(kept)
            within_s = min(kept.window_s, _LONGEST_END_S) + 1.0
            if not self._has_ended(kept.name, within_s):
                raise RegistryRefused("service.stop", f"{instance} has not ended within {within_s:g} s", code=0)
            self._begin(instance, kept)

    def secrets(self, names: Sequence[str]) -> dict[str, str]:
        """The secrets that exist."""
        stored = self._store.secrets()
        return {name: stored[name] for name in names if name in stored}

    def store_secret(self, name: str, value: str) -> None:
        """Store a secret, in a file for its owner alone."""
        with self._store.lock():
            self._store.keep_secrets(self._store.secrets() | {name: value})

    def delete_secret(self, name: str) -> None:
        """Delete a secret."""
        with self._store.lock():
            self._store.keep_secrets({other: value for other, value in self._store.secrets().items() if other != name})

    def record(self, source: str, text: str) -> None:
        """Add a line to the log that is kept beside zinit."""
        with self._store.lock():
            self._store.record(source, text)

    def history(self, source: str, lines: int) -> list[Recorded]:
        """The newest lines of that log from this source."""
        return self._store.history(source, lines)

    def _registered(self, spec: LaunchSpec) -> Registration:
        """What is to be kept of it, beside whether it is wanted: as before, or as zinit says where nothing is kept."""
        old = self._store.units().get(spec.instance)
        name = _name(spec.instance, old)
        status = None if old else self._status(name)
        wanted = old.wanted if old else bool(status and wire.pid_of(status))
        return wire.registration(spec, str(self._store.folder), name=name, wanted=wanted)

    def _want(self, instance: str, *, wanted: bool) -> Registration:
        """Write down what is wanted before it is asked for: after a crash in between it is done again."""
        kept = self._store.units().get(instance)
        if kept is None:
            raise EntryNotFound("service.get", f"{instance} is not registered", code=0)
        kept = attrs.evolve(kept, wanted=wanted)
        self._keep(instance, kept)
        return kept

    def _keep(self, instance: str, kept: Registration) -> None:
        # The script comes first: who is killed in between has changed nothing that a look would not see again.
        self._store.write_script(kept.name, kept.script_of(instance))
        self._store.keep_unit(instance, kept)

    def _begin(self, instance: str, kept: Registration) -> None:
        """Start what does not run; as another service where zinit has it with rules that are not wanted any more."""
        log = Path(kept.log_file)
        with suppress(OSError):
            if log.stat().st_size > _LARGEST_LOG:
                log.replace(f"{log}.1")
        while True:
            try:
                stored = self._client.call("service.get", {"name": kept.name})
            except EntryNotFound:
                self._client.call("service.set", {"config": kept.service})
                return
            if wire.holds(stored, kept.service):
                self._client.call("service.start", {"name": kept.name})
                return
            self._store.write_script(kept.name, attrs.evolve(kept, wanted=False).script_of(instance))
            kept = wire.renamed(kept, str(self._store.folder))
            self._keep(instance, kept)

    def _ask_to_end(self, kept: Registration) -> None:
        """The stop signal, once, and not before the process is old enough to heed it.

        Not where zinit has not noticed its end: somebody else may have its pid by the time the signal is sent.
        """
        status = self._status(kept.name)
        if status is None or not wire.pid_of(status) or status["state"] == "stopping":
            return
        if (age_s := _age_s(wire.pid_of(status))) is None:
            return
        if age_s < kept.minimum_age_s:
            time.sleep(kept.minimum_age_s - age_s)
        self._client.call("service.stop", {"name": kept.name})

    def _has_ended(self, name: str, within_s: float) -> bool:
        """Whether zinit has no process of a service, now or soon."""
        until = time.monotonic() + within_s
        while (status := self._status(name)) is not None and wire.pid_of(status):
            if time.monotonic() >= until:
                return False
            time.sleep(_LOOK_AGAIN_S)
        return True

    def _status(self, name: str) -> dict[str, Any] | None:
        """The word of zinit, None where it does not know it."""
        try:
            status = self._client.call("service.status", {"name": name})
        except EntryNotFound:
            return None
        return _shaped(status)

    def _supervisor(self, ping: Any, pid: int, took_s: float) -> SupervisorSeen:
        if isinstance(ping, RegistryRefused):
            raise ping
        started = start_time_of(pid) if pid else None
        process = ProcessId(pid, started) if started is not None else None
        says = f"answered in {took_s * 1000:.1f} ms"
        return SupervisorSeen(KIND, str(ping["version"]), process, Verdict.HEALTHY, says, self._socket, adopts=False)

    def _silent(self, error: RegistryError) -> SupervisorSeen:
        return SupervisorSeen("", "", None, Verdict.UNKNOWN, error.cause, self._socket, adopts=False)


def _name(instance: str, kept: Registration | None) -> str:
    return kept.name if kept else service_name(instance)


def _known(status: Any) -> dict[str, Any] | None:
    if isinstance(status, EntryNotFound):
        return None
    if isinstance(status, RegistryRefused):
        raise status
    return _shaped(status)


def _shaped(status: Any) -> dict[str, Any]:
    try:
        wire.pid_of(status)
        str.lower(status["state"])
    except _UNSHAPED as error:
        raise _garbage("service.status", error) from error
    return dict(status)


def _garbage(method: str, error: Exception) -> RegistryProtocolError:
    return RegistryProtocolError(method, f"an answer of unknown shape ({error!r})")


def _age_s(pid: int) -> float | None:
    """Seconds since a process started, None where there is none."""
    started = start_time_of(pid)
    if started is None:
        return None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
