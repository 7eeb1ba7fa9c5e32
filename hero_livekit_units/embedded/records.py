"""Job, run and stored service: what the supervisor knows and the store keeps. Pure values.

Times `..._ms` are wall clock, milliseconds since 1970, for people; no decision rests on the wall clock but how much of
a stop window is left after a crash of the daemon.
"""

from __future__ import annotations

from attrs import field, frozen

from hero_livekit_units.embedded.lifecycle import JobState
from hero_livekit_units.embedded.spec import ActionSpec, ServiceSpec


@frozen
class Job:
    """One action in one run. Its lives follow each other under one id.

    service: "" for a job of its own. spec: as it was when the job was made; a later `action.set` does not change it.
    spawning: a process may have been started that is not recorded yet. attempt: number of the present life, 0 before
    the first; restart_count counts the earlier ones. failures: bad ends in a row. stop_requested_ms: when a stop was
    asked for. stop_sent: the signal was sent, or a daemon died on the very point of sending it; written before it is
    sent, and never sent again. next_start_ms: when the next life is due.
    followed: it was stopped in order to start again, so a new job follows on its end.
    """

    id: int
    run_id: int
    service: str
    context: str
    spec: ActionSpec
    log_file: str
    created_ms: int
    boot_id: str
    state: JobState = JobState.PENDING
    spawning: bool = False
    pid: int | None = None
    pid_start: int | None = None
    adopted: bool = False
    attempt: int = 0
    restart_count: int = 0
    failures: int = 0
    started_ms: int | None = None
    ended_ms: int | None = None
    next_start_ms: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    last_error: str | None = None
    stop_requested_ms: int | None = None
    stop_sent: bool = False
    followed: bool = False


@frozen
class Run:
    """One start of a service, or of actions of their own (service "")."""

    id: int
    service: str
    name: str
    created_ms: int


@frozen
class Service:
    """A stored service. `wanted` is what start and stop said last; `held` are actions that were stopped by name."""

    spec: ServiceSpec
    context: str
    wanted: bool
    held: frozenset[str] = field(factory=frozenset)


@frozen
class Life:
    """Where an attempt of a job begins to write: the byte of its log file."""

    log_file: str
    start: int
    job_id: int
    attempt: int


# Actions by context and name, as text until somebody asks for one; services by name; runs and jobs by id.
Everything = tuple[dict[tuple[str, str], ActionSpec | str], dict[str, Service], dict[int, Run], dict[int, Job]]
