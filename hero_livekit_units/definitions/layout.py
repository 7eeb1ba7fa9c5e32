"""Where each key of a TOML text stands, to the byte, so that one can be changed and all others left alone. Pure.

No parser of TOML: the text is known to be valid, and the standard library judges each cut. A value ends at the first
place where a value may end and up to which the text is TOML. A shorter cut never is: it leaves a quote or bracket open.

Why not tomlkit: it tells no places, and some valid texts (tables out of order, dotted keys) it does not give back as
they were.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from attrs import evolve, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[str, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_KEY = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_WHOLE_KEY = re.compile(rf"[ \t]*{_KEY}[ \t]*")
_BLANK_OR_COMMENT = re.compile(r"[ \t]*(?:#[^\n]*)?\r?(?:\n|\Z)")
_HEADER = re.compile(rf"([ \t]*)\[\[?[ \t]*({_KEY})[ \t]*\]\]?[ \t]*(#?)[^\n]*(?:\n|\Z)")
_ENTRY = re.compile(rf"([ \t]*)({_KEY})[ \t]*=[ \t]*")
_INLINE_ENTRY = re.compile(rf"([ \t,]*)({_KEY})[ \t]*=[ \t]*")
_LINE_STOPS = re.compile(r"\r?\n|#|\Z")
_INLINE_STOPS = re.compile(r"\r?\n|#|,|\}|\Z")


@frozen
class Entry:
    """One `key = value`: offsets into the text.

    path: from the root, dotted keys taken apart. begin, end: its whole lines, or in an inline table the entry itself.
    value_begin, value_end: its value, without blanks and comment around it. indent: what stands before the key.
    entries: what an inline table holds, where the value is one.
    """

    path: Path
    begin: int
    end: int
    value_begin: int
    value_end: int
    indent: str
    inline: bool
    entries: tuple[Entry, ...] = ()


@frozen
class Section:
    """A header with what follows it up to the next one; the root table has a header of no length.

    path: of the table, () for the root. begin: of the header line. body: where that line ends. end: of the section.
    indent: what stands before the header. commented: a comment stands on the header line.
    """

    path: Path
    begin: int
    body: int
    end: int
    indent: str
    commented: bool
    entries: tuple[Entry, ...] = ()


def sections(text: str) -> list[Section]:
    """All of a valid TOML text, in its order."""
    found = [Section((), 0, 0, len(text), "", commented=False)]
    at = 0
    while at < len(text):
        now = found[-1]
        if blank := _BLANK_OR_COMMENT.match(text, at):
            at = blank.end()
        elif header := _HEADER.match(text, at):
            found[-1] = evolve(now, end=at)
            path = key_parts(header[2])
            found.append(Section(path, at, header.end(), len(text), header[1], commented=bool(header[3])))
            at = header.end()
        elif key := _ENTRY.match(text, at):
            value_end = end_of_value(text, key.end(), _LINE_STOPS)
            end = text.find("\n", value_end) + 1 or len(text)
            found[-1] = evolve(now, entries=(*now.entries, _entry(text, key, now.path, value_end, at, end)))
            at = end
        else:
            raise ValueError(f"not TOML at offset {at}")
    return found


def find(entries: tuple[Entry, ...], path: Path) -> Entry | None:
    """The entry of exactly this path, inline tables looked into."""
    for entry in entries:
        if entry.path == path:
            return entry
        if entry.inline and path[: len(entry.path)] == entry.path:
            return find(entry.entries, path)
    return None


def key_parts(key: str) -> Path:
    """The names in a dotted key as it is written in TOML, quotes and escapes resolved.

    Raises:
        ValueError: it is not a key.
    """
    if not _WHOLE_KEY.fullmatch(key):
        raise ValueError(f"not a key: {key!r}")
    parts: Path = ()
    at = tomllib.loads(f"{key} = 0")
    while isinstance(at, dict):
        [(part, at)] = at.items()
        parts = (*parts, part)
    return parts


def end_of_value(text: str, begin: int, stops: re.Pattern[str] = _LINE_STOPS) -> int:
    """Where the value that begins at this offset ends, blanks and comment after it not counted.

    Raises:
        ValueError: no value begins here.
    """
    for stop in stops.finditer(text, begin):
        value = text[begin : stop.start()]
        try:
            tomllib.loads(f"x = {value}")
        except tomllib.TOMLDecodeError:
            continue
        return begin + len(value.rstrip(" \t"))
    raise ValueError(f"no value at offset {begin}")


def _entry(text: str, key: re.Match[str], table: Path, value_end: int, begin: int, end: int) -> Entry:
    path = (*table, *key_parts(key[2]))
    inline = text[key.end()] == "{"
    entries = tuple(_inline_entries(text, path, key.end() + 1)) if inline else ()
    return Entry(path, begin, end, key.end(), value_end, key[1], inline, entries)


def _inline_entries(text: str, table: Path, at: int) -> Iterator[Entry]:
    while key := _INLINE_ENTRY.match(text, at):
        at = end_of_value(text, key.end(), _INLINE_STOPS)
        yield _entry(text, key, table, at, key.start(2), at)
