"""Files are replaced as a whole or not at all, and secrets are nobody else's, not even for a moment."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import hero_livekit_units
from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.errors import StepFailed

ROOT = str(Path(hero_livekit_units.__file__).parents[1])

# Runs in a process of its own, whose limit on the size of a file stands for a disk that is full.
WRITE_WITH_A_LIMIT = """
import resource, sys
from pathlib import Path
from hero_livekit_units.errors import StepFailed
from hero_livekit_units.atomic import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically(Path(sys.argv[1]), "x" * 100_000, 0o600)
except StepFailed as error:
    print(error)
"""


def mode(path: Path) -> int:
    """Permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_umask() -> object:
    """The most careless umask, for the duration of a test."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_a_new_file(tmp_path: Path) -> None:
    """The file has its content and mode, its folder is the owner's alone, whatever the umask."""
    path = tmp_path / "slots" / "livekit.yaml"
    write_atomically(path, "port: 7880 # ü\n", 0o600)
    assert path.read_text(encoding="utf-8") == "port: 7880 # ü\n"
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert list(path.parent.iterdir()) == [path]


def test_another_mode(tmp_path: Path) -> None:
    """The mode is the one that was asked for, also over a file with another one and against the umask."""
    path = tmp_path / "file"
    path.touch(mode=0o777)
    write_atomically(path, "x", 0o640)
    assert mode(path) == 0o640


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """Others may share it; that is their owner's choice."""
    tmp_path.chmod(0o755)
    write_atomically(tmp_path / "file", "x", 0o600)
    assert mode(tmp_path) == 0o755


def test_a_full_disk(tmp_path: Path) -> None:
    """The old file is as it was, nothing half-written is left, and the error says which file and why."""
    path = tmp_path / "livekit.yaml"
    write_atomically(path, "old", 0o600)
    before = path.stat()
    run = subprocess.run(
        [sys.executable, "-c", WRITE_WITH_A_LIMIT, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ROOT, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert run.stdout == f"cannot write {path}: File too large; the old file is as it was\n"
    assert path.read_text() == "old"
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    """What cannot be replaced stays, and no temporary file does."""
    path = tmp_path / "livekit.yaml"
    path.mkdir()
    with pytest.raises(StepFailed, match="the old file is as it was") as caught:
        write_atomically(path, "x", 0o600)
    assert caught.value.step == f"write {path}"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    """The folder cannot be made: one of our errors, and the file there is not touched."""
    (tmp_path / "slots").write_text("mine")
    with pytest.raises(StepFailed, match="cannot write"):
        write_atomically(tmp_path / "slots" / "a" / "livekit.yaml", "x", 0o600)
    assert (tmp_path / "slots").read_text() == "mine"


def test_text_that_cannot_be_encoded(tmp_path: Path) -> None:
    """Even a fault of the caller leaves no temporary file with half of the secrets."""
    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "file", "secret \ud800", 0o600)
    assert list(tmp_path.iterdir()) == []


def test_what_a_death_left_is_swept(tmp_path: Path) -> None:
    """A writer was killed: its half of a file, secrets and all, goes with the next write, and nothing else does."""
    kept = [tmp_path / name for name in (".livekit.yaml.swp", ".backend.env.abc.hlu-new", "livekit.yaml.hlu-new")]
    for path in [*kept, tmp_path / ".livekit.yaml.k2j3.hlu-new"]:
        path.write_text("the old key")
    write_atomically(tmp_path / "livekit.yaml", "x", 0o600)
    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / "livekit.yaml"])


def test_the_error_does_not_repeat_the_text(tmp_path: Path) -> None:
    """What is written is secret."""
    (tmp_path / "file").mkdir()
    with pytest.raises(StepFailed) as caught:
        write_atomically(tmp_path / "file", "api_secret: hunter2", 0o600)
    assert "hunter2" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def test_a_reader_never_meets_half_a_file(tmp_path: Path) -> None:
    """Whoever reads while it is replaced gets the old one or the new one, whole."""
    path = tmp_path / "file"
    texts = ["a" * 50_000, "b" * 70_000]
    write_atomically(path, texts[0], 0o600)

    def rewrite() -> None:
        for at in range(100):
            write_atomically(path, texts[at % 2], 0o600)

    writer = threading.Thread(target=rewrite)
    writer.start()
    read = set()
    while writer.is_alive():
        read.add(path.read_text())
    writer.join()
    assert read <= set(texts)
    assert list(tmp_path.iterdir()) == [path]
