"""The disk with the files of the group fills up before an upgrade or within it: said, survived, and gone on with."""

from __future__ import annotations

import contextlib
import os
import subprocess
import urllib.error
from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.calls.call import SETTLE_S, Call
from hero_livekit_units.errors import StepFailed
from hero_livekit_units.execute.executor import Silent
from tests.calls.conftest import FIGURES, gaps
from tests.calls.stack import FrontedStack, Stack
from tests.calls.upgrading import (
    BASELINE_S,
    assert_end,
    assert_unnoticed,
    assert_what_runs,
    copies,
    people_in,
    running,
    steps_of,
    until_over,
    wanted,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hero_livekit_units.model.plan import Step

pytestmark = [
    pytest.mark.servers,
    pytest.mark.calls,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="a file system is mounted for it"),
]

OLD, NEW = "1.13.3", "1.13.5"
SIZE = "1m"


class SmallStack(Stack):
    """A stack whose group has a file system of its own, a small one."""

    def write_settings(self, **changes: str) -> None:
        """As `Stack`, the first time with nothing there but that file system."""
        home = self.places.home
        if not home.exists():
            home.mkdir(parents=True, mode=0o700)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "tmpfs", home], check=True)
        super().write_settings(**changes)

    def fill(self) -> None:
        """Until not one byte more can be written."""
        path = self.places.home / "bin" / "filling"
        with path.open("ab", buffering=0) as file, pytest.raises(OSError, match="No space left on device"):
            deque(map(file.write, repeat(bytes(4096))), maxlen=0)

    def make_room(self) -> None:
        """Give it all back."""
        (self.places.home / "bin" / "filling").unlink()

    def close(self) -> None:
        """As `Stack`, and unmount."""
        with contextlib.suppress(FileNotFoundError):
            self.make_room()
        try:
            super().close()
        finally:
            subprocess.run(["umount", self.places.home], check=True)
            subprocess.run(["rm", "-r", self.root], check=True)


class SmallFrontedStack(FrontedStack, SmallStack):
    """The same with a front before both slots."""


@pytest.fixture
def stack(livekit_server: Path, request: pytest.FixtureRequest) -> Iterator[SmallStack]:
    """A host with hero_proc running and nothing else."""
    running: SmallStack = getattr(request, "param", SmallStack)(livekit_server)
    try:
        running.start_hero_proc()
        yield running
    finally:
        running.close()


class Filling(Silent):
    """Fills the disk when the last of some steps begins."""

    def __init__(self, stack: SmallStack, steps: Sequence[tuple[str, str]]) -> None:
        self._stack = stack
        self._left = list(steps)

    def step(self, step: Step) -> None:
        """A step begins."""
        if self._left:
            assert self._left.pop(0) == (step.action, step.instance)
            if not self._left:
                self._stack.fill()


def halves(stack: Stack) -> list[str]:
    """What was begun to be written."""
    return [file.name for file in stack.places.home.rglob("*.hlu-new")]


@pytest.mark.night
@pytest.mark.parametrize(
    ("number", "failing", "copies_meanwhile"),
    [
        pytest.param(1, "slots/b/launch-", 1, id="write-files"),
        pytest.param(2, "runtime.json", 2, id="register"),
        pytest.param(4, "runtime.json", 2, id="start"),
        pytest.param(5, "runtime.json", 2, id="update"),
    ],
)
def test_the_disk_fills_up_when_a_step_begins(
    number: int, failing: str, copies_meanwhile: int, stack: SmallStack, livekit_servers: dict[str, Path]
) -> None:
    """What could not be written is named, and how to mend it; the call goes on, and then the upgrade does."""
    running(stack, OLD, livekit_servers)
    before = stack.identities()
    with Call() as call, Call() as late, Call() as new_room:
        call.start([stack.seat(who, "stays") for who in ("alice", "bob")])
        joiner = stack.seat("carol", "stays")
        call.listen(BASELINE_S)
        call.mark("full")
        wanted(stack, NEW, livekit_servers)
        with pytest.raises(StepFailed) as caught:
            stack.media.ensure(progress=Filling(stack, steps_of(stack)[:number]))
        assert f"cannot write {stack.places.home}/{failing}" in str(caught.value)
        assert "No space left on device; the old file is as it was" in str(caught.value)
        assert caught.value.hint == "make room on that disk"
        again = stack.hlu("ensure")
        assert again.returncode == 1, again
        assert "No space left on device" in again.stderr
        assert "make room on that disk" in again.stderr
        settings = stack.places.settings_file.read_bytes()
        refused = stack.hlu("set", "livekit.log_level", "debug")
        assert refused.returncode == 1
        assert f"cannot write {stack.places.settings_file}: No space left on device" in refused.stderr
        assert stack.places.settings_file.read_bytes() == settings
        assert halves(stack) == []
        # Who has a token joins; a token is given where it can be noted that it was.
        late.start([joiner])
        stack.until("she is in it", lambda: people_in(stack, "a") == {"stays": 3})
        told = why_no_seat(stack)
        assert stack.hlu("status").returncode in {0, 3}
        assert {who: stack.identities()[who] for who in before} == before
        call.listen(SETTLE_S)
        reports = call.report()
        assert_unnoticed(reports)
        assert len(copies(stack)) == copies_meanwhile
        stack.make_room()
        assert stack.hlu("ensure").returncode == 3  # the old slot is waited for
        assert stack.servers() == {"a": f"{OLD}-r1", "b": f"{NEW}-r1"}
        new_room.start([stack.seat(who, "new") for who in ("dora", "emil")])
        assert (set(people_in(stack, "a")), set(people_in(stack, "b"))) == ({"stays"}, {"new"})
        call.listen(SETTLE_S)
        reports = call.report()
    assert_unnoticed(reports)
    assert {who: stack.identities()[who] for who in before} == before
    FIGURES.append(f"disk full when step {number} began: {gaps(reports)}; {caught.value}; a join meanwhile: {told}")
    until_over(stack)
    assert_end(stack, f"{NEW}-r1")


def why_no_seat(stack: Stack) -> str:
    """What lk-backend says to somebody who asks for a token, "" where it gives one."""
    try:
        stack.seat("dave", "stays")
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code} {error.read().decode()}"
    return ""


@pytest.mark.night
@pytest.mark.parametrize("stack", [SmallFrontedStack], indirect=True)
def test_the_disk_fills_up_before_the_front_is_told(stack: SmallStack, livekit_servers: dict[str, Path]) -> None:
    """It goes on as it was: new rooms stay where they went, until there is room to keep where the others are."""
    running(stack, OLD, livekit_servers)
    with Call() as call, Call() as new_room:
        call.start([stack.seat(who, "stays") for who in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("full")
        wanted(stack, NEW, livekit_servers)
        steps = steps_of(stack)
        assert steps[-1] == ("update", "livekit-front")
        with pytest.raises(StepFailed, match="No space left on device") as caught:
            stack.media.ensure(progress=Filling(stack, steps))
        assert str(caught.value).startswith("cannot update livekit-front: ")
        assert caught.value.hint == "make room on that disk"
        again = stack.hlu("ensure")
        assert again.returncode == 1, again
        assert steps_of(stack) == steps[-1:]
        assert halves(stack) == []
        assert [file for file in (stack.places.home / "front").iterdir() if file.name.startswith(".check")] == []
        call.listen(SETTLE_S)
        assert_unnoticed(call.report())
        stack.make_room()
        assert stack.hlu("ensure").returncode == 3
        new_room.start([stack.seat(who, "new") for who in ("dora", "emil")])
        assert (set(people_in(stack, "a")), set(people_in(stack, "b"))) == ({"stays"}, {"new"})
        call.listen(SETTLE_S)
        reports = call.report()
    assert_unnoticed(reports)
    FIGURES.append(f"disk full before the front was told: {gaps(reports)}; {caught.value}")
    until_over(stack)
    assert_what_runs(stack, f"{NEW}-r1", "b")


def test_the_disk_is_full_before_anything_was_there(stack: SmallStack) -> None:
    """The very first `ensure` says so too, leaves nothing half-done, and comes to its end when there is room."""
    stack.fill()
    done = stack.hlu("ensure")
    assert done.returncode == 1, done.stderr
    assert f"cannot write {stack.places.home}/" in done.stderr
    assert "make room on that disk" in done.stderr
    assert (halves(stack), copies(stack)) == ([], [])
    stack.make_room()
    assert stack.media.ensure().converged
    assert steps_of(stack) == []
