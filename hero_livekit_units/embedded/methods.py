"""The wire methods of hero_proc: JSON in, the supervisor asked, JSON out.

Owns: names and shapes on the wire, which error code a fault has. Must not decide anything.
"""

from __future__ import annotations

import functools
import os
import signal
import sqlite3
import time
from typing import TYPE_CHECKING, Any

from pjrpc.server import MethodRegistry

from hero_livekit_units.embedded import units
from hero_livekit_units.embedded.faults import Fault, NotFound
from hero_livekit_units.embedded.lifecycle import ENDED, ServiceState
from hero_livekit_units.embedded.logfile import tail
from hero_livekit_units.embedded.render import job_json, service_json
from hero_livekit_units.embedded.spec import parse_action, parse_service
from hero_livekit_units.embedded.strict import SpecInvalid
from hero_livekit_units.embedded.tasks import Tasks
from hero_livekit_units.herosocket.rpc import ServiceError, invalid_params
from hero_livekit_units.procfs import start_time_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hero_livekit_units.embedded.health import Health
    from hero_livekit_units.embedded.plugins import Plugins
    from hero_livekit_units.embedded.spec import ActionSpec
    from hero_livekit_units.embedded.store import Store
    from hero_livekit_units.embedded.supervisor import Supervisor
    from hero_livekit_units.embedded.upgrade import Upgrade

STORAGE = -32010
CONTEXT = "core"
_MOST_LINES = 10_000
_MOST_MS = 2**53
_GIVEN_NOTHING: Any = object()


class Methods:
    """The methods. A name on the wire is `group.verb`, here `group_verb`."""

    def __init__(
        self,
        supervisor: Supervisor,
        store: Store,
        health: Health,
        plugins: Plugins,
        version: str,
        shutdown: Callable[[], None],
        upgrade: Upgrade,
    ) -> None:
        self._supervisor = supervisor
        self._tasks = Tasks(supervisor)
        self._store = store
        self._health = health
        self._plugins = plugins
        self._version = version
        self._shutdown = shutdown
        self._upgrade = upgrade
        self._began = time.monotonic()

    def registry(self) -> MethodRegistry:
        """All methods for the dispatcher."""
        found = MethodRegistry()
        for name in sorted(vars(type(self))):
            group, _, verb = name.partition("_")
            if group and verb:
                found.add_method(_answering(getattr(self, name)), f"{group}.{verb}")
        return found

    # -- system

    async def system_ping(self) -> dict[str, Any]:
        """Who answers."""
        return {
            "version": self._version,
            "pid": os.getpid(),
            "pid_start": start_time_of(os.getpid()),
            "uptime_ms": round((time.monotonic() - self._began) * 1000),
            "kind": "embedded",
            "generation": self._upgrade.generation,
            "upgrade_failed": self._upgrade.failed,
        }

    async def system_shutdown(self, force: bool = False, keep_children: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002
        """End the daemon; its processes go on unless told otherwise."""
        force, keep_children = _flag("force", force), _flag("keep_children", keep_children)
        if not keep_children:
            self._supervisor.stop_all(force=force)
        self._shutdown()
        return {"ok": True}

    async def system_upgrade(self, to: Any = None) -> dict[str, Any]:
        """Become another version of itself."""
        return await self._upgrade.to(None if to is None else _text("to", to))

    # -- actions

    async def action_set(self, action: Any, context: str = CONTEXT, expected: Any = _GIVEN_NOTHING) -> dict[str, Any]:
        """Store an action."""
        spec = parse_action(action)
        checked = expected is not _GIVEN_NOTHING
        believed = parse_action(expected) if checked and expected is not None else None
        changed = self._supervisor.specs.set_action(_text("context", context), spec, expected=believed, checked=checked)
        return {"name": spec.name, "changed": changed}

    async def action_get(self, name: str, context: str = CONTEXT) -> dict[str, Any]:
        """A stored action."""
        return self._supervisor.specs.action(_text("context", context), _text("name", name)).as_json()

    async def action_list(self, context: str = CONTEXT) -> list[str]:
        """Names of the stored actions."""
        return self._supervisor.specs.action_names(_text("context", context))

    async def action_delete(self, name: str, context: str = CONTEXT) -> dict[str, Any]:
        """Delete an action that no service names."""
        self._supervisor.specs.delete_action(_text("context", context), _text("name", name))
        return {"ok": True}

    # -- services

    async def service_set(self, service: Any, context: str = CONTEXT, expected: Any = _GIVEN_NOTHING) -> dict[str, Any]:
        """Store a service."""
        spec = parse_service(service)
        checked = expected is not _GIVEN_NOTHING
        believed = parse_service(expected) if checked and expected is not None else None
        changed = self._supervisor.specs.set_service(
            _text("context", context), spec, expected=believed, checked=checked
        )
        return {"name": spec.name, "changed": changed, "restarted": False}

    async def service_get(self, name: str) -> dict[str, Any]:
        """A stored service."""
        return self._supervisor.specs.service(_text("name", name)).spec.as_json()

    async def service_list(self) -> list[dict[str, Any]]:
        """All services with their states."""
        return [
            {"name": name, "state": self._supervisor.state(name)} for name in self._supervisor.specs.service_names()
        ]

    async def service_delete(self, name: str) -> dict[str, Any]:
        """Delete a stopped service."""
        self._supervisor.delete_service(_text("name", name))
        return {"ok": True}

    async def service_status(self, name: str) -> dict[str, Any]:
        """What a service is doing."""
        return service_json(self._supervisor, self._health, _text("name", name))

    async def service_start(self, name: str, actions: Any = None, timeout_ms: int = 0) -> dict[str, Any]:
        """Want it to run."""
        timeout, chosen = _number("timeout_ms", timeout_ms), _names(actions)
        if not self._supervisor.specs.knows(_text("name", name)):
            await self._plugins.settled()  # it may be a target that is about to be registered
        self._supervisor.start(name, chosen)
        return await self._reached(name, timeout, self._is_up)

    async def service_stop(self, name: str, actions: Any = None, timeout_ms: int = 0) -> dict[str, Any]:
        """Want it not to run."""
        timeout, chosen = _number("timeout_ms", timeout_ms), _names(actions)
        self._supervisor.stop(_text("name", name), chosen)
        return await self._reached(name, timeout, lambda name: self._is_down(name, chosen))

    async def service_restart(self, name: str, actions: Any = None, timeout_ms: int = 0) -> dict[str, Any]:
        """Stop, then start."""
        timeout = _number("timeout_ms", timeout_ms)
        self._supervisor.restart(_text("name", name), _names(actions))
        return await self._reached(name, timeout, self._is_up)

    # -- units of the plugins

    async def unit_list(self) -> list[dict[str, Any]]:
        """All units."""
        return units.listed(await self._plugins.contributed())

    async def unit_get(self, name: str, release: Any = None) -> dict[str, Any]:
        """The definition of a release of a unit."""
        chosen = None if release is None else _text("release", release)
        row = units.release(await self._plugins.contributed(), _text("name", name), chosen)
        return row | {"definition": self._plugins.definition(row["definition"])}

    async def unit_history(self, name: str) -> list[dict[str, Any]]:
        """The releases of a unit."""
        return units.history(await self._plugins.contributed(), _text("name", name))

    async def unit_plugins(self) -> dict[str, Any]:
        """The plugins, broken ones too."""
        contributed = await self._plugins.contributed()
        return self._plugins.state() | {key: contributed[key] for key in ("loaded_ms", "plugins")}

    # -- runs and jobs

    async def run_submit(self, actions: Any, name: str = "", context: str = CONTEXT) -> dict[str, Any]:
        """Run actions of their own."""
        if not isinstance(actions, list) or not actions:
            raise invalid_params("actions must be an array with something in it")
        where = _text("context", context)
        specs = [self._spec(where, action) for action in actions]
        run_id, job_ids = self._tasks.submit(where, _text("name", name), specs)
        return {"run_id": run_id, "job_ids": job_ids}

    async def run_status(self, run_id: int) -> dict[str, Any]:
        """A run with its jobs."""
        run, state, jobs = self._tasks.run(_number("run_id", run_id))
        return {
            "run_id": run.id,
            "name": run.name,
            "service": run.service or None,
            "state": state,
            "created_ms": run.created_ms,
            "jobs": [job_json(job, self._health) for job in jobs],
        }

    async def job_create(self, action: Any, inputs: Any = None, context: str = CONTEXT) -> dict[str, Any]:
        """Run one action of its own."""
        if inputs:
            raise invalid_params("inputs must be empty", hint="write them into the script")
        where = _text("context", context)
        spec = self._spec(where, action)
        _, (job_id,) = self._tasks.submit(where, spec.name, [spec])
        return {"job_id": job_id}

    async def job_status(self, job_id: int) -> dict[str, Any]:
        """A job."""
        return job_json(self._tasks.job(_number("job_id", job_id)), self._health)

    async def job_kill(self, job_id: int, signal: Any = None) -> dict[str, Any]:
        """Signal the process of a job."""
        self._tasks.kill(_number("job_id", job_id), _signal(signal))
        return {"ok": True}

    async def job_logs(self, job_id: int, attempt: Any = None, lines: int = 100) -> list[dict[str, Any]]:
        """The end of the output of a job."""
        if attempt is not None:
            _number("attempt", attempt)  # all attempts share one file, without a mark between them
        job = self._tasks.job(_number("job_id", job_id))
        found = tail(job.log_file, min(_number("lines", lines), _MOST_LINES))
        return [{"line": line, "stream": "output", "epoch_ms": None} for line in found]

    # -- logs

    async def logs_insert(
        self, src: str, content: str, loglevel: int = 3, tags: Any = None, context_name: str = CONTEXT
    ) -> dict[str, Any]:
        """Add a line to the log."""
        row = (
            _text("src", src),
            time.time_ns() // 1_000_000,
            _number("loglevel", loglevel),
            _names(tags, "tags") or (),
        )
        self._store.add_log(_text("context_name", context_name), *row, _text("content", content))
        return {"ok": True}

    async def logs_get(
        self, src_prefix: str = "", lines: int = 100, from_: Any = None, to: Any = None
    ) -> list[dict[str, Any]]:
        """The newest lines of the log. `from` and `to` are milliseconds since 1970."""
        begin = 0 if from_ is None else _number("from", from_)
        end = _MOST_MS if to is None else _number("to", to)
        return self._store.logs(_text("src_prefix", src_prefix), min(_number("lines", lines), _MOST_LINES), begin, end)

    # -- secrets

    async def secret_set(
        self,
        key: str,
        value: str,
        context: str = CONTEXT,
        if_absent: bool = False,  # noqa: FBT001, FBT002
    ) -> dict[str, Any]:
        """Store a secret."""
        if not isinstance(value, str):
            raise invalid_params("value must be a string")
        row = (_text("context", context), _text("key", key), value)
        return {"ok": True, "created": self._store.save_secret(*row, if_absent=_flag("if_absent", if_absent))}

    async def secret_get(self, key: str, context: str = CONTEXT) -> dict[str, Any]:
        """A secret."""
        value = self._store.secret(_text("context", context), _text("key", key))
        if value is None:
            raise NotFound("secret", key)
        return {"key": key, "value": value}

    async def secret_list(self, context: str = CONTEXT) -> list[str]:
        """Keys of the secrets."""
        return self._store.secret_keys(_text("context", context))

    async def secret_delete(self, key: str, context: str = CONTEXT) -> dict[str, Any]:
        """Delete a secret."""
        if not self._store.delete_secret(_text("context", context), _text("key", key)):
            raise NotFound("secret", key)
        return {"ok": True}

    # -- inside

    def _spec(self, context: str, action: Any) -> ActionSpec:
        return self._supervisor.specs.action(context, action) if isinstance(action, str) else parse_action(action)

    async def _reached(self, name: str, timeout_ms: int, reached: Callable[[str], bool]) -> dict[str, Any]:
        """The answer of a start or stop: at once, or when the time is up; `ok` is false if it was not reached then."""
        ok = True
        if timeout_ms:
            ok = await self._supervisor.wait(lambda: reached(name), timeout_ms)
        return {"ok": ok, "run_id": self._supervisor.runs.latest(name), "state": self._supervisor.state(name)}

    def _is_up(self, name: str) -> bool:
        return self._supervisor.state(name) in {ServiceState.RUNNING, ServiceState.EXITED}

    def _is_down(self, name: str, actions: list[str] | None) -> bool:
        jobs = self._supervisor.present(name)
        return all(job.state in ENDED for job in jobs if actions is None or job.spec.name in actions)


def _answering(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The method with what it raises as errors of the wire."""

    @functools.wraps(method)
    async def answer(*args: Any, **kwargs: Any) -> Any:
        try:
            return await method(*args, **kwargs)
        except SpecInvalid as error:
            raise invalid_params(str(error), hint=error.hint) from error
        except Fault as fault:
            raise ServiceError(fault.code, fault.code_name, str(fault), hint=fault.hint, **fault.more) from fault
        except sqlite3.Error as error:
            hint = "is the disk full? processes that run go on running"
            text = f"the state cannot be read or written: {error}"
            raise ServiceError(STORAGE, "Storage", text, retryable=True, hint=hint) from error

    return answer


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise invalid_params(f"{key} must be a string without NUL")
    return value


def _number(key: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_MS:
        raise invalid_params(f"{key} must be a whole number, not negative")
    return value


def _flag(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise invalid_params(f"{key} must be true or false")
    return value


def _names(value: Any, key: str = "actions") -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise invalid_params(f"{key} must be an array or null")
    return [_text(f"{key}[{at}]", item) for at, item in enumerate(value)]


def _signal(value: Any) -> int | None:
    """A signal by its name or number."""
    if value is None:
        return None
    try:
        if isinstance(value, str):
            return signal.Signals[value]
        return signal.Signals(_number("signal", value))
    except (KeyError, ValueError):
        raise invalid_params(f"signal {str(value)[:30]!r} is not known", hint="such as SIGTERM, or 15") from None
