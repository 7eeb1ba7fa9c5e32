"""Starts that cannot work: one clear line, exit status 2, no secret; and the ways to give settings."""

from __future__ import annotations

import signal
import socket
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.backend.main import run
from tests.backend.running import API_SECRET, BACKEND_SECRET, DEADLINE_S, launch, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backend.conftest import StartBackend

pytestmark = pytest.mark.servers


def failed_start(folder: Path, *arguments: str, **changes: str) -> str:
    """Start a backend that cannot; return its only line on standard error."""
    log = folder / "failed.log"
    process = launch(settings_for(folder, **changes), arguments, log)
    output, _ = process.communicate(timeout=DEADLINE_S)
    text = log.read_text()
    assert (process.returncode, output, text.count("\n")) == (2, b"", 1), text
    assert API_SECRET not in text
    assert BACKEND_SECRET not in text
    return text.rstrip("\n")


def test_all_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    """One line names every variable that is not set."""
    actual = failed_start(tmp_path, LIVEKIT_API_KEY="", BACKEND_SECRET="", PORT="x")

    assert actual == (
        "lk-backend: cannot start lk-backend: LIVEKIT_API_KEY, BACKEND_SECRET are not set; PORT is not a number from 0 "
        "to 65535 (settings come from the environment or from the file named by --env-file)"
    )


def test_short_secret_is_refused(tmp_path: Path) -> None:
    """livekit-server only complains about a short secret; this refuses it."""
    assert "LIVEKIT_API_SECRET has fewer than 32 characters" in failed_start(tmp_path, LIVEKIT_API_SECRET="short")


@pytest.mark.parametrize("bind", ["127.0.0.1", "::1"])
def test_busy_port_is_named(tmp_path: Path, bind: str) -> None:
    """The line names the port that is in use, and how to find out by whom."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.create_server((bind, 0), family=family) as taken:
        port = taken.getsockname()[1]

        actual = failed_start(tmp_path, PORT=str(port), BIND=bind)

    assert actual == (
        f"lk-backend: cannot listen on port {port} of {bind}: it is in use "
        f"(`ss -ltnp sport = :{port}` names the process; or set PORT to a free one)"
    )


def test_address_of_another_host_is_told(tmp_path: Path) -> None:
    """An address that this host does not have is named."""
    actual = failed_start(tmp_path, BIND="192.0.2.1")

    assert actual == (
        "lk-backend: cannot listen on port 0 of 192.0.2.1: cannot assign requested address (set BIND and PORT)"
    )


def test_readable_file_of_settings_is_refused(tmp_path: Path) -> None:
    """A file of secrets that others can read stops the start."""
    path = tmp_path / "backend.env"
    path.write_text(f"BACKEND_SECRET={BACKEND_SECRET}\n")
    path.chmod(0o640)

    actual = failed_start(tmp_path, "--env-file", str(path))

    assert actual == (
        f"lk-backend: cannot read {path}: others than its owner have access to it (mode 0640) (chmod 600 {path})"
    )


def test_missing_file_of_settings_is_told(tmp_path: Path) -> None:
    """A file that is not there stops the start."""
    assert "no such file or directory" in failed_start(tmp_path, "--env-file", str(tmp_path / "absent"))


def test_newer_database_is_refused(tmp_path: Path) -> None:
    """A database of a newer release stops the start."""
    with closing(sqlite3.connect(tmp_path / "backend.db")) as connection:
        connection.execute("PRAGMA application_id = 1751938402")
        connection.execute("PRAGMA user_version = 2")

    assert "its schema is version 2, this release knows 1" in failed_start(tmp_path)


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Some other file in the place of the database stops the start."""
    (tmp_path / "backend.db").write_text("something else" * 1000)

    assert "file is not a database" in failed_start(tmp_path)


def test_settings_come_from_a_file(start_backend: StartBackend, tmp_path: Path) -> None:
    """All settings can stand in the file, and the environment goes before it."""
    path = tmp_path / "all.env"
    path.write_text(
        "".join(f"{key}={value}\n" for key, value in settings_for(tmp_path, LIVEKIT_URL="wss://file").items())
    )
    path.chmod(0o600)

    backend = start_backend(
        "--env-file",
        str(path),
        LIVEKIT_API_KEY="",
        LIVEKIT_API_SECRET="",
        BACKEND_SECRET="",
        SQLITE_PATH="",
        PORT="",
        LIVEKIT_URL="wss://environment",
    )

    assert backend.ask_token(room="a", identity="b").body["url"] == "wss://environment"


def test_ipv6_is_served(start_backend: StartBackend) -> None:
    """An IPv6 address is one like others."""
    backend = start_backend(BIND="::1")

    with socket.create_connection(("::1", backend.port), DEADLINE_S) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert client.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"


def test_port_is_free_again_after_the_end(start_backend: StartBackend) -> None:
    """A successor can take the port at once, even after a kill with clients connected."""
    first = start_backend()
    with socket.create_connection(("127.0.0.1", first.port), DEADLINE_S):
        first.end(signal.SIGKILL)

        second = start_backend(PORT=str(first.port))

    assert second.ask("GET", "/health").status == 200


@pytest.mark.parametrize(
    "arguments", [["--nonsense"], ["--env", "x"], ["extra"]], ids=["option", "abbreviation", "extra"]
)
def test_wrong_usage_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown arguments stop the start with status 2."""
    with pytest.raises(SystemExit) as caught:
        run(arguments)

    assert caught.value.code == 2
    assert "usage: lk-backend" in capsys.readouterr().err
