"""What every command has in common: `--json`, `--socket`, and printing data or text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print data instead of text.")
socket_option = click.option(
    "--socket", default=None, metavar="PATH", help="the socket of hero_proc or zinit, where it is not in its place."
)


def show(data: Any, text: Callable[[Any], str], *, as_json: bool) -> int:
    """Print data as JSON, or as the text that is made of it; 0, for the exit code."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False) if as_json else text(data))
    return 0
