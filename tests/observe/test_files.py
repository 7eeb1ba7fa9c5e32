"""Whether files are as they should be."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.definitions.render import file_text
from hero_livekit_units.execute.files import DISK
from hero_livekit_units.livekit.desired import desired_specs
from hero_livekit_units.model.observed import Failed
from hero_livekit_units.model.settings import FrontSettings, Settings
from hero_livekit_units.observe.files import files_that_differ, read_failed

if TYPE_CHECKING:
    from hero_livekit_units.model.launch import LaunchSpec

SECRETS = {
    "api_key": "APIx",
    "api_secret": "s" * 43,
    "api_keys": {"APIx": "s" * 43},
    "backend_secret": "b" * 43,
    "webhook_key": "APIx",
}


@pytest.fixture
def spec(tmp_path: Path) -> LaunchSpec:
    """The media unit with its files below a folder of the test, written as they should be."""
    media, _ = desired_specs(shipped_catalog(), Settings(), home=str(tmp_path), python=sys.executable)
    for file in media.files:
        write_atomically(Path(file.path), file_text(file, SECRETS), file.mode)
    return media


def test_as_they_should_be(spec: LaunchSpec) -> None:
    """What was written is what is expected."""
    assert files_that_differ(spec, SECRETS) == ()


def _remove(path: Path) -> None:
    path.unlink()


def _append(path: Path) -> None:
    path.write_text(path.read_text() + "#\n")


def _open_to_all(path: Path) -> None:
    path.chmod(0o644)


def _garble(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


def _replace_folder(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()
    path.parent.touch()


@pytest.mark.parametrize("change", [_remove, _append, _open_to_all, _garble, _replace_folder])
def test_what_differs_is_named(change: object, spec: LaunchSpec) -> None:
    """A file that is missing, has other content, another mode or no text is named by its path."""
    path = spec.files[0].path
    assert callable(change)
    change(Path(path))
    assert files_that_differ(spec, SECRETS) == (path,)


def test_other_secrets(spec: LaunchSpec) -> None:
    """Files with a key that is no longer the supervisor's differ: nobody could join with its tokens."""
    assert files_that_differ(spec, SECRETS | {"api_keys": {"APIy": "s" * 43}}) == (spec.files[0].path,)
    assert files_that_differ(spec, {}) == (spec.files[0].path,)


def test_without_the_secrets_nothing_is_told(spec: LaunchSpec) -> None:
    """Could not compare is None: neither the same nor different."""
    assert files_that_differ(spec, None) is None


def test_a_file_that_cannot_be_read(spec: LaunchSpec) -> None:
    """A folder in place of the file can be looked at but not read: it cannot be told."""
    path = Path(spec.files[0].path)
    path.unlink()
    path.mkdir(mode=0o600)
    assert files_that_differ(spec, SECRETS) is None


def test_what_is_written_once_may_say_anything(tmp_path: Path) -> None:
    """It differs only by its absence: from the first start on it is the unit's own."""
    catalog = shipped_catalog()
    settings = Settings(front=FrontSettings(enabled=True))
    front = desired_specs(catalog, settings, home=str(tmp_path), python=sys.executable)[0]
    for file in front.files:
        write_atomically(Path(file.path), file_text(file, {}), file.mode)
    (own,) = (file for file in front.files if file.once)
    Path(own.path).write_text("* 2\n")
    assert files_that_differ(front, {}) == ()
    Path(own.path).unlink()
    assert files_that_differ(front, {}) == (own.path,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"at_s": "x", "because": "", "line": "", "pid": 0}',
        '{"at_s": 1e300, "because": "", "line": "", "pid": 0}',
    ],
)
def test_a_record_of_a_failure_that_cannot_be_read(text: str, spec: LaunchSpec) -> None:
    """It is as if there were none."""
    Path(spec.failed_file).write_text(text)
    assert read_failed(spec) is None


def test_a_record_of_a_failure(spec: LaunchSpec) -> None:
    """What was written is what is read; where nothing was, there is none."""
    assert read_failed(spec) is None
    failed = Failed(1_795_676_462.5, "it did not become ready", "no node", 7)
    DISK.record_failed(spec, failed)
    assert read_failed(spec) == failed
    assert failed.says == "its last start failed at 2026-11-26 07:01:02 UTC: it did not become ready"
