"""Actions that are run on their own, without a service; and looking at runs and jobs of either kind.

Must not know services: a job of a service is signalled like any other, its restart policy decides what follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hero_livekit_units.embedded.dependencies import check_actions
from hero_livekit_units.embedded.faults import JobHasNoProcess, NotFound
from hero_livekit_units.embedded.lifecycle import HAS_PROCESS, JobState, RunState, run_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_livekit_units.embedded.records import Job, Run
    from hero_livekit_units.embedded.spec import ActionSpec
    from hero_livekit_units.embedded.supervisor import Supervisor


class Tasks:
    """Runs and jobs. Methods that change something may raise sqlite3.Error, and then have changed nothing."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._jobs = supervisor.jobs

    def submit(self, context: str, name: str, specs: Sequence[ActionSpec]) -> tuple[int, list[int]]:
        """Run actions that belong to no service. Returns the ids of the run and of its jobs.

        Raises:
            DependencyInvalid: one of them could never start.
        """
        check_actions(specs)
        run = self._supervisor.add_run("", name)
        jobs = self._jobs.create(run.id, "", context, specs)
        self._supervisor.advance_run(run.id)
        return run.id, [job.id for job in jobs]

    def run(self, run_id: int) -> tuple[Run, RunState, list[Job]]:
        """A run, its state and its jobs.

        Raises:
            NotFound: there is none.
        """
        run = self._supervisor.runs[run_id]
        jobs = self._jobs.of_run(run_id)
        blocked = any(self._jobs.due(job) and not self._supervisor.may_start(job) for job in jobs)
        return run, run_state([job.state for job in jobs], blocked=blocked), jobs

    def job(self, job_id: int) -> Job:
        """A job.

        Raises:
            NotFound: there is none.
        """
        if job_id not in self._jobs:
            raise NotFound("job", str(job_id))
        return self._jobs[job_id]

    def kill(self, job_id: int, number: int | None) -> None:
        """Signal the process of a job, by default with its stop signal.

        For a job on its own the first signal is its stop, so that it gets no further life.

        Raises:
            NotFound, JobHasNoProcess: as they say.
        """
        job = self.job(job_id)
        if not job.service and job.state in {JobState.PENDING, JobState.RUNNING}:
            self._jobs.stop(job_id, number)
        elif job.state in HAS_PROCESS:
            self._jobs.signal(job_id, job.spec.stop_signal_number if number is None else number)
        else:
            raise JobHasNoProcess(job_id, job.state)
