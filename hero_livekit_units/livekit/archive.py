"""The road over upstream's release archive: checksums first, then the archive, then the one member that is wanted."""

from __future__ import annotations

import gzip
import re
import shutil
import tarfile
import zlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hero_livekit_units.definitions.template import fill
from hero_livekit_units.livekit.fetch import fetch, fetch_text, shown
from hero_livekit_units.livekit.roads import Obtained, RoadClosed, arch_of

if TYPE_CHECKING:
    from pathlib import Path

    from hero_livekit_units.livekit.progress import Reporter
    from hero_livekit_units.livekit.roads import Limits
    from hero_livekit_units.model.unit import ReleaseArchive

_CHECKSUM = re.compile(r"([0-9a-fA-F]{64})\s+\*?(\S.*)")


def from_archive(
    archive: ReleaseArchive, version: str, machine: str, folder: Path, *, limits: Limits, reporter: Reporter
) -> Obtained:
    """Download, verify and unpack into a folder.

    The archive must have the hash that the release's checksums list and, where the definition pins one for this
    architecture, that one.

    Raises:
        RoadClosed: something is missing or not what it should be.
        OSError: the folder cannot be written.
    """
    arch = arch_of(machine)
    parameters = {"version": version, "arch": arch}
    try:
        url, checksums = fill(archive.url, parameters), fill(archive.checksums, parameters)
    except KeyError as error:
        raise RoadClosed(f"the definition's address holds an unknown parameter: {error.args[0]}") from error
    name = urlsplit(url).path.rpartition("/")[2]
    reporter.task(f"look up {name} in the checksums of the release")
    line, listed = find_checksum(fetch_text(checksums, limits=limits), name)
    pinned = archive.sha256.get(arch, listed).lower()
    if pinned != listed:
        raise RoadClosed(f"the checksums of the release list {listed} for {name}, the definition pins {pinned}")
    reporter.task(f"download {name}")
    packed = folder / "archive"
    actual = fetch(url, packed, limits=limits, reporter=reporter)
    if actual != listed:
        raise RoadClosed(f"{name} has SHA-256 {actual}, the checksums of the release list {listed}")
    reporter.task(f"unpack {archive.member}")
    program = folder / "program"
    extract(packed, archive.member, program, most_bytes=limits.unpacked_bytes)
    program.chmod(0o755)
    packed.unlink()
    return Obtained(path=program, source=shown(url), record=line)


def find_checksum(text: str, name: str) -> tuple[str, str]:
    """The line `HEX  NAME` of a file, and its hash in lower case.

    Raises:
        RoadClosed: no line names the file, or two disagree.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _CHECKSUM.fullmatch(line.strip())
        if match and match[2] == name:
            found.setdefault(match[1].lower(), line.strip())
    if not found:
        raise RoadClosed(f"the checksums of the release do not list {name}")
    if len(found) > 1:
        raise RoadClosed(f"the checksums of the release list {name} twice, and differently")
    digest, line = found.popitem()
    return line, digest


def extract(packed: Path, member: str, target: Path, *, most_bytes: int) -> None:
    """Copy one regular file out of a `.tar.gz`; nothing else of the archive reaches the disk, whatever it is called.

    Raises:
        RoadClosed: the member is missing, is not a regular file or is too large, or the archive is damaged.
        OSError: the target cannot be written.
    """
    try:
        with tarfile.open(packed, "r:gz") as archive:
            passed = 0
            for entry in archive:
                passed += entry.size
                if passed > most_bytes:
                    raise RoadClosed(f"the archive holds more than the {most_bytes} bytes allowed")
                if entry.name.removeprefix("./") == member:
                    source = archive.extractfile(entry) if entry.isreg() else None
                    if source is None:
                        raise RoadClosed(f"{member} is not a regular file in the archive")
                    with source, target.open("xb") as file:
                        shutil.copyfileobj(source, file)
                    return
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RoadClosed(f"the archive is damaged: {error}") from error
    raise RoadClosed(f"the archive has no member {member}")
