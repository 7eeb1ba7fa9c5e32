"""TOML text to tables, and back from a key to its place in the text.

The standard library reads (fast, strict); tomlkit, which keeps the layout, is only asked where something stands once
there is a fault to report.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from typing import TYPE_CHECKING, Any

from hero_livekit_units.errors import Issue

if TYPE_CHECKING:
    from tomlkit.container import Container

KeyPath = tuple[str | int, ...]

_AT = re.compile(r"\(at line (\d+), column (\d+)\)")


def parse(text: str, file: str) -> dict[str, Any] | Issue:
    """The tables of a TOML text, or the one issue that keeps it from being TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _AT.search(str(error))
        line, column = (int(found[1]), int(found[2])) if found else (text.count("\n") + 1, 1)
        cause = _AT.sub("", str(error)).replace("(at end of document)", "at the end of the file").strip()
        return Issue(file, line, column, "", f"not TOML: {cause[:1].lower()}{cause[1:]}")


class Places:
    """Where each key of a valid TOML text stands."""

    def __init__(self, text: str) -> None:
        import tomlkit  # noqa: PLC0415  only a text with faults pays for it

        self._text = text
        self._at = 0
        self._offsets: dict[KeyPath, int] = {}
        self._walk(tomlkit.parse(text), ())

    def depth(self, path: KeyPath) -> int:
        """How much of the path stands in this text: all its parts, or those of the nearest table around it."""
        return next((length for length in range(len(path), 0, -1) if path[:length] in self._offsets), 0)

    def line_and_column(self, path: KeyPath) -> tuple[int, int]:
        """1-based place of the key, or of the nearest table around it; (0, 0) for the whole file."""
        depth = self.depth(path)
        if not depth:
            return 0, 0
        offset = self._offsets[path[:depth]]
        before = self._text[:offset]
        return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1

    def _walk(self, container: Container, prefix: KeyPath) -> None:
        from tomlkit.items import AoT, InlineTable, Table  # noqa: PLC0415

        for key, item in container.body:
            if key is None:
                self._pass(item.as_string())
                continue
            path = (*prefix, key.key)
            if isinstance(item, AoT):
                for index, table in enumerate(item.body):
                    self._header((*path, index))
                    self._offsets.setdefault(path, self._offsets[(*path, index)])
                    self._walk(table.value, (*path, index))
            elif isinstance(item, Table):
                if not item.is_super_table():
                    self._header(path)
                known = len(self._offsets)
                self._walk(item.value, path)
                # A table that has no header of its own stands where its first key does.
                first = next(itertools.islice(self._offsets.values(), known, None), None)
                if first is not None:
                    self._offsets.setdefault(path, first)
            else:
                self._offsets[path] = self._pass(key.as_string())
                end = self._at
                if isinstance(item, InlineTable):
                    self._walk(item.value, path)
                self._at = end
                self._pass(item.as_string())
                self._pass(item.trivia.comment)  # it may hold what looks like the next key

    def _header(self, path: KeyPath) -> None:
        self._offsets[path] = self._pass("[")
        self._at = len(self._text) if (end := self._text.find("\n", self._at)) < 0 else end

    def _pass(self, piece: str) -> int:
        """Move behind the next occurrence of `piece`; return where it begins."""
        begin = self._text.find(piece, self._at)
        if begin < 0:
            return self._at
        self._at = begin + len(piece)
        return begin
