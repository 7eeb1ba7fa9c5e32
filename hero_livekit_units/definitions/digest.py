"""Hashes of values: equal meaning, equal digest, whatever the layout or order of the text it came from.

What is at its default is passed over: a definition says the same whether it names a default or not, and one that was
released before a key existed keeps its digest when the key comes.
"""

from __future__ import annotations

import hashlib
import json
from enum import Enum
from functools import cache
from typing import Any

import attrs

LENGTH = 16  # hex digits: 64 bits tell a handful of releases apart, and a person can compare them


def digest(value: Any) -> str:
    """The first 16 hex digits of the SHA-256 over the canonical JSON of an attrs value, or of plain data."""
    canonical = json.dumps(meaning(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:LENGTH]


def meaning(value: Any) -> Any:
    """A value as plain data for JSON, without what is at its default.

    Raises:
        TypeError: it holds something that has no plain form.
    """
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, dict):
        return {key: meaning(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [meaning(item) for item in value]
    if attrs.has(type(value)):
        kind: type[attrs.AttrsInstance] = type(value)
        found = ((name, getattr(value, name), default) for name, default in _fields(kind))
        return {name: meaning(item) for name, item, default in found if item != default}
    raise TypeError(f"no canonical form for {type(value).__name__}")


@cache
def _fields(kind: type[attrs.AttrsInstance]) -> list[tuple[str, Any]]:
    return [(field.name, _default(field)) for field in attrs.fields(kind)]


def _default(field: attrs.Attribute[Any]) -> Any:
    make = getattr(field.default, "factory", None)
    return field.default if make is None else make()
