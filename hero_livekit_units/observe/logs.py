"""The last line of a log that says something: what a program said before it failed.

Never more than a bounded end of the file is read. livekit-server writes JSON or console lines, and a plain one when it
cannot begin.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_READ = 64 * 1024
LONGEST_LINE = 200
_BAD = {"error", "fatal", "panic", "dpanic"}
_SLACK_S = 1.0  # the clock of files is coarser than that of lines


def last_words(path: str, since_s: float) -> str:
    """What stands in a log since then; "" where it says nothing, or cannot be read.

    Args:
        path: of the log; "" for none. Earlier launches may have written to it too.
        since_s: seconds since the epoch.
    """
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            if os.fstat(file.fileno()).st_mtime < since_s - _SLACK_S:
                return ""
            file.seek(max(file.seek(0, os.SEEK_END) - LARGEST_READ, 0))
            data = file.read(LARGEST_READ)
    except OSError:
        return ""
    return telling(data.decode("utf-8", "replace").splitlines(), since_s)


def telling(lines: Sequence[str], since_s: float = 0.0) -> str:
    """The last line of an error, else the last one with something in it: printable, and not longer than can be shown.

    Lines of before then count only where they do not say when they were written.
    """
    last = ""
    for line in reversed(lines):
        at_s, level, text = _read(line.strip())
        if at_s is not None and at_s < since_s - _SLACK_S:
            break
        if level in _BAD:
            return _shown(text)
        last = last or text
    return _shown(last)


def _read(line: str) -> tuple[float | None, str, str]:
    """When a line was written, its level and what it says; None and "" for what it does not say."""
    if line.startswith("{"):
        try:
            found = json.loads(line)
        except ValueError:
            return None, "", line
        said = [str(found[key]) for key in ("msg", "error") if found.get(key)]
        return _seconds(found.get("ts")), str(found.get("level", "")).lower(), ": ".join(said) or line
    if line.startswith(("panic: ", "fatal error: ")):
        return None, "panic", line
    when, *words = line.split("\t")
    at_s = _seconds(when)
    return (at_s, words[0].lower(), " ".join(words[1:])) if at_s is not None and words else (None, "", line)


def _seconds(stamp: Any) -> float | None:
    if isinstance(stamp, int | float):
        return float(stamp)
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except (TypeError, ValueError):
        return None


def _shown(text: str) -> str:
    text = "".join(sign if sign.isprintable() else " " for sign in text).strip()
    return text if len(text) <= LONGEST_LINE else f"{text[: LONGEST_LINE - 1]}…"
