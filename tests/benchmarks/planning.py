"""What a decision costs: `python -m tests.benchmarks.planning`.

Plans per second for the usual group, its growth up to 10,000 units, a look at a real group beside the supervisor's own
status, and the import of the library. Medians of several runs in one process each; nothing is asserted.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import attrs

from hero_livekit_units.model.desired import Desired
from hero_livekit_units.plan.planner import plan
from tests import strategies as known

if TYPE_CHECKING:
    from collections.abc import Callable

    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import Observed

_RUNS = 5
_GROWTH = (2, 10, 100, 1_000, 10_000)


def per_second(work: Callable[[], object], *, least_s: float = 0.3) -> float:
    """How often it can be done in a second; the median of several runs."""
    rates = []
    for _ in range(_RUNS):
        count, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < least_s:
            work()
            count += 1
        rates.append(count / took)
    return statistics.median(rates)


def group_of(units: int) -> tuple[Observed, Desired]:
    """A healthy group of this many units: the media, and copies of lk-backend under other names."""
    copies = [_named(known.BACKEND, f"lk-backend-{number}") for number in range(units - 1)]
    desired = Desired(
        {slot: (known.DESIRED.media[slot], *copies) for slot in known.DESIRED.slots}, known.DESIRED.steering
    )
    seen = [known.healthy(known.MEDIA), *(known.healthy(spec) for spec in copies)]
    return known.world(*seen), desired


def _named(spec: LaunchSpec, unit: str) -> LaunchSpec:
    return attrs.evolve(spec, unit=unit, digest=f"{spec.digest}-{unit}")


def imported_ms(module: str) -> float:
    """Milliseconds that importing a module takes in a new process, without the start of the interpreter."""
    code = f"import time; began = time.perf_counter(); import {module}; print((time.perf_counter() - began) * 1000)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(9)
    ]
    return statistics.median(runs)


def main() -> None:
    """Print the figures."""
    observed = known.world(known.healthy(known.MEDIA), known.healthy(known.BACKEND))
    print(f"plans a second, 2 units and a free slot: {per_second(lambda: plan(observed, known.DESIRED)):,.0f}")
    old = known.process(known.MEDIA, launch_digest="0" * 16)
    upgrade = known.world(known.healthy(known.MEDIA, people=3, process=old), known.healthy(known.BACKEND))
    print(f"  an upgrade by two slots:               {per_second(lambda: plan(upgrade, known.STEERED)):,.0f}")
    for units in _GROWTH:
        world, desired = group_of(units)
        each_us = 1e6 / per_second(lambda world=world, desired=desired: plan(world, desired)) / units  # type: ignore[misc]
        print(f"  {units:>6} units: {each_us:7.2f} us a unit")
    for module in ("hero_livekit_units", "hero_livekit_units.media", "requests"):
        print(f"import {module}: {imported_ms(module):.1f} ms")


if __name__ == "__main__":
    main()
