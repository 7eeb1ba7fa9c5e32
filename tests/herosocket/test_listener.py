"""One owner for a socket, whatever happened to the ones before."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from hero_livekit_units.errors import DaemonError, SocketBusy
from hero_livekit_units.herosocket.listener import listen

HOLDER = """
import signal, sys
from hero_livekit_units.herosocket.listener import listen
listener = listen(sys.argv[1])
print("listening", flush=True)
signal.pause()
"""


def hold(path: str) -> subprocess.Popen[str]:
    """Another process that listens on the path."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "listening\n"
    return process


def test_only_the_user_can_connect(folder: Path) -> None:
    """The socket and its lock are 0600, and the folder that was made for them 0700, whatever the umask."""
    before = os.umask(0)
    try:
        with closing(listen(str(folder / "new" / "service" / "rpc.sock"))):
            files = [folder / "new" / "service", *sorted((folder / "new" / "service").iterdir())]
            modes = {file.name: file.stat().st_mode & 0o777 for file in files}
    finally:
        assert os.umask(before) == 0
    assert modes == {"service": 0o700, "rpc.sock": 0o600, "rpc.sock.lock": 0o600}


def test_a_folder_that_exists_keeps_its_mode(folder: Path) -> None:
    """Others may share it."""
    folder.chmod(0o755)
    listen(str(folder / "rpc.sock")).close()
    assert folder.stat().st_mode & 0o777 == 0o755


def test_closing_removes_the_socket_and_keeps_the_lock_file(folder: Path) -> None:
    """After close nobody listens, and the next one can."""
    path = folder / "rpc.sock"
    for _ in range(2):
        listener = listen(str(path))
        assert path.is_socket()
        listener.close()
        assert [file.name for file in folder.iterdir()] == ["rpc.sock.lock"]


def test_closing_leaves_the_socket_of_another(folder: Path) -> None:
    """A socket file that is not the one we made any more is not removed."""
    path = folder / "rpc.sock"
    listener = listen(str(path))
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        listener.close()
        assert path.is_socket()


def test_the_second_one_is_refused_by_name(folder: Path) -> None:
    """SocketBusy names the pid of the first, which goes on listening."""
    path = str(folder / "rpc.sock")
    with hold(path) as first:
        with pytest.raises(SocketBusy, match=f"pid {first.pid} already does") as caught:
            listen(path)
        assert caught.value.pid == first.pid
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(path)
        first.kill()


def test_the_socket_of_a_killed_one_is_replaced(folder: Path) -> None:
    """`kill -9` leaves a socket file on which nobody answers; the next one takes its place."""
    path = str(folder / "rpc.sock")
    with hold(path) as first:
        first.send_signal(signal.SIGKILL)
    assert Path(path).is_socket()
    with closing(listen(path)), socket.socket(socket.AF_UNIX) as peer:
        peer.connect(path)


def test_somebody_without_the_lock_who_answers_is_not_thrown_out(folder: Path) -> None:
    """A socket on which somebody answers is not replaced, though the lock is ours; the error names that process."""
    path = str(folder / "rpc.sock")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen(1)
        with pytest.raises(SocketBusy) as caught:
            listen(path)
        assert caught.value.pid == os.getpid()
        assert Path(path).is_socket()


def test_the_lock_is_let_go_after_a_refusal(folder: Path) -> None:
    """A refused attempt holds nothing: as soon as the other has gone, the next attempt succeeds."""
    path = str(folder / "rpc.sock")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen(1)
        with pytest.raises(SocketBusy):
            listen(path)
    listen(path).close()


def test_a_lock_that_a_dying_child_still_holds_is_waited_for(folder: Path) -> None:
    """When the owner on record is dead, the lock is about to be free: the next one waits for it."""
    path = str(folder / "rpc.sock")
    holder = f"exec 9>>{path}.lock; flock 9; echo locked; sleep 0.5"
    with subprocess.Popen(["bash", "-c", holder], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        Path(f"{path}.lock").write_text("999999999 1\n")
        listen(path).close()


def test_a_file_that_is_no_socket_is_left_alone(folder: Path) -> None:
    """It is somebody's file."""
    path = folder / "rpc.sock"
    path.write_text("precious")
    with pytest.raises(DaemonError, match="not a socket"):
        listen(str(path))
    assert path.read_text() == "precious"


@pytest.mark.parametrize(("length", "fits"), [(107, True), (108, False)], ids=["107", "108"])
def test_the_longest_path(folder: Path, length: int, fits: bool) -> None:  # noqa: FBT001
    """107 bytes fit; one more is an error that says so."""
    path = f"{folder}/{'x' * (length - len(str(folder)) - 1)}"
    if fits:
        listen(path).close()
    else:
        with pytest.raises(DaemonError, match="the path has 108 bytes, a Unix socket takes 107"):
            listen(path)


def test_a_folder_that_cannot_be_made(folder: Path) -> None:
    """The error is ours, with the path."""
    (folder / "file").write_text("")
    with pytest.raises(DaemonError, match=r"cannot listen on .*/file/rpc.sock: File exists"):
        listen(str(folder / "file" / "rpc.sock"))
