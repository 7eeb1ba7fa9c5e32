"""What zinit does not keep: how instances are to run, the scripts that it runs, secrets, the log of what was done.

Files for their owner alone (0600 in a 0700 folder), written as a whole or, the log, a line at a time. Who writes holds
the lock; who reads needs none.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.errors import RegistryProtocolError, RegistryUnavailable, StepFailed
from hero_livekit_units.flock import try_lock
from hero_livekit_units.registry.port import Recorded
from hero_livekit_units.registry.zinit_wire import Registration, script_file

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOOK_AGAIN_S = 0.01
_LOCK_WAIT_S = 45.0  # longer than a stop is waited for
_KEPT_BYTES = 4 * 1024 * 1024  # of log; then the older half goes
_SHAPES = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


class ZinitStore:
    """Files beside a zinit.

    Args:
        folder: where they lie; made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._units = folder / "units.json"
        self._secrets = folder / "secrets.json"
        self._log = folder / "history.jsonl"

    @contextmanager
    def lock(self, *, within_s: float = _LOCK_WAIT_S) -> Iterator[None]:
        """Be the only one who changes something at this zinit or in these files.

        Raises:
            RegistryUnavailable: somebody else held it all the time, or it cannot be made.
        """
        until = time.monotonic() + within_s
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RegistryUnavailable("lock", f"{self.folder}: {error.strerror}") from error
        try:
            while not try_lock(descriptor):
                if time.monotonic() >= until:
                    raise RegistryUnavailable("lock", f"somebody else changes what {self.folder} is about")
                time.sleep(_LOOK_AGAIN_S)
            yield
        finally:
            os.close(descriptor)

    def units(self) -> dict[str, Registration]:
        """How each instance is to run.

        Raises:
            RegistryUnavailable, RegistryProtocolError: the file cannot be read, or understood.
        """
        try:
            return {name: Registration(**kept) for name, kept in self._read(self._units).items()}
        except _SHAPES as error:
            raise _unreadable(self._units) from error

    def keep_unit(self, instance: str, kept: Registration) -> None:
        """Keep how an instance is to run. The caller holds the lock."""
        units = self.units() | {instance: kept}
        self._write(self._units, {name: attrs.asdict(one, recurse=False) for name, one in units.items()})

    def write_script(self, name: str, text: str) -> None:
        """Say what a service runs from its next start on. The caller holds the lock.

        Raises:
            RegistryUnavailable: it cannot be written, and is as it was.
        """
        self._write_text(Path(script_file(str(self.folder), name)), text)

    def secrets(self) -> dict[str, str]:
        """All secrets by name.

        Raises:
            RegistryUnavailable, RegistryProtocolError: the file cannot be read, or understood; its text is not shown.
        """
        found = self._read(self._secrets)
        if not all(isinstance(value, str) for value in found.values()):
            raise _unreadable(self._secrets)
        return found

    def keep_secrets(self, secrets: dict[str, str]) -> None:
        """Keep these and no others. The caller holds the lock."""
        self._write(self._secrets, secrets)

    def record(self, source: str, text: str) -> None:
        """Add a line to the log. The caller holds the lock."""
        line = json.dumps({"at_s": time.time(), "source": source, "text": text})
        try:
            descriptor = os.open(self._log, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                # Who was killed while writing left half a line; it ends here and is passed over by who reads.
                file.write(f"\n{line}\n".encode())
                size = file.tell()
        except OSError as error:
            raise RegistryUnavailable("record", f"{self._log}: {error.strerror}") from error
        if size > _KEPT_BYTES:
            lines = self._log.read_text().splitlines()
            self._write_text(self._log, "\n".join([*lines[len(lines) // 2 :], ""]))

    def history(self, source: str, lines: int) -> list[Recorded]:
        """The newest lines of a source, the newest last.

        Raises:
            RegistryUnavailable: the log cannot be read.
        """
        found = []
        for line in self._text(self._log).splitlines():
            try:
                kept = json.loads(line)
                if kept["source"] == source:
                    found.append(Recorded(float(kept["at_s"]), str(kept["text"])))
            except _SHAPES:
                continue  # half a line
        return found[-lines:]

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            found = json.loads(self._text(path) or "{}")
        except (ValueError, RecursionError):
            raise _unreadable(path) from None  # whose text may be a secret
        if not isinstance(found, dict):
            raise _unreadable(path)
        return found

    def _text(self, path: Path) -> str:
        try:
            return path.read_text()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise RegistryUnavailable("read", f"{path}: {error.strerror}") from error
        except ValueError:
            raise _unreadable(path) from None

    def _write(self, path: Path, value: dict[str, Any]) -> None:
        self._write_text(path, json.dumps(value, indent=1, sort_keys=True))

    def _write_text(self, path: Path, text: str) -> None:
        try:
            write_atomically(path, text, 0o600)
        except StepFailed as error:
            raise RegistryUnavailable("write", str(error), hint=error.hint) from error


def _unreadable(path: Path) -> RegistryProtocolError:
    return RegistryProtocolError(
        "read", f"{path} is not what was written there", hint="bring it back from a copy, or remove it: then it is new"
    )
