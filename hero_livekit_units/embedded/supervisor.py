"""Services: which of their actions should have a process now, and which may start.

Owns: the stored specs, wanted state, dependencies. Must not know the wire, nor how a process is started.

Everything here runs in the event loop without a pause, so two callers never see each other half done; that is all that
"no second copy, whatever a hundred callers do" needs. What has to happen follows from what is wanted and what is
(`advance`), after every change and after a crash alike.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sqlite3
from typing import TYPE_CHECKING

from hero_livekit_units.embedded.changes import Changes
from hero_livekit_units.embedded.dependencies import is_met
from hero_livekit_units.embedded.faults import ServiceNotStopped
from hero_livekit_units.embedded.jobs import Jobs
from hero_livekit_units.embedded.ledger import WRITE_AGAIN_S
from hero_livekit_units.embedded.lifecycle import (
    ENDED,
    HAS_PROCESS,
    JobFacts,
    JobState,
    ServiceState,
    service_state,
)
from hero_livekit_units.embedded.runs import Runs
from hero_livekit_units.embedded.specs import Specs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from hero_livekit_units.embedded.health import Health
    from hero_livekit_units.embedded.records import Job, Run, Service
    from hero_livekit_units.embedded.store import Store

_log = logging.getLogger(__name__)
_UP = {ServiceState.RUNNING, ServiceState.EXITED}


class Supervisor:
    """The services of this machine.

    Every method may raise sqlite3.Error, and then has changed nothing.

    Args:
        store: where everything is kept; it is read once, here.
        log_folder: for the output of the processes.
        health: is told which jobs run.
        checked: whether it was seen already that the store can be read.
    """

    def __init__(self, store: Store, log_folder: str, health: Health, *, checked: bool = False) -> None:
        self._health = health
        gc.disable()  # nothing of it is garbage, and to look for some takes a quarter of the time for thousands of rows
        try:
            actions, services, runs, jobs = store.load(check=not checked)
        finally:
            gc.enable()
        self.changes = Changes()
        self.specs = Specs(store, actions, services, self.changes.note)
        self.jobs = Jobs(store, jobs, log_folder, changed=self._job_changed, may_retry=self._may_retry)
        self.runs = Runs(store, runs, self.jobs)
        # The present job of each action of each service.
        self._present: dict[str, dict[str, int]] = {}
        for job in jobs.values():
            if job.service:
                self._present.setdefault(job.service, {})[job.spec.name] = job.id
        # What may have something to start: services by name, runs without one by id.
        self._due_services: set[str] = set()
        self._unlisted: set[str] = set()
        self._due_runs = {job.run_id for job in jobs.values() if not job.service}
        self._advancing = True  # nothing starts before `recover`
        self.closing = False
        self._hurried = False
        health.tell(lambda job_id: self.changes.note(self.jobs[job_id].service))

    # -- services

    def delete_service(self, name: str) -> None:
        """Delete a stopped service.

        Raises:
            NotFound: there is none.
            ServiceNotStopped: one of its jobs has a process, or waits for one.
        """
        service = self.specs.service(name)
        busy = [job for job in self._of_service(name) if job.state not in ENDED]
        if busy or (service.wanted and not service.spec.actions):
            raise ServiceNotStopped(name, self.state(name))
        self.specs.forget_service(name)
        self.runs.forget_service(name)
        self.jobs.forget_tallies(name)
        self._present.pop(name, None)

    def start(self, name: str, actions: Sequence[str] | None = None) -> None:
        """Want a service, or some of its actions, to run. What runs is left alone.

        A job that failed, or waits for its next life, is started now; so are the services that it requires. One that is
        to stop, but was not sent its signal yet, runs on.

        Raises:
            NotFound: the service, or one of the actions.
        """
        service = self.specs.service(name)
        chosen = self.specs.chosen(service, actions)
        self.specs.check_startable(service)
        started = self.specs.want(name, wanted=True, held=service.held - set(chosen))
        self._start_required(service)
        self._renew(started, chosen)
        self._due_services.add(name)
        self.advance()

    def stop(self, name: str, actions: Sequence[str] | None = None) -> None:
        """Want a service, or some of its actions, not to run.

        Each process gets its stop signal once, whoever asks and however often.

        Raises:
            NotFound: the service, or one of the actions.
        """
        service = self.specs.service(name)
        chosen = self.specs.chosen(service, actions)
        whole = set(chosen) >= set(service.spec.actions)
        held = frozenset[str]() if whole else service.held | set(chosen)
        self.specs.want(name, wanted=service.wanted and not whole, held=held)
        self._stop_jobs(name, chosen if actions is not None else None)
        self.changes.note(name)

    def restart(self, name: str, actions: Sequence[str] | None = None) -> None:
        """Stop, then start with the specs as they are stored now; the start follows when the last process has ended.

        Raises:
            NotFound: the service, or one of the actions.
        """
        service = self.specs.service(name)
        chosen = self.specs.chosen(service, actions)
        self.specs.check_startable(service)
        kept = self.specs.want(name, wanted=True, held=service.held - set(chosen))
        self._start_required(service)
        self._stop_jobs(name, chosen if actions is not None else None)
        jobs = {job.spec.name: job for job in self._of_service(name)}
        for action in chosen:
            if action in jobs:
                self.jobs.follow(jobs[action].id, followed=True)
        self._renew(kept, [action for action in chosen if action not in jobs])
        self._due_services.add(name)
        self.advance()

    def state(self, name: str) -> ServiceState:
        """The state of a service."""
        service = self.specs.service(name)
        facts = [JobFacts(job.state, job.restart_count, job.spec.is_process) for job in self.present(name)]
        target = not service.spec.actions
        return service_state(facts, wanted=service.wanted, blocked=bool(self.blocked_by(name)), target=target)

    def present(self, name: str) -> list[Job]:
        """The present job of each action of a service that has one, in the order of its spec, then former ones."""
        order = {action: at for at, action in enumerate(self.specs.service(name).spec.actions)}
        jobs = self._of_service(name)
        return sorted(
            (job for job in jobs if job.spec.name in order or job.state not in ENDED),
            key=lambda job: (order.get(job.spec.name, len(order)), job.id),
        )

    def blocked_by(self, name: str) -> list[str]:
        """Services that this one has to wait for, sorted."""
        spec = self.specs.service(name).spec
        missing = [other for other in spec.requires if not self.specs.knows(other) or self.state(other) not in _UP]
        missing += [
            other
            for other in spec.after
            if self.specs.knows(other) and self.specs.service(other).wanted and self.state(other) not in _UP
        ]
        return sorted(set(missing))

    def leans_on(self, name: str) -> list[str]:
        """Services whose states show in the state of this one, however far away."""
        found: list[str] = []
        left = [name]
        while left:
            one = left.pop()
            if self.specs.knows(one):
                spec = self.specs.service(one).spec
                fresh = [other for other in (*spec.requires, *spec.after) if other not in found]
                found += fresh
                left += fresh
        return found

    def take_unlisted(self) -> set[str]:
        """Names of the services whose state, jobs or wanted state may have changed since the last call; all, at first.

        Some may be gone.
        """
        touched = self.specs.take_touched()
        self._due_services |= touched
        changed, self._unlisted = self._unlisted | self.specs.with_waiters(self._due_services), set()
        return changed

    async def wait(self, reached: Callable[[], bool], timeout_ms: int | None) -> bool:
        """Wait until something is so, None for as long as it takes; whether it is."""
        try:
            async with asyncio.timeout(None if timeout_ms is None else timeout_ms / 1000):
                while not reached() and not (self._hurried and timeout_ms is not None):
                    await self.changes.next()
        except TimeoutError:
            pass
        return reached()

    def hurry(self) -> None:
        """Let every wait for a time end now, as if its time were up."""
        self._hurried = True
        self.changes.hurry()

    # -- the daemon's own beginning and end

    def recover(self) -> None:
        """Find what an earlier daemon left, then start what is wanted and does not run."""
        self.jobs.recover()
        self._advancing = False
        self._resume()

    def _resume(self) -> None:
        """Start what is wanted and has no job, or one of a time before; stop what is not, if that was not recorded."""
        try:
            for service in self.specs.services():
                self._renew(service, self._to_resume(service))
                self._stop_jobs(service.spec.name, self._not_kept(service))
        except sqlite3.Error as error:
            _log.warning("what is wanted cannot be started, it is tried again: %s", error)
            asyncio.get_running_loop().call_later(WRITE_AGAIN_S, self._resume)
        self.advance()

    def _to_resume(self, service: Service) -> list[str]:
        jobs = {job.spec.name: job for job in self._of_service(service.spec.name)}
        # After a restart of the machine, what had been done, such as a `configure`, is done again.
        old = bool(jobs) and all(job.state in ENDED for job in jobs.values()) and self.jobs.is_old(jobs.values())
        due = {JobState.CANCELLED, JobState.STOPPING}
        return [
            action
            for action in service.spec.actions
            if self.specs.is_kept(service, action) and (old or action not in jobs or jobs[action].state in due)
        ]

    def _not_kept(self, service: Service) -> list[str]:
        jobs = self._of_service(service.spec.name)
        return [job.spec.name for job in jobs if job.state not in ENDED and not self._is_kept(job)]

    def stop_all(self, *, force: bool) -> None:
        """End all processes for the end of the daemon. What is wanted stays, for the next one."""
        self.closing = True
        for job in self.jobs.all():
            if job.state not in ENDED:
                self.jobs.stop(job.id)
            if force and self.jobs[job.id].state in HAS_PROCESS:
                self.jobs.signal(job.id, 9)

    def all_ended(self) -> bool:
        """Whether no job has a process."""
        return not any(job.state in HAS_PROCESS for job in self.jobs.all())

    # -- inside

    def _start_required(self, service: Service) -> None:
        for required in service.spec.requires:  # there are no circles, see Specs
            if self.specs.knows(required):
                self.start(required)

    def add_run(self, service: str, name: str) -> Run:
        """A new run; the present ones are not forgotten for it."""
        return self.runs.add(service, name, keep=self._present_runs)

    def _present_runs(self) -> set[int]:
        return {self.jobs[job_id].run_id for jobs in self._present.values() for job_id in jobs.values()}

    def _of_service(self, name: str) -> list[Job]:
        return [self.jobs[job_id] for job_id in self._present.get(name, {}).values()]

    def _renew(self, service: Service, actions: Collection[str]) -> None:
        """New jobs for those actions that have none, or one that has ended or only waits for its next life.

        In a service of which something runs, a oneshot that succeeded has done its work and stays.
        """
        name = service.spec.name
        jobs = {job.spec.name: job for job in self._of_service(name)}
        alive = any(job.state in HAS_PROCESS for job in jobs.values())
        fresh = []
        for action in actions:
            job = jobs.get(action)
            if job is None or (job.state in ENDED and not (alive and job.state is JobState.SUCCEEDED)):
                fresh.append(action)
            elif job.state is JobState.PENDING and job.attempt:
                self.jobs.stop(job.id)
                fresh.append(action)
            elif job.state is JobState.STOPPING and (self.closing or not self.jobs.withdraw_stop(job.id)):
                self.jobs.follow(job.id, followed=True)
        self._make(service, fresh, new_run=not alive)

    def _make(self, service: Service, actions: Sequence[str], *, new_run: bool) -> None:
        name = service.spec.name
        run_id = self.runs.latest(name)
        if not actions and (run_id or service.spec.actions):
            return
        if new_run or not run_id:
            run_id = self.add_run(name, name).id
        specs = [self.specs.action(service.context, action) for action in actions]
        for job in self.jobs.create(run_id, name, service.context, specs):
            self._present.setdefault(name, {})[job.spec.name] = job.id
        self._due_services.add(name)
        self.changes.note(name)

    def _stop_jobs(self, name: str, actions: Sequence[str] | None) -> None:
        """Stop the jobs of these actions, or all, dependants first."""
        jobs = [job for job in self._of_service(name) if actions is None or job.spec.name in actions]
        for job in sorted(jobs, key=lambda job: -job.id):
            self.jobs.stop(job.id)
            self.jobs.follow(job.id, followed=False)

    def _job_changed(self, job: Job) -> None:
        self._health.watch(job, running=job.state in HAS_PROCESS)
        if job.service:
            self._due_services.add(job.service)
        else:
            self._due_runs.add(job.run_id)
        self.changes.note(job.service)
        self.advance()

    def advance_run(self, run_id: int) -> None:
        """Start what may start now of a run that belongs to no service."""
        self._due_runs.add(run_id)
        self.advance()

    def advance(self) -> None:
        """Start what is wanted and may start now, until nothing is left to start.

        Looks only at what changed since the last time, and at who waits for that: there may be thousands.
        """
        if self._advancing or self.closing:
            return
        self._advancing = True
        try:
            while due := self._take_due():
                self._advance_once(*due)
        except sqlite3.Error as error:
            _log.warning("what is wanted cannot be started, it is tried again: %s", error)
            asyncio.get_running_loop().call_later(WRITE_AGAIN_S, self.advance)
        finally:
            self._advancing = False

    def _take_due(self) -> tuple[set[str], set[int]] | None:
        services = self.specs.with_waiters(self._due_services | self.specs.take_touched())
        self._unlisted |= services
        runs = self._due_runs
        self._due_services, self._due_runs = set(), set()
        return (services, runs) if services or runs else None

    def _advance_once(self, services: set[str], runs: set[int]) -> None:
        try:
            for name in services:
                if self.specs.knows(name):
                    self._follow_up(self.specs.service(name))
        except sqlite3.Error:
            self._due_services |= services
            self._due_runs |= runs
            raise
        jobs = [job for name in services for job in self._of_service(name)]
        jobs += [job for run_id in runs for job in self.jobs.of_run(run_id)]
        for job in sorted(jobs, key=lambda job: job.id):
            # An earlier start of this round may have changed what this one depends on.
            if self.jobs.due(self.jobs[job.id]) and self.may_start(self.jobs[job.id]):
                self.jobs.launch(job.id)

    def _follow_up(self, service: Service) -> None:
        """New jobs for the actions that were stopped in order to start again, once they have ended."""
        jobs = self._of_service(service.spec.name)
        followed = [job for job in jobs if job.followed and self.specs.is_kept(service, job.spec.name)]
        if followed and all(job.state in ENDED for job in followed):
            names = [job.spec.name for job in followed]
            self._make(service, names, new_run=not any(job.state in HAS_PROCESS for job in jobs))

    def may_start(self, job: Job) -> bool:
        """Whether all that a job depends on is fulfilled."""
        if job.service:
            if not self._is_kept(job) or self.blocked_by(job.service):
                return False
            others = {other.spec.name: other for other in self._of_service(job.service)}
        else:
            others = {other.spec.name: other for other in self.jobs.of_run(job.run_id)}
        states = {name: other.state for name, other in others.items()}
        return all(is_met(dep, states.get(dep.action)) for dep in job.spec.depends_on)

    def _may_retry(self, job: Job) -> bool:
        return not self.closing and (not job.service or self._is_kept(job))

    def _is_kept(self, job: Job) -> bool:
        return self.specs.knows(job.service) and self.specs.is_kept(self.specs.service(job.service), job.spec.name)
