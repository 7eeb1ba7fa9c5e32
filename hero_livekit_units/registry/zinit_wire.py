"""zinit 0.3.9's words: a LaunchSpec as its service and the script that it runs, and its status as our Entry. Pure.

zinit keeps services alone, by name and whole, and none of ours is ever changed there or deleted (see `zinit`). So what
it is given says little: to run a script of ours, and the rules of start and stop. How the program runs, and whether it
is to run at all, the script says, which is written anew before a start and a stop.

zinit runs `exec` as `/bin/sh -c EXEC`, and a shell that stays in between takes the stop signal instead of the program,
which then lives on. So the script takes the place of the shell, and the program the place of the script. It writes to a
file, as a pipe to zinit breaks with zinit.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from hero_livekit_units.model.observed import Entry, EntryState, ProcessId
from hero_livekit_units.registry.wire import service_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hero_livekit_units.model.launch import LaunchSpec

# zinit kills what has not ended in its time, always. Where a definition says never, this is later than anybody waits.
_NEVER_MS = 10 * 365 * 24 * 3600 * 1000

_AGAIN = "_again_"  # in the name of a service that stands for an earlier one

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


# Ends at once where the process of an earlier start lives: zinit adopts nothing, and its next life would start a second
# copy. That process is known by pid, start time and boot; a zombie is none.
_SCRIPT = """\
# How {instance} runs. Written by hero_livekit_units, read at each start.
read -r boot </proc/sys/kernel/random/boot_id
born() {{
    {{ read -r all <"/proc/$1/stat"; }} 2>/dev/null || return
    set -- ${{all##*) }}
    [ "$1" = Z ] || echo "$boot ${{20}}"
}}
if {{ read -r pid was <{life}; }} 2>/dev/null && [ -n "$was" ] && [ "$was" = "$(born "$pid")" ]; then
    exit {lives}
fi
echo "$$ $(born $$)" >{life} || exit
cd {folder} || exit
{exports}
exec {program} >>{log} 2>&1
"""
_LIVES = 75  # "try again later" in sysexits.h, and no exit status of a program of ours
_NOT_WANTED = """\
# {instance} is not to run. Written by hero_livekit_units, read at each start.
exit 0
"""


@frozen
class Registration:
    """How an instance is to run, as it is kept beside zinit.

    service: in zinit's words. script: what it runs when it is wanted. log_file: where it writes. digest, launch_digest:
    of the LaunchSpec. wanted: whether it is to run. minimum_age_s, window_s: of its stop, in seconds.
    """

    service: dict[str, Any]
    script: str
    log_file: str
    digest: str
    launch_digest: str
    wanted: bool
    minimum_age_s: float
    window_s: float

    @property
    def name(self) -> str:
        """Of the service at zinit."""
        return str(self.service["service"]["name"])

    def script_of(self, instance: str) -> str:
        """What zinit is to find in the script now."""
        return self.script if self.wanted else _NOT_WANTED.format(instance=instance)


def registration(spec: LaunchSpec, folder: str, *, name: str, wanted: bool) -> Registration:
    """A LaunchSpec as zinit is to run it.

    zinit is told of no dependency: one that is not there fails a service for good. Nobody else's port is ever taken
    (`kill_others` stays away). The count of restarts has no end, as zinit forgets what it has given up.

    Args:
        spec: how the instance runs.
        folder: of the scripts.
        name: of the service at zinit.
        wanted: whether it is to run.
    """
    log = f"{spec.folder}/output.log"
    script = _SCRIPT.format(
        instance=spec.instance,
        lives=_LIVES,
        life=shlex.quote(f"{folder}/{service_name(spec.instance)}.life"),
        folder=shlex.quote(spec.folder),
        exports="\n".join(f"export {key}={shlex.quote(value)}" for key, value in spec.environment.items()),
        program=shlex.join(spec.argv),
        log=shlex.quote(log),
    )
    lifecycle = {
        "restart": "always",
        "restart_delay_ms": max(_ms(spec.restart.delay_s), 1),
        "restart_delay_max_ms": max(_ms(spec.restart.max_delay_s), _ms(spec.restart.delay_s), 1),
        "max_restarts": 0,
        "stability_period_ms": _ms(spec.restart.stable_after_s),
        "stop_signal": spec.stop.signal,
        "stop_timeout_ms": max(_ms(spec.stop.window_s), 1) if spec.stop.kill_after_window else _NEVER_MS,
    }
    return Registration(
        service=_service(name, folder, lifecycle),
        script=script,
        log_file=log,
        digest=spec.digest,
        launch_digest=spec.launch_digest,
        wanted=wanted,
        minimum_age_s=spec.stop.minimum_age_s,
        window_s=spec.stop.window_s,
    )


def renamed(kept: Registration, folder: str) -> Registration:
    """The same as a service of another name, for a zinit that has the old one with other rules."""
    base, _, number = kept.name.partition(_AGAIN)
    name = f"{base}{_AGAIN}{int(number or 1) + 1}"
    return evolve(kept, service=_service(name, folder, kept.service["lifecycle"]))


def script_file(folder: str, name: str) -> str:
    """The script that a service runs."""
    return f"{folder}/{name}.sh"


def _service(name: str, folder: str, lifecycle: dict[str, Any]) -> dict[str, Any]:
    # zinit refuses a line whose first word is no program, such as `exec`.
    line = f"/bin/sh -c : && exec /bin/sh {shlex.quote(script_file(folder, name))}"
    return {"service": {"name": name, "exec": line, "status": "start"}, "lifecycle": lifecycle}


def holds(stored: Any, sent: Any) -> bool:
    """Whether zinit has all that was sent to it; it fills in the rest."""
    if isinstance(sent, dict):
        return isinstance(stored, dict) and all(key in stored and holds(stored[key], sent[key]) for key in sent)
    return bool(stored == sent)


def entry(instance: str, kept: Registration | None, status: Mapping[str, Any] | None) -> Entry | None:
    """What is kept and what zinit says as our Entry; None where neither knows it.

    A service that is wanted and has no process is between two lives. zinit says `exited` of one that was stopped, and
    of one that ended with status 0 and waits for its next life; only what it calls `failed` surely comes back.

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
        launch_digest=kept.launch_digest if kept else "",
        last_error=last_error,
        log_file=kept.log_file if kept else "",
    )


def _last_error(status: Mapping[str, Any]) -> str:
    if status.get("error"):
        return str(status["error"])
    code = status.get("exit_code")
    if code == _LIVES:
        return "not started: the process of an earlier start lives"
    return "" if code is None else f"exit status {code}"


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
