"""Runs a program to its end: followed line by line, bounded in time, ended with all that it started.

Knows nothing of what the programs are for.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import frozen

from hero_livekit_units.livekit.roads import RoadClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Watch = Callable[[float, str], None]

_KEPT_BYTES = 64 * 1024  # of the output, from its end: enough for any message, and a bound for a program that babbles
_TICK_S = 0.5
_GRACE_S = 5.0


@frozen
class Finished:
    """How a program ended; `status` is negative for a signal, `output` the end of what it printed."""

    status: int
    output: str


def _unwatched(_elapsed_s: float, _line: str) -> None:
    pass


def run_to_end(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    timeout_s: float,
    with_stderr: bool = True,
    watch: Watch = _unwatched,
) -> Finished:
    """Run a program in a session of its own, without input.

    Whatever ends this call early (the deadline, Ctrl-C) also ends the program and all it started in its process group.

    Args:
        argv: program and arguments.
        env: its whole environment.
        timeout_s: seconds it may take.
        with_stderr: whether its error output counts as output; else it is dropped.
        watch: called with the elapsed seconds and the latest line, at each piece of output and at least twice a second.

    Raises:
        RoadClosed: it could not be run, or took too long.
    """
    started_s = time.monotonic()
    try:
        process = subprocess.Popen(
            list(argv),
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if with_stderr else subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RoadClosed(f"{argv[0]} cannot be run: {why}") from error
    try:
        output = _follow(process, started_s, timeout_s, watch)
        status = process.wait(max(0.0, started_s + timeout_s - time.monotonic()))
    except (subprocess.TimeoutExpired, _OutOfTime) as error:
        raise RoadClosed(f"{argv[0]} did not end within {timeout_s:g} s") from error
    finally:
        _end_group(process)
    return Finished(status=status, output=output)


class _OutOfTime(Exception):
    pass


def _follow(process: subprocess.Popen[bytes], started_s: float, timeout_s: float, watch: Watch) -> str:
    if process.stdout is None:
        raise AssertionError("the output of the program is always a pipe")
    descriptor = process.stdout.fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP)
    kept = b""
    while True:
        elapsed_s = time.monotonic() - started_s
        if elapsed_s >= timeout_s:
            raise _OutOfTime
        if poll.poll(1000 * min(_TICK_S, timeout_s - elapsed_s)):
            piece = os.read(descriptor, _KEPT_BYTES)
            if not piece:
                return kept.decode(errors="replace")
            kept = (kept + piece)[-_KEPT_BYTES:]
        latest = kept.strip().rpartition(b"\n")[2]
        watch(time.monotonic() - started_s, latest.decode(errors="replace"))


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the process group, unless its leader was seen to end; then its number may already be someone else's."""
    try:
        if process.returncode is None:
            _signal_group(process, signal.SIGTERM)
            handle = os.pidfd_open(process.pid)
            try:
                poll = select.poll()
                poll.register(handle, select.POLLIN)
                poll.poll(1000 * _GRACE_S)
            finally:
                os.close(handle)
    finally:
        # The leader is not reaped yet, so the number of the group is still ours: take the stragglers with it.
        if process.returncode is None:
            _signal_group(process, signal.SIGKILL)
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
