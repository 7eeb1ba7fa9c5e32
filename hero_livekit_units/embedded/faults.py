"""What the supervisor refuses, with the code that it has on the wire.

    Fault                 .code .code_name .hint .more
    ├─ NotFound           -32000
    ├─ ServiceNotStopped  -32002
    ├─ ActionInUse        -32003
    ├─ DependencyInvalid  -32004
    ├─ JobHasNoProcess    -32005
    ├─ TooManyWaiters     -32006  retryable
    ├─ UpgradeRefused     -32007
    └─ Conflict           -32009

The codes -32010 (the state cannot be written) and -32602 (wrong parameters) come from elsewhere: `methods` says it.
"""

from __future__ import annotations

from typing import Any, ClassVar


class Fault(Exception):
    """Base. `more` holds further data for the caller."""

    code: ClassVar[int]
    code_name: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", more: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.more = more or {}


class NotFound(Fault):
    """No service, action, run, job, secret, note, unit or release has this name."""

    code = -32000
    code_name = "NotFound"

    def __init__(self, kind: str, name: str, *, hint: str = "") -> None:
        super().__init__(f"{kind} not found: {name}", hint=hint)


class ServiceNotStopped(Fault):
    """A service that is not stopped cannot be deleted."""

    code = -32002
    code_name = "Up"

    def __init__(self, name: str, state: str) -> None:
        super().__init__(f"cannot delete service {name}: it is {state}", hint="stop it and wait for its end")


class ActionInUse(Fault):
    """An action that a service names cannot be deleted."""

    code = -32003
    code_name = "InUse"

    def __init__(self, name: str, services: list[str]) -> None:
        super().__init__(f"cannot delete action {name}: service {', '.join(services)} names it")


class DependencyInvalid(Fault):
    """What waits for this could never start."""

    code = -32004
    code_name = "Dependency"


class JobHasNoProcess(Fault):
    """There is nothing to signal."""

    code = -32005
    code_name = "Down"

    def __init__(self, job_id: int, state: str) -> None:
        super().__init__(f"cannot signal job {job_id}: it is {state} and has no process")


class TooManyWaiters(Fault):
    """So many callers wait for changes that no further one can."""

    code = -32006
    code_name = "TooManyWaiters"
    retryable = True

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} callers wait for changes already", hint="ask again later, or watch with one caller")


class UpgradeRefused(Fault):
    """Another version of the daemon cannot take its place; this one goes on."""

    code = -32007
    code_name = "UpgradeRefused"

    def __init__(self, why: str, *, hint: str = "") -> None:
        super().__init__(f"cannot upgrade hero_proc: {why}", hint=hint)


class Conflict(Fault):
    """What is stored is not what was expected; `current` in the data is what is stored, null for nothing."""

    code = -32009
    code_name = "Conflict"

    def __init__(self, message: str, current: dict[str, Any] | None) -> None:
        super().__init__(message, hint="read it again", more={"current": current})
