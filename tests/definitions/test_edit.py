"""`hlu set` and `hlu unset` change the one key that they are asked to, and not a byte more."""

from __future__ import annotations

import copy
import datetime as dt
import re
import tomllib
from functools import partial
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hero_livekit_units.definitions.edit import key_path, set_key, text_value, unset_key
from hero_livekit_units.definitions.layout import sections
from hero_livekit_units.errors import SettingRefused
from hero_livekit_units.model.settings import LogLevel
from tests.toml_texts import Path, at, exactly, keys_in, names, tables_in, toml_texts

MEDIA = """\
# Media of this host.

[network]
node_ip = "203.0.113.7"   # the public one
# bind = "0.0.0.0"

# Calls.
[livekit]
  release = '1.13.3-r1'
  ports = { http = 7880 }

[backend]  # tokens
"""


@pytest.mark.parametrize(
    ("before", "key", "value", "after"),
    [
        pytest.param("", "a", 1, "a = 1\n", id="empty-text"),
        pytest.param("", "t.a", 1, "[t]\na = 1\n", id="empty-text-new-table"),
        pytest.param("a = 1", "a", 2, "a = 2", id="no-final-newline-old-key"),
        pytest.param("a = 1", "b", 2, "a = 1\nb = 2", id="no-final-newline-new-key"),
        pytest.param("a = 1", "t.b", 2, "a = 1\n\n[t]\nb = 2", id="no-final-newline-new-table"),
        pytest.param("a = 1\r\n[t]\r\n", "t.b", 2, "a = 1\r\n[t]\r\nb = 2\r\n", id="crlf-new-key"),
        pytest.param("a = 1\r\n", "t.b", 2, "a = 1\r\n\r\n[t]\r\nb = 2\r\n", id="crlf-new-table"),
        pytest.param("a = 1 \t# why\r\n", "a", "x", 'a = "x" \t# why\r\n', id="comment-behind-it"),
        pytest.param(" 'a'  =\t\"#\"# why", "a", 1, " 'a'  =\t1# why", id="blanks-around-it"),
        pytest.param("a = [\n  1, # one\n]# end\nb = 2\n", "a", [2], "a = [2]# end\nb = 2\n", id="array-over-lines"),
        pytest.param('a = """\n[b]\na = 2\n"""\nb = 2\n', "a", 1, "a = 1\nb = 2\n", id="text-over-lines"),
        pytest.param("a = 0x10\n", "a", 16, "a = 0x10\n", id="same-value-other-spelling"),
        pytest.param("a = 1\n", "a", 1.0, "a = 1.0\n", id="a-number-is-not-an-integer"),
        pytest.param("a = 1\n", "a", True, "a = true\n", id="true-is-not-one"),
        pytest.param("a.b = 1\nz = 0\n", "a.b", 2, "a.b = 2\nz = 0\n", id="dotted-old-key"),
        pytest.param("a.b = 1\nz = 0\n", "a.c", 2, "a.b = 1\na.c = 2\nz = 0\n", id="dotted-new-key"),
        pytest.param("[t]\n  a.b = 1\n[u]\n", "t.a.c", 2, "[t]\n  a.b = 1\n  a.c = 2\n[u]\n", id="dotted-in-table"),
        pytest.param("a.b = 1\n", "a.c.d", 2, "a.b = 1\n\n[a.c]\nd = 2\n", id="new-table-below-dotted"),
        pytest.param("t = { a = 1 } # t\n", "t.a", 2, "t = { a = 2 } # t\n", id="inline-old-key"),
        pytest.param("t = { a = 1 } # t\n", "t.b", 2, "t = { a = 1, b = 2 } # t\n", id="inline-new-key"),
        pytest.param("t = {a = ',}'}\n", "t.b.c", 2, "t = {a = ',}', b.c = 2}\n", id="inline-new-table"),
        pytest.param("t = {}\nu = { }\n", "t.a", 2, "t = {a = 2}\nu = { }\n", id="inline-empty"),
        pytest.param("t = { u = { } }\n", "t.u.a", 2, "t = { u = { a = 2 } }\n", id="inline-in-inline"),
        pytest.param("t = { a = 1 }\n", "t", {"b": 1}, "t = { b = 1 }\n", id="inline-whole"),
        pytest.param("[a.b]\nx = 1\n", "a.y", 2, "[a.b]\nx = 1\n\n[a]\ny = 2\n", id="super-table"),
        pytest.param("[a.b]\n[c]\n[a]\n[d]\n", "a.y", 2, "[a.b]\n[c]\n[a]\ny = 2\n[d]\n", id="out-of-order"),
        pytest.param(
            "[a]\nb = 1\n[a.c]\nd = 1\n", "a.e", 2, "[a]\nb = 1\ne = 2\n[a.c]\nd = 1\n", id="before-sub-table"
        ),
        pytest.param("[[s]]\n", "t.a", 1, "[[s]]\n\n[t]\na = 1\n", id="after-a-list-of-tables"),
        pytest.param('[ "a.b" . c ] # x\n', '"a.b".c."#"', 1, '[ "a.b" . c ] # x\n"#" = 1\n', id="quoted-header"),
        pytest.param("'a.b' = 1\n", '"a.b"', 2, "'a.b' = 2\n", id="dot-in-a-key"),
        pytest.param("'a.b' = 1\n", "a.b", 2, "'a.b' = 1\n\n[a]\nb = 2\n", id="dot-between-keys"),
        pytest.param("[a]\n\n# b\n[b]\n", "a.x", 1, "[a]\nx = 1\n\n# b\n[b]\n", id="empty-header"),
        pytest.param("[a]\nx = 1\n# b\n[b]\n", "a.y", 1, "[a]\nx = 1\ny = 1\n# b\n[b]\n", id="comment-of-the-next"),
        pytest.param(
            "[a]\nx = 1\n# y?\n\n[b]\n", "a.y", 1, "[a]\nx = 1\n# y?\ny = 1\n\n[b]\n", id="comment-of-its-own"
        ),
        pytest.param("# file\n\n[a]\n", "x", 1, "# file\nx = 1\n\n[a]\n", id="root-key-before-tables"),
        pytest.param(
            "a = 1\n", "b", {"c": ["x", {"d": 1}]}, 'a = 1\nb = { c = ["x", { d = 1 }] }\n', id="nested-value"
        ),
        pytest.param("", "a", 'q"\\\n\x00é', 'a = "q\\"\\\\\\n\\u0000é"\n', id="escapes"),
        pytest.param(
            MEDIA,
            "network.node_ip",
            "192.0.2.1",
            MEDIA.replace("203.0.113.7", "192.0.2.1"),
            id="media-old-key",
        ),
        pytest.param(
            MEDIA,
            "network.interfaces",
            ["eth0", "lo"],
            MEDIA.replace('"0.0.0.0"\n', '"0.0.0.0"\ninterfaces = ["eth0", "lo"]\n'),
            id="media-new-key",
        ),
        pytest.param(
            MEDIA,
            "livekit.log_level",
            "debug",
            MEDIA.replace("7880 }\n", '7880 }\n  log_level = "debug"\n'),
            id="media-indented",
        ),
        pytest.param(
            MEDIA,
            "livekit.ports.rtc_tcp",
            7881,
            MEDIA.replace("7880", "7880, rtc_tcp = 7881"),
            id="media-inline-ports",
        ),
        pytest.param(
            MEDIA, "backend.ports.http", 8080, MEDIA + "\n[backend.ports]\nhttp = 8080\n", id="media-sub-table"
        ),
    ],
)
def test_set_changes_the_key_alone(before: str, key: str, value: Any, after: str) -> None:
    """The one value or line is new, all else is as it was."""
    assert after == set_key(before, key_path(key), value)


@pytest.mark.parametrize(
    ("before", "key", "after"),
    [
        pytest.param("a = 1 # one\nb = 2\n", "a", "b = 2\n", id="line-with-its-comment"),
        pytest.param("# one\na = 1\nb = 2\n", "a", "# one\nb = 2\n", id="comment-above-stays"),
        pytest.param("a = 1\nb = 2", "b", "a = 1", id="no-final-newline"),
        pytest.param("a = 1\r\nb = 2", "b", "a = 1", id="no-final-newline-crlf"),
        pytest.param("a = 1", "a", "", id="the-only-one"),
        pytest.param("a = [ # [\n 1,\n\n] # end\nb = 2\n", "a", "b = 2\n", id="array-over-lines"),
        pytest.param("a = '''\n[t]'''\nb = 2\n", "a", "b = 2\n", id="text-over-lines"),
        pytest.param("a.b = 1\na.c = 2\n", "a.b", "a.c = 2\n", id="dotted"),
        pytest.param("a.b = 1\nc = 2\n", "a.b", "c = 2\n", id="dotted-last"),
        pytest.param("t = { a = 1, b = 2, c = 3 }\n", "t.a", "t = { b = 2, c = 3 }\n", id="inline-first"),
        pytest.param("t = { a = 1, b = 2, c = 3 }\n", "t.b", "t = { a = 1, c = 3 }\n", id="inline-middle"),
        pytest.param("t = { a = 1, b = 2, c = 3 }\n", "t.c", "t = { a = 1, b = 2 }\n", id="inline-last"),
        pytest.param("t = { a.b = 1 } # t\n", "t.a.b", "t = { } # t\n", id="inline-only"),
        pytest.param("t = { a = 1 } # t\nb = 1\n", "t", "b = 1\n", id="inline-whole"),
        pytest.param("b = 1\n\n[t]\na = 1\n\n[u]\n", "t.a", "b = 1\n\n[u]\n", id="emptied-header-goes"),
        pytest.param("[t.u]\na = 1\n", "t.u.a", "", id="emptied-header-of-a-super-table-goes"),
        pytest.param("[t]\na = 1\n[t.u]\n", "t.a", "[t.u]\n", id="emptied-header-above-a-sub-table-goes"),
        pytest.param("[t.u]\n\n[t]\na = 1\n", "t.a", "[t.u]\n", id="emptied-header-of-an-outer-table-goes"),
        pytest.param("[t]\na.b = 1\n", "t.a.b", "[t]\n", id="header-of-dotted-stays"),
        pytest.param("[t] # t\na = 1\n", "t.a", "[t] # t\n", id="comment-at-the-header"),
        pytest.param("# t\n[t]\na = 1\n", "t.a", "# t\n[t]\n", id="comment-above-the-header"),
        pytest.param("[t]\n# t\na = 1\n", "t.a", "[t]\n# t\n", id="comment-below-the-header"),
        pytest.param("[t]\na = 1\n# b = 2\n", "t.a", "[t]\n# b = 2\n", id="comment-below-the-key"),
        pytest.param("[t]\na = 1\n# u\n[u]\n", "t.a", "# u\n[u]\n", id="comment-of-the-next-header"),
        pytest.param(
            MEDIA, "network.node_ip", MEDIA.replace('node_ip = "203.0.113.7"   # the public one\n', ""), id="m"
        ),
    ],
)
def test_unset_takes_the_key_alone(before: str, key: str, after: str) -> None:
    """The lines of the key are gone, all else is as it was."""
    assert after == unset_key(before, key_path(key))


@pytest.mark.parametrize(
    ("text", "key", "value", "message", "hint"),
    [
        pytest.param("a = 'x'\n", "a.b.c", 1, "cannot set a.b.c: a is text 'x', not a table", "", id="through-text"),
        pytest.param("a = [1]\n", "a.b", 1, "cannot set a.b: a is a list, not a table", "", id="through-a-list"),
        pytest.param("[[a.s]]\nb = 1\n", "a.s.b", 1, "cannot set a.s.b: a.s is a list, not a table", "", id="tables"),
        pytest.param("[a]\nb = 1\n", "a", 1, "cannot set a: it is a table", "its keys: a.b", id="header"),
        pytest.param("[a]\n", "a", {"c": 1}, "cannot set a: it is a table", "it has no keys", id="table-on-table"),
        pytest.param("a.b.'c.d' = 1\n", "a.b", 1, "cannot set a.b: it is a table", 'its keys: a.b."c.d"', id="dotted"),
        pytest.param("t = { a = 1 }\n", "t", 1, "cannot set t: it is a table", "its keys: t.a", id="inline"),
        pytest.param("[[s]]\n", "s", [], "cannot set s: it is a list of tables", "edit the file by hand", id="list"),
        pytest.param("a = \n", "a", 1, "cannot set a: line 1, column 5: not TOML: invalid value", "", id="not-toml"),
        pytest.param(
            "\ufeffa = 1\n",
            "a",
            1,
            "cannot set a: line 1, column 1: not TOML: invalid statement",
            "",
            id="byte-order-mark",
        ),
        pytest.param(
            "a = 1\n",
            "a",
            "\udcff",
            "cannot set a: 'utf-8' codec can't encode character '\\udcff' in position 5: surrogates not allowed",
            "",
            id="bytes-that-are-no-text",
        ),
    ],
)
def test_set_refuses_what_would_lose_something(text: str, key: str, value: Any, message: str, hint: str) -> None:
    """A refusal says what stands in the way."""
    with pytest.raises(SettingRefused) as caught:
        set_key(text, key_path(key), value)
    assert (message, hint) == (str(caught.value), caught.value.hint)


@pytest.mark.parametrize(
    ("text", "key", "message", "near", "hint"),
    [
        pytest.param(
            MEDIA,
            "livekit.relase",
            "cannot unset livekit.relase: it is not set",
            ("livekit.release", "livekit.ports.http"),
            "did you mean livekit.release or livekit.ports.http?",
            id="near",
        ),
        pytest.param(
            "a = 1\n[t]\nb.c = 2\n",
            "zzzz",
            "cannot unset zzzz: it is not set",
            (),
            "keys that are set: a, t.b.c",
            id="far",
        ),
        pytest.param("", "a.b", "cannot unset a.b: it is not set", (), "keys that are set: none", id="empty"),
        pytest.param("[t]\na = 1\n", "t", "cannot unset t: it is a table", (), "its keys: t.a", id="table"),
        pytest.param(
            "[[t]]\na = 1\n", "t", "cannot unset t: it is a list of tables", (), "edit the file by hand", id="tables"
        ),
        pytest.param("a = 1\n", "a.b", "cannot unset a.b: a is an integer 1, not a table", (), "", id="through"),
        pytest.param(
            "= 1", "a", "cannot unset a: line 1, column 1: not TOML: invalid statement", (), "", id="not-toml"
        ),
    ],
)
def test_unset_refuses_what_is_not_one_key(text: str, key: str, message: str, near: tuple[str, ...], hint: str) -> None:
    """A refusal names the keys that were perhaps meant."""
    with pytest.raises(SettingRefused) as caught:
        unset_key(text, key_path(key))
    assert (message, near, hint) == (str(caught.value), caught.value.near, caught.value.hint)


def test_a_text_that_would_not_hold_the_value_is_not_given_out() -> None:
    """What comes out has been read again: a time that TOML cannot write is refused, not changed on the way."""
    with pytest.raises(SettingRefused, match="cannot set a: the text would not hold exactly that change"):
        set_key("a = 1\n", ("a",), dt.time(2, 30, fold=1))


def test_the_layout_of_what_is_not_toml_is_refused() -> None:
    """Nothing is guessed about a text that the standard library does not read."""
    with pytest.raises(ValueError, match="not TOML at offset 6"):
        sections("a = 1\n= 2\n")


@pytest.mark.parametrize(
    ("key", "path"),
    [
        pytest.param("livekit.ports.http", ("livekit", "ports", "http"), id="dotted"),
        pytest.param(" a . \"b.c\" . 'd' ", ("a", "b.c", "d"), id="quoted"),
        pytest.param('"\\u00e9"', ("é",), id="escaped"),
    ],
)
def test_a_key_is_read_as_toml_reads_it(key: str, path: Path) -> None:
    """Quotes keep a dot inside a name."""
    assert path == key_path(key)


@pytest.mark.parametrize("key", ["", "a.", ".a", "a b", "a = 1\nb", "[a]", "ключ", '"a', '"\\x"', "a#"])
def test_what_is_no_key_is_refused(key: str) -> None:
    """Nothing but a key gets into the place of a key."""
    with pytest.raises(SettingRefused, match=r"^cannot use the key .*: not a TOML key$") as caught:
        key_path(key)
    assert caught.value.hint == "such as livekit.ports.http"


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        pytest.param("true", None, True, id="boolean"),
        pytest.param(" 5 ", None, 5, id="integer"),
        pytest.param('["a"]', None, ["a"], id="list"),
        pytest.param('"5"', None, "5", id="quoted"),
        pytest.param("{ a = 1 }", None, {"a": 1}, id="table"),
        pytest.param("2024-01-01", None, dt.date(2024, 1, 1), id="date"),
        pytest.param("1.13.5-r1", None, "1.13.5-r1", id="release"),
        pytest.param("", None, "", id="empty"),
        pytest.param("5 # five", None, "5 # five", id="no-comment"),
        pytest.param("5\ny = 1", None, "5\ny = 1", id="one-value-only"),
        pytest.param("1,", None, "1,", id="no-comma"),
        pytest.param("[" * 5000, None, "[" * 5000, id="too-deep"),
        pytest.param("1.13", str, "1.13", id="text-is-literal"),
        pytest.param('"x"', str, '"x"', id="text-with-quotes"),
        pytest.param("debug", LogLevel, "debug", id="choice"),
        pytest.param("7880", int, 7880, id="expected-integer"),
        pytest.param("5", float, 5, id="expected-number"),
        pytest.param("false", bool, False, id="expected-boolean"),
        pytest.param("eth0, lo", tuple[str, ...], ["eth0", "lo"], id="words"),
        pytest.param("5", tuple[str, ...], ["5"], id="one-word"),
        pytest.param("", tuple[str, ...], [], id="no-words"),
        pytest.param('["eth0"]', tuple[str, ...], ["eth0"], id="expected-list"),
        pytest.param("1,2", tuple[int, ...], [1, 2], id="numbers"),
        pytest.param("{ http = 1 }", dict[str, int], {"http": 1}, id="expected-table"),
    ],
)
def test_a_value_of_the_command_line_is_what_was_meant(text: str, kind: Any, value: Any) -> None:
    """The kind that is expected decides; without one, TOML decides, and the rest is text."""
    assert exactly(value) == exactly(text_value(text, kind))


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        pytest.param("x", int, "cannot use 'x': expected an integer, found text 'x'", id="integer"),
        pytest.param("1.5", int, "cannot use '1.5': expected an integer, found a number 1.5", id="number"),
        pytest.param("yes", bool, "cannot use 'yes': expected a boolean, found text 'yes'", id="boolean"),
        pytest.param(
            "loud", LogLevel, "cannot use 'loud': expected one of debug, info, warn, error, found 'loud'", id="choice"
        ),
        pytest.param("[1]", tuple[str, ...], "cannot use '[1]': 0: expected text, found an integer 1", id="item"),
        pytest.param("1,x", tuple[int, ...], "cannot use 'x': expected an integer, found text 'x'", id="word"),
        pytest.param("[a]", tuple[str, ...], "cannot use '[a]': expected a list, found text '[a]'", id="list"),
        pytest.param("a", dict[str, int], "cannot use 'a': expected a table, found text 'a'", id="table"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(text: str, kind: Any, message: str) -> None:
    """The message says what was expected and what was found."""
    with pytest.raises(SettingRefused) as caught:
        text_value(text, kind)
    assert message == str(caught.value)


MARK = "\x01 the new value \x01"
WRITTEN = '"\\u0001 the new value \\u0001"'

scalars = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.dates(),
    st.times().map(lambda time: time.replace(fold=0)),
    st.datetimes(timezones=st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=-3.5))])).map(
        lambda time: time.replace(fold=0)
    ),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=5
)


def with_key(data: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """The data as it should be after a set."""
    changed = copy.deepcopy(data)
    table = changed
    for part in path[:-1]:
        table = table.setdefault(part, {})
    table[path[-1]] = value
    return changed


def without_key(data: dict[str, Any], path: Path) -> dict[str, Any]:
    """The data as it should be after an unset."""
    changed = copy.deepcopy(data)
    del at(changed, path[:-1])[path[-1]]
    return changed


def without_empty_tables(data: Any) -> Any:
    """The data without tables that hold no keys."""
    pruned = {key: without_empty_tables(value) if isinstance(value, dict) else value for key, value in data.items()}
    return {key: value for key, value in pruned.items() if value != {}}


def is_one_insertion(short: str, long: str) -> bool:
    """Whether the long text is the short one with one piece put in somewhere."""
    begin, end = _common(short, long), _common(short[::-1], long[::-1])
    return len(short) <= len(long) and begin + end >= len(short)


def _common(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (left, right) in pairs if left != right), min(len(one), len(other)))


def lost_lines(long: str, short: str) -> list[str]:
    """The runs of whole lines of the long text, each of which is all that the short one lacks."""
    old, new = (text.replace("\r\n", "\n").split("\n") for text in (long, short))
    count = len(old) - len(new)
    runs = ((index, index + count) for index in range(len(new) + 1))
    return ["\n".join(old[begin:end]) for begin, end in runs if old[:begin] + old[end:] == new]


def old_keys(data: dict[str, Any]) -> st.SearchStrategy[Path]:
    """Keys that hold neither a table nor tables."""
    found = [path for path in keys_in(data) if not isinstance(at(data, path), dict)]
    found = [path for path in found if not (isinstance(value := at(data, path), list) and dict in map(type, value))]
    assume(found)
    return st.sampled_from(found)


@st.composite
def new_keys(draw: st.DrawFn, data: dict[str, Any]) -> Path:
    """Keys that are not there, in tables that are or are not."""
    table = draw(st.sampled_from(list(tables_in(data))))
    path = (*table, *draw(st.lists(names | st.text(), min_size=1, max_size=3)))
    assume(path[len(table)] not in at(data, table))
    return path


@given(data=st.data(), text=toml_texts(), value=values)
def test_any_new_key_can_be_set_and_is_the_only_change(data: st.DataObject, text: str, value: Any) -> None:
    """Whatever the layout, the result is the old data and the new key, and nothing is written but added."""
    path = data.draw(new_keys(old := tomllib.loads(text)))
    new = set_key(text, path, value)
    assert exactly(with_key(old, path, value)) == exactly(tomllib.loads(new))
    assert is_one_insertion(text, new)
    assert new.count("\n") - text.count("\n") <= 3
    assert not text or new.endswith("\n") == text.endswith("\n")
    crlf, line_ends = text.count("\r\n"), text.count("\n")
    if line_ends and crlf in {0, line_ends}:
        assert new.count("\r\n") == (new.count("\n") if crlf else 0)
    assert new == set_key(new, path, value)


@given(data=st.data(), text=toml_texts(), value=values)
def test_only_the_value_of_an_old_key_changes(data: st.DataObject, text: str, value: Any) -> None:
    """All before the old value and all behind it are the same bytes, and the old value has no blanks around it."""
    path = data.draw(old_keys(old := tomllib.loads(text)))
    new = set_key(text, path, value)
    assert exactly(with_key(old, path, value)) == exactly(tomllib.loads(new))
    assert new == set_key(new, path, value)
    before, after = set_key(text, path, MARK).split(WRITTEN)
    assert text.startswith(before)
    assert text.endswith(after)
    replaced = text[len(before) : len(text) - len(after)]
    assert replaced == replaced.strip()
    assert exactly({"x": at(old, path)}) == exactly(tomllib.loads(f"x = {replaced}"))


@given(text=toml_texts())
def test_setting_what_is_set_writes_the_same_text(text: str) -> None:
    """No key, table or list is touched by its own value."""
    old = tomllib.loads(text)
    assert all(text == set_key(text, path, at(old, path)) for path in keys_in(old))


@given(data=st.data(), text=toml_texts())
def test_unset_undoes_set(data: st.DataObject, text: str) -> None:
    """The text is as it was; only a header that had no keys may go with the key that it got."""
    path = data.draw(new_keys(tomllib.loads(text)))
    back = unset_key(set_key(text, path, 1), path)
    if back != text:
        assert is_one_insertion(back, text)
        header = with_key({}, path[:-1], {})
        assert any(tomllib.loads(lost) == header for lost in lost_lines(text, back))


@given(data=st.data(), text=toml_texts())
def test_unset_takes_one_piece_of_the_text(data: st.DataObject, text: str) -> None:
    """The rest is the same bytes and the same data, and a second unset has nothing to do."""
    path = data.draw(old_keys(old := tomllib.loads(text)))
    new = unset_key(text, path)
    expected = without_key(old, path)
    assert exactly(without_empty_tables(expected)) == exactly(without_empty_tables(tomllib.loads(new)))
    assert is_one_insertion(new, text)
    with pytest.raises(SettingRefused, match="it is not set"):
        unset_key(new, path)


@given(data=st.data(), text=toml_texts(), value=values)
def test_what_is_refused_is_told_in_our_words(data: st.DataObject, text: str, value: Any) -> None:
    """Every path either works or is refused with the name of the key; no other error comes out."""
    path = tuple(data.draw(st.lists(names, min_size=1, max_size=4)))
    for edit in (partial(set_key, value=value), unset_key):
        refusal = ""
        try:
            tomllib.loads(edit(text, path))
        except SettingRefused as refused:
            refusal = str(refused)
        assert not refusal or re.match("cannot (un)?set .*: (it is|.* is .*, not a table$)", refusal)
