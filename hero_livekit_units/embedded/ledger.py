"""The records of all jobs, in memory and on disk. The only place where a record is replaced.

Two ways to write. `record_first` is for what must not happen unless it is on disk: it raises, and nothing has changed.
`record_fact` is for what has happened anyway: it is true in memory at once, and on disk as soon as the disk takes it.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING

from hero_livekit_units.embedded.deaths import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from hero_livekit_units.embedded.deaths import Death
    from hero_livekit_units.embedded.records import Job, Life
    from hero_livekit_units.embedded.store import Store
    from hero_livekit_units.embedded.timers import Timers

WRITE_AGAIN_S = 1.0
_NO_JOB = 0
_log = logging.getLogger(__name__)


class Ledger:
    """Jobs by id.

    Args:
        store: where they are kept.
        jobs: as loaded from it.
        timers: for what has to be written again.
        changed: called after every change.
    """

    def __init__(self, store: Store, jobs: dict[int, Job], timers: Timers, changed: Callable[[Job], None]) -> None:
        self._store = store
        self._jobs = jobs
        self._timers = timers
        self._changed = changed
        self._unwritten: set[int] = set()
        self._tallies = store.tallies()
        self._untold: dict[tuple[str, str], Tally] = {}  # tallies that wait for the disk

    def __getitem__(self, job_id: int) -> Job:
        return self._jobs[job_id]

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._jobs

    def all(self) -> list[Job]:
        """Every job, in the order in which they were made."""
        return list(self._jobs.values())

    def next_id(self) -> int:
        """The id that the next new job will have."""
        return self._store.next_job_id()

    def record_first(self, jobs: Sequence[Job], life: Life | None = None) -> None:
        """Write records, all or none, and take them in; with them, where in its log a life begins.

        Raises:
            sqlite3.Error: they could not be written.
        """
        self._store.save_jobs(jobs, life=life)
        for job in jobs:
            self._jobs[job.id] = job
            self._unwritten.discard(job.id)

    def span(self, job_id: int, attempt: int) -> tuple[int, int | None] | None:
        """Where in its log an attempt wrote, see `Store.span`."""
        return self._store.span(job_id, attempt)

    def tally(self, service: str, action: str) -> Tally:
        """The deaths of an action of a service."""
        return self._tallies.get((service, action), Tally())

    def record_fact(self, job: Job, death: Death | None = None) -> None:
        """Take in a record, and the death that it tells of, and write both, now or later; then tell."""
        self._jobs[job.id] = job
        if death and job.service:
            key = (job.service, job.spec.name)
            self._tallies[key] = self._untold[key] = self.tally(*key).after(death)
        try:
            self._store.save_jobs([job], self._untold)
        except sqlite3.Error as error:
            _log.warning("job %d cannot be written, it is tried again: %s", job.id, error)
            self._unwritten.add(job.id)
            self._timers.set(WRITE_AGAIN_S, _NO_JOB, "write", self._write_again)
        else:
            self._unwritten.discard(job.id)
            self._untold.clear()
        self._changed(job)

    def tell(self, job_id: int) -> None:
        """Tell about a job, whose record was written first or has not changed."""
        self._changed(self._jobs[job_id])

    def forget_tallies(self, service: str) -> None:
        """Drop the deaths of a service that is deleted."""
        for tallies in (self._tallies, self._untold):
            for key in [key for key in tallies if key[0] == service]:
                del tallies[key]

    def forget(self, run_ids: Collection[int]) -> None:
        """Drop the jobs of these runs from memory."""
        for job in self.all():
            if job.run_id in run_ids:
                del self._jobs[job.id]

    @property
    def all_written(self) -> bool:
        """Whether no fact waits for the disk to take it."""
        return not self._unwritten

    def _write_again(self, _: int) -> None:
        waiting = [self._jobs[job_id] for job_id in sorted(self._unwritten) if job_id in self._jobs]
        try:
            self._store.save_jobs(waiting, self._untold)
        except sqlite3.Error:
            self._timers.set(WRITE_AGAIN_S, _NO_JOB, "write", self._write_again)
        else:
            self._unwritten.clear()
            self._untold.clear()
