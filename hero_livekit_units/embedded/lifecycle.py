"""The states of a job and of a service. Pure.

A job is one action in one run of a service. It is born `pending`, waits there for what it depends on (and, between two
lives, for the end of its back-off), and is `running` as long as its process lives. How the process ends decides what
becomes of it:

- by itself and well: `succeeded`. Only an action that is meant to end can end well; a process action that exits with
  status 0 without having been asked ended badly.
- by itself and badly: `failed`. The restart policy may send it back to `pending`; otherwise it stays failed.
- while no daemon watched, so that nobody knows how: `unknown`. It goes on as after a failure.
- after a stop was asked for, however it ends: `cancelled`. Between the request and the end it is `stopping`, for as
  long as it takes. A request can be withdrawn until the signal is sent, which cannot be recalled.

`failed` and `unknown` jobs can be cancelled too: that is what a stop means for a job without a process. `succeeded` and
`cancelled` are final; starting again makes a new job.

The table below is the whole of it. There is no other way to change the state of a job.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence


class JobState(StrEnum):
    """Where a job stands; the values are the words on the wire."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class JobEvent(StrEnum):
    """What happens to a job."""

    SPAWNED = "spawned"
    SPAWN_FAILED = "spawn failed"
    STOP_ASKED = "stop asked"
    STOP_WITHDRAWN = "stop withdrawn"
    ENDED_WELL = "ended well"
    ENDED_BADLY = "ended badly"
    ENDED_UNSEEN = "ended unseen"
    RETRY = "retry"
    CANCEL = "cancel"


class ServiceState(StrEnum):
    """Where a service stands; the values are the words on the wire."""

    INACTIVE = "inactive"
    BLOCKED = "blocked"
    STARTING = "starting"
    RUNNING = "running"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    EXITED = "exited"
    FAILED = "failed"


class RunState(StrEnum):
    """Where a run stands; the values are the words on the wire."""

    WAITING_DEPS = "waiting_deps"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TRANSITIONS: dict[JobState, dict[JobEvent, JobState]] = {
    JobState.PENDING: {
        JobEvent.SPAWNED: JobState.RUNNING,
        JobEvent.SPAWN_FAILED: JobState.FAILED,
        JobEvent.CANCEL: JobState.CANCELLED,
    },
    JobState.RUNNING: {
        JobEvent.STOP_ASKED: JobState.STOPPING,
        JobEvent.ENDED_WELL: JobState.SUCCEEDED,
        JobEvent.ENDED_BADLY: JobState.FAILED,
        JobEvent.ENDED_UNSEEN: JobState.UNKNOWN,
    },
    JobState.STOPPING: {
        JobEvent.STOP_WITHDRAWN: JobState.RUNNING,
        JobEvent.ENDED_WELL: JobState.CANCELLED,
        JobEvent.ENDED_BADLY: JobState.CANCELLED,
        JobEvent.ENDED_UNSEEN: JobState.CANCELLED,
    },
    JobState.FAILED: {JobEvent.RETRY: JobState.PENDING, JobEvent.CANCEL: JobState.CANCELLED},
    JobState.UNKNOWN: {JobEvent.RETRY: JobState.PENDING, JobEvent.CANCEL: JobState.CANCELLED},
    JobState.SUCCEEDED: {},
    JobState.CANCELLED: {},
}

HAS_PROCESS = frozenset({JobState.RUNNING, JobState.STOPPING})
ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.UNKNOWN})


class IllegalTransition(Exception):
    """An event came to a job in a state that does not know it: a fault of this program."""

    def __init__(self, state: JobState, event: JobEvent) -> None:
        super().__init__(f"a {state} job cannot take the event {event!r}")
        self.state = state
        self.event = event


def next_state(state: JobState, event: JobEvent) -> JobState:
    """The state after an event.

    Raises:
        IllegalTransition: the table has no such entry.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransition(state, event) from None


@frozen
class JobFacts:
    """What the state of a service depends on, for each of its jobs.

    restarts: number of its earlier lives. is_process: meant to run for ever; while anything else runs, the service is
    not up yet.
    """

    state: JobState
    restarts: int = 0
    is_process: bool = True


def service_state(jobs: Sequence[JobFacts], *, wanted: bool, blocked: bool, target: bool = False) -> ServiceState:
    """The state of a service, from the current job of each of its actions.

    Args:
        jobs: empty for a service that was never started, and for a target.
        wanted: whether it is to run.
        blocked: whether a service that it has to wait for is not up.
        target: whether it has no actions of its own and only requires others.
    """
    states = {job.state for job in jobs}
    if JobState.STOPPING in states:
        return ServiceState.STOPPING
    if not jobs and not (target and wanted):
        return ServiceState.INACTIVE
    if wanted and blocked and not states & HAS_PROCESS:
        return ServiceState.BLOCKED
    if not jobs:
        return ServiceState.RUNNING
    if states & {JobState.FAILED, JobState.UNKNOWN}:
        return ServiceState.DEGRADED if JobState.RUNNING in states else ServiceState.FAILED
    if JobState.PENDING in states:
        was_up = any(job.restarts for job in jobs if job.state is JobState.PENDING)
        return ServiceState.DEGRADED if was_up and JobState.RUNNING in states else ServiceState.STARTING
    if JobState.RUNNING in states:
        if any(job.state is JobState.RUNNING and not job.is_process for job in jobs):
            return ServiceState.STARTING
        return ServiceState.DEGRADED if JobState.CANCELLED in states else ServiceState.RUNNING
    return ServiceState.INACTIVE if JobState.CANCELLED in states else ServiceState.EXITED


def run_state(states: Sequence[JobState], *, blocked: bool) -> RunState:
    """The state of a run, from all of its jobs."""
    found = set(states)
    if found & HAS_PROCESS:
        return RunState.RUNNING
    if JobState.PENDING in found or not found:
        return RunState.WAITING_DEPS if blocked else RunState.RUNNING
    if found & {JobState.FAILED, JobState.UNKNOWN}:
        return RunState.FAILED
    return RunState.CANCELLED if JobState.CANCELLED in found else RunState.SUCCEEDED
