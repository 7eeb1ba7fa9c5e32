"""Known faults of real supervisors, put on by name, so that a client can be tested against them.

Most lie on top of the methods, and the supervisor below is as it always is. Nothing here is imported without need.
"""

from __future__ import annotations

import functools
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from hero_livekit_units.embedded.lifecycle import JobState, ServiceState
from hero_livekit_units.herosocket.rpc import ServiceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from hero_livekit_units.embedded.supervisor import Supervisor

    Method = Callable[..., Awaitable[Any]]

STOP_WINDOW_MS = 30_000
_INTERNAL = -32603


class Quirk(StrEnum):
    """What is wrong.

    errors: every call is answered with an error. green-while-dead: what has ended by itself is said to run still.
    red-while-alive: what an earlier life of the daemon started is said to have failed. set-restarts: `service.set`
    restarts what runs. stop-window: what was asked to end is killed half a minute later, whatever its action says, and
    not before.
    """

    ERRORS = "errors"
    GREEN_WHILE_DEAD = "green-while-dead"
    RED_WHILE_ALIVE = "red-while-alive"
    SET_RESTARTS = "set-restarts"
    STOP_WINDOW = "stop-window"


class Quirks:
    """Puts faults on the methods of a daemon."""

    def __init__(self, quirks: Collection[Quirk], supervisor: Supervisor) -> None:
        self._quirks = quirks
        self._supervisor = supervisor
        self._green: dict[str, Any] = {}
        if Quirk.STOP_WINDOW in quirks:
            supervisor.jobs.only_window_ms = STOP_WINDOW_MS

    def around(self, name: str, method: Method) -> Method:
        """A method with its faults."""
        if Quirk.ERRORS in self._quirks:
            return _fails
        faults: list[Callable[[Any], Any]] = []
        if name == "service.status":
            faults += [self._said_green] if Quirk.GREEN_WHILE_DEAD in self._quirks else []
            faults += [_said_red] if Quirk.RED_WHILE_ALIVE in self._quirks else []
        if name == "service.set" and Quirk.SET_RESTARTS in self._quirks:
            faults.append(self._restarted)
        if not faults:
            return method

        @functools.wraps(method)
        async def faulty(*args: Any, **kwargs: Any) -> Any:
            answer = await method(*args, **kwargs)
            for fault in faults:
                answer = fault(answer)
            return answer

        return faulty

    def _said_green(self, status: Any) -> Any:
        if status["state"] == ServiceState.RUNNING or status["status"] == "stop":
            self._green[status["name"]] = status
            return status
        return self._green.get(status["name"], status)

    def _restarted(self, answer: Any) -> Any:
        if self._supervisor.state(answer["name"]) is ServiceState.RUNNING:
            self._supervisor.restart(answer["name"])
        return answer


def _said_red(status: Any) -> Any:
    if not any(job["adopted"] for job in status["actions"]):
        return status
    red = {"state": JobState.FAILED, "pid": None, "pid_start": None, "last_error": "exit code unknown"}
    actions = [job | red if job["adopted"] else job for job in status["actions"]]
    return status | {"state": ServiceState.FAILED, "ready": False, "actions": actions}


async def _fails(*_args: Any, **_kwargs: Any) -> Any:
    raise ServiceError(_INTERNAL, "Internal", "database is locked", retryable=True)
