"""The files of units on the disk of the host, as the executor changes them."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.definitions.render import file_text
from hero_livekit_units.errors import StepFailed
from hero_livekit_units.model.drain import drain_text
from hero_livekit_units.model.plain import plain
from hero_livekit_units.observe.files import (
    drain_file,
    files_that_differ,
    is_over,
    launch_folders,
    recorded_drain,
    unread,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hero_livekit_units.model.drain import Drain
    from hero_livekit_units.model.launch import LaunchFile, LaunchSpec
    from hero_livekit_units.model.observed import Failed, InstanceSeen


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

    def drain(self, spec: LaunchSpec) -> Drain | None:
        """As `recorded_drain`."""
        return recorded_drain(spec)

    def record_drain(self, spec: LaunchSpec, drain: Drain) -> None:
        """Keep the drain of an instance, in the place of the one before.

        Raises:
            StepFailed: it could not be written; what was recorded is as it was.
        """
        write_atomically(drain_file(spec), drain_text(drain), 0o600)

    def forget_drain(self, spec: LaunchSpec) -> None:
        """Keep it no longer.

        Raises:
            StepFailed: it could not be removed.
        """
        try:
            drain_file(spec).unlink(missing_ok=True)
        except OSError as error:
            raise StepFailed(f"remove {drain_file(spec)}", str(error.strerror)) from error

    def begin(self, spec: LaunchSpec) -> None:
        """A launch begins anew: how it failed before is of the past, and the age of its files says since when it runs.

        Raises:
            StepFailed: that could not be done, so nothing may start.
        """
        try:
            Path(spec.failed_file).unlink(missing_ok=True)
            for file in spec.start_files:
                os.utime(file.path)
        except OSError as error:
            raise StepFailed(f"begin the launch of {spec.instance}", f"{error.filename}: {error.strerror}") from error

    def record_failed(self, spec: LaunchSpec, failed: Failed) -> None:
        """Write down that a launch has failed.

        Raises:
            StepFailed: it could not be written.
        """
        write_atomically(Path(spec.failed_file), json.dumps(plain(failed)), 0o600)

    def remove_unread(self, seen: InstanceSeen, wanted: LaunchSpec) -> None:
        """Remove what launches have read that are over, as it may hold secrets of before; and their drains."""
        for folder in unread(seen, [wanted], launch_folders(wanted)):
            shutil.rmtree(folder, ignore_errors=True)  # what stays is no reason to fail: the next look sees it
        if wanted.carries_calls and is_over(seen, recorded_drain(wanted)):
            with suppress(OSError):
                drain_file(wanted).unlink(missing_ok=True)


DISK = Disk()
