"""`hlu set`, `hlu unset`, `hlu config`: the user's media.toml, and what it makes of livekit.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hero_livekit_units.cli.output import as_json_option, show

if TYPE_CHECKING:
    from hero_livekit_units.media import Media


@click.command("set")
@click.argument("key")
@click.argument("value")
@as_json_option
def set_value(key: str, value: str, as_json: bool) -> int:  # noqa: FBT001
    """Set a key of media.toml, such as livekit.version. Nothing else in the file changes; `hlu ensure` acts on it.

    VALUE is text, a number, true or false, or a list: ["a", "b"] or a,b. A value that the wanted release cannot carry
    out is refused, and the file stays as it is.
    """
    change = _media().set(key, value)
    return show(_plain(change), _change_text, as_json=as_json)


@click.command()
@click.argument("key")
@as_json_option
def unset(key: str, as_json: bool) -> int:  # noqa: FBT001
    """Take a key out of media.toml, so that its default counts again."""
    change = _media().unset(key)
    return show(_plain(change), _change_text, as_json=as_json)


@click.command()
@as_json_option
def config(as_json: bool) -> int:  # noqa: FBT001
    """Print the files that media.toml makes for each unit. Secrets stay names."""
    files = {path: _shown(file) for path, file in _media().files().items()}
    return show(files, _files_text, as_json=as_json)


def _media() -> Media:
    from hero_livekit_units.media import Media  # noqa: PLC0415

    return Media.connect()


def _plain(change: Any) -> dict[str, Any]:
    from hero_livekit_units.model.plain import plain  # noqa: PLC0415

    return dict(plain(change))


def _change_text(change: dict[str, Any]) -> str:
    if not change["changed"]:
        return f"{change['key']} is {change['value']!r} already"
    what = "unset" if change["value"] is None else f"set to {change['value']!r}"
    return f"{change['key']} {what} in {change['file']}; nothing running was touched, `hlu plan` shows what would be"


def _shown(file: Any) -> str:
    from hero_livekit_units.definitions.render import shown_text  # noqa: PLC0415

    return shown_text(file)


def _files_text(files: dict[str, str]) -> str:
    return "\n".join(f"==> {path}\n{text}" for path, text in files.items())
