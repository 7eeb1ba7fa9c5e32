"""Files as text: every value comes back from the format's own reader, and no secret is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.definitions.render import file_text, nested, shown_text
from hero_livekit_units.definitions.rules import OPTIONAL_SECRETS, SECRETS
from hero_livekit_units.definitions.template import literal
from hero_livekit_units.model.launch import LaunchFile
from hero_livekit_units.model.unit import FileFormat

READERS: dict[FileFormat, Any] = {FileFormat.YAML: yaml.safe_load, FileFormat.JSON: json.loads}
# What YAML and JSON writers stumble over: words that mean something else, signs that begin something.
AWKWARD = [
    *("yes", "no", "on", "null", "~", "true", "1e3", "0x10", "010", "1_000", "12:30:45", "2026-01-01", ".inf", "="),
    *(
        "",
        " ",
        " a ",
        "a: b",
        "a #b",
        "- a",
        "? a",
        "&a",
        "*a",
        "!a",
        "%a",
        "@a",
        "`a",
        "{a}",
        "[a]",
        "|",
        ">",
        "'",
        '"',
    ),
    *(
        "a\nb",
        "a\n",
        "\n",
        "\t",
        "\\n",
        "é 漢 🎈",
        "\u0085",
        "\u2028",
        "\ufeffa",
        "\x7f",
        "$",
        "$$",
        "${x}",
        "${secret.key}",
    ),
    "x" * 2000 + " y " * 500,
]
texts = st.sampled_from(AWKWARD) | st.text(st.characters(blacklist_categories=["Cs", "Cc"]))
leaves = texts | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
data = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=10
)


def file(kind: FileFormat, values: dict[str, Any]) -> LaunchFile:
    """A structured file."""
    return LaunchFile("/x", 0o600, kind, values=values)


@pytest.mark.parametrize("kind", [FileFormat.YAML, FileFormat.JSON])
@given(values=st.dictionaries(texts, data, max_size=4))
def test_what_is_written_is_read(kind: FileFormat, values: dict[str, Any]) -> None:
    """Any data, awkward texts and dollar signs in keys and values included."""
    assert READERS[kind](file_text(file(kind, literal(values)), {})) == values


@pytest.mark.parametrize("text", AWKWARD, ids=lambda text: repr(text[:20]))
def test_secrets_come_through_as_they_are(text: str) -> None:
    """A secret is never read as something else, whatever it looks like, as key or value, in a list or alone."""
    values = {"a": "${secret.x}", "b": ["<${secret.x}>"], "c": "${secret.table}"}
    expected = {"a": text, "b": [f"<{text}>"], "c": {text: text}}
    for kind, read in READERS.items():
        assert read(file_text(file(kind, values), {"x": text, "table": {text: text}})) == expected


def test_the_order_is_that_of_the_definition() -> None:
    """So that a person finds things, and equal settings give equal bytes."""
    values = {"z": 1, "a": {"y": 1, "b": 2}}
    assert file_text(file(FileFormat.JSON, values), {}) == '{\n  "z": 1,\n  "a": {\n    "y": 1,\n    "b": 2\n  }\n}\n'
    written = file_text(file(FileFormat.YAML, values), {})
    assert [line.split(":")[0].strip() for line in written.splitlines()[1:]] == ["z", "a", "y", "b"]


def test_yaml_says_who_wrote_it() -> None:
    """Whoever opens it learns that editing it is in vain, and where to."""
    first = file_text(file(FileFormat.YAML, {"a": 1}), {}).splitlines()[0]
    assert first.startswith("# Written by hero_livekit_units from media.toml")
    assert "hlu set KEY VALUE" in first


@pytest.mark.parametrize("kind", [FileFormat.YAML, FileFormat.JSON])
@pytest.mark.parametrize("secret", OPTIONAL_SECRETS)
def test_an_optional_secret_that_is_not_there(kind: FileFormat, secret: str) -> None:
    """Its value is left out, and a table that had nothing else; the file stays a table."""
    name = f"${{secret.{secret}}}"
    values = {"a": 1, "b": name, "c": {"d": name}}
    assert READERS[kind](file_text(file(kind, values), {})) == {"a": 1}
    assert READERS[kind](file_text(file(kind, values), {secret: "s"})) == {"a": 1, "b": "s", "c": {"d": "s"}}
    assert READERS[kind](file_text(file(kind, {"b": name}), {})) == {}


def test_a_line_with_an_optional_secret_that_is_not_there() -> None:
    """The line goes, its end included, and no other."""
    template = "A=1\nOLD=${secret.old_backend_secret}\n\nB=$$${secret.backend_secret}\nC=3"
    found = LaunchFile("/x", 0o600, template=template)
    assert file_text(found, {"backend_secret": "b"}) == "A=1\n\nB=$b\nC=3"
    known = {"backend_secret": "b$$", "old_backend_secret": "o"}
    assert file_text(found, known) == "A=1\nOLD=o\n\nB=$b$$\nC=3"
    assert file_text(LaunchFile("/x", 0o600), {}) == ""


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("kind", FileFormat)
def test_a_secret_that_must_be_there(name: str, kind: FileFormat) -> None:
    """Nothing is written without it."""
    open_ = f"${{secret.{name}}}"
    found = LaunchFile("/x", 0o600, kind, template=open_, values={"a": open_})
    with pytest.raises(KeyError):
        file_text(found, {})


@pytest.mark.parametrize("kind", FileFormat)
def test_no_secret_is_shown(kind: FileFormat) -> None:
    """Their names stand in their places; what is optional is not shown, as nobody asked whether it is there."""
    names = [f"${{secret.{name}}}" for name in SECRETS]
    lines = [f"{at}={name}" for at, name in enumerate(names)]
    found = LaunchFile("/x", 0o600, kind, "\n".join([*lines, "x=${secret.redis_password}\n"]), {"a": names, "b": "$$"})
    shown = shown_text(found)
    assert all(name in shown for name in names)
    assert "redis_password" not in shown
    if kind in READERS:
        assert READERS[kind](shown) == {"a": names, "b": "$"}


@pytest.mark.parametrize(
    ("dotted", "tables"),
    [
        pytest.param({"a": 1, "b.c": 2, "b.d.e": 3}, {"a": 1, "b": {"c": 2, "d": {"e": 3}}}, id="tables"),
        pytest.param({"a": {"b.c": 1}}, {"a": {"b.c": 1}}, id="only-the-keys-of-the-top"),
        pytest.param({}, {}, id="empty"),
    ],
)
def test_nested(dotted: dict[str, Any], tables: dict[str, Any]) -> None:
    """Dotted keys are tables in tables."""
    assert nested(dotted) == tables
