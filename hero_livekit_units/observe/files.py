"""Whether the files of an instance are as they should be. Secrets come from the supervisor and go nowhere else."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hero_livekit_units.definitions.render import file_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hero_livekit_units.model.launch import LaunchFile, LaunchSpec


def files_that_differ(spec: LaunchSpec, secrets: Mapping[str, Any] | None) -> tuple[str, ...] | None:
    """Paths that are missing or differ in content or mode; None when that cannot be told."""
    if secrets is None:
        return None
    try:
        return tuple(file.path for file in spec.files if not _matches(file, secrets))
    except OSError:
        return None


def _matches(file: LaunchFile, secrets: Mapping[str, Any]) -> bool:
    path = Path(file.path)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        return mode == file.mode and path.read_text(encoding="utf-8") == file_text(file, secrets)
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError, KeyError):
        return False
