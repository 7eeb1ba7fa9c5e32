"""One key of the user's `media.toml` set or unset, every byte that was not asked for kept as it is. Pure.

The text itself is cut and joined, never written anew from its tables. Whatever comes out is read again, and must hold
exactly the old data with the one change; else nothing comes out.

What goes where:

- The value of a key that is there is replaced where it stands; a comment behind it stays.
- A new key is one line at the end of its table, as far indented as the line before it; it comes after comments that
  directly follow the last key, and before blank lines and comments that lead over to the next table.
- A new table comes at the end of the file, behind a blank line. Tables that are written inline or with dotted keys
  grow in that same style.
- An unset key goes with all its lines. A header without keys goes with its last key, and the blank line before it too,
  but never where a comment stands at the header, directly above it or below it.
"""

from __future__ import annotations

import copy
import difflib
import json
import re
import tomllib
from typing import TYPE_CHECKING, Any, get_args, get_origin

import tomlkit

from hero_livekit_units.definitions.layout import Entry, Path, Section, end_of_value, find, key_parts, sections
from hero_livekit_units.definitions.structure import misfit, said
from hero_livekit_units.definitions.text import parse
from hero_livekit_units.errors import Issue, SettingRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date, time

    Value = bool | int | float | str | date | time | list["Value"] | dict[str, "Value"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_COMMENTS = re.compile(r"(?:[ \t]*#[^\n]*(?:\n|\Z))+")
_COMMENTS_BEFORE = re.compile(r"(?:^[ \t]*#[^\n]*\n)+\Z", re.MULTILINE)
_BLANK_LINE_BEFORE = re.compile(r"^\r?\n\Z", re.MULTILINE)


def set_key(text: str, path: Path, value: Value) -> str:
    """The text with this key set; the text itself where the key has that value already, however it is written.

    Args:
        text: valid TOML, with line ends as they are in the file.
        path: names from the root, each taken literally: `("a.b",)` is one key with a dot in its name.
        value: what the key should hold.

    Raises:
        SettingRefused: the text is not TOML, the path runs through something that is no table, or names a table.
    """
    doing = f"set {dotted(path)}"
    data = _read(text, doing)
    table = _table(data, path, doing)
    if table is not None and path[-1] in table:
        if _same(table[path[-1]], value):
            return text
        new = _replaced(text, path, table[path[-1]], value, doing)
    else:
        new = _added(text, path, value)
    return _proved(new, _with(data, path, value), doing)


def unset_key(text: str, path: Path) -> str:
    """The text without this key.

    Args:
        text: valid TOML, with line ends as they are in the file.
        path: names from the root, each taken literally.

    Raises:
        SettingRefused: the text is not TOML, the key is not set (`near` has keys like it), or it is a table that has
            lines of its own.
    """
    doing = f"unset {dotted(path)}"
    data = _read(text, doing)
    table = _table(data, path, doing)
    if table is None or path[-1] not in table:
        raise _not_set(data, path)
    found = [(section, entry) for section in sections(text) if (entry := find(section.entries, path))]
    if not found:
        raise _is_table(path, table[path[-1]], doing)
    [(section, entry)] = found
    del table[path[-1]]
    if entry not in section.entries:
        new = _without_inline(text, entry, _around(section, path))
    else:
        new = _without_lines(text, _begin_of_cut(text, section, entry), entry.end)
    # A table that had nothing but this key may have gone with it.
    left = _read(new, doing)
    for depth in range(len(path) - 1, 0, -1):
        above, name = _at(data, path[: depth - 1]), path[depth - 1]
        if not above[name] and name not in _at(left, path[: depth - 1]):
            del above[name]
    return _proved(new, data, doing)


def key_path(key: str) -> Path:
    """A key as it is given on the command line: dotted, names with dots in quotes as in TOML.

    Raises:
        SettingRefused: it is not a key.
    """
    try:
        return key_parts(key)
    except ValueError as error:
        raise SettingRefused(
            f"cannot use the key {key!r}: not a TOML key", hint="such as livekit.ports.http"
        ) from error


def text_value(text: str, kind: Any = None) -> Value:
    """A value as it is given on the command line.

    Args:
        text: without a kind: one TOML value, or else the text itself. Where text or a choice is expected, it is taken
            literally, so that `1.13` stays text; lists may also be words with commas between them.
        kind: what is expected, as the settings name their types: `int`, `str`, an enum, `tuple[str, ...]`.

    Raises:
        SettingRefused: the value is not of that kind; the message says what was expected.
    """
    value = text if isinstance(kind, type) and issubclass(kind, str) else _toml_or_text(text)
    if get_origin(kind) is tuple and not isinstance(value, list) and not text.lstrip().startswith("["):
        value = [text_value(word.strip(), get_args(kind)[0]) for word in text.split(",") if word.strip()]
    if kind is not None and (fault := misfit(value, kind)):
        raise SettingRefused(f"cannot use {text!r}: {fault}")
    return value


def dotted(path: Path) -> str:
    """The path as one writes it in TOML."""
    return ".".join(part if _BARE.fullmatch(part) else _written(part) for part in path)


def _read(text: str, doing: str) -> dict[str, Any]:
    data = parse(text, "")
    if isinstance(data, Issue):
        raise SettingRefused(f"cannot {doing}: line {data.line}, column {data.column}: {data.text}")
    return data


def _proved(text: str, expected: dict[str, Any], doing: str) -> str:
    """The text, if it can be written and holds exactly the expected data."""
    try:
        text.encode()
        found = tomllib.loads(text)
    except ValueError as error:
        raise SettingRefused(f"cannot {doing}: {error}") from error
    if not _same(found, expected):
        raise SettingRefused(
            f"cannot {doing}: the text would not hold exactly that change", hint="edit the file by hand"
        )
    return text


def _same(one: Any, other: Any) -> bool:
    # Compared as JSON, since to Python 1, 1.0 and True are equal, and nan is not equal to itself.
    return _json(one) == _json(other)


def _json(data: Any) -> str:
    return json.dumps(data, sort_keys=True, default=repr)


def _at(data: dict[str, Any], path: Path) -> dict[str, Any]:
    for part in path:
        data = data.get(part, {})
    return data


def _table(data: dict[str, Any], path: Path, doing: str) -> dict[str, Any] | None:
    """The table that holds the key, None where there is none yet."""
    table = data
    for depth, part in enumerate(path[:-1], start=1):
        if part not in table:
            return None
        table = table[part]
        if not isinstance(table, dict):
            raise SettingRefused(f"cannot {doing}: {dotted(path[:depth])} is {said(table)}, not a table")
    return table


def _is_table(path: Path, value: Any, doing: str) -> SettingRefused:
    if isinstance(value, dict):
        keys = ", ".join(dotted((*path, key)) for key in value)
        return SettingRefused(f"cannot {doing}: it is a table", hint=f"its keys: {keys}" if keys else "it has no keys")
    return SettingRefused(f"cannot {doing}: it is a list of tables", hint="edit the file by hand")


def _not_set(data: dict[str, Any], path: Path) -> SettingRefused:
    known = [dotted(key) for key in _keys(data, ())]
    near = difflib.get_close_matches(dotted(path), known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"keys that are set: {', '.join(known) or 'none'}"
    return SettingRefused(f"cannot unset {dotted(path)}: it is not set", near=near, hint=hint)


def _keys(data: dict[str, Any], path: Path) -> Iterator[Path]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _keys(value, (*path, key))
        else:
            yield (*path, key)


def _with(data: dict[str, Any], path: Path, value: Value) -> dict[str, Any]:
    changed = copy.deepcopy(data)
    table = changed
    for part in path[:-1]:
        table = table.setdefault(part, {})
    table[path[-1]] = value
    return changed


def _written(value: Value) -> str:
    # tomlkit makes tables of dicts, and headers of lists of them; here all stands on one line.
    if isinstance(value, dict):
        return f"{{ {', '.join(_line((key,), item) for key, item in value.items())} }}" if value else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_written(item) for item in value)}]"
    return tomlkit.item(value).as_string()


def _line(path: Path, value: Value) -> str:
    return f"{dotted(path)} = {_written(value)}"


def _replaced(text: str, path: Path, old: Any, value: Value, doing: str) -> str:
    entry = next(filter(None, (find(section.entries, path) for section in sections(text))), None)
    if entry is None or (isinstance(old, dict) and not isinstance(value, dict)):
        raise _is_table(path, old, doing)
    return text[: entry.value_begin] + _written(value) + text[entry.value_end :]


def _added(text: str, path: Path, value: Value) -> str:
    parent = path[:-1]
    found = sections(text)
    for section in found:
        if around := _around(section, path):
            return _with_inline(text, around, _line(path[len(around.path) :], value))
    for section in found:
        if section.path == parent:
            indent = section.entries[-1].indent if section.entries else section.indent
            return _with_lines(text, _own_end(text, section), [indent + _line(path[-1:], value)])
        # A table made by dotted keys can only grow beside them.
        siblings = [entry for entry in section.entries if entry.path[: len(parent)] == parent]
        if siblings and len(section.path) < len(parent):
            last = siblings[-1]
            return _with_lines(text, last.end, [last.indent + _line(path[len(section.path) :], value)])
    header = [f"[{dotted(parent)}]", _line(path[-1:], value)]
    return _with_lines(text, len(text), ["", *header] if text else header)


def _around(section: Section, path: Path) -> Entry | None:
    """The innermost inline table on the way to a key."""
    inside = (find(section.entries, path[:depth]) for depth in range(len(path) - 1, 0, -1))
    return next((entry for entry in inside if entry and entry.inline), None)


def _own_end(text: str, section: Section) -> int:
    """Where the body of a section ends and what leads over to the next one begins."""
    end = section.entries[-1].end if section.entries else section.body
    comments = _COMMENTS.match(text, end, section.end)
    if comments and (comments.end() < section.end or section.end == len(text)):
        return comments.end()
    return end


def _with_lines(text: str, at: int, lines: Sequence[str]) -> str:
    first = text.find("\n")
    line_end = "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"
    new = line_end.join(lines)
    unfinished = at > 0 and text[at - 1] != "\n"
    return text[:at] + (line_end + new if unfinished else new + line_end) + text[at:]


def _without_lines(text: str, begin: int, end: int) -> str:
    if end == len(text) and not text.endswith("\n"):
        # The last line had no end, so the one that is last now gets none.
        return text[:begin].removesuffix("\n").removesuffix("\r")
    return text[:begin] + text[end:]


def _begin_of_cut(text: str, section: Section, entry: Entry) -> int:
    """Where to cut when the last key of a table goes: at the header if nothing else keeps it, else at the key."""
    after = text[entry.end : section.end]
    if section.end < len(text):
        after = _COMMENTS_BEFORE.sub("", after)  # these belong to the next header
    kept = section.commented or "#" in text[section.body : entry.begin] or "#" in after
    if kept or len(section.entries) > 1 or section.path != entry.path[:-1] or not section.path:
        return entry.begin
    before = text[: section.begin]
    if _COMMENTS_BEFORE.search(before):
        return entry.begin
    blank = _BLANK_LINE_BEFORE.search(before)
    return blank.start() if blank else section.begin


def _with_inline(text: str, table: Entry, line: str) -> str:
    if table.entries:
        at = table.entries[-1].end
        return f"{text[:at]}, {line}{text[at:]}"
    at = table.value_begin + 1
    inner = text[at : table.value_end - 1]
    return f"{text[:at]}{inner if inner.isspace() else ''}{line}{text[at:]}"


def _without_inline(text: str, entry: Entry, table: Entry | None) -> str:
    assert table, "an entry that has no line of its own stands in an inline table"  # noqa: S101
    at = table.entries.index(entry)
    begin = table.entries[at - 1].end if at else table.value_begin + 1
    end = entry.end
    if not at and len(table.entries) > 1:
        begin, end = entry.begin, table.entries[1].begin
    return text[:begin] + text[end:]


def _toml_or_text(text: str) -> Value:
    value = text.strip(" \t")
    try:
        if end_of_value(value, 0) == len(value):
            found: Value = tomllib.loads(f"x = {value}")["x"]
            return found
    except (ValueError, RecursionError):
        pass
    return text
