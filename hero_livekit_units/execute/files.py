"""The files of units on the disk of the host, as the executor changes them."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.definitions.render import file_text
from hero_livekit_units.observe.files import files_that_differ, launch_folders, unread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hero_livekit_units.model.launch import LaunchFile, LaunchSpec
    from hero_livekit_units.model.observed import InstanceSeen


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

    def write_text(self, path: Path, text: str) -> None:
        """Write a file of the group that belongs to no unit, for its owner alone.

        Raises:
            StepFailed: it could not be written, and is as it was.
        """
        write_atomically(path, text, 0o600)

    def remove(self, path: Path) -> None:
        """Remove such a file, so far as that can be done."""
        with suppress(OSError):
            path.unlink(missing_ok=True)

    def differ(self, spec: LaunchSpec, secrets: Mapping[str, Any]) -> tuple[str, ...] | None:
        """As `files_that_differ`."""
        return files_that_differ(spec, secrets)

    def remove_unread(self, seen: InstanceSeen, wanted: LaunchSpec) -> None:
        """Remove what launches have read that are over: it may hold secrets that were replaced."""
        for folder in unread(seen, [wanted], launch_folders(wanted)):
            shutil.rmtree(folder, ignore_errors=True)  # what stays is no reason to fail: the next look sees it


DISK = Disk()
