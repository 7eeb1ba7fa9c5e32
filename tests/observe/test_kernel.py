"""The kernel's word about real processes."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

import hero_livekit_units
from hero_livekit_units.model.observed import ProcessId
from hero_livekit_units.observe.kernel import is_alive, owners, see_kin, see_process, socket_inodes

if TYPE_CHECKING:
    from collections.abc import Callable

    Launch = Callable[..., subprocess.Popen[bytes]]

ROOT = str(Path(hero_livekit_units.__file__).parents[1])
SLEEPER = "print('ready', flush=True); import signal; signal.pause()"
PYTHON = [sys.executable, "-S", "-E", "-c"]


def until(reached: Callable[[], bool]) -> None:
    """Wait for something with a deadline."""
    ends = time.monotonic() + 10.0
    while not reached():
        assert time.monotonic() < ends
        time.sleep(0.005)


def test_a_process_with_marks(launch: Launch) -> None:
    """The running process itself says which launch it is."""
    marks = {"HLU_UNIT": "livekit-server", "HLU_SLOT": "a", "HLU_RELEASE": "1.13.5-r1", "HLU_DIGEST": "ab" * 8}
    pid = launch([*PYTHON, SLEEPER], marks).pid
    seen = see_process(pid)
    assert seen is not None
    assert (seen.unit, seen.slot, seen.release, seen.launch_digest) == ("livekit-server", "a", "1.13.5-r1", "ab" * 8)
    assert seen.id.pid == pid
    assert seen.command == " ".join([*PYTHON, SLEEPER])
    assert not seen.suspended
    assert 0.0 <= seen.age_s < 10.0


def test_a_process_without_marks(launch: Launch) -> None:
    """A stranger has no unit."""
    seen = see_process(launch([*PYTHON, SLEEPER]).pid)
    assert seen is not None
    assert (seen.unit, seen.slot, seen.release, seen.launch_digest) == ("", "", "", "")


@pytest.mark.parametrize(
    ("mark", "ports"),
    [
        ("http=7880,debug=6800", {"http": 7880, "debug": 6800}),
        ("", None),
        ("http", None),
        ("http=x", None),
        ("=1", None),
    ],
)
def test_the_mark_of_the_ports(mark: str, ports: dict[str, int] | None, launch: Launch) -> None:
    """A process says with which ports it was launched; what it does not say clearly is not known."""
    seen = see_process(launch([*PYTHON, SLEEPER], {"HLU_PORTS": mark}).pid)
    assert seen is not None
    assert seen.ports == ports


def test_marks_that_are_no_text() -> None:
    """A stranger may put any bytes into its environment; we read on."""
    environment = {b"PATH": os.environb[b"PATH"], b"HLU_\xff": b"\xfe", b"HLU_UNIT": b"\xc3\xbc\xff", b"HLU_X": b"="}
    program = subprocess.Popen([*PYTHON, SLEEPER], env=environment, stdout=subprocess.PIPE)
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        seen = see_process(program.pid)
        assert seen is not None
        assert seen.unit == "ü�"
    finally:
        program.kill()
        program.communicate()


@pytest.mark.parametrize("name", ["a b", "x) S 1 (y", "((", "ü ☎"], ids=["space", "forged", "open", "letters"])
def test_a_name_with_spaces_and_parentheses(name: str, launch: Launch, tmp_path: Path) -> None:
    """The name of a program is its owner's choice and must not shift the fields behind it."""
    program = tmp_path / name
    shutil.copy2(shutil.which("sh") or "/bin/sh", program)
    pid = launch([str(program), "-c", "echo ready; read x; :"]).pid
    seen = see_process(pid)
    assert seen is not None
    assert seen.id.start_time > 1
    assert 0.0 <= seen.age_s < 10.0
    assert seen.command.startswith(str(program))


def test_a_stopped_process_is_suspended_until_it_goes_on(launch: Launch) -> None:
    """SIGSTOP is seen, and so is SIGCONT; the identity stays."""
    pid = launch([*PYTHON, SLEEPER]).pid
    before = see_process(pid)
    assert before is not None
    os.kill(pid, signal.SIGSTOP)
    until(lambda: (seen := see_process(pid)) is not None and seen.suspended)
    assert is_alive(before.id)
    os.kill(pid, signal.SIGCONT)
    until(lambda: (seen := see_process(pid)) is not None and not seen.suspended)


def test_a_zombie_has_ended() -> None:
    """A process whose parent has not asked yet holds nothing and answers nothing: it is gone."""
    program = subprocess.Popen([*PYTHON, "pass"])
    try:
        until(lambda: see_process(program.pid) is None)
        assert program.returncode is None
        os.kill(program.pid, 0)  # the kernel still lists it
        assert socket_inodes(program.pid) in (frozenset(), None)
    finally:
        program.wait()


def test_a_dead_pid() -> None:
    """Nobody is there: no exception."""
    program = subprocess.Popen([*PYTHON, "pass"])
    program.wait()
    assert see_process(program.pid) is None
    assert not is_alive(ProcessId(program.pid, 1))
    assert socket_inodes(program.pid) == frozenset()


def test_a_reused_pid_is_another_process() -> None:
    """The same pid with another start is not the process that was meant."""
    own = see_process(os.getpid())
    assert own is not None
    assert is_alive(own.id)
    assert not is_alive(ProcessId(own.id.pid, own.id.start_time - 1))


def test_sockets_of_a_process() -> None:
    """A socket is known by its inode, which the kernel also lists for the port."""
    before = socket_inodes(os.getpid())
    with socket.socket() as held:
        found = socket_inodes(os.getpid())
        assert found is not None
        assert before is not None
        assert found - before == {os.fstat(held.fileno()).st_ino}
    assert socket_inodes(os.getpid()) == before


def test_the_owner_of_a_socket() -> None:
    """A socket is found at whoever has it open, and only while there is time to look."""
    with socket.socket() as held:
        inode = os.fstat(held.fileno()).st_ino
        assert owners({inode}, time.monotonic() + 10.0) == {inode: os.getpid()}
        assert owners({inode}, time.monotonic()) == {}
    assert owners({inode}, time.monotonic() + 10.0) == {}


def test_the_kin_of_a_process(launch: Launch) -> None:
    """Its user, group and session, and every process above it up to the first one that can be seen."""
    program = launch([*PYTHON, SLEEPER], own_group=True).pid
    kin = see_kin(program)
    assert kin is not None
    assert (kin.user, kin.group, kin.session) == (pwd.getpwuid(os.getuid()).pw_name, program, program)
    assert [parent.pid for parent in kin.parents] == [above.pid for above in psutil.Process(program).parents()]
    own = see_process(os.getpid())
    assert own is not None
    assert kin.parents[0].command == own.command
    assert kin.leader is not None
    assert (kin.leader.pid, kin.leader.command) == (program, " ".join([*PYTHON, SLEEPER]))


def test_the_kin_of_nobody() -> None:
    """A process that has ended has none."""
    program = subprocess.Popen([*PYTHON, "pass"])
    until(lambda: see_process(program.pid) is None)
    assert see_kin(program.pid) is None
    program.wait()
    assert see_kin(program.pid) is None


def test_sockets_of_another_users_process() -> None:
    """What may not be seen is None, which is not the same as none."""
    if os.getuid():
        assert socket_inodes(1) is None
        return
    inside = "import sys; sys.path.insert(0, sys.argv[1]); "
    # The module is loaded before the user changes, as others may not read this checkout.
    code = (
        inside
        + "import os; from hero_livekit_units.observe.kernel import socket_inodes as s; os.setuid(65534); print(s(1))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, ROOT],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "None\n"
