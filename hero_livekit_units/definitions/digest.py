"""Hashes of values: equal meaning, equal digest, whatever the layout or order of the text it came from."""

from __future__ import annotations

import hashlib
import json
from enum import Enum
from typing import Any

import attrs

LENGTH = 16  # hex digits: 64 bits tell a handful of releases apart, and a person can compare them


def digest(value: Any) -> str:
    """The first 16 hex digits of the SHA-256 over the canonical JSON of an attrs value, or of plain data."""
    plain = attrs.asdict(value) if attrs.has(type(value)) else value
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)
    return hashlib.sha256(canonical.encode()).hexdigest()[:LENGTH]


def _plain(value: Any) -> Any:
    if attrs.has(type(value)):
        return attrs.asdict(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"no canonical form for {type(value).__name__}")
