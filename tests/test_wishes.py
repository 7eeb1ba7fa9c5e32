"""Wishes: one value of media.toml at a time, kept only if the wanted release can carry it out."""

from __future__ import annotations

import threading
import tomllib
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.errors import DefinitionInvalid, SettingRefused
from hero_livekit_units.wishes import set_wish, unset_wish

if TYPE_CHECKING:
    from pathlib import Path

CATALOG = shipped_catalog()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A media.toml that is not there yet, in a folder that is not there either."""
    return tmp_path / "home" / "media.toml"


def wish(file: Path, key: str, text: str) -> object:
    """Set a key; what it is then."""
    set_wish(file, CATALOG, key, text)
    found: object = tomllib.loads(file.read_text())
    for part in key.split("."):
        assert isinstance(found, dict)
        found = found[part]
    return found


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("livekit.version", "1.13.5", "1.13.5"),
        ("livekit.version", "1.11.0-r1", "1.11.0-r1"),
        ("livekit.log_level", "debug", "debug"),
        ("network.interfaces", "lo,eth0", ["lo", "eth0"]),
        ("network.interfaces", '["lo"]', ["lo"]),
        ("network.use_external_ip", "true", True),
        ("livekit.ports.http", "7980", 7980),
        ("limits.max_participants", "50", 50),
        ("turn.ttl_s", "600", 600),
        ("backend.token_ttl_s", "60", 60),
        ("livekit.config.room.auto_create", "false", False),
        ("livekit.config.audio.active_level", "35", 35),
        ("livekit.config.signal_relay.retry_timeout", "7s", "7s"),
        ("livekit.config.node_selector.sysload_limit", "0.5", 0.5),
        ("livekit.config.logging.pion_level", "1", "1"),
    ],
)
def test_a_value_is_of_the_kind_of_its_key(key: str, text: str, expected: object, file: Path) -> None:
    """What looks like a number stays text where text is wanted."""
    found = wish(file, key, text)
    assert found == expected
    assert type(found) is type(expected)
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("before", "key", "text", "expected"),
    [
        ("", "livekit.version", "1.9.10", "cannot set livekit.version: livekit-server 1.9.10 is blocked: it panics"),
        ("", "livekit.version", "7.0", "cannot find release '7.0' of livekit-server"),
        ("", "livekit.relase", "x", "cannot set livekit.relase: unknown key"),
        ("", "livekit.ports.http", "0", "cannot set livekit.ports.http: not a port: 0"),
        ("", "livekit.ports.http", "x", "expected an integer, found text 'x'"),
        ("", "network.bind", "localhost", "cannot set network.bind: not an IP address"),
        ("", "turn.tls", "maybe", "expected a boolean, found text 'maybe'"),
        ("", "livekit.config.room.create_room_enabled", "true", "does not know room.create_room_enabled"),
        ("", "livekit.config.port", "1", "port is ours to set"),
        ("", "livekit.config.room.auto_create", "1", "expected a boolean, found an integer 1"),
        ("", "livekit", "1", "expected a table"),
        ("[livekit.ports]\ndebug = 7000\n", "livekit.version", "1.11.0", "livekit.ports.debug: unknown port"),
        ("[turn]\nenabled = true\nttl_s = 9\n", "livekit.version", "1.11.0", "turn.ttl_s: .* has no use for it"),
    ],
)
def test_a_wish_that_cannot_be_carried_out_is_refused(
    before: str, key: str, text: str, expected: str, file: Path
) -> None:
    """The error says why, and the file is what it was, or still is not there."""
    if before:
        file.parent.mkdir()
        file.write_text(before)
    with pytest.raises(SettingRefused, match=expected):
        set_wish(file, CATALOG, key, text)
    assert (file.read_text() if file.exists() else "") == before


@pytest.mark.parametrize(
    ("before", "key", "text", "expected"),
    [
        pytest.param(
            "[livekit]\nversion = '9.9.9'\n", "livekit.config.room.auto_create", "false", False, id="old-fault"
        ),
        pytest.param("[livekit]\nversion = '9.9.9'\n", "livekit.config.logging.pion_level", "1", 1, id="as-it-looks"),
    ],
)
def test_a_key_whose_release_is_not_known(before: str, key: str, text: str, expected: object, file: Path) -> None:
    """Its kind cannot be asked for, so the value is what it looks like, and the old fault is told."""
    file.parent.mkdir()
    file.write_text(before)
    change = set_wish(file, CATALOG, key, text)
    assert (change.value, type(change.value)) == (expected, type(expected))
    (left,) = change.left
    assert "livekit.version: cannot find release '9.9.9'" in left


@pytest.mark.parametrize("key", ["network.bind.x", "turn.ttl_s.x", "webhook.urls.a.b", "unknown.a.b"])
def test_a_key_below_a_value(key: str, file: Path) -> None:
    """There is no such key, and the file is still not there."""
    with pytest.raises(SettingRefused, match="cannot set"):
        set_wish(file, CATALOG, key, "1")
    assert not file.exists()


def test_the_rest_of_the_file_stays(file: Path) -> None:
    """Comments, line ends, mode, and the link that the user keeps."""
    kept = file.parent / "kept.toml"
    kept.parent.mkdir()
    kept.write_bytes(b"# mine\r\n[livekit] # here\r\nversion = '1.13.3'  # for now\r\n")
    kept.chmod(0o644)
    file.symlink_to(kept)
    change = set_wish(file, CATALOG, "livekit.version", "1.13.5")
    assert (change.key, change.value, change.changed, change.left) == ("livekit.version", "1.13.5", True, ())
    assert kept.read_bytes() == b'# mine\r\n[livekit] # here\r\nversion = "1.13.5"  # for now\r\n'
    assert file.is_symlink()
    assert kept.stat().st_mode & 0o777 == 0o644
    assert not set_wish(file, CATALOG, "livekit.version", "1.13.5").changed


def test_a_file_with_faults_is_mended_step_by_step(file: Path) -> None:
    """A wish may mend one fault and leave another, which is told; it may not bring a new one."""
    file.parent.mkdir()
    file.write_text("[livekit]\nversion = '7'\nslot = 'z'\n")
    change = set_wish(file, CATALOG, "livekit.slot", "a")
    (left,) = change.left
    assert left.startswith(f"{file}:2:1: livekit.version: cannot find release '7' of livekit-server")
    with pytest.raises(SettingRefused, match="not an IP address"):
        set_wish(file, CATALOG, "network.bind", "x")
    assert set_wish(file, CATALOG, "livekit.version", "1.13.5").left == ()


def test_unset(file: Path) -> None:
    """Its default counts again; what is not set is told with what is like it."""
    wish(file, "livekit.version", "1.11.0")
    wish(file, "livekit.region", "here")
    change = unset_wish(file, CATALOG, "livekit.region")
    assert (change.value, change.changed) == (None, True)
    assert tomllib.loads(file.read_text()) == {"livekit": {"version": "1.11.0"}}
    with pytest.raises(SettingRefused, match="it is not set") as caught:
        unset_wish(file, CATALOG, "livekit.versoin")
    assert caught.value.hint == "did you mean livekit.version?"


def test_unset_of_what_others_need_is_refused(file: Path) -> None:
    """TLS without its domain would end livekit-server."""
    file.parent.mkdir()
    text = "[turn]\nenabled = true\ntls = true\ndomain = 'x.org'\nexternal_tls = true\n"
    file.write_text(text)
    with pytest.raises(SettingRefused, match=r"cannot unset turn\.domain: turn\.tls: needs domain"):
        unset_wish(file, CATALOG, "turn.domain")
    assert file.read_text() == text


def test_wishes_at_the_same_time_lose_nothing(file: Path) -> None:
    """Ten callers set ten keys; all ten are there."""
    names = [f"limits.{name}" for name in ("num_tracks", "max_participants", "bytes_per_sec", "max_metadata_size")]
    names += [f"livekit.ports.{name}" for name in ("http", "rtc_tcp", "rtc_udp", "prometheus", "debug")]
    names += ["backend.token_ttl_s"]
    threads = [
        threading.Thread(target=set_wish, args=(file, CATALOG, name, str(9000 + at))) for at, name in enumerate(names)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = tomllib.loads(file.read_text())
    values = [found["limits"], found["livekit"]["ports"], found["backend"]]
    assert sorted(value for table in values for value in table.values()) == list(range(9000, 9010))


def test_what_is_no_text_is_left_alone(file: Path) -> None:
    """A file that cannot be read is not replaced."""
    file.parent.mkdir()
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(DefinitionInvalid, match="cannot be read"):
        set_wish(file, CATALOG, "livekit.version", "1.13.5")
    assert file.read_bytes() == b"\xff\xfe"
