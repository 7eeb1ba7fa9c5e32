"""The daemon is killed again and again under load, and its units do everything wrong.

By day a few rounds, at night as many as HLU_CHAOS says (200).
"""

from __future__ import annotations

import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from hero_livekit_units.errors import RegistryError
from tests.embedded.conftest import FIGURES
from tests.embedded.running import Daemon, child, lives, until

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1800)]

NIGHT = int(os.environ.get("HLU_CHAOS", "200"))
UNITS = {
    **{f"quiet{number}": child("end-after", 0) for number in range(4)},
    **{f"crowd{number}": child("crowd", 50) for number in range(3)},
    **{f"deaf{number}": child("count", "/dev/null") for number in range(3)},
    **{f"dies{number}": child("exit", 1) for number in range(3)},
    **{f"flood{number}": child("flood") for number in range(3)},
    **{f"renamed{number}": child("rename", "somebody-else") for number in range(2)},
    **{f"daemonic{number}": child("double-fork") for number in range(2)},
}
# Those whose process is to be there all the time while they are wanted.
STEADY = sorted(name for name in UNITS if not name.startswith("dies"))
SETTLED_S = 20.0


@pytest.mark.parametrize("rounds", [5, pytest.param(NIGHT, marks=pytest.mark.night)], ids=["day", "night"])
def test_kills_under_load_make_no_second_copy_and_lose_no_child(rounds: int, daemon: Daemon) -> None:
    """After each kill every process is known, none is there twice, and none that lives is said to be stopped."""
    assert len(UNITS) == 20
    dice = random.Random(rounds)  # noqa: S311  dice, no secret
    for name, script in UNITS.items():
        daemon.keep(name, script, env={"UNIT": name}, stop_timeout_ms=100, stop_kill=True, stop_min_age_ms=0)
    calls = 0
    second, lost, wrong = [], [], []
    for _ in range(rounds):
        with Load(daemon, dice.random()) as load:
            time.sleep(dice.uniform(0.0, 0.3))
            daemon.crash()
        calls += load.calls
        daemon.start()
        before = leaders(daemon)
        said = {name: daemon.call("service.status", name=name) for name in UNITS}
        for name, pids in before.items():
            alive = [pid for pid in pids if lives(pid)]
            second += [(name, alive)] if len(alive) > 1 else []
            known = [job["pid"] for job in said[name]["actions"]]
            for pid in alive:
                # It lived before and after the question.
                lost += [(name, pid, said[name])] if pid not in known else []
                wrong += [(name, pid, said[name])] if said[name]["state"] in {"inactive", "exited"} else []
        assert (second, lost, wrong) == ([], [], [])
    for name in STEADY:
        daemon.call("service.start", name=name)
    for name in STEADY:
        until(lambda name=name: daemon.job(name)["state"] == "running", f"{name} runs")  # type: ignore[misc]
    found = leaders(daemon)
    assert {name: [daemon.job(name)["pid"]] for name in STEADY} == {name: found[name] for name in STEADY}
    FIGURES.append(
        f"{rounds} x kill -9 of hero_proc under {calls} calls with {len(UNITS)} units:"
        f" {len(second)} second copies, {len(lost)} lost children, {len(wrong)} wrong stopped"
    )


class Load:
    """Four callers who start, stop, restart and ask about units at random, until the end of the block."""

    def __init__(self, daemon: Daemon, seed: float) -> None:
        self.calls = 0
        self._daemon = daemon
        self._over = threading.Event()
        dice = [random.Random(f"{seed} {at}") for at in range(4)]  # noqa: S311  no secret
        self._threads = [threading.Thread(target=self._call, args=(one,)) for one in dice]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call(self, dice: random.Random) -> None:
        while not self._over.is_set():
            verb = dice.choice(["start", "start", "stop", "restart", "status"])
            with suppress(RegistryError):
                self._daemon.call(f"service.{verb}", name=dice.choice(sorted(UNITS)))
                self.calls += 1


def leaders(daemon: Daemon) -> dict[str, list[int]]:
    """The processes that were started as units, by unit: leaders of a session that carry its name."""
    found: dict[str, list[int]] = {name: [] for name in UNITS}
    for pid in daemon.copies():
        with suppress(OSError):
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            (name,) = [entry[5:].decode() for entry in environment if entry.startswith(b"UNIT=")]
            found[name].append(pid)
    return found


@pytest.mark.parametrize("rounds", [3, pytest.param(100, marks=pytest.mark.night)], ids=["day", "night"])
def test_a_hundred_callers_start_it_once(rounds: int, daemon: Daemon, tmp_path: Path) -> None:
    """Each of them is told that it runs, and one process was started, round after round."""
    starts = tmp_path / "starts"
    script = f"echo >> {starts}; exec sleep 1000"
    daemon.call("action.set", action={"name": "one", "script": script, "interpreter": "sh", "is_process": True})
    daemon.call("service.set", service={"name": "one", "actions": ["one"], "status": "stop"})
    together = threading.Barrier(100)

    def start(_: int) -> bool:
        together.wait()
        return bool(daemon.call("service.start", name="one", timeout_ms=10_000)["ok"])

    with ThreadPoolExecutor(100) as pool:
        for number in range(1, rounds + 1):
            assert all(pool.map(start, range(100)))
            assert len(daemon.copies()) == 1
            until(lambda number=number: starts.read_bytes().count(b"\n") >= number, "it began")  # type: ignore[misc]
            assert starts.read_bytes().count(b"\n") == number
            assert daemon.call("service.stop", name="one", timeout_ms=10_000)["ok"]
    FIGURES.append(f"100 callers x {rounds} rounds of start: {rounds} processes were started")
