"""Whether the files of an instance are as they should be. Secrets come from the supervisor and go nowhere else."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from hero_livekit_units.definitions.template import fill

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hero_livekit_units.model.launch import LaunchFile, LaunchSpec


def content(file: LaunchFile, secrets: Mapping[str, str]) -> str:
    """The text of a file, secrets and all.

    Raises:
        KeyError: a secret is missing.
    """
    return fill(file.template, {f"secret.{name}": value for name, value in secrets.items()})


def files_that_differ(spec: LaunchSpec, secrets: Mapping[str, str] | None) -> tuple[str, ...] | None:
    """Paths that are missing or differ in content or mode; None when that cannot be told."""
    if secrets is None:
        return None
    try:
        return tuple(file.path for file in spec.files if not _matches(file, secrets))
    except OSError:
        return None


def _matches(file: LaunchFile, secrets: Mapping[str, str]) -> bool:
    path = Path(file.path)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        return mode == file.mode and path.read_text(encoding="utf-8") == content(file, secrets)
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError, KeyError):
        return False
