"""Values as plain data for JSON: attrs values become objects, and a step says which kind it is."""

from __future__ import annotations

from enum import Enum
from typing import Any, get_args

import attrs

from hero_livekit_units.model.plan import Step

_STEPS = get_args(Step)


def plain(value: Any) -> Any:
    """The JSON form of a value of the model."""
    if isinstance(value, Enum):
        return value.value
    if attrs.has(type(value)):
        data = {field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
        return {"step": _dashed(type(value).__name__)} | data if isinstance(value, _STEPS) else data
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | frozenset):
        return [plain(item) for item in value]
    return value


def _dashed(name: str) -> str:
    """`WriteFiles` as `write-files`."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("-")
