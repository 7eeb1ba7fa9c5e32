"""The lives of jobs: each process from its spawn to its end, and what is due in between.

Owns: the processes and what is due for them. Must not know services or dependencies: whoever made a job says when it
may start, and is told about every change.

The order of writing and doing is what makes a crash harmless. Before a fork the job is written as `spawning`; before a
stop signal `stop_sent` is written. An end is a fact that needs no permission.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from typing import TYPE_CHECKING

from attrs import evolve

from hero_livekit_units.embedded import children
from hero_livekit_units.embedded.children import Ending
from hero_livekit_units.embedded.deaths import Death
from hero_livekit_units.embedded.ledger import WRITE_AGAIN_S, Ledger
from hero_livekit_units.embedded.lifecycle import ENDED, HAS_PROCESS, JobEvent, JobState, next_state
from hero_livekit_units.embedded.logfile import last_line, remove_empty, tail
from hero_livekit_units.embedded.records import Job, Life
from hero_livekit_units.embedded.restart import decide
from hero_livekit_units.embedded.spec import Interpreter
from hero_livekit_units.embedded.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from hero_livekit_units.embedded.children import Child
    from hero_livekit_units.embedded.deaths import Tally
    from hero_livekit_units.embedded.spec import ActionSpec
    from hero_livekit_units.embedded.store import Store


class Jobs:
    """All jobs, by id.

    Args:
        store: where they are kept.
        jobs: as loaded from it.
        folder: of the log files.
        changed: called after every change of a job.
        may_retry: whether a job that ended badly may have another life.
    """

    def __init__(
        self,
        store: Store,
        jobs: dict[int, Job],
        folder: str,
        *,
        changed: Callable[[Job], None],
        may_retry: Callable[[Job], bool],
    ) -> None:
        self._folder = folder
        self._may_retry = may_retry
        self._timers = Timers()
        self._ledger = Ledger(store, jobs, self._timers, changed)
        self._children: dict[int, Child] = {}
        self._timed_out: set[int] = set()
        self._boot_id = children.boot_id()
        self._mark = store.uuid
        self.only_window_ms: int | None = None  # a fault that real supervisors have: no other window is kept to

    def __getitem__(self, job_id: int) -> Job:
        return self._ledger[job_id]

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._ledger

    def all(self) -> list[Job]:
        """Every job, in the order in which they were made."""
        return self._ledger.all()

    def of_run(self, run_id: int) -> list[Job]:
        """Jobs of a run, in the order in which they were made."""
        return [job for job in self._ledger.all() if job.run_id == run_id]

    def due(self, job: Job) -> bool:
        """Whether a pending job waits for its dependencies only."""
        return job.state is JobState.PENDING and not self._timers.has(job.id, "retry")

    def is_old(self, jobs: Iterable[Job]) -> bool:
        """Whether none of these jobs was made since the machine was started."""
        return not any(job.boot_id == self._boot_id for job in jobs)

    def create(self, run_id: int, service: str, context: str, specs: Sequence[ActionSpec]) -> list[Job]:
        """New pending jobs, all or none.

        Raises:
            sqlite3.Error: they could not be written; there are none.
        """
        first, now = self._ledger.next_id(), _now_ms()
        made = []
        for at, spec in enumerate(specs):
            log_file = os.path.join(self._folder, f"{service or '_'}.{spec.name}.log")  # noqa: PTH118
            made.append(Job(first + at, run_id, service, context, spec, log_file, now, self._boot_id))
        self._ledger.record_first(made)
        return made

    def follow(self, job_id: int, *, followed: bool) -> None:
        """Note whether a new job is to follow on the end of this one.

        Raises:
            sqlite3.Error: it could not be written.
        """
        job = self._ledger[job_id]
        if job.followed is not followed:
            self._ledger.record_first([evolve(job, followed=followed)])

    def tally(self, service: str, action: str) -> Tally:
        """The deaths of an action of a service."""
        return self._ledger.tally(service, action)

    def output(self, job_id: int, attempt: int | None, lines: int) -> list[str]:
        """The last lines that a job has written, or an attempt of it; none where it is not known what that was."""
        job = self._ledger[job_id]
        if attempt is None:
            return tail(job.log_file, lines)
        span = self._ledger.span(job_id, attempt)
        return tail(job.log_file, lines, *span) if span else []

    def forget_tallies(self, service: str) -> None:
        """Drop the deaths of a service that is deleted."""
        self._ledger.forget_tallies(service)

    def forget(self, run_ids: Collection[int]) -> None:
        """Drop the jobs of these runs, and their logs where nothing was ever written."""
        gone = {job.log_file for job in self.all() if job.run_id in run_ids}
        self._ledger.forget(run_ids)
        for log_file in gone - {job.log_file for job in self.all()}:
            remove_empty(log_file)

    # -- a life

    def launch(self, job_id: int) -> None:
        """Start the process of a pending job.

        Does not raise: a program that cannot be started is a failure of the job, a job that cannot be written is tried
        again later.
        """
        job = self._ledger[job_id]
        try:
            announced = evolve(job, spawning=True, next_start_ms=None)
            start = children.log_start(job.log_file)
            self._ledger.record_first([announced], Life(job.log_file, start, job.id, job.attempt + 1))
        except sqlite3.Error as error:
            # Without the record a crash could lead to a second copy, so the start has to wait.
            self._timers.set(WRITE_AGAIN_S, job_id, "retry", self._ledger.tell)
            waiting = f"cannot start yet: the state cannot be written: {error}"
            self._ledger.record_fact(evolve(job, last_error=waiting))
            return
        spec = job.spec
        mark = f"{self._mark}:{job.id}"
        try:
            child = children.spawn(spec.argv, cwd=spec.cwd or "/", env=spec.env, mark=mark, log_file=job.log_file)
        except OSError as error:
            failed = evolve(
                announced, spawning=False, attempt=job.attempt + 1, restart_count=job.attempt, ended_ms=_now_ms()
            )
            self._end(failed, JobEvent.SPAWN_FAILED, f"cannot start: {error}", lived_ms=0)
            return
        self._begin(announced, child)

    def _begin(self, job: Job, child: Child) -> None:
        """Watch a process that has just been started, or found after a crash in the middle of its start."""
        self._watch(job, child)
        self._ledger.record_fact(
            evolve(
                job,
                state=next_state(job.state, JobEvent.SPAWNED),
                spawning=False,
                pid=child.pid,
                pid_start=child.start_time,
                adopted=child.adopted,
                attempt=job.attempt + 1,
                restart_count=job.attempt,
                started_ms=_now_ms() - round(child.age_s * 1000),
                ended_ms=None,
                exit_code=None,
                signal=None,
            )
        )

    def _watch(self, job: Job, child: Child) -> None:
        self._children[job.id] = child
        asyncio.get_running_loop().add_reader(child.pidfd, self._ended, job.id)
        if job.state is not JobState.STOPPING:
            self._limit(job, child)

    def _limit(self, job: Job, child: Child) -> None:
        if job.spec.timeout_ms and not job.spec.is_process:
            self._timers.set(job.spec.timeout_ms / 1000 - child.age_s, job.id, "timeout", self._time_out)

    def _time_out(self, job_id: int) -> None:
        self._timed_out.add(job_id)
        self._children[job_id].signal(signal.SIGKILL, group=True)

    def _ended(self, job_id: int) -> None:
        """The pidfd became readable: the process is dead."""
        child = self._children.pop(job_id)
        asyncio.get_running_loop().remove_reader(child.pidfd)
        self._timers.cancel(job_id, "stop", "kill", "timeout")
        job = self._ledger[job_id]
        lived_ms = round(child.age_s * 1000)
        ending = child.reap(kill_group=job.state is JobState.STOPPING and job.spec.stop_kill)
        child.close()
        self._take_end(job, ending, lived_ms=lived_ms)

    def _take_end(self, job: Job, ending: Ending, *, lived_ms: int | None) -> None:
        """Take in how a process ended; `lived_ms` is None when that was while no daemon watched."""
        ended = evolve(
            job, pid=None, pid_start=None, exit_code=ending.exit_code, signal=ending.signal, ended_ms=_now_ms()
        )
        if ending == Ending():
            gone = "it ended while no supervisor ran, exit code unknown"
            event, error = JobEvent.ENDED_UNSEEN, gone if lived_ms is None else ending.says
        elif ending.exit_code == 0 and not job.spec.is_process:
            self._end(ended, JobEvent.ENDED_WELL, None, lived_ms=lived_ms)
            return
        else:
            event, error = JobEvent.ENDED_BADLY, ending.says
        line = last_line(job.log_file)
        self._end(ended, event, f"{error}: {line}" if line else error, lived_ms=lived_ms)

    def _end(self, job: Job, event: JobEvent, error: str | None, *, lived_ms: int | None) -> None:
        """Record the end of a life, and decide on the next one."""
        stopping = job.state is JobState.STOPPING
        if job.id in self._timed_out:
            self._timed_out.discard(job.id)
            error = f"timed out after {job.spec.timeout_ms} ms"
        elif stopping:
            error = job.last_error  # none, or that it had to be killed
        ended = evolve(job, state=next_state(job.state, event), last_error=error)
        if ended.state not in {JobState.FAILED, JobState.UNKNOWN}:
            self._ledger.record_fact(ended)
            return
        death = Death(_now_ms(), lived_ms, error or "")
        decision = decide(job.spec.retry_policy, failures=job.failures, lived_ms=lived_ms)
        ended = evolve(ended, failures=decision.failures)
        if decision.after_ms is None:
            many = decision.failures > 1
            self._ledger.record_fact(evolve(ended, last_error=f"{error}; {decision.because}" if many else error), death)
        elif not self._may_retry(job):
            self._ledger.record_fact(ended, death)
        else:
            self._timers.set(decision.after_ms / 1000, job.id, "retry", self._ledger.tell)
            due = _now_ms() + decision.after_ms
            waiting = evolve(ended, state=next_state(ended.state, JobEvent.RETRY), next_start_ms=due)
            self._ledger.record_fact(waiting, death)

    # -- the end that is asked for

    def stop(self, job_id: int, number: int | None = None) -> None:
        """Ask a job to end, once: one that is stopping already is left alone.

        Args:
            job_id: which.
            number: the signal, by default the one of the spec.

        Raises:
            sqlite3.Error: the request could not be written; nothing was sent.
        """
        job = self._ledger[job_id]
        if job.state in {JobState.PENDING, JobState.FAILED, JobState.UNKNOWN}:
            self._ledger.record_first([evolve(job, state=next_state(job.state, JobEvent.CANCEL), next_start_ms=None)])
            self._timers.cancel(job_id, "retry")
        elif job.state is JobState.RUNNING:
            wait_s = job.spec.stop_min_age_ms / 1000 - self._children[job_id].age_s
            stopping = evolve(
                job,
                state=next_state(job.state, JobEvent.STOP_ASKED),
                stop_requested_ms=_now_ms(),
                stop_sent=wait_s <= 0,
                last_error=None,
            )
            self._ledger.record_first([stopping])
            self._timers.cancel(job_id, "timeout")
            if stopping.stop_sent:
                self._send_stop(stopping, number)
            else:
                self._timers.set(wait_s, job_id, "stop", self._send_late_stop)
        else:
            return
        self._ledger.tell(job_id)

    def withdraw_stop(self, job_id: int) -> bool:
        """Let a process run on whose stop signal has not been sent; whether that could be.

        Raises:
            sqlite3.Error: it could not be written; the signal will be sent.
        """
        job = self._ledger[job_id]
        if job.state is not JobState.STOPPING or job.stop_sent or job.followed:
            return False
        running = evolve(job, state=next_state(job.state, JobEvent.STOP_WITHDRAWN), stop_requested_ms=None)
        self._ledger.record_first([running])
        self._timers.cancel(job_id, "stop")
        self._limit(running, self._children[job_id])
        self._ledger.tell(job_id)
        return True

    def _send_late_stop(self, job_id: int) -> None:
        """Send the stop signal that had to wait for the process to be old enough, or for the next daemon."""
        job = evolve(self._ledger[job_id], stop_sent=True)
        try:
            self._ledger.record_first([job])
        except sqlite3.Error:
            self._timers.set(WRITE_AGAIN_S, job_id, "stop", self._send_late_stop)
        else:
            self._send_stop(job, None)

    def _send_stop(self, job: Job, number: int | None) -> None:
        number = job.spec.stop_signal_number if number is None else number
        self._children[job.id].signal(number, group=job.spec.interpreter is not Interpreter.EXEC)
        self._open_window(job, job.spec.stop_timeout_ms)

    def _open_window(self, job: Job, left_ms: int) -> None:
        if self.only_window_ms is not None:
            self._timers.set(self.only_window_ms / 1000, job.id, "kill", self._close_window)
        elif job.spec.stop_kill:
            self._timers.set(left_ms / 1000, job.id, "kill", self._close_window)

    def _close_window(self, job_id: int) -> None:
        job = self._ledger[job_id]
        self._ledger.record_fact(evolve(job, last_error=f"killed: it did not end within {job.spec.stop_timeout_ms} ms"))
        self._children[job_id].signal(signal.SIGKILL, group=True)

    def signal(self, job_id: int, number: int) -> None:
        """Send a signal to the process of a job; SIGKILL, and the signals of shells, go to its group."""
        group = number == signal.SIGKILL or self._ledger[job_id].spec.interpreter is not Interpreter.EXEC
        self._children[job_id].signal(number, group=group)

    # -- between two daemons

    def recover(self) -> None:
        """Find the processes of an earlier daemon again, and take in what ended meanwhile."""
        for job in self._ledger.all():
            if job.boot_id != self._boot_id:
                self._end_with_boot(job)
            elif job.state in HAS_PROCESS:
                self._recover_process(job)
            elif job.state is JobState.PENDING and job.spawning:
                child = children.find_marked(f"{self._mark}:{job.id}")
                if child:
                    self._begin(job, child)
                else:
                    self._ledger.record_fact(evolve(job, spawning=False))
            elif job.state is JobState.PENDING and job.next_start_ms is not None:
                policy = job.spec.retry_policy
                wait_ms = min(job.next_start_ms - _now_ms(), max(policy.delay_ms, policy.max_delay_ms))
                self._timers.set(wait_ms / 1000, job.id, "retry", self._ledger.tell)

    def _end_with_boot(self, job: Job) -> None:
        """End a job of a time before the machine was started anew; whoever still wants it makes a new one."""
        event = JobEvent.CANCEL if job.state is JobState.PENDING else JobEvent.ENDED_UNSEEN
        if job.state not in ENDED:
            state = next_state(job.state, event)
            gone = evolve(job, state=state, pid=None, pid_start=None, spawning=False, next_start_ms=None)
            self._ledger.record_fact(evolve(gone, last_error="the machine was restarted"))

    def _recover_process(self, job: Job) -> None:
        child = None
        if job.pid and job.pid_start is not None:
            child = children.adopt(job.pid, job.pid_start)
        if child is None:
            self._take_end(job, Ending(), lived_ms=None)
            return
        self._watch(job, child)
        if job.state is JobState.STOPPING and not job.stop_sent:
            wait_s = job.spec.stop_min_age_ms / 1000 - child.age_s
            self._timers.set(wait_s, job.id, "stop", self._send_late_stop)
        elif job.state is JobState.STOPPING:
            passed_ms = max(0, _now_ms() - (job.stop_requested_ms or 0))
            self._open_window(job, job.spec.stop_timeout_ms - passed_ms)
        self._ledger.record_fact(evolve(job, adopted=child.adopted))

    @property
    def all_written(self) -> bool:
        """Whether the store has all that is known here."""
        return self._ledger.all_written

    def close(self) -> None:
        """Let go of everything without touching a process."""
        self._timers.close()
        loop = asyncio.get_running_loop()
        for child in self._children.values():
            loop.remove_reader(child.pidfd)
            child.close()
        self._children.clear()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
