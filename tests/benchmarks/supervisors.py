"""The embedded hero_proc beside other supervisors, in one run, with 1 and with 200 units.

    python -m tests.benchmarks.supervisors [--units N] [--rounds R] [--registered N] [--json FILE]

What no peer does stands below, for hero_proc alone: so many services that are registered and do not run, and its
upgrade in place under clients that call all the time.

Every unit is the same small program: it adds a byte to a file and sleeps, so that its start is seen in the same way
whoever starts it. Medians and ratios count: machines are shared and noisy. A peer that is not installed is named.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.peers import PEERS, Hero, Supervisor
from tests.embedded.running import Callers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_WAIT_S = 60.0
_STATUS_CALLS = 200
_KILLS = 5


def main() -> int:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3, help="of each figure; the median is printed")
    parser.add_argument("--registered", type=int, default=10_000, metavar="N", help="services that do not run")
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    missing = [f"{peer.name} ({why})" for peer in PEERS if (why := peer.missing())]
    present = [peer for peer in PEERS if not peer.missing()]
    counts = (1, asked.units)
    found = {key: row for count in counts for key, row in measured(present, count, asked.rounds).items()}
    for count in counts:
        print(f"\n{count} unit{'s' if count > 1 else ''}")
        print(f"{'':<13}" + "".join(f"{title:>21}" for title in TITLES))
        for peer in present:
            row = found[peer.name, count]
            print(f"{peer.name:<13}" + "".join(f"{cell(row, key):>21}" for key in TITLES.values()))
    print(f"\n{'beside supervisord':<42}{'1 unit':>10}{f'{asked.units} units':>12}   goal")
    for title, key, goal in GOALS:
        ratios = [ratio(found, key, count) for count in counts]
        print(f"{title:<42}{ratios[0]:>10}{ratios[1]:>12}   {goal}")
    print(f"\nhero_proc with {asked.units} units that run and {asked.registered:,} that do not")
    for line in crowded(asked.units, asked.registered):
        print(f"  {line}")
    if missing:
        print(f"\nnot installed here: {', '.join(missing)}")
    if asked.json:
        rows = [{"supervisor": name, "units": count, **row} for (name, count), row in found.items()]
        asked.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


TITLES = {
    "launch to all up": "up_s",
    "status of all p50": "status_s",
    "by a new connection": "anew_s",
    "memory (PSS)": "pss_mb",
    "killed to seen p50": "seen_s",
    "to respawned p50": "respawned_s",
}
GOALS = (
    ("status of all units, p50", "status_s", "<= 1.0 / <= 0.5"),
    ("the same, each by a new connection", "anew_s", "none"),
    ("launch to all up", "up_s", "<= 0.5 with 200"),
    ("memory of the supervisor (PSS)", "pss_mb", "<= 1.2, flat"),
)


def measured(peers: Sequence[type[Supervisor]], count: int, rounds: int) -> dict[tuple[str, int], dict[str, float]]:
    """The medians of some rounds, each with a fresh supervisor. A figure that there is not is missing.

    All peers take part in each round: a machine that is slower for a while is so for all of them.
    """
    rows = [{peer.name: one_round(peer, count) for peer in peers} for _ in range(rounds)]
    return {
        (name, count): {key: statistics.median(row[name][key] for row in rows) for key in first}
        for name, first in rows[0].items()
    }


def one_round(peer: type[Supervisor], count: int) -> dict[str, float]:
    """Start it on so many units, ask it, kill one of them a few times, end all."""
    with tempfile.TemporaryDirectory(prefix="hlu-supervisors-") as folder:
        root = Path(folder)
        started = [root / f"started-{number}" for number in range(count)]
        commands = {f"unit{number:04}": unit(started[number]) for number in range(count)}
        with contextlib.closing(peer(root, commands)) as one:
            began = time.perf_counter()
            one.launch()
            until(lambda: all(file.exists() for file in started[::-1]))
            row = {"up_s": time.perf_counter() - began}
            time.sleep(1.0)  # what a supervisor still does after a start is not the cost of a status
            row["pss_mb"] = sum(pss_mb(pid) for pid in one.pids())
            if one.status() is not None:
                row["status_s"] = statistics.median(timed(one.status) for _ in range(_STATUS_CALLS))
            if one.hang_up():
                row["anew_s"] = statistics.median(timed(one.status) for _ in range(_STATUS_CALLS) if one.hang_up())
            kills = [killed(one, started[0]) for _ in range(_KILLS)]
            if kills[0][0] is not None:
                row["seen_s"] = statistics.median(seen for seen, _ in kills if seen is not None)
            row["respawned_s"] = statistics.median(again for _, again in kills)
            return row


def crowded(count: int, registered: int) -> list[str]:
    """What is measured of hero_proc with many services: lines to print."""
    with tempfile.TemporaryDirectory(prefix="hlu-supervisors-") as folder:
        root = Path(folder)
        started = [root / f"started-{number}" for number in range(count)]
        commands = {f"unit{number:04}": unit(started[number]) for number in range(count)}
        with contextlib.closing(Hero(root, commands, registered=registered)) as one:
            began = time.perf_counter()
            one.launch()
            until(lambda: all(file.exists() for file in started[::-1]))
            up_s = time.perf_counter() - began
            time.sleep(1.0)
            one_s = statistics.median(timed(one.pid_of_first) for _ in range(_STATUS_CALLS))
            all_s = statistics.median(timed(one.status) for _ in range(_KILLS))
            seen_s, again_s = (
                statistics.median(figures) for figures in zip(*killed_often(one, started[0]), strict=True)
            )
            memory_mb = sum(pss_mb(pid) for pid in one.pids())
            with Callers(one.socket, method="system.ping") as callers:
                upgrade_s = timed(one.upgrade)
        return [
            f"launch to all up {up_s:.2f} s, memory (PSS) {memory_mb:.1f} MB",
            f"status of one p50 {one_s * 1000:.2f} ms, of all p50 {all_s * 1000:.1f} ms",
            f"killed to seen p50 {seen_s * 1000:.1f} ms, to respawned p50 {again_s * 1000:.1f} ms",
            f"upgrade in place {upgrade_s:.2f} s, {len(callers.faults)} of {callers.calls} calls refused meanwhile",
            f"the longest call meanwhile took {callers.longest_s * 1000:.0f} ms",
        ]


def killed_often(one: Supervisor, started: Path) -> list[tuple[float, float]]:
    """As `killed`, some times, of a supervisor that can be asked."""
    return [(seen or 0.0, again) for seen, again in (killed(one, started) for _ in range(_KILLS))]


def unit(started: Path) -> list[str]:
    """The program of a unit: its pid goes into a file, whole, then it sleeps.

    It is a file of its own: what a peer takes for a variable in a command line differs from version to version.
    """
    script = started.parent / "unit.sh"
    if not script.exists():
        script.write_text('echo $$ > "$1.new"; mv "$1.new" "$1"; exec sleep 100000\n')
    return ["/bin/sh", str(script), str(started)]


def killed(one: Supervisor, started: Path) -> tuple[float | None, float]:
    """Seconds from the `kill -9` of the first unit until the supervisor knows, and until its next life has begun."""
    pid = int(started.read_text())
    started.unlink()
    began = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    seen = None
    if one.pid_of_first() is not None:
        until(lambda: one.pid_of_first() != pid, pause_s=0.0002)
        seen = time.perf_counter() - began
    until(started.exists, pause_s=0.0002)
    again = time.perf_counter() - began
    time.sleep(one.settle_s)
    return seen, again


def ratio(found: dict[tuple[str, int], dict[str, float]], key: str, count: int) -> str:
    """Ours to supervisord's."""
    ours, theirs = found[Hero.name, count].get(key), found.get(("supervisord", count), {}).get(key)
    return f"{ours / theirs:.2f}" if ours and theirs else "-"


def cell(row: dict[str, float], key: str) -> str:
    """A figure with its unit."""
    if key not in row:
        return "-"
    if key == "pss_mb":
        return f"{row[key]:.1f} MB"
    return f"{row[key] * 1000:.2f} ms" if row[key] < 0.1 else f"{row[key]:.2f} s"


def timed(call: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def pss_mb(pid: int) -> float:
    """Proportional set size, in MB of 1,048,576 bytes."""
    (line,) = (line for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) / 1024


def until(condition: Callable[[], object], *, pause_s: float = 0.002) -> None:
    """Wait for something."""
    end = time.perf_counter() + _WAIT_S
    while not condition():
        if time.perf_counter() > end:
            raise TimeoutError(f"not within {_WAIT_S:g} s")
        time.sleep(pause_s)


if __name__ == "__main__":
    sys.exit(main())
