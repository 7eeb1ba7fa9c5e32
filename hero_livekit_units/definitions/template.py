"""`${name}`: the only thing that a definition can leave open. An unknown name is an error, `$$` is a dollar sign.

A text that is `${name}` alone becomes the value of the name, of whatever type; within a longer text the value must be
text, a number or a boolean. A name whose value is None is not set.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# A dollar sign that stands for itself, or an open name, the first group.
OPEN = re.compile(r"\$(?:\$|\{([^}]*)\})")
SECRET = "secret."  # noqa: S105  the beginning of a name


def names(value: Any) -> list[str]:
    """The names that a text, or data with texts in it, leaves open, in order of appearance."""
    if isinstance(value, str):
        return [found[1] for found in OPEN.finditer(value) if found[1] is not None]
    if isinstance(value, dict):
        return [name for pair in value.items() for item in pair for name in names(item)]
    if isinstance(value, list | tuple):
        return [name for item in value for name in names(item)]
    return []


def fill(text: str, parameters: Mapping[str, Any]) -> str:
    """Replace every `${name}` of a text.

    Raises:
        KeyError: a name is not among the parameters, not set, or is not text, a number or a boolean.
    """
    return _fill(text, lambda name: _as_text(name, parameters[name]), dollar="$")


def fill_but_secrets(text: str, parameters: Mapping[str, Any]) -> str:
    """As `fill`, but leave `${secret.NAME}` and `$$` for the moment when the file is written.

    Raises:
        KeyError: as `fill`.
    """
    return _fill(text, lambda name: _kept_open(name, parameters), dollar="$$")


def fill_data(value: Any, parameters: Mapping[str, Any]) -> Any:
    """As `fill_but_secrets` for data: what holds a name that is not set becomes None, and leaves its list or table.

    A list or table that comes from a parameter is taken as it is.

    Raises:
        KeyError: a name is not among the parameters.
    """
    if isinstance(value, str):
        alone = OPEN.fullmatch(value)
        if alone and alone[1] is not None and not alone[1].startswith(SECRET):
            return literal(parameters[alone[1]])
        unset = any(not name.startswith(SECRET) and parameters[name] is None for name in names(value))
        return None if unset else fill_but_secrets(value, parameters)
    if isinstance(value, dict):
        return _without_none({fill_data(key, parameters): fill_data(item, parameters) for key, item in value.items()})
    if isinstance(value, list):
        return [item for item in (fill_data(item, parameters) for item in value) if item is not None]
    return value


def fill_secrets(value: Any, secrets: Mapping[str, Any]) -> Any:
    """Data with the last open names, `${secret.NAME}`, replaced; what holds a secret that is None is left out.

    Args:
        value: text, or data with texts in it.
        secrets: values by name, without `secret.`.

    Raises:
        KeyError: a secret is not among them.
    """
    if isinstance(value, str):
        wanted = {name: secrets[name.removeprefix(SECRET)] for name in names(value)}
        if None in wanted.values():
            return None
        alone = OPEN.fullmatch(value)
        if alone and alone[1] is not None:
            return wanted[alone[1]]
        return _fill(value, lambda name: _as_text(name, wanted[name]), dollar="$")
    if isinstance(value, dict):
        return _without_none({fill_secrets(key, secrets): fill_secrets(item, secrets) for key, item in value.items()})
    if isinstance(value, list):
        return [item for item in (fill_secrets(item, secrets) for item in value) if item is not None]
    return value


def literal(value: Any) -> Any:
    """Data with every dollar sign doubled, so that filling gives it back: what is brought in is no template."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, list | tuple):
        return [literal(item) for item in value]
    if isinstance(value, dict):
        return {literal(key): literal(item) for key, item in value.items()}
    return value


def _without_none(table: dict[Any, Any]) -> dict[Any, Any] | None:
    """The table without what is not set; None when that was all it had."""
    left = {key: item for key, item in table.items() if key is not None and item is not None}
    return left if left or not table else None


def _kept_open(name: str, parameters: Mapping[str, Any]) -> str:
    return f"${{{name}}}" if name.startswith(SECRET) else str(literal(_as_text(name, parameters[name])))


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise KeyError(name)


def _fill(text: str, value: Callable[[str], str], dollar: str) -> str:
    return OPEN.sub(lambda found: dollar if found[1] is None else value(found[1]), text)
