"""What the roads to a program have in common: the machine they start from, what they end in, why one is closed.

Knows nothing of any single road.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

_ARCHES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armv7"}


class RoadClosed(Exception):
    """One road does not lead to the program; the text is the reason. It never leaves `provision`."""


@frozen
class Host:
    """The machine as the roads see it.

    Attributes:
        search_path: folders to search, as in PATH. Relative and empty entries are passed over: what lies in the
            working folder of the moment is not a program of this machine.
        env: environment of every program that is run.
        machine: as `platform.machine()` names it.
    """

    search_path: str
    env: Mapping[str, str]
    machine: str

    @classmethod
    def current(cls) -> Host:
        """The machine and the environment of this process."""
        return cls(search_path=os.environ.get("PATH", os.defpath), env=dict(os.environ), machine=platform.machine())


@frozen
class Limits:
    """How long and how much; times are seconds, sizes bytes.

    Attributes:
        connect_s: until a server accepts the connection.
        read_s: between two pieces of an answer.
        download_s: for one whole download.
        download_bytes: of one download.
        unpacked_bytes: of the program, and of all that comes before it in its archive.
        version_s: for a program to print its version.
        pip_s: for pip to install a Go toolchain.
        build_s: for one build.
        lock_s: for another run to finish the same program.
    """

    connect_s: float = 10.0
    read_s: float = 30.0
    download_s: float = 1800.0
    download_bytes: int = 512 * 1024**2
    unpacked_bytes: int = 1024**3
    version_s: float = 10.0
    pip_s: float = 600.0
    build_s: float = 1200.0
    lock_s: float = 3900.0


@frozen
class Provisioned:
    """A program that runs here and is what the definition says.

    Attributes:
        path: absolute; stays the same from call to call.
        road: how it came: named, path, archive or go.
        sha256: of the program, hex.
        record: what vouches for it: the line of the release's checksums, the sum of the Go module (`h1:...`), or for
            a program that was here before, the version that it prints.
    """

    path: Path
    road: str
    sha256: str
    record: str


@frozen
class Obtained:
    """A program that a road has brought into a scratch folder; `source` is where from, `record` as in `Provisioned`."""

    path: Path
    source: str
    record: str


def arch_of(machine: str) -> str:
    """The name that release archives use for a machine.

    Raises:
        RoadClosed: there is none.
    """
    arch = _ARCHES.get(machine)
    if arch is None:
        raise RoadClosed(f"no release archive for {machine or 'an unknown machine'}")
    return arch


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hex.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
