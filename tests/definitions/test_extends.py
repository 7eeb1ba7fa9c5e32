"""Bases: what is shared stands once, is read once, and a fault in it is told once, where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.definitions.digest import digest
from hero_livekit_units.definitions.extends import Text, read
from hero_livekit_units.definitions.files import open_catalog, read_catalog
from hero_livekit_units.definitions.write import text_of
from hero_livekit_units.errors import DefinitionInvalid, Issue
from tests.definition_strategies import plain_release

BASE = text_of(plain_release("1.0")).replace('version = "1.0"\nrevision = 1\n', "")


def release(version: str, more: str = "", base: str = "base-1.toml") -> str:
    """A release's file that says only what is its own."""
    return f'extends = "{base}"\n{more}\n[unit]\nversion = "{version}"\nrevision = 1\n'


def folder_of(tmp_path: Path, texts: dict[str, str]) -> Path:
    """A folder with definitions of `echo`; text by file name."""
    folder = tmp_path / "echo"
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return tmp_path


def issues(folder: Path) -> list[str]:
    """What is wrong with a folder, the files as names only."""
    with pytest.raises(DefinitionInvalid) as caught:
        read_catalog(folder)
    return [str(issue).replace(f"{folder}/echo/", "") for issue in caught.value.issues]


def merged(**texts: str) -> dict[str, Any]:
    """The tables of `own`, over the bases with these names."""
    found = read_with(texts, texts["own"], "own.toml")
    assert isinstance(found, Text)
    return found.tables


def read_with(bases: dict[str, str], text: str, file: str) -> Text | Issue:
    """Read a text that may extend one of these bases."""

    def base(name: str) -> Text | Issue | str:
        return read(bases[name.removesuffix(".toml").replace("-", "_")], name, base)

    return read(text, file, base)


@pytest.mark.parametrize(
    ("base", "own", "expected"),
    [
        pytest.param("a = 1", "b = 2", {"a": 1, "b": 2}, id="both"),
        pytest.param("a = 1", "a = 2", {"a": 2}, id="own-wins"),
        pytest.param("[t]\na = 1\nb = 1", "[t]\nb = 2\nc = 2", {"t": {"a": 1, "b": 2, "c": 2}}, id="table"),
        pytest.param(
            "[t.u.v]\na = 1\n[t.w]\nd = 1",
            "[t.u.v]\nb = 2\n[t]\nc = 2",
            {"t": {"u": {"v": {"a": 1, "b": 2}}, "w": {"d": 1}, "c": 2}},
            id="deep",
        ),
        pytest.param("t = { a = { b = 1 } }", "t.a.c = 2", {"t": {"a": {"b": 1, "c": 2}}}, id="inline-and-dotted"),
        pytest.param("a = [1, 2]", "a = [3]", {"a": [3]}, id="list-replaced"),
        pytest.param("[[a]]\nx = 1\n[[a]]\nx = 2", "a = []", {"a": []}, id="tables-in-a-list-replaced"),
        pytest.param("[[a]]\nx = 1", "[[a]]\ny = 2", {"a": [{"y": 2}]}, id="tables-in-a-list-not-merged"),
        pytest.param("a = 1", "[a]\nb = 2", {"a": {"b": 2}}, id="table-for-a-value"),
        pytest.param("[a]\nb = 2", "a = 1", {"a": 1}, id="value-for-a-table"),
        pytest.param("[a]\nb = 2", "[a]", {"a": {"b": 2}}, id="empty-table-adds-nothing"),
        pytest.param("[a]\nextends = 1", "[a]\nb = 2", {"a": {"extends": 1, "b": 2}}, id="only-at-the-top"),
    ],
)
def test_merging(base: str, own: str, expected: dict[str, Any]) -> None:
    """Tables key by key at any depth; anything else of the release takes the place of what the base has."""
    assert merged(own=f'extends = "base-x.toml"\n{own}', base_x=base) == expected


def test_the_nearest_base_wins() -> None:
    """A chain is a base over a base, and each file's own word counts more than all below it."""
    found = read_with(
        {
            "base_1": "a = 1\nb = 1\nc = 1\n[t]\nx = 1",
            "base_2": 'extends = "base-1.toml"\nb = 2\nc = 2\n[t]\ny = 2',
        },
        'extends = "base-2.toml"\nc = 3\n[t]\nz = 3',
        "own.toml",
    )
    assert isinstance(found, Text)
    assert found.tables == {"a": 1, "b": 2, "c": 3, "t": {"x": 1, "y": 2, "z": 3}}
    assert [file for file, _ in found.layers] == ["own.toml", "base-2.toml", "base-1.toml"]


# TOML that every writer and reader agrees on; what texts can hold is not the question here.
values = st.recursive(
    st.integers(-9, 9) | st.booleans() | st.lists(st.integers(0, 3), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
tables = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


@given(tables, tables, tables)
def test_merging_is_associative_and_own_wins(one: Any, two: Any, three: Any) -> None:
    """Splitting a file into a base and a rest never changes what a chain comes to; a file over itself is itself."""
    texts = [tomlkit.dumps(table) for table in (one, two, three)]
    chain = merged(
        own=f'extends = "base-two.toml"\n{texts[2]}',
        base_two=f'extends = "base-one.toml"\n{texts[1]}',
        base_one=texts[0],
    )
    lower = merged(own=f'extends = "base-one.toml"\n{texts[1]}', base_one=texts[0])
    assert merged(own=f'extends = "base-both.toml"\n{texts[2]}', base_both=tomlkit.dumps(lower)) == chain
    assert merged(own=f'extends = "base-self.toml"\n{texts[0]}', base_self=texts[0]) == one


def test_a_release_and_its_base_are_one_definition(tmp_path: Path) -> None:
    """The digest is that of the same definition in one file: how it is split is layout."""
    found = read_catalog(folder_of(tmp_path, {"base-1.toml": BASE, "1.0-r1.toml": release("1.0")})).find("echo")
    assert found == plain_release("1.0")
    assert digest(found) == digest(plain_release("1.0"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            'extends = "base-9.toml"',
            "1.0-r1.toml:1:1: extends: there is no base-9.toml beside this file",
            id="missing",
        ),
        pytest.param(
            '# extends what\n\nextends = "1.1-r1.toml"',
            "1.0-r1.toml:3:1: extends: not the name of a base: '1.1-r1.toml' "
            '(the name of a file beside this one, such as "base-1.9.toml")',
            id="a-release",
        ),
        pytest.param(
            'extends = "../x/base-1.toml"',
            "1.0-r1.toml:1:1: extends: not the name of a base: '../x/base-1.toml' "
            '(the name of a file beside this one, such as "base-1.9.toml")',
            id="elsewhere",
        ),
        pytest.param(
            'extends = "base-1.toml.bak"',
            "1.0-r1.toml:1:1: extends: not the name of a base: 'base-1.toml.bak' "
            '(the name of a file beside this one, such as "base-1.9.toml")',
            id="more-than-a-name",
        ),
        pytest.param(
            "extends = 3",
            "1.0-r1.toml:1:1: extends: not the name of a base: 3 "
            '(the name of a file beside this one, such as "base-1.9.toml")',
            id="a-number",
        ),
        pytest.param(
            "# a comment\nextends_to = 1\n'extends' = \"base-9.toml\"",
            "1.0-r1.toml:3:1: extends: there is no base-9.toml beside this file",
            id="quoted-and-below-a-longer-key",
        ),
        pytest.param(
            'x = """\nextends = 1\n"""\nextends = "base-9.toml"',
            "1.0-r1.toml:4:1: extends: there is no base-9.toml beside this file",
            id="not-in-a-text",
        ),
    ],
)
def test_a_base_that_cannot_be_extended(text: str, expected: str, tmp_path: Path) -> None:
    """Told at the line that names it."""
    assert issues(folder_of(tmp_path, {"1.0-r1.toml": text})) == [expected]


@pytest.mark.parametrize(
    ("bases", "expected"),
    [
        pytest.param(
            {"base-1.toml": "base-1.toml"}, "base-1.toml:2:1: extends: base-1.toml extends itself", id="itself"
        ),
        pytest.param(
            {"base-1.toml": "base-2.toml", "base-2.toml": "base-1.toml"},
            "base-2.toml:2:1: extends: base-1.toml extends itself",
            id="two",
        ),
        pytest.param(
            {"base-1.toml": "base-2.toml", "base-2.toml": "base-3.toml", "base-3.toml": "base-2.toml"},
            "base-3.toml:2:1: extends: base-2.toml extends itself",
            id="a-circle-further-down",
        ),
    ],
)
def test_a_base_that_extends_itself(bases: dict[str, str], expected: str, tmp_path: Path) -> None:
    """However long the circle, it is told once, and where it closes."""
    texts = {name: f'# a base\nextends = "{target}"\n' for name, target in bases.items()}
    releases = {f"1.{at}-r1.toml": release(f"1.{at}") for at in range(3)}
    assert issues(folder_of(tmp_path, texts | releases)) == [expected]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("number = 9000", "number = 0", "ports.http.number: not a port: 0", id="rule"),
        pytest.param(
            "number = 9000", 'number = "x"', "ports.http.number: expected an integer, found text 'x'", id="type"
        ),
        pytest.param("number = 9000", "numer = 9000", "ports.http.numer: unknown key", id="key"),
        pytest.param("number = 9000", "number = ", "not TOML: invalid value", id="toml"),
    ],
)
def test_a_fault_in_a_base_is_told_once_and_there(old: str, new: str, expected: str, tmp_path: Path) -> None:
    """Though twenty releases extend it, directly or over another base."""
    assert old in BASE
    texts = {"base-1.toml": BASE.replace(old, new), "base-2.toml": 'extends = "base-1.toml"\n'}
    texts |= {f"1.{at}-r1.toml": release(f"1.{at}", base=f"base-{1 + at % 2}.toml") for at in range(20)}
    found = [line for line in issues(folder_of(tmp_path, texts)) if "missing" not in line]
    line = 1 + BASE[: BASE.index(old)].count("\n")
    assert len(found) == 1, found
    assert found[0].startswith(f"base-1.toml:{line}:")
    assert expected in found[0]


def test_a_fault_in_the_release_is_told_there(tmp_path: Path) -> None:
    """Also where the base has the same key, rightly."""
    text = release("1.1", more="[ports.http]\nnumber = 0\n[stop]\nsignal = 'X'")
    texts = {"base-1.toml": BASE, "1.0-r1.toml": release("1.0"), "1.1-r1.toml": text}
    assert issues(folder_of(tmp_path, texts)) == [
        "1.1-r1.toml:3:1: ports.http.number: not a port: 0 (1 to 65535)",
        "1.1-r1.toml:5:1: stop.signal: not a signal: 'X' (such as SIGTERM)",
    ]


def test_a_section_that_neither_has(tmp_path: Path) -> None:
    """Told of the release: it is the one that is not complete."""
    texts = {"base-1.toml": BASE.replace('[stop]\nsignal = "SIGTERM"\n', ""), "1.0-r1.toml": release("1.0")}
    assert "[stop]" not in texts["base-1.toml"]
    assert issues(folder_of(tmp_path, texts)) == ["1.0-r1.toml: stop: missing"]


def test_faults_of_release_and_base_come_together(tmp_path: Path) -> None:
    """The release's first, each in its own file."""
    texts = {
        "base-1.toml": BASE.replace("number = 9000", "number = 0"),
        "1.0-r1.toml": release("1.0", more="[stop]\nsignal = 'X'"),
    }
    assert [line.partition(":")[0] for line in issues(folder_of(tmp_path, texts))] == ["1.0-r1.toml", "base-1.toml"]


@pytest.mark.parametrize("name", ["base-1.toml", "1.0-r1.toml"])
def test_a_file_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    """Named as a whole: it has no lines."""
    folder = folder_of(tmp_path, {"base-1.toml": BASE, "1.0-r1.toml": release("1.0")})
    (folder / "echo" / name).write_bytes(b"\xff\xfe")
    (found,) = issues(folder)
    assert found.startswith(f"{name}: cannot be read: 'utf-8' codec")


@pytest.mark.parametrize("name", ["base.toml", "base-.toml", "base-A.toml", "1.0.toml", "v1.0-r1.toml"])
def test_a_name_that_is_neither_release_nor_base(name: str, tmp_path: Path) -> None:
    """Told for every way of opening a folder: a file that nobody would ever read is a mistake."""
    folder = folder_of(tmp_path, {"base-1.toml": BASE, "1.0-r1.toml": release("1.0"), name: ""})
    (found,) = issues(folder)
    assert found == (
        f"{name}: not the name of a definition file (a release such as 1.13.5-r1.toml, or a base such as base-1.9.toml)"
    )
    with pytest.raises(DefinitionInvalid, match="not the name of a definition file"):
        open_catalog(folder)


def test_a_base_alone_defines_nothing(tmp_path: Path) -> None:
    """It need not be complete, and it is no release."""
    with pytest.raises(DefinitionInvalid, match="no definitions found"):
        open_catalog(folder_of(tmp_path, {"base-1.toml": "a = 1"}))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose text was read, in order."""
    names: list[str] = []
    read_text = Path.read_text

    def watched(self: Path, encoding: str | None = None) -> str:
        names.append(self.name)
        return read_text(self, encoding)

    monkeypatch.setattr(Path, "read_text", watched)
    return names


def test_only_what_is_asked_for_is_read(tmp_path: Path, opened: list[str]) -> None:
    """One release is its own file and its bases, each once, whatever else lies there and however often it is asked."""
    texts = {f"1.{at}-r1.toml": release(f"1.{at}", base="base-2.toml") for at in range(30)}
    texts |= {"base-1.toml": BASE, "base-2.toml": 'extends = "base-1.toml"\n', "base-3.toml": "[broken"}
    texts["1.7-r1.toml"] = "[broken"
    found = open_catalog(folder_of(tmp_path, texts))
    assert found.releases("echo")[:2] == ("1.0-r1", "1.1-r1")
    assert found.units == ("echo",)
    assert opened == []
    assert found.find("echo").unit.release == "1.29-r1"
    assert found.find("echo", "1.29") is found.find("echo")
    assert sorted(opened) == ["1.29-r1.toml", "base-1.toml", "base-2.toml"]
    found.find("echo", "1.3")
    assert sorted(opened) == ["1.29-r1.toml", "1.3-r1.toml", "base-1.toml", "base-2.toml"]


def test_a_broken_release_breaks_only_itself(tmp_path: Path) -> None:
    """It is told when it is asked for, and whenever all are checked."""
    folder = folder_of(tmp_path, {"base-1.toml": BASE, "1.0-r1.toml": "[broken", "1.1-r1.toml": release("1.1")})
    found = open_catalog(folder)
    assert found.find("echo").unit.release == "1.1-r1"
    for _ in range(2):
        with pytest.raises(DefinitionInvalid, match=r"1\.0-r1\.toml:1:"):
            found.find("echo", "1.0")
    assert len(issues(folder)) == 1


def test_a_broken_base_is_told_for_every_release(tmp_path: Path) -> None:
    """Reading it once does not mean telling it to the first one only."""
    texts = {"base-1.toml": "[broken", "1.0-r1.toml": release("1.0"), "1.1-r1.toml": release("1.1")}
    found = open_catalog(folder_of(tmp_path, texts))
    for version in ("1.0", "1.1"):
        with pytest.raises(DefinitionInvalid, match=r"base-1\.toml:1:"):
            found.find("echo", version)


def test_a_changed_base_changes_every_release_that_extends_it(tmp_path: Path) -> None:
    """So whoever compares digests with those that were released notices; the others keep theirs."""
    texts = {"base-1.toml": BASE, "base-2.toml": 'extends = "base-1.toml"\n', "base-3.toml": BASE}
    texts |= {f"1.{at}-r1.toml": release(f"1.{at}", base=f"base-{at}.toml") for at in (1, 2, 3)}
    folder = folder_of(tmp_path, texts)

    def digests() -> dict[str, str]:
        return {one.unit.version: digest(one) for one in open_catalog(folder).definitions}

    before = digests()
    (folder / "echo" / "base-1.toml").write_text(f"# another layout\n\n{BASE}")
    assert digests() == before
    (folder / "echo" / "base-1.toml").write_text(BASE.replace("number = 9000", "number = 9001"))
    assert {version for version, value in digests().items() if value != before[version]} == {"1.1", "1.2"}
