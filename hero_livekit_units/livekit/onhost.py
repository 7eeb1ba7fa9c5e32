"""The roads to programs that are on this machine already: one that the user names, one on the search path.

Both are used in place. Also the test that every road's program must pass: it prints its version.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from hero_livekit_units.livekit.childproc import run_to_end
from hero_livekit_units.livekit.roads import Provisioned, RoadClosed, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hero_livekit_units.livekit.roads import Host, Limits
    from hero_livekit_units.model.unit import BinarySection

_SHOWN_CHARACTERS = 120
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_DOTTED = re.compile(r"\d+(?:\.\d+)+")


def check_version(program: Path, binary: BinarySection, env: Mapping[str, str], *, limits: Limits) -> str:
    """Run the program for its version.

    Returns:
        What it printed, without surrounding white space.

    Raises:
        RoadClosed: it cannot be run, fails, or prints something else than the definition says.
    """
    argv = [str(program), *binary.version_argv]
    finished = run_to_end(argv, env=env, timeout_s=limits.version_s, with_stderr=False)
    printed = finished.output.strip()
    if binary.version_at_least:
        _check_not_older(program, printed, binary.version_at_least)
    elif printed != binary.version_prints.strip():
        raise RoadClosed(f"{program} prints {printed[:_SHOWN_CHARACTERS]!r}, not {binary.version_prints!r}")
    if finished.status != 0:
        raise RoadClosed(f"{program} prints its version, but ends with status {finished.status}")
    return printed


def _check_not_older(program: Path, printed: str, least: str) -> None:
    found = _DOTTED.search(printed)
    if found is None:
        raise RoadClosed(f"{program} prints no version: {printed[:_SHOWN_CHARACTERS]!r}")
    if _numbers(found[0]) < _numbers(least):
        raise RoadClosed(f"{program} is {found[0]}, older than {least}")


def _numbers(version: str) -> list[int]:
    """The numbers of a version, without zeros at the end: 6.0 is not older than 6.0.0."""
    numbers = [int(part) for part in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers


def from_named(named: Path, binary: BinarySection, host: Host, *, limits: Limits) -> Provisioned:
    """Take the program that the user names.

    Raises:
        RoadClosed: it is not there, not executable, or another version.
    """
    # Not resolved: a link that the user keeps is the stable name.
    path = Path(os.path.abspath(named.expanduser()))  # noqa: PTH100
    if not path.exists():
        raise RoadClosed(f"{path} does not exist")
    if not path.is_file():
        raise RoadClosed(f"{path} is not a file")
    if not os.access(path, os.X_OK):
        raise RoadClosed(f"{path} is not executable")
    return _in_place(path, "named", binary, host, limits)


def from_path(binary: BinarySection, host: Host, *, limits: Limits) -> Provisioned:
    """Take the first program on the search path that prints the right version.

    Raises:
        RoadClosed: there is none; the text says what those found were.
    """
    reasons = []
    # Programs of the system lie where only the PATH of its administrator leads.
    system = os.pathsep.join(("", *_SYSTEM_FOLDERS)) if binary.system_package else ""
    for path in on_search_path(binary.program, host.search_path + system):
        try:
            return _in_place(path, "path", binary, host, limits)
        except RoadClosed as error:
            reasons.append(str(error))
    raise RoadClosed("; ".join(reasons) or f"{binary.program} is not on the search path")


def on_search_path(program: str, search_path: str) -> Iterator[Path]:
    """The executables of this name in the absolute folders of a search path, each folder once."""
    for folder in dict.fromkeys(search_path.split(os.pathsep)):
        path = Path(folder) / program
        if path.is_absolute() and path.is_file() and os.access(path, os.X_OK):
            yield path


def _in_place(path: Path, road: str, binary: BinarySection, host: Host, limits: Limits) -> Provisioned:
    printed = check_version(path, binary, host.env, limits=limits)
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise RoadClosed(f"{path} cannot be read: {error.strerror}") from error
    return Provisioned(path=path, road=road, sha256=digest, record=printed)
