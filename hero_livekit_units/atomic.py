"""Writes files so that a reader, a crash or a full disk never meets a half-written one."""

from __future__ import annotations

import os
import tempfile
from glob import escape
from pathlib import Path

from hero_livekit_units.errors import StepFailed

_SUFFIX = ".hlu-new"


def write_atomically(path: Path, text: str, mode: int) -> None:
    """Replace a file as a whole; its folder is made, for the owner alone, where it is missing.

    Only one at a time may write a file: what another one is writing there counts as left over from a crash.

    Raises:
        StepFailed: nothing was changed; the error says why, such as a full disk.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _remove_leftovers(path)
        # mkstemp opens with 0600, so a secret is never readable by others, not even for a moment.
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_SUFFIX, dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        hint = "make room on that disk" if error.errno in {28, 122} else ""
        raise StepFailed(f"write {path}", f"{error.strerror}; the old file is as it was", hint=hint) from error


def _remove_leftovers(path: Path) -> None:
    """Who was killed while writing left a file behind, perhaps with a secret that nobody should have any more."""
    for leftover in path.parent.glob(f".{escape(path.name)}.*{_SUFFIX}"):
        leftover.unlink(missing_ok=True)
