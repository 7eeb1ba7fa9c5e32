"""zinit 0.3.9's words: a LaunchSpec as its service, and its status as our Entry. Pure.

zinit keeps services alone, by name and whole. It runs `exec` as `/bin/sh -c EXEC`, and a shell that stays in between
takes the stop signal instead of the program, which then lives on. So the program takes the place of the shell
(`exec`), and writes to a file, as a pipe to zinit breaks with zinit. zinit refuses a line whose first word is no
program; therefore the program stands there too, and says its version to nobody.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from attrs import frozen

from hero_livekit_units.model.observed import Entry, EntryState, ProcessId
from hero_livekit_units.registry.wire import service_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hero_livekit_units.model.launch import LaunchSpec

# zinit kills what has not ended in its time, always. Where a definition says never, this is later than anybody waits.
_NEVER_MS = 10 * 365 * 24 * 3600 * 1000

_BETWEEN = frozenset({EntryState.STOPPED, EntryState.FAILED})

_STATES = {
    "inactive": EntryState.STOPPED,
    "exited": EntryState.STOPPED,
    "blocked": EntryState.WAITING,
    "starting": EntryState.RUNNING,
    "running": EntryState.RUNNING,
    "stopping": EntryState.STOPPING,
    "failed": EntryState.FAILED,
}


@frozen
class Registration:
    """How an instance is to run, as it is kept beside zinit.

    service: in zinit's words. wanted: whether it is to run. minimum_age_s, window_s: of its stop, in seconds.
    """

    service: dict[str, Any]
    digest: str
    wanted: bool
    minimum_age_s: float
    window_s: float

    @property
    def log_file(self) -> str:
        """Where it writes."""
        return f"{self.service['service']['dir']}/output.log"


def registration(spec: LaunchSpec, *, wanted: bool) -> Registration:
    """A LaunchSpec as zinit is to run it.

    zinit is told of no dependency: one that is not there fails a service for good. Nobody else's port is ever taken
    (`kill_others` stays away). The count of restarts has no end, as zinit forgets what it has given up.
    """
    log = f"{spec.folder}/output.log"
    program = shlex.quote(spec.argv[0])
    line = f"{program} --version >/dev/null 2>&1; exec {shlex.join(spec.argv)} >> {shlex.quote(log)} 2>&1"
    service = {
        "service": {
            "name": service_name(spec.instance),
            "exec": line,
            "dir": spec.folder,
            "env": spec.environment,
            "status": "start",
        },
        "lifecycle": {
            "restart": "always",
            "restart_delay_ms": max(_ms(spec.restart.delay_s), 1),
            "restart_delay_max_ms": max(_ms(spec.restart.max_delay_s), _ms(spec.restart.delay_s), 1),
            "max_restarts": 0,
            "stability_period_ms": _ms(spec.restart.stable_after_s),
            "stop_signal": spec.stop.signal,
            "stop_timeout_ms": max(_ms(spec.stop.window_s), 1) if spec.stop.kill_after_window else _NEVER_MS,
        },
    }
    return Registration(service, spec.digest, wanted, spec.stop.minimum_age_s, spec.stop.window_s)


def holds(stored: Any, sent: Any) -> bool:
    """Whether zinit has all that was sent to it; it fills in the rest."""
    if isinstance(sent, dict):
        return isinstance(stored, dict) and all(key in stored and holds(stored[key], sent[key]) for key in sent)
    return bool(stored == sent)


def entry(instance: str, kept: Registration | None, status: Mapping[str, Any] | None) -> Entry | None:
    """What is kept and what zinit says as our Entry; None where neither knows it.

    A service that is wanted and has no process is between two lives. zinit says `exited` of one that somebody has
    stopped at zinit, and of one that ended with status 0 and waits for its next life; only what it calls `failed`
    surely comes back by itself.

    Raises:
        KeyError, TypeError, ValueError: the answer does not have the shape of a status.
    """
    if status is None:
        if kept is None:
            return None
        return _entry(instance, kept, EntryState.STOPPED, None, "")
    state = _STATES.get(status["state"], EntryState.UNKNOWN)
    pid = int(status["pid"])
    wanted = kept is None or kept.wanted
    if state in _BETWEEN and wanted:
        state = EntryState.WAITING if state is EntryState.FAILED else EntryState.STOPPED
    elif state in _BETWEEN:
        state = EntryState.STOPPED
    elif state is EntryState.RUNNING and not pid:
        state = EntryState.WAITING
    return _entry(instance, kept, state, ProcessId(pid, 0) if pid else None, _last_error(status))


def pid_of(status: Mapping[str, Any]) -> int:
    """The pid in a status, 0 for none.

    Raises:
        KeyError, TypeError, ValueError: the answer does not have the shape of a status.
    """
    return int(status["pid"])


def _entry(
    instance: str, kept: Registration | None, state: EntryState, process: ProcessId | None, last_error: str
) -> Entry:
    return Entry(
        instance=instance,
        wanted=kept is None or kept.wanted,
        state=state,
        process=process,
        digest=kept.digest if kept else "",
        launch_digest=kept.service["service"]["env"]["HLU_DIGEST"] if kept else "",
        last_error=last_error,
        log_file=kept.log_file if kept else "",
    )


def _last_error(status: Mapping[str, Any]) -> str:
    if status.get("error"):
        return str(status["error"])
    code = status.get("exit_code")
    return "" if code is None else f"exit status {code}"


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
