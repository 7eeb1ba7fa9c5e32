"""The client of zinit 0.3.9: it does what a Registry promises, by the few calls that zinit can be trusted with.

At zinit there is only what is wanted. How an instance is to run is kept in a file of ours (`zinit_store`), and is
written to zinit when it is to start; what was stopped is deleted there as soon as it has ended. That is so because

- `service.set` starts at once, a service that is set to wait can never be started, and a second `service.set` of one
  name dead-locks zinit: so a service is set once, under a lock, after the one before was deleted;
- a service that was stopped is started again by the next life of zinit, and one that was stopped between two lives
  even by this one: what is deleted is not;
- deleting one that runs, or is ending, holds up everything for five seconds and kills it: so it is not done.

zinit adopts nothing. After its crash each program that lives has a second copy, which ends on the busy port, again and
again. `stop` quiets that copy, and touches nothing that zinit does not have.
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
_SHORT_END_S = 0.3  # that a stop waits, so that most are deleted at once
_LONGEST_END_S = 30.0  # that a restart waits
_LARGEST_LOG = 32 * 1024 * 1024  # then a start begins a new one
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
        """Ask everything on one connection. What has ended after a stop is deleted on the way."""
        calls: list[tuple[str, dict[str, Any] | None]] = [("system.ping", None)]
        calls += [("service.status", {"name": service_name(instance)}) for instance in instances]
        began = time.monotonic()
        try:
            units = self._store.units()
            answers = self._client.batch(calls, deadline_s=_LOOK_DEADLINE_S)
            ping, *statuses = answers.results
            supervisor = self._supervisor(ping, answers.peer, time.monotonic() - began)
            entries: dict[str, Entry] = {}
            for instance, status in zip(instances, statuses, strict=True):
                kept = units.get(instance)
                found = wire.entry(instance, kept, _known(status))
                if found:
                    entries[instance] = found
                if kept and not kept.wanted and found and not found.process and _known(status) is not None:
                    self._tidy(instance)
        except RegistryError as error:
            return Survey(self._silent(error), None)
        except _UNSHAPED as error:
            return Survey(self._silent(_garbage("service.status", error)), None)
        return Survey(supervisor, entries)

    def register(self, spec: LaunchSpec) -> bool:
        """Keep how it is to run; zinit is told when it starts. False when that is kept already."""
        if self._is_kept(spec):
            return False
        with self._store.lock():
            if self._is_kept(spec):
                return False
            old = self._store.units().get(spec.instance)
            wanted = old.wanted if old else self._status(spec.instance) is not None
            self._store.keep_unit(spec.instance, wire.registration(spec, wanted=wanted))
            return True

    def start(self, instance: str) -> None:
        """Want it to run.

        Raises:
            RegistryRefused: it is ending, and zinit would not start it.
        """
        with self._store.lock():
            kept = self._want(instance, wanted=True)
            status = self._status(instance)
            if status is not None and wire.pid_of(status):
                if status["state"] == "stopping":
                    raise RegistryRefused(
                        "service.start", f"{instance} is ending", code=0, hint="ask when it has ended"
                    )
                return
            self._begin(instance, kept, there=status is not None)

    def stop(self, instance: str) -> None:
        """Want it not to run: what zinit has of it gets its stop signal once."""
        with self._store.lock():
            kept = self._want(instance, wanted=False)
            self._ask_to_end(instance, kept)
            if self._has_ended(instance, _SHORT_END_S):
                self._delete(instance)

    def kill(self, instance: str) -> None:
        """SIGKILL to what zinit has of it."""
        with self._store.lock():
            try:
                self._client.call("service.kill", {"name": service_name(instance), "signal": "SIGKILL"})
            except RegistryRefused:
                # It may have ended by itself since it was looked at, and that is all that was wanted.
                if not self._has_ended(instance, 0.0):
                    raise

    def restart(self, instance: str) -> None:
        """Stop, wait for the end, start.

        Raises:
            RegistryRefused: it has not ended in its time, or not within half a minute.
        """
        with self._store.lock():
            kept = self._want(instance, wanted=True)
            self._ask_to_end(instance, kept)
            within_s = min(kept.window_s, _LONGEST_END_S) + 1.0
            if not self._has_ended(instance, within_s):
                raise RegistryRefused("service.stop", f"{instance} has not ended within {within_s:g} s", code=0)
            self._begin(instance, kept, there=self._status(instance) is not None)

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

    def _is_kept(self, spec: LaunchSpec) -> bool:
        old = self._store.units().get(spec.instance)
        return old is not None and old == wire.registration(spec, wanted=old.wanted)

    def _want(self, instance: str, *, wanted: bool) -> Registration:
        """Write down what is wanted before it is asked for: after a crash in between it is done again."""
        kept = self._store.units().get(instance)
        if kept is None:
            raise EntryNotFound("service.get", f"{instance} is not registered", code=0)
        if kept.wanted != wanted:
            kept = attrs.evolve(kept, wanted=wanted)
            self._store.keep_unit(instance, kept)
        return kept

    def _begin(self, instance: str, kept: Registration, *, there: bool) -> None:
        """Set a service anew that does not run, which starts it."""
        if there:
            self._delete(instance)
        log = Path(kept.log_file)
        with suppress(OSError):
            if log.stat().st_size > _LARGEST_LOG:
                log.replace(f"{log}.1")
        self._client.call("service.set", {"config": kept.service})

    def _ask_to_end(self, instance: str, kept: Registration) -> None:
        """The stop signal, once, and not before the process is old enough to heed it."""
        status = self._status(instance)
        if status is None or not wire.pid_of(status) or status["state"] == "stopping":
            return
        if (age_s := _age_s(wire.pid_of(status))) is not None and age_s < kept.minimum_age_s:
            time.sleep(kept.minimum_age_s - age_s)
        self._client.call("service.stop", {"name": service_name(instance)})

    def _has_ended(self, instance: str, within_s: float) -> bool:
        """Whether zinit has no process of it, now or soon."""
        until = time.monotonic() + within_s
        while (status := self._status(instance)) is not None and wire.pid_of(status):
            if time.monotonic() >= until:
                return False
            time.sleep(_LOOK_AGAIN_S)
        return True

    def _tidy(self, instance: str) -> None:
        """Delete what is not wanted and has ended, unless somebody acts just now."""
        with suppress(RegistryError), self._store.lock(within_s=0.0):
            kept = self._store.units().get(instance)
            if kept and not kept.wanted and self._has_ended(instance, 0.0):
                self._delete(instance)

    def _delete(self, instance: str) -> None:
        with suppress(EntryNotFound):
            self._client.call("service.delete", {"name": service_name(instance)})

    def _status(self, instance: str) -> dict[str, Any] | None:
        """The word of zinit, None where it does not know it."""
        try:
            status = self._client.call("service.status", {"name": service_name(instance)})
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
