"""A program that misbehaves on purpose, started as a child of the supervisor under test.

child.py count FILE           appends a line to FILE for each SIGTERM, and ends on none
child.py note FILE SECONDS    as count, and ends that long after the first SIGTERM; FILE begins with its pid
child.py exit STATUS          prints a last word and exits
child.py once FILE STATUS     exits with STATUS the first time, later runs for ever (FILE remembers)
child.py end-after SECONDS    takes its time to end on SIGTERM
child.py fork FILE            leaves a grandchild in its group, writes its pid to FILE, ends on SIGTERM
child.py lose-early SECONDS   loses every SIGTERM within its first SECONDS, ends on a later one
child.py crowd NUMBER         leaves so many grandchildren in its group, ends on SIGTERM
child.py double-fork          leaves a grandchild in a session of its own, as a program that becomes a daemon does
child.py rename NAME          gives itself another name, ends on SIGTERM
child.py flood                prints as much as it can, 64 KiB every 20 ms
child.py print                prints a line every 10 ms
child.py number COUNT PAUSE    writes COUNT numbered lines, with PAUSE seconds after each hundred, then runs for ever
child.py environment FILE     writes its environment to FILE as JSON, then runs for ever
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


def _forever() -> None:
    while True:
        signal.pause()


def _count(file: str) -> None:
    def note(number: int, _: FrameType | None) -> None:
        with Path(file).open("a", encoding="ascii") as out:
            out.write(f"{number}\n")

    signal.signal(signal.SIGTERM, note)
    with Path(file).open("a", encoding="ascii") as out:
        out.write("ready\n")
    _forever()


def _note(file: str, seconds: str) -> None:
    def note(number: int, _: FrameType | None) -> None:
        with Path(file).open("a", encoding="ascii") as out:
            out.write(f"{number}\n")
        if float(seconds) >= 0.0:
            signal.signal(signal.SIGALRM, lambda *_: sys.exit(0))
            signal.setitimer(signal.ITIMER_REAL, max(float(seconds), 0.001))

    signal.signal(signal.SIGTERM, note)
    with Path(file).open("a", encoding="ascii") as out:
        out.write(f"pid {os.getpid()}\n")
    _forever()


def _exit(status: str) -> None:
    sys.stdout.write("an earlier line\nmy last word\n")
    sys.stdout.flush()
    sys.exit(int(status))


def _once(file: str, status: str) -> None:
    try:
        Path(file).touch(exist_ok=False)
    except FileExistsError:
        _forever()
    sys.exit(int(status))


def _end_after(seconds: str) -> None:
    def end(_: int, __: FrameType | None) -> None:
        time.sleep(float(seconds))
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    _forever()


def _fork(file: str) -> None:
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _forever()
    Path(file).write_text(str(pid), encoding="ascii")
    _forever()


def _crowd(number: str) -> None:
    for _ in range(int(number)):
        if not os.fork():
            _forever()
    _forever()


def _double_fork() -> None:
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        _forever()
    os.wait()
    _forever()


def _rename(name: str) -> None:
    Path("/proc/self/comm").write_text(name, encoding="ascii")
    _forever()


def _flood() -> None:
    while True:
        sys.stdout.write(("x" * 127 + "\n") * 512)
        sys.stdout.flush()
        time.sleep(0.02)


def _lose_early(seconds: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(float(seconds))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _forever()


def _print() -> None:
    while True:
        sys.stdout.write(f"{time.monotonic()}\n")
        sys.stdout.flush()
        time.sleep(0.01)


def _number(count: str, pause: str) -> None:
    for at in range(0, int(count), 100):
        sys.stdout.write("".join(f"{number:019d}\n" for number in range(at, min(at + 100, int(count)))))
        sys.stdout.flush()
        time.sleep(float(pause))
    _forever()


def _environment(file: str) -> None:
    whole = Path(f"{file}.part")
    whole.write_text(json.dumps(dict(os.environ)), encoding="utf-8")
    whole.rename(file)
    _forever()


_MODES: dict[str, Callable[..., None]] = {
    "count": _count,
    "note": _note,
    "exit": _exit,
    "once": _once,
    "end-after": _end_after,
    "fork": _fork,
    "lose-early": _lose_early,
    "crowd": _crowd,
    "double-fork": _double_fork,
    "rename": _rename,
    "flood": _flood,
    "print": _print,
    "number": _number,
    "environment": _environment,
}

if __name__ == "__main__":
    _MODES[sys.argv[1]](*sys.argv[2:])
