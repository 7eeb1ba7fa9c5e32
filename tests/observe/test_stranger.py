"""What is told of a stranger that cannot be looked at any more, or not in time."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait

from hero_livekit_units.model.observed import CallsSeen, PortSeen
from hero_livekit_units.observe.stranger import Stranger
from tests.strategies import MEDIA


def held_by(pid: int) -> PortSeen:
    """A port of ours with a stranger on it."""
    return PortSeen(MEDIA.port("rtc_tcp"), looked=True, held=True, owner_pid=pid, owner_command="old-media")


def test_a_stranger_that_ends_while_it_is_looked_at() -> None:
    """What is known is told, and that it is gone."""
    program = subprocess.Popen([sys.executable, "-S", "-E", "-c", "pass"])
    program.wait()
    seen = held_by(program.pid)
    with ThreadPoolExecutor(1) as pool:
        stranger = Stranger(seen, MEDIA, [seen], pool=pool, deadline_s=1.0, api_keys=None)
        wait(stranger.futures())
        found, _ = stranger.result(0)
    assert (found.process, found.command, found.dies_with) == (None, "old-media", "it has ended meanwhile")


def test_a_stranger_that_cannot_be_looked_at_in_time() -> None:
    """A kernel that lets us wait holds nothing up: what is known is told, and the rest is unknown."""
    goes_on = threading.Event()
    seen = held_by(4200)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(goes_on.wait, 10.0)
        stranger = Stranger(seen, MEDIA, [seen], pool=pool, deadline_s=0.25, api_keys=None)
        found, took_ms = stranger.result(0)
        goes_on.set()
    assert (found.process, found.command) == (None, "old-media")
    assert found.dies_with == "what it belongs to could not be seen: no answer within 0.25 s"
    assert found.calls == CallsSeen(None, None, "it is not seen to hold a port where calls are counted")
    assert took_ms == 250.0
