"""Writes files so that a reader, a crash or a full disk never meets a half-written one."""

from __future__ import annotations

import os
import shutil
import tempfile
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hero_livekit_units.definitions.render import file_text
from hero_livekit_units.errors import StepFailed
from hero_livekit_units.observe.files import files_that_differ, launch_folders, unread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hero_livekit_units.model.launch import LaunchFile, LaunchSpec
    from hero_livekit_units.model.observed import InstanceSeen

_SUFFIX = ".hlu-new"


class Disk:
    """The files of units, as the executor writes them. Nothing is kept."""

    def write(self, files: Sequence[LaunchFile], secrets: Mapping[str, Any]) -> None:
        """Write each of them.

        Raises:
            StepFailed: one could not be written; it is as it was, and so are those after it.
        """
        for file in files:
            if not (file.once and Path(file.path).is_file()):
                write_atomically(Path(file.path), file_text(file, secrets), file.mode)

    def differ(self, spec: LaunchSpec, secrets: Mapping[str, Any]) -> tuple[str, ...] | None:
        """As `files_that_differ`."""
        return files_that_differ(spec, secrets)

    def remove_unread(self, seen: InstanceSeen, wanted: LaunchSpec) -> None:
        """Remove what launches have read that are over: it may hold secrets that were replaced."""
        for folder in unread(seen, [wanted], launch_folders(wanted)):
            shutil.rmtree(folder, ignore_errors=True)  # what stays is no reason to fail: the next look sees it


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
