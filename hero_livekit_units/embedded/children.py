"""Processes: starting them, recognising them, signalling them, learning how they ended. The thin layer on the kernel.

Owns: fork and exec, pidfds, what /proc says. Must not know jobs or services.

A process is known by pid, start time and boot. Every signal goes through its pidfd, or to its group after the pidfd
said that it still lives, so that a pid that was given out again is never hit. Output goes to a file opened for append:
a pipe would kill the child with SIGPIPE when the daemon dies.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from attrs import frozen

from hero_livekit_units.herosocket.address import HERO_PROC_SOCKET
from hero_livekit_units.procfs import start_time_of, stat_fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MARK = "HERO_PROC_JOB"
LARGEST_OLD_LOG = 64 * 1024 * 1024
_BASE = (
    *("PATH", "HOME", "LANG", "PATH_ROOT", "PATH_VAR", "PATH_BUILD", "PATH_CODE"),
    *("HERO_SOCKET_DIR", "PATH_SOCKET", HERO_PROC_SOCKET),
)
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PATIENCE_S = 1.0
_EXEC_S = 10.0  # a process that has no environment for longer than this has none
_LOOK_AGAIN_S = 0.01


@frozen
class Ending:
    """How a process ended: exit status or signal; both None where only its parent was told, and we were not it."""

    exit_code: int | None = None
    signal: int | None = None

    @property
    def says(self) -> str:
        """In words."""
        if self.signal is not None:
            return f"killed by signal {self.signal} ({signal_name(self.signal)})"
        return "exit code unknown (adopted)" if self.exit_code is None else f"exit status {self.exit_code}"


def signal_name(number: int) -> str:
    """SIGTERM for 15; realtime signals have numbers only."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


class Child:
    """A process in a session of its own, our child or adopted from an earlier daemon.

    What this process started before it became another version of itself by exec is its child still.
    """

    def __init__(self, pid: int, start_time: int, pidfd: int, *, adopted: bool) -> None:
        self.pid = pid
        self.start_time = start_time
        self.pidfd = pidfd
        self.adopted = adopted

    @classmethod
    def of(cls, process: subprocess.Popen[bytes]) -> Child:
        """The process that has just been started.

        Raises:
            OSError: it cannot be watched, and has been killed.
        """
        try:
            child = cls(process.pid, start_time_of(process.pid) or 0, os.pidfd_open(process.pid), adopted=False)
        except BaseException:
            process.kill()
            process.wait()
            raise
        # Its end is learned here, from the pidfd; Popen is told not to wait for it, nor to warn that it lives on.
        process.returncode = 0
        return child

    @property
    def age_s(self) -> float:
        """Seconds since its start, to the clock tick (10 ms)."""
        return age_s(self.start_time)

    def has_ended(self) -> bool:
        """Whether the process is dead; a zombie is."""
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        return bool(poller.poll(0))

    def signal(self, number: int, *, group: bool) -> None:
        """Send a signal to the process, or to all of its group. Nothing happens when the process is dead."""
        with contextlib.suppress(ProcessLookupError):
            if group and not self.has_ended():
                # It leads its group and lives, so the number of the group is its own.
                os.killpg(self.pid, number)
            elif not group:
                signal.pidfd_send_signal(self.pidfd, number)

    def reap(self, *, kill_group: bool) -> Ending:
        """How it ended, once `has_ended`. With `kill_group`, what is left of its group is killed.

        The group is killed only while our own dead child still holds the number; an adopted one was reaped elsewhere.
        """
        if self.adopted:
            return Ending()
        if kill_group:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        ended = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        if ended is None:  # only without waiting
            return Ending()
        return Ending(exit_code=ended.si_status) if ended.si_code == os.CLD_EXITED else Ending(signal=ended.si_status)

    def close(self) -> None:
        """Forget the process, which may well go on."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


def spawn(argv: Sequence[str], *, cwd: str, env: Mapping[str, str], mark: str, log_file: str) -> Child:
    """Start a process in a session of its own.

    The call returns after the exec, so that a program that cannot be executed is an exception here.

    Args:
        argv: the program and its arguments; the program is looked for on the PATH of `env`.
        cwd: where it runs.
        env: on top of a small base that is taken from the daemon's environment.
        mark: the value of HERO_PROC_JOB, by which a later daemon finds it.
        log_file: both outputs are appended to it; 0600.

    Raises:
        OSError: it cannot be executed.
    """
    base = {name: os.environ[name] for name in _BASE if name in os.environ}
    environment = base | dict(env) | {MARK: mark}
    log = _open_log(log_file)
    try:
        # close_fds=False: every descriptor of the daemon is close-on-exec anyway, and the lock of the daemon's socket
        # must stay open in the child until its exec, so that no daemon can start between fork and exec.
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            close_fds=False,
        )
    finally:
        os.close(log)
    return Child.of(process)


def adopt(pid: int, start_time: int) -> Child | None:
    """The process with this identity, None when it is dead or the pid belongs to another one by now.

    A child of this very process, from before its exec, is not None even when it has ended: how, is still to be asked.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:  # no such process, or the pid of a thread
        return None
    child = Child(pid, start_time, pidfd, adopted=not _is_our_child(pidfd))
    # In this order: if it still lives after the look at its start time, that look was at this very process. Nobody else
    # gets the number of a child of ours before we have asked for its end.
    if start_time_of(pid) == start_time and not (child.adopted and child.has_ended()):
        return child
    child.close()
    return None


def _is_our_child(pidfd: int) -> bool:
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def find_marked(mark: str) -> Child | None:
    """The process that an earlier daemon started with this mark, for which it could not record a pid any more.

    Children of the process carry the mark too, so only the leader of a session counts, the eldest first. A process that
    is in the middle of its exec has no environment; it is looked at again until it has one.
    """
    until = time.monotonic() + _PATIENCE_S
    wanted = f"{MARK}={mark}".encode()
    while True:
        found, unclear = _scan(wanted)
        for start_time, pid in sorted(found):
            child = adopt(pid, start_time)
            if child:
                return child
        if not unclear or time.monotonic() >= until:
            return None
        time.sleep(_LOOK_AGAIN_S)


def _scan(wanted: bytes) -> tuple[list[tuple[int, int]], bool]:
    found, unclear = [], False
    for name in os.listdir("/proc"):  # noqa: PTH208  a Path for each of hundreds is slow
        if not name.isdecimal():
            continue
        fields = stat_fields(int(name))
        if not fields or fields[3] != name.encode() or fields[0] == b"Z":
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:  # noqa: PTH123
                environment = file.read()
        except OSError:
            continue
        unclear = unclear or (not environment and age_s(int(fields[19])) < _EXEC_S)
        if wanted in environment.split(b"\0"):
            found.append((int(fields[19]), int(name)))
    return found, unclear


def age_s(start_time: int) -> float:
    """Seconds since a start time in clock ticks."""
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - start_time / _TICKS_PER_S)


def boot_id() -> str:
    """Identity of this boot of the kernel."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
        return file.read().strip()


def keep_descriptors_private() -> None:
    """Make what this process inherited close-on-exec, so that no child gets it. For the start of the daemon."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if int(name) > 2:
            with contextlib.suppress(OSError):
                os.set_inheritable(int(name), False)  # noqa: FBT003


def log_start(path: str) -> int:
    """Where in its log file a process that is started now begins to write, in bytes."""
    size = _size(path)
    return 0 if size > LARGEST_OLD_LOG else size


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except FileNotFoundError:
        return 0


def _open_log(path: str) -> int:
    if _size(path) > LARGEST_OLD_LOG:
        os.replace(path, f"{path}.1")  # noqa: PTH105
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(path, flags, 0o600)
