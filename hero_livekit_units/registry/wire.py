"""hero_proc's words: a LaunchSpec as its action and service, and its status as our Entry. Pure.

hero_proc keeps *services*, which are made of *actions*. Each of our instances is one service with one action. Field
names follow what is public of hero_proc; `stop_kill` and `stop_min_age_ms` are extensions that the embedded one knows.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from hero_livekit_units.model.observed import Entry, EntryState, ProcessId
from hero_livekit_units.model.unit import ProbeKind, Protocol

if TYPE_CHECKING:
    from hero_livekit_units.model.launch import LaunchSpec, Probe

CONTEXT = "hero_livekit"
_TAG = "hero_livekit"
_DIGEST_TAG = "digest:"

# A service of its own for each slot, so that one can be restarted without the other.
_SERVICES = {
    "livekit-server": "hero_livekit_media",
    "livekit-front": "hero_livekit_front",
    "livekit-redis": "hero_livekit_redis",
    "lk-backend": "hero_livekit_backend",
}

_STATES = {
    "inactive": EntryState.STOPPED,
    "exited": EntryState.STOPPED,
    "blocked": EntryState.WAITING,
    "starting": EntryState.WAITING,
    "running": EntryState.RUNNING,
    "degraded": EntryState.RUNNING,
    "stopping": EntryState.STOPPING,
    "failed": EntryState.FAILED,
}


def service_name(instance: str) -> str:
    """The hero_proc service of an instance: `livekit-server@a` is `hero_livekit_media_a`."""
    unit, _, slot = instance.partition("@")
    service = _SERVICES.get(unit, f"hero_livekit_{unit.replace('-', '_')}")
    return f"{service}_{slot}" if slot else service


def action_name(instance: str) -> str:
    """The hero_proc action of an instance: `livekit-server@a` is `livekit-server.a`."""
    return instance.replace("@", ".")


def action_spec(spec: LaunchSpec) -> dict[str, Any]:
    """A LaunchSpec as hero_proc's ActionSpec. The owners of ports are never shot: no singleton, no kill_other."""
    return {
        "name": action_name(spec.instance),
        "script": shlex.join(spec.argv),
        "interpreter": "exec",
        "cwd": spec.folder,
        "env": spec.environment,
        "is_process": True,
        "tty": False,
        "timeout_ms": 0,
        "depends_on": [],
        "retry_policy": {
            "max_attempts": 0,
            "delay_ms": _ms(spec.restart.delay_s),
            "max_delay_ms": _ms(spec.restart.max_delay_s),
            "backoff": True,
            "stability_period_ms": _ms(spec.restart.stable_after_s),
        },
        "stop_signal": spec.stop.signal,
        "stop_timeout_ms": _ms(spec.stop.window_s),
        "stop_kill": spec.stop.kill_after_window,
        "stop_min_age_ms": _ms(spec.stop.minimum_age_s),
        "singleton": False,
        "kill_other": None,
        "sockets": [],
        "tcp_ports": [port.number for port in spec.ports if port.protocol is Protocol.TCP],
        "health_checks": [_health_check(probe) for probe in spec.probes],
        "tags": [_TAG, f"{_DIGEST_TAG}{spec.digest}"],
    }


def service_spec(spec: LaunchSpec) -> dict[str, Any]:
    """The ServiceSpec that keeps the action of a LaunchSpec alive.

    What it depends on it comes after and does not require: hero_proc starts them in this order when the host comes up,
    and the end of one stops no other.
    """
    return {
        "name": service_name(spec.instance),
        "description": f"{spec.instance} {spec.release}",
        "actions": [action_name(spec.instance)],
        "status": "start",
        "requires": [],
        "after": [service_name(instance) for instance in spec.after],
        "require_ready": False,
        "probe": None,
        "sockets": [],
        "tags": [_TAG],
    }


def entry(instance: str, status: dict[str, Any], action: dict[str, Any]) -> Entry:
    """A ServiceStatus and the registered ActionSpec as our Entry.

    Raises:
        KeyError, TypeError, AttributeError: the answer does not have the shape of a status.
    """
    jobs = {job["name"]: job for job in status["actions"]}
    job = jobs.get(action_name(instance)) or jobs.get("") or {}
    state = _STATES.get(status["state"], EntryState.UNKNOWN)
    pid = job.get("pid")
    if state is EntryState.RUNNING and not pid:
        # Wanted, and without a process at this moment: between two lives.
        state = EntryState.WAITING
    tags = action.get("tags") or []
    return Entry(
        instance=instance,
        wanted=status.get("status") == "start",
        state=state,
        process=ProcessId(int(pid), start_time(job)) if pid else None,
        digest=next((tag.removeprefix(_DIGEST_TAG) for tag in tags if tag.startswith(_DIGEST_TAG)), ""),
        launch_digest=(action.get("env") or {}).get("HLU_DIGEST", ""),
        restarts=int(job.get("restart_count") or 0),
        last_error=str(job.get("last_error") or ""),
        log_file=str(job.get("log_file") or ""),
    )


def start_time(answer: dict[str, Any]) -> int:
    """`pid_start` in clock ticks, 0 where a supervisor does not give it, or not in ticks."""
    ticks = answer.get("pid_start")
    return ticks if isinstance(ticks, int) and not isinstance(ticks, bool) else 0


def _health_check(probe: Probe) -> dict[str, Any]:
    where = f"{probe.port.connect_host}:{probe.port.number}"
    check: dict[str, Any] = {
        "type": probe.kind.value,
        "interval_ms": _ms(probe.interval_s),
        "timeout_ms": _ms(probe.timeout_s),
        "retries": probe.failures,
    }
    target = {"url": f"http://{where}{probe.path}"} if probe.kind is ProbeKind.HTTP else {"target": where}
    return check | target


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
