"""Jobs and services as the wire has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from hero_livekit_units.embedded.children import age_s
from hero_livekit_units.embedded.health import Verdict
from hero_livekit_units.embedded.lifecycle import HAS_PROCESS, ServiceState

if TYPE_CHECKING:
    from hero_livekit_units.embedded import shapes
    from hero_livekit_units.embedded.health import Health
    from hero_livekit_units.embedded.records import Job
    from hero_livekit_units.embedded.supervisor import Supervisor


def job_json(job: Job, health: Health) -> shapes.Job:
    """A job; `pid_start` is in clock ticks since boot, the rest of the times in milliseconds."""
    alive = job.state in HAS_PROCESS and job.pid_start is not None
    return {
        "name": job.spec.name,
        "job_id": job.id,
        "run_id": job.run_id,
        "state": job.state,
        "pid": job.pid if alive else None,
        "pid_start": job.pid_start if alive else None,
        "adopted": job.adopted if alive else False,
        "attempt": job.attempt,
        "restart_count": job.restart_count,
        "started_ms": job.started_ms,
        "ended_ms": job.ended_ms,
        "next_start_ms": job.next_start_ms,
        "uptime_ms": round(age_s(job.pid_start or 0) * 1000) if alive else 0,
        "exit_code": job.exit_code,
        "signal": job.signal,
        "stop_requested_ms": job.stop_requested_ms,
        "stop_sent": job.stop_sent,
        "health": health.of(job.id),
        "last_error": job.last_error,
        "log_file": job.log_file,
    }


def service_json(supervisor: Supervisor, health: Health, name: str) -> shapes.ServiceStatus:
    """A service with the present job of each of its actions."""
    service, state = supervisor.specs.service(name), supervisor.state(name)
    jobs = supervisor.present(name)
    overall = health.worst([job.id for job in jobs if job.state in HAS_PROCESS and job.spec.health_checks])
    checked = any(job.spec.health_checks for job in jobs)
    up = state in {ServiceState.RUNNING, ServiceState.EXITED}
    return {
        "name": name,
        "status": "start" if service.wanted else "stop",
        "state": state,
        "health": overall,
        "ready": up and (not checked or overall is Verdict.HEALTHY),
        "run_id": jobs[-1].run_id if jobs else None,
        "blocked_by": supervisor.blocked_by(name),
        "held": sorted(service.held),
        "deaths": {
            action: cast("shapes.Tally", supervisor.jobs.tally(name, action).as_json())
            for action in service.spec.actions
        },
        "actions": [job_json(job, health) for job in jobs],
    }


def service_row(supervisor: Supervisor, name: str) -> shapes.ServiceRow:
    """A service in a line of a list."""
    return {
        "name": name,
        "state": supervisor.state(name),
        "status": "start" if supervisor.specs.service(name).wanted else "stop",
        "actions": [
            {
                "name": job.spec.name,
                "job_id": job.id,
                "state": job.state,
                "pid": job.pid if job.state in HAS_PROCESS else None,
                "pid_start": job.pid_start if job.state in HAS_PROCESS else None,
                "started_ms": job.started_ms,
                "restart_count": job.restart_count,
                "last_error": job.last_error,
            }
            for job in supervisor.present(name)
        ],
    }
