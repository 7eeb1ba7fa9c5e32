"""Many at once, and ends at the worst moment: killed, interrupted, out of space."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from hero_livekit_units.errors import UnitsError
from hero_livekit_units.livekit.store import workbench
from tests.fakes.release_site import Page, ReleaseSite, packed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# A program that differs from a small one only in its size: the shell stops reading at `exit`.
PROGRAM = b"#!/bin/sh\necho media 1.2.3\nexit\n" + os.urandom(300_000)
ARCHIVE = packed(("media", PROGRAM))
SUM = hashlib.sha256(ARCHIVE).hexdigest()

# Provisions `media 1.2.3`: address of the site ("": none), folder, search path, most bytes of a file (0: any).
RUNNER = """
import json, resource, sys
from pathlib import Path
from hero_livekit_units.errors import UnitsError
from hero_livekit_units.livekit.provision import provision
from hero_livekit_units.livekit.roads import Host
from hero_livekit_units.model.unit import BinarySection, GoModule, ReleaseArchive

address, into, search_path, most_bytes = json.loads(sys.argv[1])

class Loud:
    def task(self, name):
        print(name, flush=True)
    def progress(self, done_bytes, total, text):
        pass

if most_bytes:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
binary = BinarySection(
    program="media", version_argv=("--version",), version_prints="media 1.2.3",
    archive=ReleaseArchive(address + "/media.tar.gz", address + "/checksums.txt", "media") if address else None,
    go=GoModule("example.org/media", "cmd/server", "v1.2.3", "server"),
)
host = Host(search_path=search_path, env={"PATH": "/usr/bin:/bin"}, machine="x86_64")
try:
    found = provision(binary, "1.2.3", Path(into), reporter=Loud(), host=host)
except UnitsError as error:
    sys.exit(f"{type(error).__name__}: {error} ({error.hint})")
print("found", found.path, found.road)
"""


@pytest.fixture
def site() -> Iterator[ReleaseSite]:
    """A release whose archive stops after its first byte until the gate is opened."""
    pages = {
        "/media.tar.gz": Page(ARCHIVE, gate=threading.Event()),
        "/checksums.txt": Page(f"{SUM}  media.tar.gz\n".encode()),
    }
    with ReleaseSite(pages) as running:
        yield running


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts provisioning in another process; what is left of it at the end is killed, and what it started."""
    with contextlib.ExitStack() as stack:

        def started(address: str, into: Path, search_path: str = "", most_bytes: int = 0) -> subprocess.Popen[str]:
            job = json.dumps([address, str(into), search_path, most_bytes])
            process = subprocess.Popen(
                [sys.executable, "-c", RUNNER, job], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            stack.enter_context(process)
            stack.callback(_kill_tree, process)
            return process

        yield started


def _kill_tree(process: subprocess.Popen[str]) -> None:
    """Its children as well: a test that failed may leave a go that is deaf to politeness."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    process.kill()


def wait_until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Look every 20 ms; fail after the deadline."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "what was waited for did not come"
        time.sleep(0.02)


def left_in(folder: Path) -> list[str]:
    """All files but the empty lock."""
    return [path.name for path in folder.rglob("*") if path.is_file() and path.parent.name != ".locks"]


def open_gate(site: ReleaseSite) -> None:
    """Let the archive through, now and later."""
    gate = site.pages["/media.tar.gz"].gate
    assert gate
    gate.set()


def test_two_at_once_download_once(
    site: ReleaseSite, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """The second run waits for the first and takes what it brought."""
    first = start(site.address, tmp_path / "bin")
    wait_until(lambda: "/media.tar.gz" in site.hits)
    second = start(site.address, tmp_path / "bin")
    assert second.stdout
    assert second.stdout.readline() == "wait for another run that provisions media-1.2.3\n"
    open_gate(site)
    told = f"found {tmp_path}/bin/media-1.2.3/media archive\n"
    assert first.communicate(timeout=20)[0].endswith(told)
    assert second.communicate(timeout=20)[0].endswith(told)
    assert site.hits.count("/media.tar.gz") == 1


def test_eight_at_once_agree(site: ReleaseSite, start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """However many start together, one downloads and all find the same program."""
    open_gate(site)
    runs = [start(site.address, tmp_path / "bin") for _ in range(8)]
    ends = {run.communicate(timeout=60)[0].splitlines()[-1] for run in runs}
    assert ends == {f"found {tmp_path}/bin/media-1.2.3/media archive"}
    assert site.hits.count("/media.tar.gz") == 1
    assert sorted(left_in(tmp_path / "bin")) == ["media", "provisioned.json"]


def test_killed_in_the_middle(site: ReleaseSite, start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """After a `kill -9` nothing is at the final place, and the next run sweeps up and succeeds without waiting."""
    run = start(site.address, tmp_path / "bin")
    wait_until(lambda: "/media.tar.gz" in site.hits and left_in(tmp_path / "bin"))
    run.kill()
    run.wait(20)
    assert not (tmp_path / "bin" / "media-1.2.3").exists()
    assert left_in(tmp_path / "bin") == ["archive"]
    # Scratch of another version whose run died: no lock is held for it.
    (tmp_path / "bin" / ".partial" / "media-1.2.2" / "tmpx").mkdir(parents=True)
    open_gate(site)
    out, _ = start(site.address, tmp_path / "bin").communicate(timeout=20)
    assert out.endswith(f"found {tmp_path}/bin/media-1.2.3/media archive\n")
    assert "wait for" not in out
    assert list((tmp_path / "bin" / ".partial").iterdir()) == []


def test_work_of_a_live_run_is_not_swept(
    site: ReleaseSite, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """A run for one version sweeps up behind the dead, and leaves alone what a live run has on its bench."""
    run = start(site.address, tmp_path / "bin")
    wait_until(lambda: left_in(tmp_path / "bin"))
    (tmp_path / "bin" / ".partial" / "media-of-a-dead-run").mkdir()
    script = (
        "import sys; from pathlib import Path; from hero_livekit_units.livekit import store, progress\n"
        "with store.workbench(Path(sys.argv[1]), 'media-1.2.4', timeout_s=1, reporter=progress.SILENT): pass"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "bin")], check=True, timeout=20)
    assert [path.name for path in (tmp_path / "bin" / ".partial").iterdir()] == ["media-1.2.3"]
    open_gate(site)
    assert "found" in run.communicate(timeout=20)[0]


def test_interrupted_download(site: ReleaseSite, start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """Ctrl-C in a download leaves no file at all."""
    run = start(site.address, tmp_path / "bin")
    wait_until(lambda: "/media.tar.gz" in site.hits and left_in(tmp_path / "bin"))
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=20)
    assert "KeyboardInterrupt" in err
    assert left_in(tmp_path / "bin") == []
    assert list((tmp_path / "bin" / ".partial").iterdir()) == []


def test_interrupted_build(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """Ctrl-C in a build ends go, even one that ignores the polite signal, and all that go started."""
    go = tmp_path / "path" / "go"
    go.parent.mkdir()
    go.write_text(
        "#!/bin/sh\n"
        "trap '' TERM\n"
        "sleep 300 & echo $! > " + str(tmp_path / "child") + "\n"
        "echo half > $GOBIN/server\n"
        "echo $$ > " + str(tmp_path / "leader") + "\n"
        "while :; do sleep 300; done\n"
    )
    go.chmod(0o755)
    run = start("", tmp_path / "bin", str(go.parent))
    wait_until(lambda: (tmp_path / "leader").exists() and (tmp_path / "leader").read_text().strip())
    pids = [int((tmp_path / name).read_text()) for name in ("leader", "child")]
    assert all(psutil.pid_exists(pid) for pid in pids)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=30)
    assert "KeyboardInterrupt" in err
    wait_until(lambda: not any(_lives(pid) for pid in pids))
    assert left_in(tmp_path / "bin") == []


def test_another_run_that_never_ends(tmp_path: Path) -> None:
    """Waiting for another run is bounded, and the hint tells how to find it."""
    heard: list[str] = []

    class Ears:
        def task(self, name: str) -> None:
            heard.append(name)

        def progress(self, done_bytes: int, total: int | None, text: str) -> None:
            raise AssertionError((done_bytes, total, text))

    with (
        workbench(tmp_path, "media-1.2.3", timeout_s=1.0, reporter=Ears()) as scratch,
        pytest.raises(UnitsError, match=r"cannot provision media-1\.2\.3: another run .* for 0\.3 s") as failed,
        workbench(tmp_path, "media-1.2.3", timeout_s=0.3, reporter=Ears()),
    ):
        raise AssertionError("two on one bench")
    assert heard == ["wait for another run that provisions media-1.2.3"]
    assert str(tmp_path / ".locks" / "media-1.2.3") in failed.value.hint
    assert not scratch.exists()


def test_no_space_left(site: ReleaseSite, start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """A disk that takes no more is told as such, with the folder; nothing half-written stays."""
    open_gate(site)
    out, err = start(site.address, tmp_path / "bin", most_bytes=100_000).communicate(timeout=20)
    assert "found" not in out
    assert err.startswith(f"UnitsError: cannot provision media 1.2.3 in {tmp_path}/bin: ")
    assert "file too large (free some space there)" in err
    assert "Traceback" not in err
    assert left_in(tmp_path / "bin") == []


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
