"""`${name}`: the only thing that a definition can leave open. An unknown name is an error, `$$` is a dollar sign."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_OPEN = re.compile(r"\$(?:\$|\{([^}]*)\})")


def names(text: str) -> list[str]:
    """The names that a text leaves open, in order of appearance."""
    return [found[1] for found in _OPEN.finditer(text) if found[1] is not None]


def fill(text: str, parameters: Mapping[str, str]) -> str:
    """Replace every `${name}`.

    Raises:
        KeyError: a name is not among the parameters.
    """
    return _fill(text, lambda name: parameters[name], dollar="$")


def fill_but_secrets(text: str, parameters: Mapping[str, str]) -> str:
    """As `fill`, but leave `${secret.NAME}` and `$$` for the moment when the file is written.

    Raises:
        KeyError: a name is not among the parameters.
    """

    def value(name: str) -> str:
        # What a parameter brings in is text, never a template.
        return f"${{{name}}}" if name.startswith("secret.") else parameters[name].replace("$", "$$")

    return _fill(text, value, dollar="$$")


def _fill(text: str, value: Callable[[str], str], dollar: str) -> str:
    return _OPEN.sub(lambda found: dollar if found[1] is None else value(found[1]), text)
