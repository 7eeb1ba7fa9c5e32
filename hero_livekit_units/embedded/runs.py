"""Runs: one for each start of a service, and for each submit of actions of their own. The eldest are forgotten."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hero_livekit_units.embedded.faults import NotFound
from hero_livekit_units.embedded.lifecycle import ENDED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from hero_livekit_units.embedded.jobs import Jobs
    from hero_livekit_units.embedded.records import Run
    from hero_livekit_units.embedded.store import Store

RUNS_KEPT = 200


class Runs:
    """All runs that are remembered. `add` raises sqlite3.Error when it cannot be written."""

    def __init__(self, store: Store, runs: dict[int, Run], jobs: Jobs) -> None:
        self._store = store
        self._runs = runs
        self._jobs = jobs
        self._many = 2 * RUNS_KEPT
        self._latest = {run.service: run.id for run in sorted(runs.values(), key=lambda run: run.id)}

    def __getitem__(self, run_id: int) -> Run:
        """The run with this id.

        Raises:
            NotFound: there is none.
        """
        try:
            return self._runs[run_id]
        except KeyError:
            raise NotFound("run", str(run_id)) from None

    def latest(self, service: str) -> int:
        """The id of the latest run of a service, 0 if it never ran."""
        return self._latest.get(service, 0)

    def add(self, service: str, name: str, *, keep: Callable[[], Collection[int]]) -> Run:
        """A new run; when the eldest are forgotten for it, then not those that `keep` gives."""
        if len(self._runs) >= self._many:
            self._forget_eldest(keep())
            self._many = len(self._runs) + RUNS_KEPT
        run = self._store.add_run(service, name, time.time_ns() // 1_000_000)
        self._runs[run.id] = run
        self._latest[service] = run.id
        return run

    def forget_service(self, service: str) -> None:
        """Drop the runs of a service that was deleted from the store."""
        gone = {run.id for run in self._runs.values() if run.service == service}
        self._jobs.forget(gone)
        for run_id in gone:
            del self._runs[run_id]
        self._latest.pop(service, None)

    def _forget_eldest(self, keep: Collection[int]) -> None:
        busy = {job.run_id for job in self._jobs.all() if job.state not in ENDED}
        gone = [run_id for run_id in sorted(self._runs)[:-RUNS_KEPT] if run_id not in busy and run_id not in keep]
        self._store.delete_runs(gone)
        self._jobs.forget(gone)
        for run_id in gone:
            del self._runs[run_id]
        self._latest = {service: run_id for service, run_id in self._latest.items() if run_id in self._runs}
