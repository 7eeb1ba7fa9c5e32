"""Files that launches read at their start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def launch_file(folder: Path, name: str) -> Path:
    """The one that was written last, in the folder of an instance."""
    return max(folder.glob(f"launch-*/{name}"), key=lambda path: path.stat().st_mtime_ns)
