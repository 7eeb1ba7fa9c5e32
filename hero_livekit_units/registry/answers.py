"""What another hero_proc answers, in our words. Pure; raises KeyError, TypeError or ValueError at what it cannot read.

An answer is read as it is, whatever a document says of it: with or without an envelope, with other names for the
fields. What is not there is not made up: a status without a state is an error, and not `stopped`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hero_livekit_units.registry.words import squash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ENVELOPES = ("result", "data", "value", "item", "response", "service", "action", "status", "spec", "config", "secret")
_LISTS = ("lines", "logs", "entries", "rows", "items", "records", "result", "data")
_MOST_ENVELOPES = 4
_NOT_THERE = re.compile(
    r"\b(not found|does not exist|no such|unknown (service|action|secret|key|name))\b", re.IGNORECASE
)
_EARLIEST_MS = 10**11  # a number of seconds since 1970 is smaller, for 3,000 years
_WANTED = {"start": "start", "started": "start", "up": "start", "running": "start", "run": "start"} | dict.fromkeys(
    ("stop", "stopped", "down", "ignore"), "stop"
)
_STATES = dict.fromkeys(("stopped", "down", "success", "created"), "inactive") | {
    "up": "running",
    "active": "running",
    "healthy": "running",
    "unhealthy": "degraded",
    "pending": "starting",
    "spawned": "starting",
    "waitingdeps": "blocked",
    "error": "failed",
}
_OURS = {"inactive", "exited", "blocked", "starting", "running", "degraded", "stopping", "failed"}


def means_not_found(message: str, data: Any) -> bool:
    """Whether the error of a call of a known method says that there is nothing of this name."""
    return (isinstance(data, dict) and squash(str(data.get("code_name", ""))) == "notfound") or bool(
        _NOT_THERE.search(message)
    )


def read_ping(answer: Any) -> dict[str, Any]:
    """Who it is, as far as it says; one that only says `pong` says nothing."""
    found = _unwrapped(answer, ("pid", "version", "kind")) if isinstance(answer, dict) else {}
    read = {
        "version": _pick(found, "version", "server_version"),
        "pid": _pick(found, "pid", "process_id"),
        "pid_start": _pick(found, "pid_start"),
    }
    return {name: value for name, value in read.items() if value is not None}


def read_status(answer: Any) -> dict[str, Any]:
    """A status; where it does not tell actions apart, its one action has the name ""."""
    found = _unwrapped(answer, ("state", "current_state", "actions", "jobs"))
    said = _pick(found, "status")
    state = _state(_pick(found, "state", "current_state", "service_state") or said)
    wanted = _WANTED.get(str(_pick(found, "wanted", "wanted_status", "desired", "target") or said).lower())
    if wanted is None:
        wanted = "stop" if state in {"inactive", "exited", "stopping"} else "start"
    jobs = _pick(found, "actions", "jobs", "processes")
    if jobs is None:
        jobs = [{**found, "name": ""}]
    if isinstance(jobs, dict):
        jobs = [{"name": name, **job} for name, job in jobs.items()]
    return {"status": wanted, "state": state, "actions": [_job(job) for job in jobs]}


def read_secret(answer: Any) -> dict[str, Any]:
    """A secret: alone or in an envelope."""
    if isinstance(answer, dict):
        answer = _pick(_unwrapped(answer, ("value", "secret", "content")), "value", "secret", "content")
        if isinstance(answer, dict):
            answer = _pick(answer, "value", "content")
    return {"value": answer}


def read_lines(answer: Any) -> list[dict[str, Any]]:
    """The rows of a log."""
    for _ in range(_MOST_ENVELOPES):
        if isinstance(answer, dict):
            answer = _pick(answer, *_LISTS)
    if not isinstance(answer, list):
        raise TypeError("it is no list")
    return [_line(row) for row in answer]


def read_stored(answer: Any, read_back: Callable[[Mapping[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """A stored action or service; `read_back` knows its fields."""
    found: Any = answer
    for _ in range(_MOST_ENVELOPES):
        if not isinstance(found, dict):
            break
        read = read_back(found)
        if "name" in read:
            return read
        found = _pick(found, *_ENVELOPES)
    raise KeyError("name")


def _line(row: Any) -> dict[str, Any]:
    at = _pick(row, "epoch_ms", "timestamp_ms", "time_ms", "ts_ms")
    if at is None:
        at = _pick(row, "epoch", "timestamp", "time", "ts")
        if isinstance(at, (int, float)) and not isinstance(at, bool):
            at = round(at * 1000) if at < _EARLIEST_MS else round(at)
    return {
        "src": _pick(row, "src", "source"),
        "content": _pick(row, "content", "line", "message", "text", "msg"),
        "epoch_ms": at,
    }


def _job(job: Any) -> dict[str, Any]:
    return {
        "name": _pick(job, "name", "action_name", "action"),
        "job_id": _pick(job, "job_id", "id"),
        "pid": _pick(job, "pid", "process_id"),
        "pid_start": _pick(job, "pid_start"),
        "restart_count": _pick(job, "restart_count", "restarts"),
        "last_error": _pick(job, "last_error", "error"),
        "log_file": _pick(job, "log_file", "log_path"),
    }


def _state(said: Any) -> str:
    if not isinstance(said, str):
        raise KeyError("state")
    state = said.lower()
    return state if state in _OURS else _STATES.get(squash(said), state)


def _unwrapped(answer: Any, marks: tuple[str, ...]) -> dict[str, Any]:
    """What lies within envelopes: the first object with one of these fields, or the last one there is."""
    for _ in range(_MOST_ENVELOPES):
        if not isinstance(answer, dict):
            raise TypeError("it is no object")
        inner = next(
            (answer[key] for key in answer if squash(key) in _ENVELOPES and isinstance(answer[key], dict)), None
        )
        if _pick(answer, *marks) is not None or inner is None:
            break
        answer = inner
    return dict(answer)


def _pick(found: Mapping[str, Any], *names: str) -> Any:
    """The first of these fields that is there, whatever its spelling."""
    by_name = {squash(key): value for key, value in found.items()}
    return next((by_name[squash(name)] for name in names if by_name.get(squash(name)) is not None), None)
