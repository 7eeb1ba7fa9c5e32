"""Texts of TOML documents as people write them: comments, blank lines, every style of key, table and value."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

from hypothesis import assume
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[str, ...]

NAMES = ["a", "b", "release", "x-y_z", "1", "true", "a.b", "", "ключ", 'q"uote', "it's", "back\\slash", "#=[]", "\t "]
VALUES = [
    *("1", "+1_000", "0x1F", "-0.0", "1e3", "inf", "nan", "true", "1.13"),
    *("2024-01-01", "2024-01-01 10:00:00Z", "10:00:00"),
    *('""', "''", '"text"', '"# no comment"', "'[lit] = \"x\" # \\'", '"\\"}, \\u00e9"', '"ключ"'),
    *('"""\n# no comment\n[not.a.header]\na = 1\n\n"""', "'''\nb = '' # \"\"\" \n'''"),
    *('""""quoted" ,}"""', '"""\\\n  on"""'),
    *("[]", "[1,2]", '[ "a", "b", ]', "[\n  1, # one, ]\n\n  2 # two\n]", '[["#"], [ { a = "}" } ]]'),
    *('[{ a = 1 }, { b.c = [ "," ] }]', "{}", "{ }"),
]
NOISE = ["", "", "  ", "\t", "# a comment", "  # release = 'x'", "#", "# [a]", "#[b]\n# a = 1", '# """', "# ключ"]
TRAILING = ["", "", "", " ", "\t# trailing", " #", ' # "x" = [']
INDENTS = ["", "", "", "  ", "\t"]
EQUALS = ["=", " = ", " = ", "\t=  "]

names = st.sampled_from(NAMES)


@st.composite
def toml_texts(draw: st.DrawFn) -> str:
    """A valid document: any style, any order of tables, LF or CRLF or both, with or without a last line end."""
    lines = [*_body(draw, tree := draw(_trees)), *draw(_noise)]
    for section in draw(st.permutations(list(_sections(draw, tree, ())))):
        lines += section
    text = "\n".join(lines) + draw(st.sampled_from(["\n", "\n", "\n", "", "\n\n"]))
    ends = draw(st.sampled_from(["lf", "lf", "crlf", "both"]))
    if ends != "lf":
        pieces = text.split("\n")
        crlf = [ends == "crlf" or draw(st.booleans()) for _ in pieces[1:]]
        text = pieces[0] + "".join(
            ("\r\n" if here else "\n") + piece for here, piece in zip(crlf, pieces[1:], strict=True)
        )
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assume(condition=False)  # a table that dotted keys and a header both define
    return text


def tables_in(data: dict[str, Any], path: Path = ()) -> Iterator[Path]:
    """The paths of all tables that a path can run through, the root first."""
    yield path
    for key, value in data.items():
        if isinstance(value, dict):
            yield from tables_in(value, (*path, key))


def keys_in(data: dict[str, Any], path: Path = ()) -> Iterator[Path]:
    """The paths of all keys outside of lists, those of tables too."""
    for key, value in data.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from keys_in(value, (*path, key))


def at(data: Any, path: Path) -> Any:
    """What stands at a path."""
    for part in path:
        data = data[part]
    return data


def exactly(data: Any) -> str:
    """Data in a form that tells 1, 1.0 and true apart, and in which nan equals nan."""
    return json.dumps(data, sort_keys=True, default=repr)


_noise = st.lists(st.sampled_from(NOISE), max_size=2)
# name -> (kind, content): content is the text of a value, a tree, or the trees of a list of tables
_trees = st.recursive(
    st.dictionaries(names, st.tuples(st.just("value"), st.sampled_from(VALUES)), max_size=3),
    lambda trees: st.dictionaries(
        names,
        st.one_of(
            st.tuples(st.just("value"), st.sampled_from(VALUES)),
            st.tuples(st.sampled_from(["header", "header", "super", "dotted", "inline"]), trees),
            st.tuples(st.just("list"), st.lists(trees, min_size=1, max_size=2)),
        ),
        max_size=4,
    ),
    max_leaves=6,
)


def _key(draw: st.DrawFn, path: Path) -> str:
    parts = [_name(draw, name) for name in path]
    return draw(st.sampled_from([".", ".", " . "])).join(parts)


def _name(draw: st.DrawFn, name: str) -> str:
    # JSON escapes as TOML does, all but for \u007f and surrogates, which no name here has.
    styles = [json.dumps(name, ensure_ascii=draw(st.booleans()))]
    if "'" not in name:
        styles.append(f"'{name}'")
    if re.fullmatch(r"[A-Za-z0-9_-]+", name):
        styles += [name, name, name]
    return draw(st.sampled_from(styles))


def _entries(draw: st.DrawFn, tree: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """The (dotted path, value text) pairs that stand in the body of a table."""
    for name, (kind, content) in tree.items():
        here = (*path, name)
        if kind == "value":
            yield here, content
        elif kind == "inline":
            yield here, _inline(draw, content)
        elif kind == "dotted":
            yield from _entries(draw, content, here)


def _inline(draw: st.DrawFn, tree: Any) -> str:
    inside = [f"{_key(draw, path)}{draw(st.sampled_from(EQUALS))}{value}" for path, value in _entries(draw, tree)]
    left, comma, right = (draw(st.sampled_from(choice)) for choice in (["", " "], [",", ", ", " , "], ["", " ", "  "]))
    return "{" + left + comma.join(inside) + right + "}"


def _body(draw: st.DrawFn, tree: Any) -> Iterator[str]:
    for path, value in draw(st.permutations(list(_entries(draw, tree)))):
        yield from draw(_noise)
        indent, equals, trailing = (draw(st.sampled_from(choice)) for choice in (INDENTS, EQUALS, TRAILING))
        yield f"{indent}{_key(draw, path)}{equals}{value}{trailing}"


def _section(draw: st.DrawFn, tree: Any, path: Path, depth: int = 1) -> list[str]:
    indent, blank, trailing = (draw(st.sampled_from(choice)) for choice in (INDENTS, ["", "", " "], TRAILING))
    header = f"{indent}{'[' * depth}{blank}{_key(draw, path)}{blank}{']' * depth}{trailing}"
    return [header, *_body(draw, tree), *draw(_noise)]


def _sections(draw: st.DrawFn, tree: Any, path: Path) -> Iterator[list[str]]:
    """The pieces of the document that may stand in any order: a table, or a whole list of tables."""
    for name, (kind, content) in tree.items():
        here = (*path, name)
        if kind == "list":
            yield [line for element in content for line in _element(draw, element, here)]
        elif kind in {"header", "super", "dotted"}:
            # A table without a header of its own has a place for its tables only.
            if kind == "header" or (kind == "super" and any(_entries(draw, content))):
                yield _section(draw, content, here)
            yield from _sections(draw, content, here)


def _element(draw: st.DrawFn, tree: Any, path: Path) -> list[str]:
    lines = _section(draw, tree, path, depth=2)
    for section in _sections(draw, tree, path):
        lines += section
    return lines
