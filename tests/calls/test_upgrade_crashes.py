"""What runs an upgrade is killed at any moment of it: nobody in a call notices, and the next `ensure` comes to its end.

Each point is a moment of a step: when it begins, inside, when it ends; see `tests.calls.dying`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.calls.call import SETTLE_S, Call
from hero_livekit_units.errors import RegistryError
from tests.calls.conftest import FIGURES, gaps
from tests.calls.dying import WHENS
from tests.calls.stack import HLU, FrontedStack, Stack
from tests.calls.upgrading import (
    BASELINE_S,
    assert_end,
    assert_killed,
    assert_unnoticed,
    assert_what_runs,
    copies,
    kill_at,
    rooms,
    running,
    steps_of,
    until_over,
    wanted,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.servers, pytest.mark.calls, pytest.mark.timeout(300)]

OLD, NEW = "1.13.3", "1.13.5"
UPGRADE = [
    ("write-files", "livekit-server@b"),
    ("register", "livekit-server@b"),
    ("register", "lk-backend"),
    ("start", "livekit-server@b"),
    ("update", "lk-backend"),
]
# Once new rooms go to the new slot, that the old one is left is recorded; no plan from before names it.
LEFT = [("drain", "livekit-server@a")]
END = [("stop", "livekit-server@a"), ("write-files", "livekit-server@a")]
FRONTED_UPGRADE = [
    ("write-files", "livekit-server@b"),
    ("register", "livekit-front"),
    ("register", "livekit-server@b"),
    ("start", "livekit-server@b"),
    ("update", "livekit-front"),
]
POINTS = [(when, number) for number in range(1, len(UPGRADE + LEFT) + 1) for when in WHENS]


def upgrade_under_calls(stack: Stack, servers: dict[str, Path], crash: Callable[[], None], name: str) -> None:
    """Somebody stays in a call, `crash` begins the upgrade, `ensure` ends it, and others join before and after."""
    running(stack, OLD, servers)
    before = stack.identities()
    with Call() as call, Call() as late, Call() as new_room:
        call.start([stack.seat(who, "stays") for who in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("crash")
        wanted(stack, NEW, servers)
        assert steps_of(stack) == UPGRADE
        crash()
        joiner = stack.seat("carol", "stays")
        assert stack.slot_of(joiner) == "a"
        late.start([joiner])
        again = stack.hlu("ensure", "--json")
        assert again.returncode == 3, again.stderr  # the old slot is waited for
        assert stack.servers() == {"a": f"{OLD}-r1", "b": f"{NEW}-r1"}
        assert len(copies(stack)) == 2
        assert stack.slot_of(stack.seat("dave", "stays")) == "a"
        new_room.start([stack.seat(who, "new") for who in ("dora", "emil")])
        assert (rooms(stack, "a"), rooms(stack, "b")) == ({"stays"}, {"new"})
        call.listen(SETTLE_S)
        reports = call.report()
    assert_unnoticed(reports)
    after = stack.identities()
    assert {who: after[who] for who in before} == before
    FIGURES.append(f"{name}: {gaps(reports)}")
    until_over(stack)
    assert_end(stack, f"{NEW}-r1")


@pytest.mark.night
@pytest.mark.parametrize(("when", "number"), POINTS)
def test_a_crash_of_what_runs_the_upgrade(
    when: str, number: int, stack: Stack, livekit_servers: dict[str, Path]
) -> None:
    """Killed once at a moment of a step: the same end as without, and nobody in the call notices."""

    def crash() -> None:
        assert_killed(kill_at(stack, when, number))

    upgrade_under_calls(stack, livekit_servers, crash, f"killed when step {number} {when}")


@pytest.mark.parametrize(
    ("stack", "upgrade"),
    [
        pytest.param(Stack, UPGRADE, id="by-tokens"),
        pytest.param(FrontedStack, FRONTED_UPGRADE, id="behind-the-front", marks=pytest.mark.night),
    ],
    indirect=["stack"],
)
def test_crashes_at_every_moment_of_one_upgrade_and_of_the_end_of_the_old_slot(
    stack: Stack, upgrade: list[tuple[str, str]], livekit_servers: dict[str, Path]
) -> None:
    """Each attempt comes a moment further and is killed there; in the end all is as if nothing had been."""
    running(stack, OLD, livekit_servers)
    before = stack.identities()
    killed: list[tuple[str, str]] = []

    def to_do() -> list[tuple[str, str]]:
        """The next steps. On a busy machine a server that has just started may have to be waited for once more."""
        return [step for step in steps_of(stack) if step[0] != "await-ready"]

    def crash_through(expected: list[tuple[str, str]]) -> None:
        """Kill at each moment of each step. A step that was done by one that died is not done again."""
        for at, step in enumerate(expected):
            for when in WHENS:
                if to_do()[:1] == [step]:
                    assert_killed(kill_at(stack, when, steps_of(stack).index(step) + 1))
                    killed.append((when, step[0]))
                assert len(copies(stack)) <= 2
            assert to_do() == (expected[at + 1 :] or (LEFT if step != LEFT[0] else []))

    with Call() as call, Call() as new_room:
        call.start([stack.seat(who, "stays") for who in ("alice", "bob")])
        call.listen(BASELINE_S)
        call.mark("crashes")
        wanted(stack, NEW, livekit_servers)
        assert steps_of(stack) == upgrade
        crash_through(upgrade)
        crash_through(LEFT)
        new_room.start([stack.seat(who, "new") for who in ("dora", "emil")])
        assert (rooms(stack, "a"), rooms(stack, "b")) == ({"stays"}, {"new"})
        call.listen(SETTLE_S)
        reports = call.report()
    assert_unnoticed(reports)
    assert {who: stack.identities()[who] for who in before} == before
    stack.until_empty()
    stack.until("nobody can be on the way to the old slot", lambda: END[0] in steps_of(stack), within_s=30.0)
    assert_killed(kill_at(stack, "begins", 1))
    assert_killed(kill_at(stack, "inside", 1))
    until_over(stack)
    (assert_end if upgrade is UPGRADE else assert_what_runs)(stack, f"{NEW}-r1", "b")
    FIGURES.append(f"killed {len(killed) + 2} times in one upgrade: {gaps(reports)}")


@pytest.mark.night
def test_a_kill_from_outside_while_the_new_slot_starts(stack: Stack, livekit_servers: dict[str, Path]) -> None:
    """The command itself, killed by somebody who reads what it says it does."""

    def crash() -> None:
        ensure = subprocess.Popen(
            [HLU, "ensure"], env=stack.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert ensure.stderr is not None
        with ensure.stderr:
            said = next(line for line in ensure.stderr if line.startswith("start "))
        ensure.kill()
        assert ensure.wait() == -signal.SIGKILL, said

    upgrade_under_calls(stack, livekit_servers, crash, "killed from outside at `start`")


@pytest.mark.night
@pytest.mark.parametrize(("when", "number"), POINTS)
def test_a_crash_of_the_control_plane(when: str, number: int, stack: Stack, livekit_servers: dict[str, Path]) -> None:
    """A control plane that upgrades for somebody else may die like any other."""

    def crash() -> None:
        plane = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.calls.dying", when, str(number), "plane"],
            env=stack.environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        stack._planes.append(plane)
        stack.until("the control plane answers", lambda: stack._answers(plane))
        with pytest.raises(RegistryError):
            stack.plane_client.call("livekitservice.ensure", deadline_s=30.0)
        assert_killed(plane.wait(30))

    upgrade_under_calls(stack, livekit_servers, crash, f"control plane killed when step {number} {when}")
