"""Whether the files of an instance are as they should be. Secrets come from the supervisor and go nowhere else."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hero_livekit_units.definitions.render import file_text
from hero_livekit_units.model.drain import DrainSeen, read_drain
from hero_livekit_units.model.launch import LAUNCHES, launch_folder
from hero_livekit_units.model.observed import EntryState, Failed, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from hero_livekit_units.model.drain import Drain
    from hero_livekit_units.model.launch import LaunchFile, LaunchSpec
    from hero_livekit_units.model.observed import InstanceSeen, ProcessSeen

_LATEST_S = 32_503_680_000.0  # the year 3000: no clock says a later time


def files_that_differ(spec: LaunchSpec, secrets: Mapping[str, Any] | None) -> tuple[str, ...] | None:
    """Paths that are missing or differ in content or mode; None when that cannot be told."""
    if secrets is None:
        return None
    try:
        return tuple(file.path for file in spec.files if not _matches(file, secrets))
    except OSError:
        return None


def launch_folders(spec: LaunchSpec) -> set[str]:
    """The folders of launches that lie in the folder of an instance."""
    return {str(path) for path in Path(spec.folder).glob(f"{LAUNCHES}*")}


def unread(seen: InstanceSeen, wanted: Sequence[LaunchSpec], folders: Collection[str]) -> tuple[str, ...]:
    """Of the folders of launches, those that nobody will read: none that runs, may be started or is wanted.

    While a supervisor is about to start a process once more, it may do so by an older entry, and all may be read.
    What is stopped and not wanted is started only after its files were written anew.
    """
    digests = {spec.launch_digest for spec in wanted}
    if seen.owned and seen.process is not None:
        digests.add(seen.process.launch_digest)
    elif seen.verdict is not Verdict.STOPPED or (seen.entry and seen.entry.state is not EntryState.STOPPED):
        return ()
    if seen.entry is not None and seen.entry.wanted:
        digests.add(seen.entry.launch_digest)
    return tuple(sorted(set(folders) - {launch_folder(seen.spec.folder, digest) for digest in digests}))


def drain_file(spec: LaunchSpec) -> Path:
    """Where the drain of an instance is recorded."""
    return Path(spec.folder) / "drain.json"


def recorded_drain(spec: LaunchSpec) -> Drain | None:
    """The drain that is recorded for an instance; it may be that of a process that is gone."""
    try:
        return read_drain(drain_file(spec).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


def drain_of(process: ProcessSeen | None, drain: Drain | None, now_s: float) -> DrainSeen | None:
    """The drain of a process, None where what is recorded is about another one; now_s: seconds since the epoch."""
    ours = process is not None and drain is not None and drain.process == process.id
    return DrainSeen(drain, now_s) if ours and drain is not None else None


def is_over(seen: InstanceSeen, drain: Drain | None) -> bool:
    """Whether a recorded drain is about a process that is surely gone."""
    if drain is None:
        return False
    if seen.owned and seen.process is not None:
        return drain.process != seen.process.id
    return seen.verdict is Verdict.STOPPED and (seen.entry is None or seen.entry.state is EntryState.STOPPED)


def written_for_s(files: Sequence[LaunchFile], now_s: float) -> float | None:
    """Seconds since the youngest of these files was written; None where there is none or that is unknown.

    now_s: seconds since 1970, as files have it.
    """
    try:
        times_s = [Path(file.path).stat().st_mtime for file in files]
    except OSError:
        return None
    return max(now_s - max(times_s), 0.0) if times_s else None


def read_failed(spec: LaunchSpec) -> Failed | None:
    """How the last start of this launch failed; None where it did not, or nobody can tell."""
    try:
        found = json.loads(Path(spec.failed_file).read_text(encoding="utf-8"))
        failed = Failed(float(found["at_s"]), str(found["because"]), str(found["line"]), int(found["pid"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return failed if 0.0 <= failed.at_s < _LATEST_S else None


def _matches(file: LaunchFile, secrets: Mapping[str, Any]) -> bool:
    path = Path(file.path)
    if file.once:
        return path.is_file()  # what it says is the unit's own business
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        return mode == file.mode and path.read_text(encoding="utf-8") == file_text(file, secrets)
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError, KeyError):
        return False
