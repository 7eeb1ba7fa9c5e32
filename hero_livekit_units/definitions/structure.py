"""Tables to values, strictly: no coercion, no unknown keys, every fault of a text at once.

cattrs is lenient by default (text "false" becomes true); the hooks here make each scalar say what it expects.
"""

from __future__ import annotations

import contextlib
import difflib
from enum import StrEnum
from types import GenericAlias
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.cols import mapping_structure_factory
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
)
from cattrs.gen import make_dict_structure_fn

from hero_livekit_units.definitions.text import KeyPath, Places, parse
from hero_livekit_units.errors import Issue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
Fault = tuple[KeyPath, str, str]  # key, what is wrong, how to mend it


class _Unfit(ValueError):
    """A value that is not of its type; the text says what was expected."""


def load(text: str, file: str, kind: type[T], rules: Callable[[T], Sequence[Fault]]) -> T | list[Issue]:
    """Read a TOML text as a value of the attrs class `kind`, or say all that is wrong with it.

    Args:
        text: the TOML.
        file: its name, for the issues.
        kind: what it should be.
        rules: what a well-typed value breaks of what the types cannot say.
    """
    tables = parse(text, file)
    if isinstance(tables, Issue):
        return [tables]
    value, faults = structure(tables, kind, rules)
    return located([(file, text)], faults) if value is None else value


def structure(
    tables: dict[str, Any], kind: type[T], rules: Callable[[T], Sequence[Fault]]
) -> tuple[T, list[Fault]] | tuple[None, list[Fault]]:
    """Tables as a value of `kind`, or None and all that is wrong with them."""
    try:
        value = _STRICT.structure(tables, kind)
        faults = list(rules(value))
    except BaseValidationError as error:
        faults = _faults(error, ())
        with contextlib.suppress(BaseValidationError):
            # Where the only fault is keys too many, the rest can be judged in the same go.
            faults += rules(_WITHOUT_UNKNOWN_KEYS.structure(tables, kind))
        return None, faults
    return (None, faults) if faults else (value, [])


def misfit(value: Any, kind: Any) -> str:
    """What keeps a value from TOML from being of a kind, in the words of `load`, or "" where it fits."""
    try:
        _STRICT.structure(value, kind)
    except (BaseValidationError, _Unfit) as error:
        return "; ".join(
            f"{'.'.join(str(part) for part in path)}: {fault}" if path else fault
            for path, fault, _ in _faults(error, ())
        )
    return ""


def located(texts: Sequence[tuple[str, str]], faults: Sequence[Fault]) -> list[Issue]:
    """Give faults their places, in the order of the texts.

    Args:
        texts: (file, text), the one that counts most first: a fault is placed where most of its key stands, and in
            the first where that is equal.
        faults: (key, what is wrong, how to mend it).
    """
    places = [(file, Places(text)) for file, text in texts]
    order = [file for file, _ in texts]
    issues = []
    for path, fault, hint in faults:
        file, found = max(places, key=lambda place: place[1].depth(path))
        line, column = found.line_and_column(path)
        issues.append(Issue(file, line, column, ".".join(str(part) for part in path), fault, hint))
    return sorted(issues, key=lambda issue: (order.index(issue.file), issue.line, issue.column, issue.path))


def _faults(error: BaseException, path: KeyPath) -> list[Fault]:
    if isinstance(error, ClassValidationError | IterableValidationError):
        placed, others = error.group_exceptions()
        found = []
        for child, note in placed:
            found += _faults(child, (*path, note.name if isinstance(note, AttributeValidationNote) else note.index))
        for child in others:
            found += _faults(child, path)
        return found
    if isinstance(error, ForbiddenExtraKeysError):
        known = [attribute.name for attribute in attrs.fields(error.cl)]
        return [((*path, key), "unknown key", _near(key, known)) for key in sorted(error.extra_fields)]
    if isinstance(error, KeyError):
        # cattrs reports a missing key as the KeyError of its own lookup, at the key's path.
        return [(path, "missing", "")]
    return [(path, str(error), "")]


def _near(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"


def said(value: Any) -> str:
    """What a value from TOML is, in words."""
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "text", list: "a list", dict: "a table"}
    shown = f" {value!r}" if isinstance(value, bool | int | float | str) else ""
    return f"{names.get(type(value), type(value).__name__)}{shown}"


def _scalar(value: Any, kind: type, expected: str) -> Any:
    # bool is an int in Python, but `revision = true` is a mistake.
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise _Unfit(f"expected {expected}, found {said(value)}")


def _number(value: Any, _: Any) -> float:
    return float(_scalar(value, int if isinstance(value, int) else float, "a number"))


def _text(value: Any, kind: type[str]) -> str:
    text: str = _scalar(value, str, "text")
    # cattrs finds this hook for the enums too: they are subclasses of str.
    if issubclass(kind, StrEnum):
        if text not in list(kind):
            raise _Unfit(f"expected one of {', '.join(kind)}, found {text!r}")
        return kind(text)
    return text


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _is_dict(kind: Any) -> bool:
    return get_origin(kind) is dict


def _converter(*, forbid_extra_keys: bool) -> Converter:
    converter = Converter(forbid_extra_keys=forbid_extra_keys, detailed_validation=True)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(int, lambda value, _: _scalar(value, int, "an integer"))
    converter.register_structure_hook(bool, lambda value, _: _scalar(value, bool, "a boolean"))
    converter.register_structure_hook(float, _number)

    @converter.register_structure_hook_factory(_is_tuple)
    def _tuple(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
        items = GenericAlias(list, get_args(kind)[:1])
        structure = converter.get_structure_hook(items)
        return lambda value, _: tuple(structure(_scalar(value, list, "a list"), items))

    @converter.register_structure_hook_factory(_is_dict)
    def _dict(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
        structure = mapping_structure_factory(kind, converter)
        return lambda value, _: structure(_scalar(value, dict, "a table"), kind)

    @converter.register_structure_hook_factory(attrs.has)
    def _table(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
        structure = make_dict_structure_fn(
            kind, converter, _cattrs_forbid_extra_keys=forbid_extra_keys, _cattrs_detailed_validation=True
        )
        return lambda value, _: structure(_scalar(value, dict, "a table"), kind)

    return converter


_STRICT = _converter(forbid_extra_keys=True)
_WITHOUT_UNKNOWN_KEYS = _converter(forbid_extra_keys=False)
