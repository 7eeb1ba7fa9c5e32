"""The client of a hero_proc that speaks JSON-RPC on its Hero socket."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hero_livekit_units.errors import EntryNotFound, RegistryError, RegistryProtocolError, RegistryRefused
from hero_livekit_units.model.observed import Entry, ProcessId, SupervisorSeen, Verdict
from hero_livekit_units.registry import wire
from hero_livekit_units.registry.port import Recorded, Survey
from hero_livekit_units.registry.speaking import Speaker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hero_livekit_units.model.launch import LaunchSpec

_LOOK_DEADLINE_S = 0.5  # half of a whole look: a supervisor that hangs must leave the other witnesses their time
_ACT_DEADLINE_S = 10.0
_COMPARES = "embedded"  # the kind of hero_proc that has compare-and-set
_UNSHAPED = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


class HeroProcRegistry:
    """hero_proc behind the Registry port.

    memory: a file where to remember how this hero_proc is spoken to, for as long as it is the same.
    """

    def __init__(self, socket: str, *, memory: Path | None = None) -> None:
        self._socket = socket
        self._client = Speaker(socket, _ACT_DEADLINE_S, memory)

    def survey(self, instances: Sequence[str]) -> Survey:
        """Ask everything in one round trip."""
        calls: list[tuple[str, dict[str, Any] | None]] = [("system.ping", None)]
        for instance in instances:
            calls.append(("service.status", {"name": wire.service_name(instance)}))
            calls.append(("action.get", {"name": wire.action_name(instance), "context": wire.CONTEXT}))
        began = time.monotonic()
        try:
            ping, *answers = self._client.batch(calls, deadline_s=_LOOK_DEADLINE_S)
            supervisor = self._supervisor(ping, time.monotonic() - began)
            entries = {}
            for at, instance in enumerate(instances):
                found = _entry(instance, answers[2 * at], answers[2 * at + 1])
                if found:
                    entries[instance] = found
        except RegistryError as error:
            return Survey(self._silent(error), None)
        except _UNSHAPED as error:
            return Survey(self._silent(_garbage("service.status", error)), None)
        return Survey(supervisor, entries)

    def register(self, spec: LaunchSpec) -> bool:
        """Write only what differs: some hero_proc stop a service that is set again.

        Where the supervisor has compare-and-set, a write replaces nothing but what was read here.
        """
        action, service = wire.action_spec(spec), wire.service_spec(spec)
        ping, stored_action, stored_service = self._client.batch(
            [
                ("system.ping", None),
                ("action.get", {"name": action["name"], "context": wire.CONTEXT}),
                ("service.get", {"name": service["name"]}),
            ]
        )
        action, service = self._client.kept("action.set", action), self._client.kept("service.set", service)
        compares = isinstance(ping, dict) and ping.get("kind") == _COMPARES
        changed = False
        if _differs(stored_action, action):
            expected = _expected(stored_action) if compares else {}
            self._client.call("action.set", {"action": action, "context": wire.CONTEXT, **expected})
            changed = True
        if _differs(stored_service, service):
            expected = _expected(stored_service) if compares else {}
            self._client.call("service.set", {"service": service, "context": wire.CONTEXT, **expected})
            changed = True
        return changed

    def start(self, instance: str) -> None:
        """Want it to run."""
        self._client.call("service.start", {"name": wire.service_name(instance)})

    def stop(self, instance: str) -> None:
        """Want it not to run."""
        self._client.call("service.stop", {"name": wire.service_name(instance)})

    def kill(self, instance: str) -> None:
        """SIGKILL to the process of its current job."""
        for job in self._jobs(instance):
            try:
                self._client.call("job.kill", {"job_id": job, "signal": "SIGKILL"})
            except RegistryRefused:
                # It may have ended by itself since we asked, and that is all that was wanted.
                if job in self._jobs(instance):
                    raise

    def restart(self, instance: str) -> None:
        """Stop, then start."""
        self._client.call("service.restart", {"name": wire.service_name(instance)})

    def forget(self, instance: str) -> None:
        """Delete what is registered of an instance that does not run.

        Raises:
            RegistryError: it runs, or the supervisor cannot delete.
        """
        for method, params in _forgetting(instance):
            try:
                self._client.call(method, params)
            except EntryNotFound:
                continue  # as it should be

    def check_forgets(self) -> None:
        """See that what is registered can be deleted.

        Raises:
            RegistryLacks: there is no method for it.
        """
        for answer in self._client.batch(_forgetting("hlu-nobody")):
            if isinstance(answer, RegistryRefused) and not isinstance(answer, EntryNotFound):
                raise answer

    def secrets(self, names: Sequence[str]) -> dict[str, str]:
        """The secrets that exist."""
        answers = self._client.batch([("secret.get", {"key": name, "context": wire.CONTEXT}) for name in names])
        found = {}
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, EntryNotFound):
                continue
            if isinstance(answer, RegistryRefused):
                raise answer
            if not isinstance(answer, dict) or not isinstance(answer.get("value"), str):
                raise RegistryProtocolError("secret.get", "an answer of unknown shape")  # which is not shown
            found[name] = answer["value"]
        return found

    def store_secret(self, name: str, value: str) -> None:
        """Store a secret."""
        self._client.call("secret.set", {"key": name, "value": value, "context": wire.CONTEXT})

    def delete_secret(self, name: str) -> None:
        """Delete a secret."""
        try:
            self._client.call("secret.delete", {"key": name, "context": wire.CONTEXT})
        except EntryNotFound:
            return  # as it should be: an answer to an earlier call may have been lost

    def record(self, source: str, text: str) -> None:
        """Add a line to hero_proc's log."""
        self._client.call("logs.insert", {"src": source, "content": text, "context_name": wire.CONTEXT})

    def history(self, source: str, lines: int) -> list[Recorded]:
        """The newest lines of hero_proc's log from this source."""
        rows = self._client.call("logs.get", {"src_prefix": source, "lines": lines})
        try:
            # A prefix also finds sources that begin alike.
            found = [_recorded(row) for row in _rows(rows) if row["src"] == source]
        except _UNSHAPED as error:
            raise _garbage("logs.get", error) from error
        return sorted(found, key=lambda line: line.at_s)[-lines:]

    def _jobs(self, instance: str) -> list[int]:
        """The jobs of an instance that have a process."""
        status = self._client.call("service.status", {"name": wire.service_name(instance)})
        try:
            return [job["job_id"] for job in status["actions"] if job.get("pid")]
        except _UNSHAPED as error:
            raise _garbage("service.status", error) from error

    def _supervisor(self, ping: Any, took_s: float) -> SupervisorSeen:
        if isinstance(ping, RegistryRefused):
            raise ping
        process = ProcessId(int(ping["pid"]), wire.start_time(ping)) if ping.get("pid") else None
        kind = str(ping.get("kind") or "hero_proc")
        says = f"answered in {took_s * 1000:.1f} ms"
        return SupervisorSeen(kind, str(ping.get("version", "")), process, Verdict.HEALTHY, says, self._socket)

    def _silent(self, error: RegistryError) -> SupervisorSeen:
        return SupervisorSeen("", "", None, Verdict.UNKNOWN, error.cause, self._socket)


def _forgetting(instance: str) -> list[tuple[str, dict[str, Any] | None]]:
    return [
        ("service.delete", {"name": wire.service_name(instance)}),
        ("action.delete", {"name": wire.action_name(instance), "context": wire.CONTEXT}),
    ]


def _garbage(method: str, error: Exception) -> RegistryProtocolError:
    return RegistryProtocolError(method, f"an answer of unknown shape ({error!r})")


def _rows(answer: Any) -> list[Any]:
    if not isinstance(answer, list):
        raise TypeError("it is no list")
    return answer


def _recorded(row: Any) -> Recorded:
    at_ms, text = row["epoch_ms"], row["content"]
    if not isinstance(at_ms, int) or isinstance(at_ms, bool) or not isinstance(text, str):
        raise TypeError("epoch_ms is no whole number, or content no text")  # neither is shown: it is not our text
    return Recorded(at_ms / 1000, text)


def _entry(instance: str, status: Any, action: Any) -> Entry | None:
    if isinstance(status, EntryNotFound):
        return None
    if isinstance(status, RegistryRefused):
        raise status
    return wire.entry(instance, status, {} if isinstance(action, RegistryRefused) else action)


def _expected(stored: Any) -> dict[str, Any]:
    return {"expected": None if isinstance(stored, EntryNotFound) else stored}


def _differs(stored: Any, wanted: dict[str, Any]) -> bool:
    """Whether something that we would write is not there; a supervisor may add fields of its own."""
    if isinstance(stored, EntryNotFound):
        return True
    if isinstance(stored, RegistryRefused):
        raise stored
    return not _holds(stored, wanted)


def _holds(stored: Any, wanted: Any) -> bool:
    """Whether all that is wanted is stored, at any depth. What is no longer wanted shows in the digest in the tags."""
    if isinstance(wanted, dict):
        return isinstance(stored, dict) and all(
            key in stored and _holds(stored[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(stored, list)
            and len(stored) == len(wanted)
            and all(_holds(one, other) for one, other in zip(stored, wanted, strict=True))
        )
    return bool(stored == wanted)
