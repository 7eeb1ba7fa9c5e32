"""How a program comes to this machine: the roads in their order, each with its reason when it is closed.

    named    a path that the user gives: right, or the end
    path     a program on the search path that prints the right version
    archive  upstream's release archive, checked against the release's checksums and the definition's own hash
    go       built from the exact module version, checked by Go's checksum database

What was downloaded or built before is found before the search path is asked: the program under running calls must not
become another one because somebody installed a package. Knows nothing of units, slots or plans.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from hero_livekit_units.errors import ProvisionFailed, UnitsError
from hero_livekit_units.livekit import gobuild, store
from hero_livekit_units.livekit.onhost import check_version, from_named, from_path
from hero_livekit_units.livekit.progress import SILENT
from hero_livekit_units.livekit.roads import Host, Limits, Provisioned, RoadClosed, arch_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hero_livekit_units.livekit.gobuild import GoFinder
    from hero_livekit_units.livekit.progress import Reporter
    from hero_livekit_units.livekit.roads import Obtained
    from hero_livekit_units.model.unit import BinarySection

_PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+_-]*")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LIMITS = Limits()


def provision(
    binary: BinarySection,
    version: str,
    into: Path,
    *,
    named: Path | None = None,
    reporter: Reporter = SILENT,
    flag: str = "",
    host: Host | None = None,
    limits: Limits = _LIMITS,
    find_go: GoFinder = gobuild.find_go,
) -> Provisioned:
    """Have a program of this version on this machine; safe to repeat and to call from many processes at once.

    Args:
        binary: what the definition says of the program.
        version: the program's version.
        into: folder for what has to be downloaded or built; made when needed.
        named: a path that the user gives; then no other road is tried.
        reporter: hears what goes on.
        flag: how the user gives that path, for the hint; `--PROGRAM PATH` if empty.
        host: search path, environment and machine; those of this process by default.
        limits: how long and how much.
        find_go: finds the Go toolchain for the last road.

    Raises:
        ProvisionFailed: no road leads there, or the named program is not the one.
        UnitsError: the definition names no program, or the folder cannot be written.
    """
    _check_names(binary, version)
    host = host or Host.current()
    into = Path(os.path.abspath(into))  # noqa: PTH100 - a link in the way stays the user's name for the place
    flag = flag or f"--{binary.program} PATH"
    if named is not None:
        try:
            return from_named(named, binary, host, limits=limits)
        except RoadClosed as error:
            hint = f"give a {binary.program} {version} with {flag}, or leave {flag} out to have it found or fetched"
            raise ProvisionFailed(f"{binary.program} {version}", [("named", str(error))], hint=hint) from error
    run = _Run(binary, version, into, host, limits, reporter, find_go)
    try:
        found = run.here() or run.fetched()
    except OSError as error:
        raise _not_written(binary.program, version, into, error) from error
    if found is None:
        hint = f"get it from {_page(binary, version)} and name it with {flag}"
        if binary.system_package:
            hint = f"install {binary.system_package} {binary.version_at_least} or newer, the package of your system"
        raise ProvisionFailed(f"{binary.program} {version}", run.reasons, hint=hint)
    return found


class _Run:
    """One way through the roads; `reasons` says why those tried so far are closed."""

    def __init__(
        self,
        binary: BinarySection,
        version: str,
        into: Path,
        host: Host,
        limits: Limits,
        reporter: Reporter,
        find_go: GoFinder,
    ) -> None:
        self._binary = binary
        self._version = version
        self._into = into
        self._host = host
        self._limits = limits
        self._reporter = reporter
        self._find_go = find_go
        self.reasons: list[tuple[str, str]] = []

    def here(self) -> Provisioned | None:
        """What is on this machine already. Writes nothing."""
        try:
            kept = self._kept()
        except RoadClosed as error:
            self._reporter.task(f"provision {self._binary.program} {self._version} anew: {error}")
            self.reasons.append(("kept", str(error)))
            kept = None
        if kept:
            return kept
        self.reasons.append(("named", "no path was given"))
        try:
            return from_path(self._binary, self._host, limits=self._limits)
        except RoadClosed as error:
            self.reasons.append(("path", str(error)))
            return None

    def fetched(self) -> Provisioned | None:
        """Download it or build it, unless another run has just done so."""
        name = f"{self._binary.program}-{self._version}"
        with store.workbench(self._into, name, timeout_s=self._limits.lock_s, reporter=self._reporter) as scratch:
            try:
                kept = self._kept()
            except RoadClosed:
                kept = None  # told already
            return kept or self._over("archive", self._archive, scratch) or self._over("go", self._go, scratch)

    def _kept(self) -> Provisioned | None:
        kept = store.find(self._into, self._binary.program, self._version)
        archive = self._binary.archive
        if kept and kept.road == "archive" and archive and archive.sha256:
            pinned = archive.sha256.get(arch_of(self._host.machine))
            if pinned and not kept.record.lower().startswith(pinned.lower()):
                raise RoadClosed(f"{kept.path} came from an archive with another hash than the definition pins")
        return kept

    def _over(self, road: str, obtain: Callable[[Path], Obtained], scratch: Path) -> Provisioned | None:
        try:
            obtained = obtain(scratch)
            check_version(obtained.path, self._binary, self._host.env, limits=self._limits)
        except RoadClosed as error:
            self.reasons.append((road, str(error)))
            return None
        return store.keep(obtained, road, self._into, self._binary.program, self._version)

    def _archive(self, scratch: Path) -> Obtained:
        if self._binary.archive is None:
            raise RoadClosed("the definition names no release archive")
        # Late: requests is slow to import, and a program that is here already needs none of it.
        from hero_livekit_units.livekit.archive import from_archive  # noqa: PLC0415

        return from_archive(
            self._binary.archive,
            self._version,
            self._host.machine,
            scratch,
            limits=self._limits,
            reporter=self._reporter,
        )

    def _go(self, scratch: Path) -> Obtained:
        if self._binary.go is None:
            raise RoadClosed("the definition names no go module")
        return gobuild.from_go(
            self._binary.go,
            self._host,
            scratch,
            find=self._find_go,
            limits=self._limits,
            reporter=self._reporter,
        )


def _check_names(binary: BinarySection, version: str) -> None:
    """Program and version become names of files: let nothing else through."""
    if not binary.program:
        raise UnitsError("cannot provision a unit without a program of its own: it is part of this package")
    if not _PROGRAM.fullmatch(binary.program):
        raise UnitsError(f"cannot provision {binary.program!r}: not the name of a program")
    if not _VERSION.fullmatch(version):
        raise UnitsError(f"cannot provision {binary.program} {version!r}: not a version")


def _not_written(program: str, version: str, into: Path, error: OSError) -> UnitsError:
    place = error.filename or into
    cause = (error.strerror or str(error)).lower()
    hint = "free some space there" if error.errno in _FULL else "choose a folder that you may write to"
    return UnitsError(f"cannot provision {program} {version} in {into}: {place}: {cause}", hint=hint)


def _page(binary: BinarySection, version: str) -> str:
    """Where a person can get the program."""
    if binary.archive:
        folder = binary.archive.url.replace("${version}", version).rpartition("/")[0]
        return folder.replace("/releases/download/", "/releases/tag/")
    if binary.go:
        return f"https://pkg.go.dev/{binary.go.module}@{binary.go.version}"
    return "its makers"
