"""One at a time acts, and a dead one is in nobody's way."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import hero_livekit_units
from hero_livekit_units.errors import StepFailed, StepTimedOut
from hero_livekit_units.execute.lock import acting_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = str(Path(hero_livekit_units.__file__).parents[1])
HOLD = """
import sys
from pathlib import Path
from hero_livekit_units.execute.lock import acting_lock
with acting_lock(Path(sys.argv[1]), timeout_s=10.0):
    print("ready", flush=True)
    sys.stdin.read()
"""

# In a process of its own, whose limit on the size of a file stands for a disk that is full.
HOLD_WITHOUT_ROOM = """
import resource, sys
from pathlib import Path
from hero_livekit_units.execute.lock import acting_lock
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
with acting_lock(Path(sys.argv[1]), timeout_s=10.0):
    print("held", flush=True)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ROOT, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def test_it_is_free_again_afterwards(tmp_path: Path) -> None:
    """Also when the one who acted failed; the file is nobody else's to read."""
    home = tmp_path / "var" / "home"
    with pytest.raises(ZeroDivisionError), acting_lock(home, timeout_s=0.0):
        raise ZeroDivisionError
    with acting_lock(home, timeout_s=0.0):
        assert (home / ".acting.lock").read_text() == f"{os.getpid()}\n"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / ".acting.lock").stat().st_mode) == 0o600


def test_the_timeout_names_the_holder(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """Who waits in vain is told for whom."""
    began = time.monotonic()
    told = f"pid {holder.pid} is acting on it for more than 0.2 s"
    with pytest.raises(StepTimedOut, match=told), acting_lock(tmp_path, timeout_s=0.2):
        pass
    assert 0.2 <= time.monotonic() - began < 2.0


def test_a_second_process_waits(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """It gets the lock when the first one is done, and not before."""
    order: list[str] = []

    def act() -> None:
        with acting_lock(tmp_path, timeout_s=20.0):
            order.append("second acts")

    waiting = threading.Thread(target=act)
    waiting.start()
    with pytest.raises(StepTimedOut), acting_lock(tmp_path, timeout_s=0.1):
        pass
    order.append("first ends")
    assert holder.stdin is not None
    holder.stdin.close()
    waiting.join(20.0)
    holder.wait(20.0)
    holder.stdin = None
    assert order == ["first ends", "second acts"]


def test_a_killed_holder_lets_go(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """The kernel releases the lock of a dead process: nothing has to be cleaned up."""
    holder.kill()
    with acting_lock(tmp_path, timeout_s=5.0):
        assert (tmp_path / ".acting.lock").read_text() == f"{os.getpid()}\n"


def test_threads_of_one_process_take_turns(tmp_path: Path) -> None:
    """A control plane answers many callers at once, and each of them acts alone."""
    inside: list[int] = []
    most: list[int] = []

    def act(number: int) -> None:
        with acting_lock(tmp_path, timeout_s=20.0):
            inside.append(number)
            most.append(len(inside))
            threading.Event().wait(0.005)
            inside.remove(number)

    threads = [threading.Thread(target=act, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    """The error is one of ours and names the place."""
    (tmp_path / "home").touch()
    told = f"cannot act on the media group: {tmp_path}/home"
    with pytest.raises(StepFailed, match=told), acting_lock(tmp_path / "home", timeout_s=0.0):
        pass


def test_it_holds_on_a_full_disk(tmp_path: Path) -> None:
    """The pid of who holds it is a help for others, and no reason to do nothing."""
    run = subprocess.run(
        [sys.executable, "-c", HOLD_WITHOUT_ROOM, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ROOT, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert (run.stdout, run.stderr) == ("held\n", "")
    assert (tmp_path / ".acting.lock").read_text() == ""
