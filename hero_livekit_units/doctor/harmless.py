"""The program of a unit that harms nobody: it writes down its start and its signals, and ends when its folder is gone.

Started by a supervisor under examination, as `harmless.py NOTES heeds|ignores`. NOTES gets `pid PID GROUP` at the start
and the number of each signal. SIGUSR1 ends it with status 0; SIGTERM too, unless it ignores that. Whatever becomes of
those who started it, it is gone after a minute.
"""

from __future__ import annotations

import os
import signal
import sys
import time

_LONGEST_S = 60.0
_LOOK_AGAIN_S = 0.2
_HEARD = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT)


def main(notes: str, manner: str) -> None:
    """Live until told to end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    ends_by = {signal.SIGUSR1} | ({signal.SIGTERM} if manner == "heeds" else set())
    until = time.monotonic() + _LONGEST_S
    _note(notes, f"pid {os.getpid()} {os.getpgrp()}")
    while time.monotonic() < until and os.path.isdir(os.path.dirname(notes)):  # noqa: PTH112, PTH120  it starts fast
        heard = signal.sigtimedwait(_HEARD, _LOOK_AGAIN_S)
        if heard is not None:
            _note(notes, str(heard.si_signo))
            if heard.si_signo in ends_by:
                return


def _note(path: str, line: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return  # the folder is gone, and so is this program in a moment
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main(*sys.argv[1:])
