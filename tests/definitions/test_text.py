"""From a key to its place in the text, for every style that TOML can be written in."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given

from hero_livekit_units.definitions.layout import sections
from hero_livekit_units.definitions.text import Places
from tests.toml_texts import toml_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hero_livekit_units.definitions.layout import Entry


def entries(found: tuple[Entry, ...]) -> Iterator[Entry]:
    """Entries, and those within inline tables."""
    for entry in found:
        yield entry
        yield from entries(entry.entries)


@given(toml_texts())
@example('"b"=1\t# trailing\na=1\n')
def test_every_key_is_found_on_its_line(text: str) -> None:
    """The same line that the layout of the text gives, which is found in another way."""
    places = Places(text)
    for section in sections(text):
        lists = any(isinstance(at(tomllib.loads(text), section.path[:depth]), list) for depth in range(9))
        if lists:
            continue  # tables in lists have numbers in their paths
        for entry in entries(section.entries):
            assert places.depth(entry.path) == len(entry.path)
            line, column = places.line_and_column(entry.path)
            assert line == text[: entry.begin].count("\n") + 1
            assert column <= len(text.split("\n")[line - 1])


def at(data: object, path: tuple[str, ...]) -> object:
    """What stands at a path."""
    for part in path:
        data = data[part] if isinstance(data, dict) else data
    return data


@pytest.mark.parametrize(
    ("text", "path", "place"),
    [
        pytest.param("a = 1\n b = 2", ("b",), (2, 2), id="indent"),
        pytest.param("[a.b]\nc = 1", ("a",), (1, 1), id="table-without-a-header"),
        pytest.param("[a]\nb.c = 1", ("a", "b"), (2, 3), id="dotted"),
        pytest.param("[a]\nb = 1", ("a", "c", "d"), (1, 1), id="nearest-table-around"),
        pytest.param("a = 1", ("b",), (0, 0), id="not-in-the-file"),
        pytest.param("[[a]]\nb = 1\n[[a]]\nb = 2", ("a", 1, "b"), (4, 1), id="list-of-tables"),
        pytest.param("[[a]]\n[[a]]", ("a", 1), (2, 1), id="its-header"),
        pytest.param("[[a]]\nb = 1", ("a", 1), (1, 1), id="one-that-is-not-there"),
        pytest.param("x = [\n  1,\n  2,\n]", ("x", 1), (1, 1), id="item-of-a-list"),
        pytest.param("# [a]\nx = '[a]'\n[a] # [b]\n[b]\ny = 1", ("b",), (4, 1), id="looks-like-a-header"),
        pytest.param("[a]\n[b]", ("b",), (2, 1), id="empty-tables"),
        pytest.param("a = { b = 2024-01-01 }\nc = 1", ("c",), (2, 1), id="what-tomlkit-does-not-give-back"),
        pytest.param("", ("a",), (0, 0), id="empty"),
    ],
)
def test_places(text: str, path: tuple[str | int, ...], place: tuple[int, int]) -> None:
    """Line and column from 1, of the key or the nearest table around it."""
    assert Places(text).line_and_column(path) == place
