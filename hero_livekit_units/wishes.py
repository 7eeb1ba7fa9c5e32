"""The user's wishes, set and unset one by one in `media.toml`: checked against the wanted release before they are kept.

The file is replaced as a whole, and only by a text in which nothing is wrong that was not wrong before; of the old text
every byte stays that was not asked to change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_type_hints

from attrs import frozen

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.definitions.edit import dotted, key_path, set_key, text_value, unset_key
from hero_livekit_units.errors import CatalogError, DefinitionInvalid, Issue, PlanRefused, SettingRefused
from hero_livekit_units.execute.lock import acting_lock
from hero_livekit_units.livekit.desired import MEDIA
from hero_livekit_units.livekit.settings import read_settings
from hero_livekit_units.model.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hero_livekit_units.definitions.catalog import Catalog

_LOCK_WAIT_S = 10.0
_KINDS = {"text": str, "duration": str, "list of text": tuple[str, ...], "bool": bool, "integer": int, "number": float}


@frozen
class Change:
    """What became of a wish.

    value: what the key is set to, None when it was unset. changed: whether the file is another one now. left: what is
    still wrong in the file, as it was before.
    """

    file: str
    key: str
    value: Any
    changed: bool
    left: tuple[str, ...] = ()


def set_wish(file: Path, catalog: Catalog, key: str, text: str) -> Change:
    """Set a key of a media.toml, which need not exist.

    Args:
        file: the media.toml.
        catalog: all releases.
        key: dotted, such as `livekit.version`.
        text: the value as on a command line.

    Raises:
        SettingRefused: there is no such key, the value is not of its kind, or the wanted release cannot carry it out.
        DefinitionInvalid: the file cannot be read.
        StepFailed: it cannot be written; it is as it was.
    """
    path = key_path(key)
    old_text = read_wishes(file)
    value = text_value(text, _kind(path, old_text, file, catalog))
    return _change(file, catalog, path, value, lambda old: set_key(old, path, value))


def unset_wish(file: Path, catalog: Catalog, key: str) -> Change:
    """Take a key out of a media.toml, so that its default counts again.

    Raises:
        SettingRefused: it is not set, or what is left does not fit together without it.
        DefinitionInvalid, StepFailed: as `set_wish`.
    """
    path = key_path(key)
    return _change(file, catalog, path, None, lambda old: unset_key(old, path))


def _change(file: Path, catalog: Catalog, path: tuple[str, ...], value: Any, edit: Callable[[str], str]) -> Change:
    # Two at once must not undo each other; a link that the user keeps stays a link.
    with acting_lock(file.parent, timeout_s=_LOCK_WAIT_S, name=".media.toml.lock"):
        old = read_wishes(file)
        new = edit(old)
        before = {(issue.path, issue.text) for issue in _issues(old, file, catalog)}
        after = _issues(new, file, catalog)
        fresh = [issue for issue in after if (issue.path, issue.text) not in before]
        if fresh:
            raise _refused("unset" if value is None else "set", dotted(path), fresh)
        if new != old:
            target = file.resolve()
            write_atomically(target, new, target.stat().st_mode & 0o777 if target.exists() else 0o600)
    return Change(str(file), dotted(path), value, new != old, tuple(str(issue) for issue in after))


def read_wishes(file: Path) -> str:
    """The text of a media.toml as it is, "" where there is none.

    Raises:
        DefinitionInvalid: it cannot be read.
    """
    try:
        return file.read_bytes().decode("utf-8")  # not read_text, which would turn CRLF into LF
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionInvalid([Issue(str(file), 0, 0, "", f"cannot be read: {error}")]) from error


def _issues(text: str, file: Path, catalog: Catalog) -> tuple[Issue, ...]:
    try:
        read_settings(text, str(file), catalog, choosing=True)
    except DefinitionInvalid as error:
        return error.issues
    return ()


def _refused(verb: str, key: str, issues: list[Issue]) -> SettingRefused:
    first, *others = issues
    about = "" if first.path == key else f"{first.path}: "
    more = "".join(f"; {issue.path}: {issue.text}" for issue in others)
    return SettingRefused(f"cannot {verb} {key}: {about}{first.text}{more}", hint=first.hint)


def _kind(path: tuple[str, ...], text: str, file: Path, catalog: Catalog) -> Any:
    """What the value of a key should be, None where that is not known."""
    section, *rest = path
    tables = get_type_hints(Settings)
    if section not in tables or not rest:
        return None
    hint = get_type_hints(tables[section]).get(rest[0])
    if len(rest) == 1:
        return hint
    if rest[0] == "ports":
        return int
    if path[:2] == ("livekit", "config"):
        return _KINDS.get(_config_kind(".".join(rest[1:]), text, file, catalog))
    return None


def _config_kind(key: str, text: str, file: Path, catalog: Catalog) -> str:
    try:
        version = read_settings(text, str(file), catalog).livekit.version
        return catalog.find(MEDIA, version).config.keys.get(key, "")
    except (DefinitionInvalid, CatalogError, PlanRefused):
        return ""
