"""Random walks over the lineage: one change after the other under calls, while what makes the changes dies.

Each walk prints its seed, by which it can be repeated:
HLU_WALK_SEED=1234 HLU_WALK_PATHS=10 pytest tests/calls/test_upgrade_walks.py
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.calls.conftest import FIGURES
from tests.calls.stack import FrontedStack, Stack
from tests.calls.walking import Walk

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.servers, pytest.mark.calls, pytest.mark.night, pytest.mark.timeout(1800)]

PATHS = int(os.environ.get("HLU_WALK_PATHS", "50"))
CRASHES = ("ensure killed from outside", "ensure killed at a step", "control plane killed")


@pytest.mark.parametrize("kind", [Stack, FrontedStack], ids=["by tokens", "behind the front"])
def test_a_random_walk(kind: type[Stack], livekit_server: Path, livekit_servers: dict[str, Path]) -> None:
    """Whatever dies on the way: nobody is dropped, no room is on two slots, and each change comes to its end."""
    seed = os.environ.get("HLU_WALK_SEED", "") or str(random.SystemRandom().randrange(10**6))
    print(f"HLU_WALK_SEED={seed}")  # noqa: T201  to repeat it
    began_s = time.monotonic()
    stack = kind(livekit_server)
    walk = Walk(stack, livekit_servers, random.Random(seed))  # noqa: S311  dice, no secret
    try:
        stack.start_hero_proc()
        walk.begin()
        for _ in range(PATHS):
            walk.path()
        walk.end()
    finally:
        walk.close()
        print("\n".join(walk.told))  # noqa: T201  shown where it failed
        stack.close()
    assert walk.count["paths"] == PATHS
    took_s = time.monotonic() - began_s
    FIGURES.append(f"walk {kind.__name__}, seed {seed}: {walk.figures()}, in {took_s:.0f} s")
