"""Calls functions in processes of their own, so that whatever one does, its neighbours and the caller go on.

Owns: the fork, the deadline, the way of the answer. Must not know what is called. The caller must have one thread only.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

from attrs import frozen

from hero_livekit_units.targets.saying import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LARGEST_ANSWER = 4 * 1024 * 1024
_PIECE = 64 * 1024


@frozen
class Fault:
    """Why there is no answer: `type` is the name of an exception or of what happened; `text` is one line."""

    type: str
    text: str


def call_apart(
    functions: Iterable[Callable[[], Any]], *, deadline_s: float, at_once: int = 4
) -> list[dict[str, Any] | Fault]:
    """Call each function in a process of its own; what they return, or why they did not, in the same order.

    Args:
        functions: each returns a dict that JSON can hold. What it prints goes to stderr, and so does the traceback of
            what it raises.
        deadline_s: for each of them; after it, its process is killed.
        at_once: how many run at the same time.
    """
    waiting = list(enumerate(functions))[::-1]
    answers: dict[int, dict[str, Any] | Fault] = {}
    with selectors.DefaultSelector() as selector:
        running: set[_Call] = set()
        while waiting or running:
            while waiting and len(running) < at_once:
                call = _Call(*waiting.pop(), deadline_s)
                selector.register(call.pipe, selectors.EVENT_READ, call)
                selector.register(call.pidfd, selectors.EVENT_READ, call)
                running.add(call)
            until = min(call.until for call in running)
            # None, without end, once all that run are killed: their end is certain.
            pause_s = None if until == float("inf") else max(0.0, until - time.monotonic())
            ready = {key.data for key, _ in selector.select(pause_s)}
            for call in tuple(running):
                if call in ready:
                    call.read()
                call.bound()
                if call.has_ended():
                    selector.unregister(call.pipe)
                    selector.unregister(call.pidfd)
                    running.remove(call)
                    answers[call.at] = call.answer()
    return [answers[at] for at in sorted(answers)]


class _Call:
    """One forked process, seen from its parent."""

    def __init__(self, at: int, function: Callable[[], Any], deadline_s: float) -> None:
        self.at = at
        self.until = time.monotonic() + deadline_s
        self._deadline_s = deadline_s
        self._fault: Fault | None = None
        self._data = b""
        self.pipe, answer = os.pipe()
        os.set_blocking(self.pipe, False)
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            _answer(function, answer)
        os.close(answer)
        self.pidfd = os.pidfd_open(self.pid)

    def read(self) -> None:
        """Take in what has come."""
        try:
            while piece := os.read(self.pipe, _PIECE):
                self._data += piece
                if len(self._data) > LARGEST_ANSWER:
                    self._kill("TooLarge", f"it gave more than {LARGEST_ANSWER} bytes")
                    return
        except BlockingIOError:
            return

    def bound(self) -> None:
        """Kill the process when its time is up."""
        if time.monotonic() >= self.until:
            self._kill("TimedOut", f"it did not answer within {self._deadline_s:g} s")
            self.until = float("inf")

    def has_ended(self) -> bool:
        """Whether the process is dead."""
        return bool(os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT))

    def answer(self) -> dict[str, Any] | Fault:
        """What it said, once it `has_ended`."""
        self.read()
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.pipe)
        os.close(self.pidfd)
        if self._fault:
            return self._fault
        try:
            said = json.loads(self._data)
            return Fault(*said["fault"]) if "fault" in said else dict(said["answer"])
        except (ValueError, TypeError, KeyError):
            pass
        if status < 0:
            return Fault("Killed", f"its process was killed by {signal.Signals(-status).name}")
        return Fault("Exited", f"its process ended with status {status} and without an answer")

    def _kill(self, kind: str, text: str) -> None:
        self._fault = self._fault or Fault(kind, text)
        signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)


def _answer(function: Callable[[], Any], pipe: int) -> None:
    """The forked process: does not return."""
    status = 1
    try:
        os.dup2(2, 1)  # what it prints is not an answer
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            text = json.dumps({"answer": function()}, allow_nan=False)
        except BaseException as error:  # noqa: BLE001  SystemExit and all: whatever it is, it is the answer
            traceback.print_exc()
            text = json.dumps({"fault": [type(error).__name__, one_line(error)]})
        data = text.encode("utf-8", "replace")
        while data:
            data = data[os.write(pipe, data) :]
        status = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
