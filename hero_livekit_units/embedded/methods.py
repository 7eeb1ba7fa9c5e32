"""The wire methods of hero_proc that act: JSON in, the supervisor asked, JSON out. Those that keep are in `keeping`.

Owns: names and shapes on the wire. Must not decide anything. Name, summary, parameters, result and errors of each
method in openrpc.json are made from its name, docstring and annotations: see `document`.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, cast

from hero_livekit_units.embedded.answering import registry_of
from hero_livekit_units.embedded.arguments import flag, number, signal_number, some, text, text_list
from hero_livekit_units.embedded.keeping import CONTEXT, Keeping
from hero_livekit_units.embedded.lifecycle import ENDED, ServiceState
from hero_livekit_units.embedded.listing import Listing
from hero_livekit_units.embedded.render import job_json, service_json
from hero_livekit_units.embedded.spec import parse_action, parse_service
from hero_livekit_units.embedded.tasks import Tasks
from hero_livekit_units.herosocket.rpc import invalid_params
from hero_livekit_units.procfs import start_time_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pjrpc.server import MethodRegistry

    from hero_livekit_units.embedded import shapes
    from hero_livekit_units.embedded.answering import Around
    from hero_livekit_units.embedded.health import Health
    from hero_livekit_units.embedded.plugins import Plugins
    from hero_livekit_units.embedded.spec import ActionSpec
    from hero_livekit_units.embedded.store import Store
    from hero_livekit_units.embedded.supervisor import Supervisor
    from hero_livekit_units.embedded.upgrade import Upgrade

_MOST_LINES = 10_000
_LONGEST_WATCH_MS = 30_000
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
        self._listing = Listing(supervisor)
        self._keeping = Keeping(store, plugins)
        self._health = health
        self._plugins = plugins
        self._version = version
        self._shutdown = shutdown
        self._upgrade = upgrade
        self._began = time.monotonic()

    def registry(self, **around: Around) -> MethodRegistry:
        """All methods for the dispatcher, those of `Keeping` too; see `registry_of`."""
        return registry_of(self, self._keeping, **around)

    # -- system

    async def system_ping(self) -> shapes.Ping:
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

    async def system_shutdown(
        self,
        force: shapes.Force = False,  # noqa: FBT002
        keep_children: bool = True,  # noqa: FBT001, FBT002
    ) -> shapes.Ok:
        """End the daemon; its processes go on unless told otherwise."""
        force, keep_children = flag("force", force), flag("keep_children", keep_children)
        if not keep_children:
            self._supervisor.stop_all(force=force)
        self._shutdown()
        return {"ok": True}

    async def system_upgrade(self, to: shapes.UpgradeTo = None) -> shapes.Upgraded:
        """Become another version of itself: same process, same children, same socket.

        Raises:
            UpgradeRefused: the other version cannot take the place of this one, which goes on.
        """
        return cast("shapes.Upgraded", await self._upgrade.to(None if to is None else text("to", to)))

    # -- actions

    async def action_set(
        self,
        action: shapes.ActionSpec,
        context: shapes.Context = CONTEXT,
        expected: shapes.ExpectedAction = _GIVEN_NOTHING,
    ) -> shapes.ActionStored:
        """Store an action; nothing is started or restarted.

        Raises:
            Conflict: what is stored is not `expected`; nothing was changed.
        """
        spec = parse_action(action)
        checked = expected is not _GIVEN_NOTHING
        believed = parse_action(expected) if checked and expected is not None else None
        changed = self._supervisor.specs.set_action(text("context", context), spec, expected=believed, checked=checked)
        return {"name": spec.name, "changed": changed}

    async def action_get(self, name: str, context: shapes.Context = CONTEXT) -> shapes.ActionSpec:
        """A stored action, with all keys.

        Raises:
            NotFound: there is none.
        """
        found = self._supervisor.specs.action(text("context", context), text("name", name))
        return cast("shapes.ActionSpec", found.as_json())

    async def action_list(self, context: shapes.Context = CONTEXT) -> list[str]:
        """Names of the stored actions."""
        return self._supervisor.specs.action_names(text("context", context))

    async def action_delete(self, name: str, context: shapes.Context = CONTEXT) -> shapes.Ok:
        """Delete an action.

        Raises:
            NotFound: there is none.
            ActionInUse: a service names it.
        """
        self._supervisor.specs.delete_action(text("context", context), text("name", name))
        return {"ok": True}

    # -- services

    async def service_set(
        self,
        service: shapes.ServiceSpec,
        context: shapes.Context = CONTEXT,
        expected: shapes.ExpectedService = _GIVEN_NOTHING,
    ) -> shapes.ServiceStored:
        """Store a service; nothing is restarted.

        Raises:
            Conflict: what is stored is not `expected`; nothing was changed.
            DependencyInvalid: it would have to wait for itself.
        """
        spec = parse_service(service)
        checked = expected is not _GIVEN_NOTHING
        believed = parse_service(expected) if checked and expected is not None else None
        changed = self._supervisor.specs.set_service(text("context", context), spec, expected=believed, checked=checked)
        return {"name": spec.name, "changed": changed, "restarted": False}

    async def service_get(self, name: str) -> shapes.ServiceSpec:
        """A stored service, with all keys.

        Raises:
            NotFound: there is none.
        """
        return cast("shapes.ServiceSpec", self._supervisor.specs.service(text("name", name)).spec.as_json())

    async def service_list(self) -> list[shapes.ServiceRow]:
        """All services with what they are doing, in few words each."""
        return cast("list[shapes.ServiceRow]", self._listing.text())

    async def service_delete(self, name: str) -> shapes.Ok:
        """Delete a stopped service.

        Raises:
            NotFound: there is none.
            ServiceNotStopped: it runs, or waits for its start.
        """
        self._supervisor.delete_service(text("name", name))
        return {"ok": True}

    async def service_status(self, name: str) -> shapes.ServiceStatus:
        """What a service is doing.

        Raises:
            NotFound: there is none.
        """
        return service_json(self._supervisor, self._health, text("name", name))

    async def service_watch(
        self, names: shapes.Watch = None, since: shapes.Since = None, timeout_ms: shapes.WatchFor = _LONGEST_WATCH_MS
    ) -> shapes.Watched:
        """Wait until something about a service changes: its spec, what is wanted of it, its state, a process, a health.

        Without `since` the present revision is given at once. To miss nothing: ask for the revision, look at the
        status, then wait for what changed since that revision. `uptime_ms` alone is no change.

        Raises:
            TooManyWaiters: too many calls wait already.
        """
        within, watched = number("timeout_ms", timeout_ms), text_list("names", names)
        known = None if since is None else text("since", since)
        changes = self._supervisor.changes
        changed, reset = await changes.since(known, watched, self._supervisor.leans_on, within)
        return {"revision": changes.revision, "changed": changed, "reset": reset}

    async def service_start(
        self, name: str, actions: shapes.Chosen = None, timeout_ms: shapes.Within = 0
    ) -> shapes.Reached:
        """Want it to run; what runs is left alone.

        Raises:
            NotFound: there is no such service, or one of the actions is missing.
            DependencyInvalid: it could never start.
        """
        timeout, chosen = number("timeout_ms", timeout_ms), text_list("actions", actions)
        if not self._supervisor.specs.knows(text("name", name)):
            await self._plugins.settled()  # it may be a target that is about to be registered
        self._supervisor.start(name, chosen)
        return await self._reached(name, timeout, self._is_up)

    async def service_stop(
        self, name: str, actions: shapes.Chosen = None, timeout_ms: shapes.Within = 0
    ) -> shapes.Reached:
        """Want it not to run; each process is signalled once, whoever asks and however often.

        Raises:
            NotFound: there is no such service, or it has no such action.
        """
        timeout, chosen = number("timeout_ms", timeout_ms), text_list("actions", actions)
        self._supervisor.stop(text("name", name), chosen)
        return await self._reached(name, timeout, lambda name: self._is_down(name, chosen))

    async def service_restart(
        self, name: str, actions: shapes.Chosen = None, timeout_ms: shapes.Within = 0
    ) -> shapes.Reached:
        """Stop, then start with the specs as they are stored now.

        Raises:
            NotFound: there is no such service, or one of the actions is missing.
            DependencyInvalid: it could never start.
        """
        timeout = number("timeout_ms", timeout_ms)
        self._supervisor.restart(text("name", name), text_list("actions", actions))
        return await self._reached(name, timeout, self._is_up)

    # -- runs and jobs

    async def run_submit(
        self, actions: shapes.Actions, name: str = "", context: shapes.Context = CONTEXT
    ) -> shapes.Submitted:
        """Run actions of their own.

        Raises:
            NotFound: no action has this name.
            DependencyInvalid: one of them could never start.
        """
        where = text("context", context)
        specs = [self._spec(where, action) for action in some("actions", actions)]
        run_id, job_ids = self._tasks.submit(where, text("name", name), specs)
        return {"run_id": run_id, "job_ids": job_ids}

    async def run_status(self, run_id: shapes.Count) -> shapes.RunStatus:
        """A run with its jobs.

        Raises:
            NotFound: there is none, or it was long ago and is forgotten.
        """
        run, state, jobs = self._tasks.run(number("run_id", run_id))
        return {
            "run_id": run.id,
            "name": run.name,
            "service": run.service or None,
            "state": state,
            "created_ms": run.created_ms,
            "jobs": [job_json(job, self._health) for job in jobs],
        }

    async def job_create(
        self, action: str | shapes.ActionSpec, inputs: shapes.Inputs = None, context: shapes.Context = CONTEXT
    ) -> shapes.JobMade:
        """Run one action of its own.

        Raises:
            NotFound: no action has this name.
            DependencyInvalid: it could never start.
        """
        if inputs:
            raise invalid_params("inputs must be empty", hint="write them into the script")
        where = text("context", context)
        spec = self._spec(where, action)
        _, (job_id,) = self._tasks.submit(where, spec.name, [spec])
        return {"job_id": job_id}

    async def job_status(self, job_id: shapes.Count) -> shapes.Job:
        """A job.

        Raises:
            NotFound: there is none.
        """
        return job_json(self._tasks.job(number("job_id", job_id)), self._health)

    async def job_kill(self, job_id: shapes.Count, signal: shapes.Signal = None) -> shapes.Ok:
        """Signal the process of a job; for a job of its own the first signal is its stop.

        Raises:
            NotFound: there is no such job.
            JobHasNoProcess: there is nothing to signal.
        """
        self._tasks.kill(number("job_id", job_id), signal_number(signal))
        return {"ok": True}

    async def job_logs(
        self, job_id: shapes.Count, attempt: shapes.Attempt = None, lines: shapes.Lines = 100
    ) -> list[shapes.OutputLine]:
        """The end of the output of a job, or of one of its attempts.

        Raises:
            NotFound: there is no such job.
        """
        chosen = None if attempt is None else number("attempt", attempt)
        job = self._tasks.job(number("job_id", job_id))
        found = self._supervisor.jobs.output(job.id, chosen, min(number("lines", lines), _MOST_LINES))
        return [{"line": line, "stream": "output", "epoch_ms": None} for line in found]

    # -- inside

    def _spec(self, context: str, action: str | shapes.ActionSpec) -> ActionSpec:
        return self._supervisor.specs.action(context, action) if isinstance(action, str) else parse_action(action)

    async def _reached(self, name: str, timeout_ms: int, reached: Callable[[str], bool]) -> shapes.Reached:
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
