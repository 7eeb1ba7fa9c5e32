"""Values as plain data for JSON: attrs values become objects."""

from __future__ import annotations

from enum import Enum
from typing import Any

import attrs


def plain(value: Any) -> Any:
    """The JSON form of a value of the model."""
    if isinstance(value, Enum):
        return value.value
    if attrs.has(type(value)):
        return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | frozenset):
        return [plain(item) for item in value]
    return value
