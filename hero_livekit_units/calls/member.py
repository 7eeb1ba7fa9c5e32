"""The parent's end of one participant process: its pipes, its life and the last thing it said.

What it keeps is bounded: the newest answer, never a history. Must not know what the answers mean.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from typing import Any

from hero_livekit_units.errors import UnitsError

_KEPT_BYTES = 4096  # of what a broken participant wrote to stderr, from the end


class Member:
    """One participant process. Attributes may be read only while `changed` is held; it is notified at each change.

    Attributes:
        joined: whether it is in its room.
        answered: number of the newest command that it answered, 0 before the first.
        answer: its newest report.
        failure: why it is of no more use, or "".
    """

    def __init__(self, identity: str, job: dict[str, Any], changed: threading.Condition) -> None:
        self.joined = False
        self.answered = 0
        self.answer: dict[str, Any] = {}
        self.failure = ""
        self._changed = changed
        self._expected: list[str] = list(job["hears"])
        self._heard: set[str] = set()
        self._dismissed = False
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  closed by `end`
        # One BLAS thread: the sums are tiny, and a pool of idle threads in each participant is not.
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        try:
            self._process = subprocess.Popen(
                # -P: what lies in the working folder is none of the participant's modules.
                [sys.executable, "-P", "-m", "hero_livekit_units.calls.participant"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
            )
        except OSError as error:
            self._stderr.close()
            raise UnitsError(f"cannot start participant {identity}: {error.strerror}") from error
        self._reader = threading.Thread(target=self._read, name=f"participant {identity}", daemon=True)
        self._reader.start()
        self.send(job)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def unheard(self) -> list[str]:
        """The speakers that it should hear and never heard."""
        return [speaker for speaker in self._expected if speaker not in self._heard]

    @property
    def hears_all(self) -> bool:
        """Whether it has heard each speaker that it should hear."""
        return not self.unheard

    @property
    def no_answer(self) -> str:
        """Why there is no answer to the newest command."""
        return self.failure or "its process gives no answer"

    def send(self, message: dict[str, Any]) -> None:
        """Write one line; a process that has ended is noticed by its reader."""
        stdin = self._process.stdin
        if stdin is not None and not stdin.closed:
            with suppress(BrokenPipeError):
                stdin.write(json.dumps(message).encode() + b"\n")
                stdin.flush()

    def give_up(self, why: str) -> None:
        """Count it as failed, unless it already is."""
        self.failure = self.failure or why

    def dismiss(self) -> None:
        """Ask it to leave: with a word, and with the end of its stdin."""
        self._dismissed = True
        self.send({"stop": True})
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()

    def end(self, until_s: float) -> None:
        """Wait for its end until `until_s` (monotonic seconds), then end it; release everything."""
        try:
            self._process.wait(max(0.0, until_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._stderr.close()

    def _read(self) -> None:
        stdout = self._process.stdout
        if stdout is None:
            raise AssertionError("the output of a participant is always a pipe")
        for line in stdout:
            with self._changed:
                self._note(json.loads(line))
                self._changed.notify_all()
        status = self._process.wait()
        with self._changed:
            if not self.failure and not self._dismissed:
                self.failure = f"its process ended {_how(status)}{self._last_words()}"
            self._changed.notify_all()

    def _note(self, event: dict[str, Any]) -> None:
        match event.pop("event"):
            case "joined":
                self.joined = True
            case "hearing":
                self._heard.add(event["speaker"])
            case "marked":
                self.answered = event["id"]
            case "report":
                self.answered = event.pop("id")
                self.answer = event
            case "failed":
                self.failure = event["cause"]

    def _last_words(self) -> str:
        self._stderr.seek(max(0, self._stderr.seek(0, os.SEEK_END) - _KEPT_BYTES))
        lines = self._stderr.read().decode(errors="replace").split("\n")
        spoken = [line.strip() for line in lines if line.strip()]
        return f": {spoken[-1][:300]}" if spoken else ""


def _how(status: int) -> str:
    return f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
