"""The folder of provisioned programs: what is kept there, whether it is still what it was, one writer at a time.

    INTO/PROGRAM-VERSION/PROGRAM             complete whenever it is there
    INTO/PROGRAM-VERSION/provisioned.json    what vouches for it; the program counts only while its hash is the one here
    INTO/.partial/PROGRAM-VERSION/...        work going on, or left by a run that was killed: swept by the next one
    INTO/.locks/PROGRAM-VERSION              held while one works on it

Knows nothing of where programs come from.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hero_livekit_units.errors import UnitsError
from hero_livekit_units.flock import try_lock
from hero_livekit_units.livekit.roads import Provisioned, RoadClosed, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hero_livekit_units.livekit.progress import Reporter
    from hero_livekit_units.livekit.roads import Obtained

_RECORD = "provisioned.json"
_POLL_S = 0.1


def find(into: Path, program: str, version: str) -> Provisioned | None:
    """The kept program, verified by its hash; None where there is none. Writes nothing.

    Raises:
        RoadClosed: something is there, but it is not what was provisioned.
    """
    home = into / f"{program}-{version}"
    path = home / program
    try:
        text = (home / _RECORD).read_text(encoding="utf-8")
    except FileNotFoundError:
        if path.exists():
            raise RoadClosed(f"{path} has no record beside it") from None
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise RoadClosed(f"the record of {path} cannot be read: {error}") from error
    record = _parse(text)
    if record is None or (record["program"], record["version"]) != (program, version):
        raise RoadClosed(f"the record of {path} is damaged")
    try:
        actual = sha256_of(path)
        runs = os.access(path, os.X_OK)
    except FileNotFoundError:
        raise RoadClosed(f"{path} is gone, only its record is left") from None
    except OSError as error:
        raise RoadClosed(f"{path} cannot be read: {error.strerror}") from error
    if actual != record["sha256"]:
        raise RoadClosed(f"{path} was changed after it was provisioned")
    if not runs:
        raise RoadClosed(f"{path} is not executable any more")
    return Provisioned(path=path, road=record["road"], sha256=actual, record=record["record"])


def keep(obtained: Obtained, road: str, into: Path, program: str, version: str) -> Provisioned:
    """Move a finished program into its place; the caller holds the workbench that it lies on.

    A crash between the two moves leaves a whole program that `find` does not trust.

    Raises:
        OSError: the folder cannot be written.
    """
    home = into / f"{program}-{version}"
    digest = sha256_of(obtained.path)
    record = {
        "program": program,
        "version": version,
        "road": road,
        "source": obtained.source,
        "sha256": digest,
        "record": obtained.record,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    written = obtained.path.with_name(_RECORD)
    written.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    written.chmod(0o600)
    obtained.path.chmod(0o755)
    _sync(obtained.path)
    _sync(written)
    home.mkdir(mode=0o700, exist_ok=True)
    obtained.path.replace(home / program)
    written.replace(home / _RECORD)
    _sync(home)
    _sync(into)
    return Provisioned(path=home / program, road=road, sha256=digest, record=obtained.record)


@contextmanager
def workbench(into: Path, name: str, *, timeout_s: float, reporter: Reporter) -> Iterator[Path]:
    """An empty scratch folder on the file system of `into`, for the one run that may work on this name.

    What dead runs left behind, under this name or another, is removed.

    Raises:
        UnitsError: another run works on it for too long.
        OSError: the folder cannot be written.
    """
    partial, locks = into / ".partial", into / ".locks"
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial.mkdir(mode=0o700, exist_ok=True)
    locks.mkdir(mode=0o700, exist_ok=True)
    with _lock(locks / name, name, timeout_s, reporter):
        _sweep(partial, locks, name)
        own = partial / name
        own.mkdir(mode=0o700)
        try:
            with TemporaryDirectory(dir=own, ignore_cleanup_errors=True) as scratch:
                yield own / scratch
        finally:
            shutil.rmtree(own, ignore_errors=True)


def _parse(text: str) -> dict[str, str] | None:
    try:
        record = json.loads(text)
    except ValueError:
        return None
    needed = ("program", "version", "road", "sha256", "record")
    if not isinstance(record, dict) or not all(isinstance(record.get(key), str) for key in needed):
        return None
    return record


@contextmanager
def _lock(path: Path, name: str, timeout_s: float, reporter: Reporter) -> Iterator[None]:
    """Hold the lock. The kernel lets go of it when its holder dies, however that happens."""
    deadline_s = time.monotonic() + timeout_s
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        told = False
        while not try_lock(descriptor):
            if not told:
                reporter.task(f"wait for another run that provisions {name}")
                told = True
            if time.monotonic() > deadline_s:
                raise UnitsError(
                    f"cannot provision {name}: another run has been working on it for {timeout_s:g} s",
                    hint=f"the process that holds {path} can be found with: fuser {path}",
                )
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _sweep(partial: Path, locks: Path, own: str) -> None:
    """Remove scratch folders that nobody works on: ours, as we hold the lock, and those whose lock is free."""
    for left in partial.iterdir():
        if left.name == own:
            shutil.rmtree(left)
            continue
        descriptor = os.open(locks / left.name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if try_lock(descriptor):
                shutil.rmtree(left, ignore_errors=True)
        finally:
            os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
