"""Which secrets a file on the disk holds: what was written is found again, and nothing else is taken for it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.definitions.extract import secret_names, secrets_in
from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.definitions.render import file_text
from hero_livekit_units.livekit.desired import desired_specs
from hero_livekit_units.livekit.rotation import effective
from hero_livekit_units.model.launch import LaunchFile
from hero_livekit_units.model.settings import RedisSettings, Settings
from hero_livekit_units.model.unit import FileFormat

if TYPE_CHECKING:
    from pathlib import Path

SPECS = desired_specs(
    shipped_catalog(),
    Settings(redis=RedisSettings(enabled=True, own=True)),
    home="/srv",
    python=sys.executable,
)
FILES = [file for spec in SPECS for file in spec.files if secret_names(file)]
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="$"), min_size=1)


@pytest.mark.parametrize("file", [pytest.param(file, id=file.path) for file in FILES])
@given(data=st.data())
def test_what_was_written_is_found(file: LaunchFile, data: st.DataObject) -> None:
    """Of every file that we ship, whatever the values."""
    stored = {name: data.draw(VALUES) for name in ("api_key", "api_secret", "backend_secret", "redis_password")}
    secrets = effective(stored, None)
    if data.draw(st.booleans()):
        secrets["old_backend_secret"] = data.draw(VALUES)
    expected = {name: secrets[name] for name in secret_names(file) if name in secrets}
    assert secrets_in(file, file_text(file, secrets)) == expected


def test_the_names() -> None:
    """Each once, sorted."""
    assert {file.path.rpartition("/")[2]: secret_names(file) for file in FILES} == {
        "redis.conf": ("redis_password",),
        "livekit.yaml": ("api_keys", "redis_password", "webhook_key"),
        "backend.env": ("api_key", "api_secret", "backend_secret", "old_backend_secret"),
        "runtime.json": ("api_key", "api_secret", "backend_secret", "redis_password"),
    }


@pytest.mark.parametrize(
    ("form", "text", "found"),
    [
        pytest.param(FileFormat.YAML, "a: {b: x}\nc: [1, y]\n", {"one": "x", "two": "y"}, id="yaml"),
        pytest.param(FileFormat.YAML, "a: [x]\nc: 5\n", {}, id="another-shape"),
        pytest.param(FileFormat.YAML, "", {}, id="empty"),
        pytest.param(FileFormat.JSON, '{"c": ["1", null], "z": "x"}', {}, id="not-there"),
        pytest.param(FileFormat.JSON, '{"a": {"b": {"k": "v"}}}', {"one": {"k": "v"}}, id="a-table"),
    ],
)
def test_data(form: FileFormat, text: str, found: dict[str, Any]) -> None:
    """By its place in the file, not by its looks."""
    file = LaunchFile("/f", 0o600, form, values={"a": {"b": "${secret.one}"}, "c": ["1", "${secret.two}"]})
    assert secrets_in(file, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("cost=$5 key=k1:s1 end\n", {"one": "k1", "two": "s1"}, id="both"),
        pytest.param("cost=$5 key=k1 end\n# key=\n", {}, id="another-line"),
        pytest.param("", {}, id="empty"),
    ],
)
def test_text(text: str, found: dict[str, str]) -> None:
    """Line by line; what else stands in a line must be as in the template, signs with a meaning and all."""
    template = "# a.*b\ncost=$$5 key=${secret.one}:${secret.two} end\n"
    assert secrets_in(LaunchFile("/f", 0o600, template=template), text) == found


@pytest.mark.parametrize(
    ("form", "text"),
    [
        pytest.param(FileFormat.JSON, '{"a": hunter2', id="json"),
        pytest.param(FileFormat.JSON, "[" * 100_000, id="deep-json"),
        pytest.param(FileFormat.YAML, "a: [hunter2", id="yaml"),
        pytest.param(FileFormat.YAML, "a: !!python/object:os.system hunter2", id="yaml-object"),
    ],
)
def test_what_is_not_of_the_format(form: FileFormat, text: str) -> None:
    """An error without the text, and nothing chained to it that has it."""
    with pytest.raises(ValueError, match="it is not ") as caught:
        secrets_in(LaunchFile("/f", 0o600, form), text)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_spec_holds_none(tmp_path: Path) -> None:
    """Known secrets change the digest of a launch, and with it the name of its folder, and nothing else."""
    secrets = effective({"api_key": "APIx", "api_secret": "s3cret-s3cret", "backend_secret": "b3arer-b3arer"}, None)
    python, home = sys.executable, str(tmp_path)
    told = desired_specs(shipped_catalog(), Settings(), home=home, python=python, secrets=secrets)
    untold = desired_specs(shipped_catalog(), Settings(), home=home, python=python)
    for known, unknown in zip(told, untold, strict=True):
        assert known.launch_digest != unknown.launch_digest
        assert repr(known).replace(known.launch_digest, "").replace(known.digest, "") == repr(unknown).replace(
            unknown.launch_digest, ""
        ).replace(unknown.digest, "")
        assert not [value for value in ("APIx", "s3cret-s3cret", "b3arer-b3arer") if value in str(known)]
