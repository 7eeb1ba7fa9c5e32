"""What goes over the wire, as types: parameters and results of the methods, with a word on each where one is needed.

Read by mypy, which holds the methods to it, and by `document`, which makes openrpc.json of it. The daemon does not
import it, nor msgspec: there these types stand in annotations only.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from hero_livekit_units.embedded.health import Verdict  # noqa: TC001  `document` reads it at run time
from hero_livekit_units.embedded.lifecycle import JobState, RunState, ServiceState  # noqa: TC001  as above

Count = Annotated[int, Meta(ge=0)]
Milliseconds = Annotated[int, Meta(ge=0)]
Context = Annotated[str, Meta(description="the namespace")]
Chosen = Annotated[list[str] | None, Meta(description="only these, null for all")]
Within = Annotated[int, Meta(ge=0, description="0 answers at once, else waits up to this long for it to be so")]
Lines = Annotated[int, Meta(ge=0, description="at most; never more than 10000")]
Force = Annotated[bool, Meta(description="with keep_children false: kill at once")]
Watch = Annotated[list[str] | None, Meta(description="services, which need not exist yet; null for all")]
Since = Annotated[str | None, Meta(description="a revision that an earlier call gave")]
WatchFor = Annotated[int, Meta(ge=0, description="how long to wait for a change; never longer than 60000")]
UpgradeTo = Annotated[
    str | None,
    Meta(description="absolute path of an interpreter or a virtual environment, by default the present interpreter"),
]
Inputs = Annotated[dict[str, Any] | None, Meta(description="must be empty")]
Signal = Annotated[str | int | None, Meta(description="name or number, by default the stop signal")]
Attempt = Annotated[int | None, Meta(description="the first is 1; by default all. Only the last 100 are told apart")]
Release = Annotated[str | None, Meta(description="by default the newest that is not blocked")]
Source = Annotated[str, Meta(description="who says it, dotted, such as service.action")]
IfAbsent = Annotated[bool, Meta(description="do not overwrite")]
By = Annotated[str, Meta(description="who writes it; a later conflict says so to the loser")]
ExpectedRevision = Annotated[
    int | None, Meta(description="write only if it is at this revision, 0 for no such note; null does not check")
]
EpochMs = Annotated[int | None, Meta(description="milliseconds since 1970")]


class RetryPolicy(TypedDict):
    """When a life that ended badly is followed by another one."""

    max_attempts: NotRequired[Annotated[int, Meta(ge=0, description="lives in a row that may end badly, 0: no limit")]]
    delay_ms: NotRequired[Annotated[int, Meta(ge=0, description="before the second life")]]
    max_delay_ms: NotRequired[Count]
    backoff: NotRequired[Annotated[bool, Meta(description="the delay doubles each time")]]
    stability_period_ms: NotRequired[Annotated[int, Meta(ge=0, description="such a life starts the count over")]]


class ActionDep(TypedDict):
    """Another action of the same service or run that must come first."""

    action: str
    condition: NotRequired[Literal["succeeded", "running"]]


class HealthCheck(TypedDict):
    """A question to the running process. What it answers is shown; nothing is restarted for it."""

    type: Literal["http", "tcp"]
    url: NotRequired[Annotated[str, Meta(description="of an http check: http://host:port/path")]]
    target: NotRequired[Annotated[str, Meta(description="of a tcp check: host:port")]]
    interval_ms: NotRequired[Annotated[int, Meta(ge=100)]]
    timeout_ms: NotRequired[Annotated[int, Meta(ge=1)]]
    retries: NotRequired[Annotated[int, Meta(ge=1, description="failures in a row until unhealthy")]]


class ActionSpec(TypedDict):
    """One thing to execute."""

    name: Annotated[str, Meta(description="letters, digits and _ . @ -, at most 100")]
    script: Annotated[str, Meta(description="an argv, or the text for the interpreter")]
    interpreter: NotRequired[
        Annotated[
            Literal["exec", "sh", "bash", "python"],
            Meta(description="exec splits the script into an argv, no shell runs"),
        ]
    ]
    cwd: NotRequired[Annotated[str | None, Meta(description="absolute; / if missing")]]
    env: NotRequired[dict[str, str]]
    is_process: NotRequired[
        Annotated[bool, Meta(description="meant to run for ever: every end that nobody asked for is a failure")]
    ]
    tty: NotRequired[Annotated[bool, Meta(description="must be false")]]
    timeout_ms: NotRequired[
        Annotated[int, Meta(ge=0, description="the longest life of an action that is not a process, 0 for no limit")]
    ]
    depends_on: NotRequired[list[str | ActionDep]]
    retry_policy: NotRequired[RetryPolicy | None]
    stop_signal: NotRequired[str]
    stop_timeout_ms: NotRequired[Annotated[int, Meta(ge=0, description="from the stop signal to the kill")]]
    stop_kill: NotRequired[Annotated[bool, Meta(description="whether it is killed then, or waited for")]]
    stop_min_age_ms: NotRequired[
        Annotated[int, Meta(ge=0, description="a younger process is not signalled before it has this age")]
    ]
    singleton: NotRequired[
        Annotated[bool, Meta(description="must be false: nothing is killed that was not started here")]
    ]
    kill_other: NotRequired[Annotated[None, Meta(description="must be null: as singleton")]]
    sockets: NotRequired[list[str]]
    tcp_ports: NotRequired[list[Annotated[int, Meta(ge=1, le=65535)]]]
    health_checks: NotRequired[list[HealthCheck]]
    tags: NotRequired[list[str]]


class ServiceSpec(TypedDict):
    """Actions that are kept alive together."""

    name: Annotated[str, Meta(description="letters, digits and _ . @ -, at most 100")]
    description: NotRequired[str]
    actions: NotRequired[list[str]]
    status: NotRequired[
        Annotated[Literal["start", "stop", "ignore"], Meta(description="what is wanted when it is first set")]
    ]
    requires: NotRequired[Annotated[list[str], Meta(description="are started with it, and must be up first")]]
    after: NotRequired[Annotated[list[str], Meta(description="are waited for if they are wanted")]]
    require_ready: NotRequired[bool]
    probe: NotRequired[dict[str, Any] | None]
    sockets: NotRequired[list[str]]
    tags: NotRequired[list[str]]


_EXPECTED = "what the caller believes is stored, null for nothing; if it is not, nothing is changed"
ExpectedAction = Annotated[ActionSpec | None, Meta(description=_EXPECTED)]
ExpectedService = Annotated[ServiceSpec | None, Meta(description=_EXPECTED)]
Actions = Annotated[list[str | ActionSpec], Meta(min_length=1, description="stored ones by name")]


class Job(TypedDict):
    """One action in one run; its lives follow each other under one id."""

    name: Annotated[str, Meta(description="of its action")]
    job_id: Count
    run_id: Count
    state: JobState
    pid: int | None
    pid_start: Annotated[
        int | None, Meta(description="clock ticks since boot: with the pid, the identity of the process")
    ]
    adopted: Annotated[bool, Meta(description="an earlier daemon started it")]
    attempt: Annotated[int, Meta(ge=0, description="number of the present life")]
    restart_count: Annotated[int, Meta(ge=0, description="number of earlier lives")]
    started_ms: EpochMs
    ended_ms: EpochMs
    next_start_ms: Annotated[int | None, Meta(description="when the next life is due")]
    uptime_ms: Milliseconds
    exit_code: Annotated[int | None, Meta(description="null too where only an earlier daemon could have learnt it")]
    signal: Annotated[int | None, Meta(description="that ended it")]
    stop_requested_ms: EpochMs
    stop_sent: Annotated[bool, Meta(description="the stop signal was sent; it never is a second time")]
    health: Verdict
    last_error: str | None
    log_file: Annotated[str, Meta(description="both outputs; it may begin with a hole where old lines were")]


class Death(TypedDict):
    """One end that nobody had asked for."""

    at_ms: Count
    lived_ms: Annotated[int | None, Meta(description="null where no daemon watched")]
    because: str


class Tally(TypedDict):
    """The deaths of an action."""

    count: Count
    recent: Annotated[list[Death], Meta(description="the last times, newest first")]


class ServiceStatus(TypedDict):
    """What a service is doing."""

    name: str
    status: Annotated[Literal["start", "stop"], Meta(description="what is wanted")]
    state: ServiceState
    health: Verdict
    ready: Annotated[bool, Meta(description="up, and all health checks say so")]
    run_id: int | None
    blocked_by: Annotated[list[str], Meta(description="services that it waits for")]
    held: Annotated[list[str], Meta(description="actions that were stopped by name")]
    deaths: Annotated[dict[str, Tally], Meta(description="by action: how often its process has ended badly")]
    actions: list[Job]


class Ok(TypedDict):
    """It is done."""

    ok: bool


class Ping(TypedDict):
    """Who answers."""

    version: str
    pid: Count
    pid_start: Annotated[int | None, Meta(description="clock ticks since boot")]
    uptime_ms: Milliseconds
    kind: Literal["embedded"]
    generation: Annotated[int, Meta(ge=0, description="how many times this process became another version of itself")]
    upgrade_failed: Annotated[str | None, Meta(description="why the version that was to be here is not")]


# With the functional form, as `from` is a keyword.
Upgraded = TypedDict("Upgraded", {"ok": Literal[True], "from": str, "to": str, "interpreter": str})


class ActionStored(TypedDict):
    """An action was stored."""

    name: str
    changed: Annotated[bool, Meta(description="false if it was stored like this already")]


class ServiceStored(TypedDict):
    """A service was stored."""

    name: str
    changed: Annotated[bool, Meta(description="false if it was stored like this already")]
    restarted: Literal[False]


class JobRow(TypedDict):
    """What an action of a service is doing, in the list."""

    name: str
    job_id: Count
    state: JobState
    pid: int | None
    pid_start: int | None
    started_ms: EpochMs
    restart_count: Count
    last_error: str | None


class ServiceRow(TypedDict):
    """A service in the list."""

    name: str
    state: ServiceState
    status: Annotated[Literal["start", "stop"], Meta(description="what is wanted")]
    actions: list[JobRow]


class Reached(TypedDict):
    """A start or a stop was taken in."""

    ok: Annotated[bool, Meta(description="false if timeout_ms passed before it was so")]
    run_id: Annotated[int, Meta(ge=0, description="the latest, 0 if there was none")]
    state: ServiceState


class Watched(TypedDict):
    """What changed of the watched services."""

    revision: Annotated[str, Meta(description="to be given as `since` next time; it belongs to one life of the daemon")]
    changed: Annotated[list[str], Meta(description="names, sorted; empty when the time was up")]
    reset: Annotated[bool, Meta(description="`since` is of another life of the daemon: anything may have changed")]


class Submitted(TypedDict):
    """A run was made."""

    run_id: Count
    job_ids: list[Count]


class RunStatus(TypedDict):
    """A run with its jobs."""

    run_id: Count
    name: str
    service: str | None
    state: RunState
    created_ms: Milliseconds
    jobs: list[Job]


class JobMade(TypedDict):
    """A job was made."""

    job_id: Count


class OutputLine(TypedDict):
    """A line that a process wrote."""

    line: str
    stream: Annotated[str, Meta(description="output: the two are not told apart")]
    epoch_ms: Annotated[None, Meta(description="null: nobody stands between the process and its file")]


class LogRow(TypedDict):
    """A line that somebody added to the log."""

    id: Count
    context_name: str
    src: str
    epoch_ms: Milliseconds
    loglevel: Count
    tags: list[str]
    content: str


class SecretStored(TypedDict):
    """A secret was stored, or was there."""

    ok: bool
    created: Annotated[bool, Meta(description="whether there was none")]


class Secret(TypedDict):
    """A secret."""

    key: str
    value: str


class Note(TypedDict):
    """A note as it is stored."""

    key: str
    value: str
    revision: Annotated[int, Meta(ge=1, description="grows with every write, and never comes again")]
    by: Annotated[str, Meta(description="who wrote it, in its own words")]
    changed_ms: Milliseconds


class NoteRow(TypedDict):
    """A note in the list."""

    key: str
    revision: Annotated[int, Meta(ge=1)]


class NoteStored(TypedDict):
    """A note was stored."""

    key: str
    revision: Annotated[int, Meta(ge=1)]
