"""The inverse of `render`: which secrets a file holds that is on the disk. Pure.

No error shows what was read: it is, or may be, secret.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from hero_livekit_units.definitions.template import OPEN, SECRET, names
from hero_livekit_units.model.unit import FileFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hero_livekit_units.model.launch import LaunchFile


@frozen
class Held:
    """The secrets in a file, by name; None where it could not be read, and then `says` is why.

    missing: it is not there at all.
    """

    values: dict[str, Any] | None = field(repr=False)
    says: str = ""
    missing: bool = False


def secret_names(file: LaunchFile) -> tuple[str, ...]:
    """The names of the secrets that a file is to hold, sorted."""
    found = names([file.template, file.values])
    return tuple(sorted({name.removeprefix(SECRET) for name in found if name.startswith(SECRET)}))


def secrets_in(file: LaunchFile, text: str) -> dict[str, Any]:
    """The secrets that stand in this text where the file is to have them, by name; what is not there is left out.

    Raises:
        ValueError: the text is not of the format of the file.
    """
    if file.format is FileFormat.TEXT:
        return dict(_in_lines(file.template, text))
    return dict(_in_data(file.values, _data(file.format, text)))


def _data(form: FileFormat, text: str) -> Any:
    if form is FileFormat.JSON:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("it is not JSON") from None
    import yaml  # noqa: PLC0415  only whoever writes or compares files pays for it

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ValueError("it is not YAML") from None


def _in_lines(template: str, text: str) -> Iterator[tuple[str, str]]:
    lines = text.splitlines()
    for wanted in template.splitlines():
        open_names = [name for name in names(wanted) if name.startswith(SECRET)]
        if not open_names:
            continue
        pattern = _pattern(wanted)
        for found in filter(None, map(pattern.fullmatch, lines)):
            yield from zip((name.removeprefix(SECRET) for name in open_names), found.groups(), strict=True)


def _pattern(line: str) -> re.Pattern[str]:
    """A line of a template as what matches it, with a group for each secret."""
    pieces, at = [], 0
    for found in OPEN.finditer(line):
        pieces += [re.escape(line[at : found.start()]), "(.*)" if found[1] else re.escape("$")]
        at = found.end()
    return re.compile("".join([*pieces, re.escape(line[at:])]))


def _in_data(wanted: Any, found: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(wanted, str):
        alone = OPEN.fullmatch(wanted)
        if alone and alone[1] and alone[1].startswith(SECRET) and found is not None:
            yield alone[1].removeprefix(SECRET), found
    elif isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            yield from _in_data(value, found.get(key))
    elif isinstance(wanted, list) and isinstance(found, list):
        for value, item in zip(wanted, found, strict=False):
            yield from _in_data(value, item)
