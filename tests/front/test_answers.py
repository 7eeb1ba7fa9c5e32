"""What is no answer of a front is nothing known, or an error of the package: no guess, and no wait without end."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.errors import FrontRefused, FrontUnavailable
from hero_livekit_units.livekit import haproxy
from hero_livekit_units.livekit.front import Front

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Serve = Callable[[str, Callable[[socket.socket], None]], None]

ALONE = (
    b"#<PID>          <type>          <reloads>       <uptime>        <version>\n"
    b"71              master          3 [failed: 1]   0d00h00m03s     2.6.12\n"
    b"# workers\n74              worker          0               0d00h00m03s     2.6.12\n"
)
PROCESSES = (
    ALONE + b"# old workers\n73              worker          1               0d00h00m04s     2.6.12\n"
    b"72              worker          2               0d00h00m05s     2.6.12\n# programs\n\n"
)


@pytest.fixture
def serve(short_folder: Path) -> Iterator[Serve]:
    """Answers each connection to a socket of the folder in the same way."""
    listeners = []
    threads = []

    def start(name: str, answer: Callable[[socket.socket], None]) -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(short_folder / name))
        listener.listen()
        listeners.append(listener)

        def run() -> None:
            with suppress(OSError):
                while True:
                    with listener.accept()[0] as connection, suppress(OSError):
                        answer(connection)

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(5.0)


def says(answer: bytes) -> Callable[[socket.socket], None]:
    """Answers anything with the same."""

    def run(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    return run


def prompting(answer: bytes) -> Callable[[socket.socket], None]:
    """Answers every line of a conversation with the same."""

    def run(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(answer + b"\n> ")

    return run


def silent(connection: socket.socket) -> None:
    """Takes whatever is said, and says nothing."""
    while connection.recv(65536):
        pass
    time.sleep(0.3)  # longer than anybody has patience


def test_processes(serve: Serve, short_folder: Path) -> None:
    """The worker that takes connections, and the old ones in their order."""
    serve("master.sock", says(PROCESSES))
    found = haproxy.processes(short_folder, time.monotonic() + 1.0)
    assert found == haproxy.Processes(master=71, worker=74, old=(73, 72), reloads=3, failed=1)


@pytest.mark.parametrize("answer", [b"", b"\n\n", b"no such command\n", b"\xff\xfe\x00\n", PROCESSES[:90]])
def test_a_master_that_says_something_else(answer: bytes, serve: Serve, short_folder: Path) -> None:
    """Garbage and half an answer are nothing."""
    serve("master.sock", says(answer))
    assert Front(short_folder).see() is None
    with pytest.raises(FrontUnavailable, match=r"cannot ask the front: master\.sock does not say"):
        Front(short_folder).route("b")


@pytest.mark.parametrize("answer", [b"", b"Unknown command\n", b"\xff\xfe\n", b"Pid: 74\nUptime_sec: 1\n"])
def test_a_worker_that_says_something_else(answer: bytes, serve: Serve, short_folder: Path) -> None:
    """Another program's HAProxy, or none at all, has no map of rooms."""
    serve("master.sock", says(ALONE))
    serve("admin.sock", prompting(answer))
    assert Front(short_folder).see() is None
    with pytest.raises(FrontUnavailable, match="what answers is not the front of this package"):
        Front(short_folder).route("b")


@pytest.mark.parametrize("name", ["master.sock", "admin.sock"])
def test_silence(name: str, serve: Serve, short_folder: Path) -> None:
    """The deadline is for all of it together."""
    if name == "admin.sock":
        serve("master.sock", says(ALONE))
    serve(name, silent)
    began_s = time.monotonic()
    assert Front(short_folder).see(0.1) is None
    with pytest.raises(FrontUnavailable, match=f"{name}: (timed out|no answer in time)"):
        Front(short_folder).route("b", deadline_s=0.1)
    assert time.monotonic() - began_s < 1.0


def test_an_answer_that_ends_early(serve: Serve, short_folder: Path) -> None:
    """A worker that ends in the middle of it has not answered."""
    serve("admin.sock", says(b"\n> "))
    with (
        haproxy.line_to_worker(short_folder, time.monotonic() + 1.0) as line,
        pytest.raises(FrontUnavailable, match=r"admin\.sock: (the answer ends early|Broken pipe|Connection reset)"),
    ):
        line.ask("show info")


def test_a_program_that_cannot_judge(tmp_path: Path) -> None:
    """No HAProxy there is an error; one that only says that it failed is shown with all it said."""
    with pytest.raises(FrontUnavailable, match="no-such-haproxy cannot be run"):
        Front(tmp_path).check("", str(tmp_path / "no-such-haproxy"))
    program = tmp_path / "haproxy"
    program.write_text("#!/bin/sh\necho out of luck\nexit 1\n")
    program.chmod(0o755)
    assert Front(tmp_path).check("", str(program)) == (haproxy.ConfigFault(0, "out of luck"),)
    assert [path.name for path in tmp_path.iterdir()] == ["haproxy"]


def test_no_place_for_what_is_to_be_judged(tmp_path: Path) -> None:
    """Said as what it is, and in one of our errors, as on a full disk."""
    with pytest.raises(FrontRefused, match=f"cannot check its configuration: {tmp_path}/gone: No such file"):
        haproxy.faults_of("haproxy", tmp_path / "gone", "global\n")
