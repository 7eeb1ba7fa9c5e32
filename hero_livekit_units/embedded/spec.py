"""ActionSpec and ServiceSpec: what is to be executed, and what is to be kept alive. Pure.

Parsing is strict: an unknown key or a wrong type is an error that names it, nothing is coerced. Keys and their meaning
are those of hero_proc as far as they are public; `stop_kill` and `stop_min_age_ms` are ours.
"""

from __future__ import annotations

import re
import shlex
import signal
from enum import StrEnum
from typing import Any

from attrs import asdict, field, frozen

from hero_livekit_units.embedded.restart import RetryPolicy
from hero_livekit_units.embedded.strict import Reader, SpecInvalid

_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
_HOST_PORT = re.compile(_HOST + r":\d{1,5}")
_HTTP_ADDRESS = re.compile(r"http://" + _HOST + r"(:\d{1,5})?(/[!-~]*)?")
_PLAIN = re.compile(r"[ !#-&(-\[\]-~]*")  # printable ASCII but quotes and backslash
_KILL_HINT = "this supervisor never kills what it did not start"


class Interpreter(StrEnum):
    """What a script is: `exec` an argv (split as a shell would, but no shell runs), else the program that reads it."""

    EXEC = "exec"
    SH = "sh"
    BASH = "bash"
    PYTHON = "python"


class Condition(StrEnum):
    """What an action waits for in another one."""

    SUCCEEDED = "succeeded"
    RUNNING = "running"


class Wanted(StrEnum):
    """Whether a service is to run: `ignore` leaves it alone when the daemon starts, like `stop`."""

    START = "start"
    STOP = "stop"
    IGNORE = "ignore"


@frozen
class ActionDep:
    """Another action of the same service or run that must come first."""

    action: str
    condition: Condition = Condition.SUCCEEDED


@frozen
class HealthCheck:
    """A question to the running process: `http` asks `url` for a status below 400, `tcp` connects to `target`.

    Times are milliseconds; after `retries` failures in a row the job is marked unhealthy. Nothing is restarted for it.
    """

    type: str
    url: str = ""
    target: str = ""
    interval_ms: int = 5000
    timeout_ms: int = 2000
    retries: int = 3


@frozen
class ActionSpec:
    """One thing to execute. Times are milliseconds.

    is_process: meant to run for ever, so that every end nobody asked for is a failure. timeout_ms: the longest life of
    an action that is not a process, 0 for no limit. stop_signal goes to the process alone with the interpreter `exec`,
    to its whole group otherwise, as shells do not pass signals on. stop_timeout_ms: after the stop signal; then the
    group is killed if stop_kill, else it is waited for without end. stop_min_age_ms: a younger process is not
    signalled before it has this age. sockets and tcp_ports are for the reader; nothing is done with them.
    """

    name: str
    script: str
    interpreter: Interpreter = Interpreter.EXEC
    cwd: str | None = None
    env: dict[str, str] = field(factory=dict)
    is_process: bool = False
    tty: bool = False
    timeout_ms: int = 0
    depends_on: tuple[ActionDep, ...] = ()
    retry_policy: RetryPolicy = field(factory=RetryPolicy)
    stop_signal: str = "SIGTERM"
    stop_timeout_ms: int = 10_000
    stop_kill: bool = True
    stop_min_age_ms: int = 0
    singleton: bool = False
    kill_other: None = None
    sockets: tuple[str, ...] = ()
    tcp_ports: tuple[int, ...] = ()
    health_checks: tuple[HealthCheck, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def argv(self) -> list[str]:
        """What is executed."""
        match self.interpreter:
            case Interpreter.EXEC:
                # Of thousands of scripts hardly one has a quote in it, and shlex reads letter by letter.
                return self.script.split() if _PLAIN.fullmatch(self.script) else shlex.split(self.script)
            case Interpreter.PYTHON:
                return ["python3", "-c", self.script]
            case Interpreter.SH | Interpreter.BASH as shell:
                return [shell.value, "-c", self.script]

    @property
    def stop_signal_number(self) -> signal.Signals:
        """The stop signal as the kernel knows it."""
        return signal.Signals[self.stop_signal]

    def as_json(self) -> dict[str, Any]:
        """The spec with all keys; `parse_action` of it is the same value."""
        return {key: _listed(value) for key, value in asdict(self).items()}


@frozen
class ServiceSpec:
    """Actions that are kept alive together.

    status: whether it is wanted when it is first set. requires: services that are started with it and must be up before
    its actions start; after: services that it waits for if they are wanted, and does not start. require_ready, probe
    and sockets are kept for the reader.
    """

    name: str
    description: str = ""
    actions: tuple[str, ...] = ()
    status: Wanted = Wanted.STOP
    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    require_ready: bool = False
    probe: dict[str, Any] | None = None
    sockets: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The spec with all keys; `parse_service` of it is the same value."""
        return {key: _listed(value) for key, value in asdict(self).items()}


def parse_action(value: Any) -> ActionSpec:
    """An ActionSpec from decoded JSON.

    Raises:
        SpecInvalid: with the key in question.
    """
    with Reader(value, "action") as read:
        read.absent("kill_other", _KILL_HINT)
        is_process = read.flag("is_process", default=False)
        spec = ActionSpec(
            name=read.name("name"),
            script=read.text("script"),
            interpreter=read.choice("interpreter", Interpreter, Interpreter.EXEC),
            cwd=read.optional_text("cwd"),
            env=read.texts_by_name("env"),
            is_process=is_process,
            tty=read.flag("tty", default=False),
            timeout_ms=read.number("timeout_ms", 0),
            depends_on=tuple(_parse_dep(item, where) for item, where in read.items("depends_on")),
            retry_policy=_parse_retry(*read.optional_object("retry_policy"), is_process=is_process),
            stop_signal=read.text("stop_signal", "SIGTERM"),
            stop_timeout_ms=read.number("stop_timeout_ms", 10_000),
            stop_kill=read.flag("stop_kill", default=True),
            stop_min_age_ms=read.number("stop_min_age_ms", 0),
            singleton=read.flag("singleton", default=False),
            sockets=read.texts("sockets"),
            tcp_ports=read.numbers("tcp_ports", 1, 65535),
            health_checks=tuple(_parse_check(item, where) for item, where in read.items("health_checks")),
            tags=read.texts("tags"),
        )
    _check_action(spec)
    return spec


def parse_service(value: Any) -> ServiceSpec:
    """A ServiceSpec from decoded JSON.

    Raises:
        SpecInvalid: with the key in question.
    """
    with Reader(value, "service") as read:
        spec = ServiceSpec(
            name=read.name("name"),
            description=read.text("description", ""),
            actions=read.names("actions"),
            status=read.choice("status", Wanted, Wanted.STOP),
            requires=read.names("requires"),
            after=read.names("after"),
            require_ready=read.flag("require_ready", default=False),
            probe=read.optional_object("probe")[0],
            sockets=read.texts("sockets"),
            tags=read.texts("tags"),
        )
    for key, names in (("actions", spec.actions), ("requires", spec.requires), ("after", spec.after)):
        if len(set(names)) != len(names):
            raise SpecInvalid(f"service.{key}", "holds a name twice")
    return spec


def _check_action(spec: ActionSpec) -> None:
    if spec.stop_signal not in signal.Signals.__members__:
        raise SpecInvalid("action.stop_signal", f"{spec.stop_signal!r} is not the name of a signal, such as SIGTERM")
    if spec.singleton:
        raise SpecInvalid("action.singleton", "must be false", hint=_KILL_HINT)
    if spec.tty:
        raise SpecInvalid("action.tty", "must be false", hint="this supervisor has no terminals to give")
    if spec.cwd is not None and not spec.cwd.startswith("/"):
        raise SpecInvalid("action.cwd", "must be an absolute path")
    try:
        argv = spec.argv
    except ValueError as error:
        raise SpecInvalid("action.script", f"cannot be split into an argv: {error}") from error
    if not argv or not spec.script.strip():
        raise SpecInvalid("action.script", "is empty")
    if any(dep.action == spec.name for dep in spec.depends_on):
        raise SpecInvalid("action.depends_on", "names the action itself")


def _parse_dep(value: Any, where: str) -> ActionDep:
    if isinstance(value, str):
        value = {"action": value}
    with Reader(value, where) as read:
        return ActionDep(read.name("action"), read.choice("condition", Condition, Condition.SUCCEEDED))


def _parse_retry(value: dict[str, Any] | None, where: str, *, is_process: bool) -> RetryPolicy:
    if value is None:
        # A process is kept alive; anything else runs once unless more is asked for.
        return RetryPolicy() if is_process else RetryPolicy(max_attempts=1)
    with Reader(value, where) as read:
        return RetryPolicy(
            max_attempts=read.number("max_attempts", 0),
            delay_ms=read.number("delay_ms", 1000),
            max_delay_ms=read.number("max_delay_ms", 60_000),
            backoff=read.flag("backoff", default=True),
            stability_period_ms=read.number("stability_period_ms", 30_000),
        )


def _parse_check(value: Any, where: str) -> HealthCheck:
    with Reader(value, where) as read:
        check = HealthCheck(
            type=read.text("type"),
            url=read.text("url", ""),
            target=read.text("target", ""),
            interval_ms=read.number("interval_ms", 5000, least=100),
            timeout_ms=read.number("timeout_ms", 2000, least=1),
            retries=read.number("retries", 3, least=1),
        )
    match check.type:
        case "http" if _HTTP_ADDRESS.fullmatch(check.url) and not check.target:
            return check
        case "http":
            raise SpecInvalid(f"{where}.url", "must be http://host:port/path, without a target beside it")
        case "tcp" if _HOST_PORT.fullmatch(check.target) and not check.url:
            return check
        case "tcp":
            raise SpecInvalid(f"{where}.target", "must be host:port, without a url beside it")
    raise SpecInvalid(f"{where}.type", "must be http or tcp")


def host_and_port(text: str) -> tuple[str, int]:
    """Host and port of `host:port`, `[::1]:port` or `host` alone, which means port 80."""
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        return text.strip("[]"), 80
    return host.strip("[]"), int(port)


def _listed(value: Any) -> Any:
    """The value as JSON has it: lists for tuples, plain text for enums."""
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_listed(item) for item in value]
    return value.value if isinstance(value, StrEnum) else value
