"""livekit.yaml files made from key lists: values that a key takes, and values that it refuses.

Pure. A value is chosen by the key's kind alone, so that a wrong kind in a list shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from hero_livekit_units.definitions.kinds import LIMITS
from tests.schema.derive import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BOGUS = "hlu_bogus"

# `false` throughout: `true` would make some releases ask a STUN server. The text is also a node's address.
_RIGHT: dict[str, Any] = {
    "bool": False,
    "duration": "1s",
    "empty table": {},
    "number": 0.5,
    "port range": "7882-7890",
    "text": "127.0.0.1",
    "tree": {},
    **dict.fromkeys(LIMITS, 1),
}
_WRONG: dict[str, Any] = {
    "bool": "word",
    "duration": 5,
    "empty table": {BOGUS: 1},
    "number": "0.5",
    "port range": "word",
    "text": ["word"],
    "tree": "word",
    **{kind: most + 1 for kind, (_, most) in LIMITS.items()},
    "uint64": -1,  # of one more than the most a float is made, and that is taken
}


def right(kind: str) -> Any:
    """A value that a key of this kind takes."""
    if kind.startswith("list of "):
        return [_RIGHT[kind.removeprefix("list of ")]]
    if kind.startswith("table of "):
        return {0: _RIGHT[kind.removeprefix("table of ")]}  # the names of some tables are numbers
    return _RIGHT[kind]


def wrong(path: str, kind: str, version: str) -> Any:
    """A value that this key refuses, though another kind might take it."""
    if path == "rtc.node_ip" and number(version) >= (1, 10):
        return "word"  # reads the text of whatever stands there; of a list that is none, and none is accepted
    if kind.startswith("list of "):
        return [_WRONG[kind.removeprefix("list of ")]]
    if kind.startswith("table of "):
        return {0: _WRONG[kind.removeprefix("table of ")]}
    return _WRONG[kind]


def document(values: Mapping[str, Any]) -> str:
    """The file in which each path has its value."""
    top: dict[Any, Any] = {}
    for path, value in values.items():
        place: Any = top
        steps = _steps(path)
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            if following is None:
                place[step] = value
            elif isinstance(place, list):
                place.extend({} for _ in range(1 - len(place)))
                place = place[0]
            else:
                place = place.setdefault(step, [] if following == "[]" else {})
    return yaml.safe_dump(top, sort_keys=False)


def tables(keys: Iterable[str]) -> list[str]:
    """Every path of a table whose names the release knows, the whole file ("") first."""
    found = {""}
    for path in keys:
        steps = path.split(".")
        found |= {".".join(steps[:depth]) for depth in range(1, len(steps))}
    return sorted(found)


def below(table: str, key: str) -> str:
    """The path of a key in a table."""
    return f"{table}.{key}" if table else key


def _steps(path: str) -> list[Any]:
    steps: list[Any] = []
    for part in path.split("."):
        name, is_list, _ = part.partition("[]")
        name, is_table, _ = name.partition("{}")
        steps += [name] + ["[]"] * bool(is_list) + [0] * bool(is_table)
    return steps
