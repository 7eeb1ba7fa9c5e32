"""A file to write as text: secrets filled in, structured values laid out. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hero_livekit_units.definitions.rules import OPTIONAL_SECRETS, SECRETS
from hero_livekit_units.definitions.template import fill_secrets
from hero_livekit_units.model.unit import FileFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hero_livekit_units.model.launch import LaunchFile

_NOTICE = "# Written by hero_livekit_units from media.toml, again and again: change it there (hlu set KEY VALUE).\n"


def file_text(file: LaunchFile, secrets: Mapping[str, Any]) -> str:
    """The text of a file, secrets and all.

    In a text file, a line with an optional secret that does not exist is left out.

    Raises:
        KeyError: a secret that must exist is missing.
    """
    known = dict.fromkeys(OPTIONAL_SECRETS) | dict(secrets)
    if file.format is FileFormat.TEXT:
        lines = (fill_secrets(line, known) for line in file.template.splitlines(keepends=True))
        return "".join(line for line in lines if line is not None)
    values = fill_secrets(file.values, known) or {}
    if file.format is FileFormat.JSON:
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    import yaml  # noqa: PLC0415  only whoever writes or compares files pays for it

    # Signs beyond ASCII are escaped: PyYAML writes some of them, U+0085 for one, so that they are read as a blank.
    return _NOTICE + str(yaml.safe_dump(values, sort_keys=False, width=1000))


def shown_text(file: LaunchFile) -> str:
    """The text of a file with the names of secrets instead of the secrets, to show it."""
    return file_text(file, {name: f"${{secret.{name}}}" for name in SECRETS})


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as tables in tables: `{"rtc.tcp_port": 7881}` is `{"rtc": {"tcp_port": 7881}}`."""
    tables: dict[str, Any] = {}
    for key, value in values.items():
        *above, last = key.split(".")
        table = tables
        for part in above:
            table = table.setdefault(part, {})
        table[last] = value
    return tables
