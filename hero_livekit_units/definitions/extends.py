"""`extends`: what several releases share stands once, in a base, and a release's file says only what is its own. Pure.

Tables are merged key by key, at any depth; anything else in the release's file takes the place of what the base has. A
base is frozen like the releases that extend it: what has to be shared anew is a new base.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import frozen

from hero_livekit_units.definitions.text import Places, parse
from hero_livekit_units.errors import Issue

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "extends"
BASE_FILE = re.compile(r"base-[a-z0-9][a-z0-9.-]*\.toml")


@frozen
class Text:
    """A definition file or a base as read: its own tables, and what it comes to together with the bases it extends.

    layers: (file, text) of it and of those bases, the nearest first. tables: of all of them, merged.
    """

    layers: tuple[tuple[str, str], ...]
    tables: dict[str, Any]


def read(text: str, file: str, base: Callable[[str], Text | Issue | str]) -> Text | Issue:
    """Parse a definition file or a base, and put it over the base that it extends; or the issue that is in the way.

    Args:
        text: the file's own.
        file: its name.
        base: from the name of a base to that base, to the issue that is in its way, or to why it cannot be extended.
    """
    own = parse(text, file)
    if isinstance(own, Issue):
        return own
    wanted = own.pop(KEY, None)
    if wanted is None:
        return Text(((file, text),), own)
    if not isinstance(wanted, str) or not BASE_FILE.fullmatch(wanted):
        hint = 'the name of a file beside this one, such as "base-1.9.toml"'
        return _issue(text, file, f"not the name of a base: {wanted!r}", hint)
    found = base(wanted)
    if isinstance(found, str):
        return _issue(text, file, found)
    if isinstance(found, Issue):
        return found
    return Text(((file, text), *found.layers), _over(found.tables, own))


def _issue(text: str, file: str, fault: str, hint: str = "") -> Issue:
    return Issue(file, *Places(text).line_and_column((KEY,)), KEY, fault, hint)


def _over(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    both = {key: _over(base[key], own[key]) for key in own if _is_table(base.get(key)) and _is_table(own[key])}
    return base | own | both


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)
