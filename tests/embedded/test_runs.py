"""Old runs are forgotten, present ones never."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.embedded.faults import NotFound
from hero_livekit_units.embedded.health import Health
from hero_livekit_units.embedded.runs import RUNS_KEPT
from hero_livekit_units.embedded.spec import parse_action
from hero_livekit_units.embedded.store import Store
from hero_livekit_units.embedded.supervisor import Supervisor

if TYPE_CHECKING:
    from pathlib import Path


def test_the_eldest_runs_are_forgotten(tmp_path: Path) -> None:
    """The number of runs is bounded, in memory and on disk; the present run of a service and one at work stay."""
    spec = parse_action({"name": "a", "script": "true"})
    with closing(Store.open(str(tmp_path / "db"))) as store:
        for at in range(2 * RUNS_KEPT):
            store.add_run("s" if at == 0 else "", "", at)
        supervisor = Supervisor(store, str(tmp_path), Health())
        supervisor.jobs.create(1, "s", "core", [spec])
        supervisor.jobs.create(2, "", "core", [spec])
        newest = supervisor.add_run("", "newest")
        kept = {run_id for run_id in range(1, newest.id + 1) if run_id in store.load()[2]}
        assert kept == {1, 2, newest.id} | set(range(RUNS_KEPT + 1, 2 * RUNS_KEPT + 1))
        assert supervisor.runs.latest("s") == 1
        with pytest.raises(NotFound, match="run not found: 3"):
            supervisor.runs[3]


def test_ids_are_never_given_out_again(tmp_path: Path) -> None:
    """A deleted run leaves a gap, so that an old id never means a new run."""
    with closing(Store.open(str(tmp_path / "db"))) as store:
        first = store.add_run("", "", 0)
        store.delete_runs([first.id])
        assert store.add_run("", "", 0).id == first.id + 1
