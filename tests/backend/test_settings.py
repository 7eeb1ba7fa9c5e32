"""Settings from environment and file, without a process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hero_livekit_units.backend.settings import Settings, read_env_file, read_settings
from hero_livekit_units.errors import DaemonError
from tests.backend.running import API_SECRET, BACKEND_SECRET, settings_for


def test_defaults_fill_in() -> None:
    """Without PORT and BIND the service is on 127.0.0.1:8080, as the original is."""
    actual = read_settings(settings_for(Path("/data"), PORT=""), {})

    assert (
        Settings(
            "APItestkey", API_SECRET, BACKEND_SECRET, "ws://127.0.0.1:7880", Path("/data/backend.db"), "127.0.0.1", 8080
        )
        == actual
    )


def test_environment_wins_over_file() -> None:
    """A variable of the process counts before the file's; an empty one does not count."""
    actual = read_settings(settings_for(Path("/data"), PORT="1", BIND=""), {"PORT": "2", "BIND": "::1", "OTHER": "x"})

    assert (actual.port, actual.bind) == (1, "::1")


def test_everything_missing_is_named_at_once() -> None:
    """One message tells all that is missing, not the first of it."""
    with pytest.raises(DaemonError) as caught:
        read_settings({"LIVEKIT_API_KEY": ""}, {})

    names = "LIVEKIT_API_KEY, LIVEKIT_API_SECRET, SQLITE_PATH, BACKEND_SECRET, LIVEKIT_URL or ROUTES_FILE"
    assert f"cannot start lk-backend: {names} are not set" == str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        pytest.param("LIVEKIT_API_SECRET", "x" * 31, "LIVEKIT_API_SECRET has fewer than 32 characters", id="short"),
        pytest.param("BACKEND_SECRET", "x" * 31, "BACKEND_SECRET has fewer than 32 characters", id="short-backend"),
        pytest.param(
            "LIVEKIT_API_KEY", "a\nb", "LIVEKIT_API_KEY holds characters that cannot be printed", id="newline"
        ),
        pytest.param(
            "BACKEND_SECRET", "é" * 32, "BACKEND_SECRET holds something else than visible ASCII characters", id="ascii"
        ),
        pytest.param("OLD_BACKEND_SECRET", "x" * 31, "OLD_BACKEND_SECRET has fewer than 32 characters", id="short-old"),
        pytest.param(
            "OLD_BACKEND_SECRET",
            "é" * 32,
            "OLD_BACKEND_SECRET holds something else than visible ASCII characters",
            id="ascii-old",
        ),
        *(
            pytest.param("TOKEN_TTL_S", text, "TOKEN_TTL_S is not a time in whole seconds", id=f"ttl-{text}")
            for text in ("0", "-5", "6h", "1.5", "٣", "1" * 11)
        ),
        pytest.param("PORT", "65536", "PORT is not a number from 0 to 65535", id="port-high"),
        pytest.param("PORT", "-1", "PORT is not a number from 0 to 65535", id="port-negative"),
        pytest.param("PORT", "٣", "PORT is not a number from 0 to 65535", id="port-arabic"),
        pytest.param("BIND", "localhost", "BIND is not an IP address", id="bind-name"),
        *(
            pytest.param("LIVEKIT_URL", url, "LIVEKIT_URL is not of the form ws://HOST:PORT or wss://HOST:PORT", id=url)
            for url in ("http://a:1", "ws://", "ws://a:x", "ws://u:p@a", "ws://a?b=c", "a:7880", "ws://[::1")
        ),
    ],
)
def test_wrong_value_is_refused(name: str, value: str, problem: str) -> None:
    """A wrong value stops the start; the message names the variable and keeps the value to itself."""
    with pytest.raises(DaemonError) as caught:
        read_settings(settings_for(Path("/data"), **{name: value}), {})

    assert f"cannot start lk-backend: {problem}" == str(caught.value)


def test_what_a_rotation_needs() -> None:
    """A second secret that callers may show, and how long tokens live."""
    plain = read_settings(settings_for(Path("/data"), OLD_BACKEND_SECRET=""), {})
    told = read_settings(settings_for(Path("/data")), {"OLD_BACKEND_SECRET": "o" * 32, "TOKEN_TTL_S": "90"})

    assert (plain.old_backend_secret, plain.token_ttl_s) == ("", 6 * 60 * 60)
    assert (told.old_backend_secret, told.token_ttl_s) == ("o" * 32, 90)


def test_secrets_are_not_shown() -> None:
    """Settings can be printed: no secret is in it."""
    shown = repr(read_settings(settings_for(Path("/data"), OLD_BACKEND_SECRET="an-old-one" + "x" * 32), {}))

    assert "an-old-one" not in shown

    assert "APItestkey" in shown
    assert API_SECRET not in shown
    assert BACKEND_SECRET not in shown


def env_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    """Write a file of settings."""
    path = folder / "backend.env"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_file_of_settings_is_read(tmp_path: Path) -> None:
    """Comments and empty lines do not count, and a value may hold `=` and `#`."""
    path = env_file(tmp_path, b"# settings\n\n  PORT = 8081 \r\nBACKEND_SECRET=a=b#c\nEMPTY=\n")

    assert read_env_file(path) == {"PORT": "8081", "BACKEND_SECRET": "a=b#c", "EMPTY": ""}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o601, 0o620], ids=oct)
def test_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    """Secrets that others can read are no secrets: refused, with the command that mends it."""
    path = env_file(tmp_path, b"PORT=1\n", mode)

    with pytest.raises(DaemonError, match="others than its owner have access") as caught:
        read_env_file(path)

    assert f"chmod 600 {path}" == caught.value.hint


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        pytest.param(b"PORT=1\nSECRETVALUE\n", "line 2 is not KEY=VALUE", id="no-equals"),
        pytest.param(b"export SECRETVALUE=1\n", "line 1 is not KEY=VALUE", id="export"),
        pytest.param(b"A='SECRETVALUE'\n", "line 1 has a quoted value", id="quoted"),
        pytest.param(b"A=1\nA=SECRETVALUE\n", "line 2 sets A a second time", id="twice"),
        pytest.param(b"A=SECRETVALUE\xff\n", "it is not UTF-8 (byte 13)", id="not-utf-8"),
        pytest.param(b"#" * 65_537, "it is larger than 65536 bytes", id="large"),
    ],
)
def test_faulty_file_is_refused(tmp_path: Path, content: bytes, cause: str) -> None:
    """The message names the line, never what stands in it, and nothing chained to it does either."""
    path = env_file(tmp_path, content)

    with pytest.raises(DaemonError) as caught:
        read_env_file(path)

    assert f"cannot read {path}: {cause}" == str(caught.value)
    assert caught.value.__cause__ is None


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that is not there is an error, not an empty file."""
    with pytest.raises(DaemonError, match="no such file or directory"):
        read_env_file(tmp_path / "absent.env")


def test_named_pipe_is_refused_at_once(tmp_path: Path) -> None:
    """Something else than a file neither blocks the start nor is read."""
    os.mkfifo(tmp_path / "pipe", 0o600)

    with pytest.raises(DaemonError, match="it is not a regular file"):
        read_env_file(tmp_path / "pipe")
