"""Talks to a running HAProxy over the two sockets in its folder, and has it judge a configuration.

Knows the forms of HAProxy's questions and answers (its management guide, chapter 9), and nothing of rooms and slots.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from hero_livekit_units.errors import FrontRefused, FrontUnavailable
from hero_livekit_units.livekit.childproc import run_to_end
from hero_livekit_units.livekit.roads import RoadClosed

if TYPE_CHECKING:
    from collections.abc import Iterator

ADMIN, MASTER = "admin.sock", "master.sock"
_LARGEST_ANSWER = 256 * 1024 * 1024
_CHECK_S = 10.0
# With `prompt`, each answer ends with this, and no line of an answer begins with it.
_PROMPT = b"\n> "
_ASKED_FOR_MORE = re.compile(r"\A(\+ )+")  # once for each line of a payload
_ALERT = re.compile(r"\[ALERT\]\s*\(\d+\) : (?:config : )?(.*)")
_PLACE = re.compile(r"(?:parsing )?\[[^\]]*?:(\d+)\](?: \(\w+\))? ?: ?(.*)")
_SUMMARY = ("Error(s) found in configuration file", "Fatal errors found in configuration")


@frozen
class ConfigFault:
    """One thing that HAProxy does not take: its 1-based line, 0 where it names none, and what it says of it."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


@frozen
class Processes:
    """What the master says of itself: its pid, the worker that takes new connections, and those that have old ones.

    worker: 0 while there is none. old: the newest first. reloads: how many it has seen; failed: how many of the last
    ones in a row were refused.
    """

    master: int
    worker: int
    old: tuple[int, ...]
    reloads: int
    failed: int


class Line:
    """One connection to a worker, which thereby stays the same worker."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock = sock
        self._until = until

    def ask(self, command: str) -> str:
        """What it answers to one command, which may end with a payload.

        Raises:
            FrontUnavailable: it does not, or not in time.
        """
        try:
            _send(self._sock, f"{command}\n".encode(), self._until)
            answer = bytearray(b"\n")
            while not answer.endswith(_PROMPT):
                answer += _receive(self._sock, self._until, len(answer), more=True)
        except OSError as error:
            raise _unavailable(ADMIN, error) from error
        said = answer[: -len(_PROMPT)].decode(errors="replace").strip("\n")
        return _ASKED_FOR_MORE.sub("", said).strip("\n")

    def do(self, command: str) -> None:
        """Have it do what has no answer.

        Raises:
            FrontUnavailable: as `ask`; whether it was done is not known.
            FrontRefused: it says why not.
        """
        if answer := self.ask(command):
            raise FrontRefused(command.partition("\n")[0], answer)


@contextmanager
def line_to_worker(folder: Path, until: float) -> Iterator[Line]:
    """A connection to the worker that takes new connections.

    Args:
        folder: the working folder of HAProxy.
        until: by when all that is said on it must have been answered, by the monotonic clock.

    Raises:
        FrontUnavailable: nobody answers there.
    """
    try:
        sock = _connect(folder, ADMIN, until)
    except OSError as error:
        raise _unavailable(ADMIN, error) from error
    with sock:
        line = Line(sock, until)
        line.ask("prompt")
        yield line


def ask_master(folder: Path, command: str, until: float) -> str:
    """What the master answers, or with `@!PID ` before the command, one of its workers, old ones included.

    Raises:
        FrontUnavailable: it does not, or not in time.
    """
    try:
        with _connect(folder, MASTER, until) as sock:
            _send(sock, f"{command}\n".encode(), until)
            sock.shutdown(socket.SHUT_WR)
            answer = bytearray()
            while piece := _receive(sock, until, len(answer)):
                answer += piece
    except OSError as error:
        raise _unavailable(MASTER, error) from error
    return answer.decode(errors="replace").strip("\n")


def processes(folder: Path, until: float) -> Processes:
    """Ask the master which processes there are.

    Raises:
        FrontUnavailable: it does not answer, or not with that.
    """
    master, reloads, failed = 0, 0, 0
    workers: dict[str, list[int]] = {"# workers": [], "# old workers": [], "# programs": []}
    section = ""
    for text in ask_master(folder, "show proc", until).splitlines():
        if text in workers:
            section = text
        elif found := re.match(r"(\d+)\s+master\s+(\d+)(?: \[failed: (\d+)\])?", text):
            master, reloads, failed = int(found[1]), int(found[2]), int(found[3] or 0)
        elif section and (found := re.match(r"(\d+)\s+worker\s", text)):
            workers[section].append(int(found[1]))
    if not master:
        raise FrontUnavailable(f"{MASTER} does not say which processes there are")
    worker = next(iter(workers["# workers"]), 0)
    return Processes(master, worker, tuple(workers["# old workers"]), reloads, failed)


def faults_of(program: str, folder: Path, text: str) -> tuple[ConfigFault, ...]:
    """Have HAProxy read a configuration, as if it lay in its folder; nothing there is changed.

    Raises:
        FrontUnavailable: the program cannot be run, or does not come to an end.
        FrontRefused: that text cannot be written there.
    """
    path = ""
    try:
        descriptor, path = tempfile.mkstemp(prefix=".check-", suffix=".cfg", dir=folder)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        argv = [program, "-c", "-C", str(folder), "-f", path]
        finished = run_to_end(argv, env={"PATH": os.environ.get("PATH", "")}, timeout_s=_CHECK_S)
    except RoadClosed as error:
        raise FrontUnavailable(str(error)) from error
    except OSError as error:
        hint = "make room on that disk" if error.errno in {errno.ENOSPC, errno.EDQUOT} else ""
        raise FrontRefused("check its configuration", f"{folder}: {error.strerror}", hint=hint) from error
    finally:
        if path:
            Path(path).unlink(missing_ok=True)
    if finished.status == 0:
        return ()
    found = tuple(_faults(finished.output))
    return found or (ConfigFault(0, finished.output.strip() or f"it ends with status {finished.status}"),)


def _faults(output: str) -> Iterator[ConfigFault]:
    for text in output.splitlines():
        alert = _ALERT.match(text)
        if alert and not alert[1].startswith(_SUMMARY):
            place = _PLACE.match(alert[1])
            yield ConfigFault(int(place[1]), place[2].strip()) if place else ConfigFault(0, alert[1].strip())


def _connect(folder: Path, name: str, until: float) -> socket.socket:
    """Through a short path: that of a Unix socket has 107 bytes at most, and no home must fit into them."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(_left(until))
        sock.connect(f"/proc/self/fd/{descriptor}/{name}")
    except OSError:
        sock.close()
        raise
    finally:
        os.close(descriptor)
    return sock


def _send(sock: socket.socket, data: bytes, until: float) -> None:
    sock.settimeout(_left(until))
    sock.sendall(data)


def _receive(sock: socket.socket, until: float, so_far: int, *, more: bool = False) -> bytes:
    if so_far > _LARGEST_ANSWER:
        raise ConnectionError("the answer does not end")
    sock.settimeout(_left(until))
    piece = sock.recv(1024 * 1024)
    if more and not piece:
        raise ConnectionError("the answer ends early")
    return piece


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left


def _unavailable(name: str, error: OSError) -> FrontUnavailable:
    return FrontUnavailable(f"{name}: {error.strerror or error}")
