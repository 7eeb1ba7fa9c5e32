"""Reading decoded JSON key by key, strictly: nothing is coerced, nothing is ignored. Pure."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_LARGEST_NUMBER = 2**53  # what every JSON reader keeps exactly
# Names become names of files.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,99}")
_ENV_NAME = re.compile(r"[^=\0]+")
_REQUIRED: Any = object()

_E = TypeVar("_E", bound=StrEnum)


class SpecInvalid(Exception):
    """A value is not what it should be; `path` is the key, dotted."""

    def __init__(self, path: str, text: str, *, hint: str = "") -> None:
        super().__init__(f"{path} {text}")
        self.path = path
        self.hint = hint


class Reader:
    """Takes the keys of one object. Used with `with`: a key that nobody took is an error at its end."""

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise SpecInvalid(path, "must be an object")
        self._left = dict(value)
        self._path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None and self._left:
            raise SpecInvalid(f"{self._path}.{min(self._left)}", "is an unknown key")

    def text(self, key: str, default: str = _REQUIRED) -> str:
        """A string without NUL, which no argv, path or environment can hold."""
        return self._text(key, self._take(key, default))

    def optional_text(self, key: str) -> str | None:
        """As `text`, or null or missing."""
        value = self._take(key, None)
        return None if value is None else self._text(key, value)

    def name(self, key: str) -> str:
        """A name: letters, digits and `_ . @ -`, at most 100, not beginning with a dot or dash."""
        return self._name(key, self._take(key, _REQUIRED))

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, "must be true or false")
        return value

    def number(self, key: str, default: int, *, least: int = 0) -> int:
        """A whole number."""
        return self._number(key, self._take(key, default), least, _LARGEST_NUMBER)

    def numbers(self, key: str, least: int, most: int) -> tuple[int, ...]:
        """An array of whole numbers."""
        return tuple(self._number(f"{key}[{at}]", item, least, most) for at, item in enumerate(self._list(key)))

    def texts(self, key: str) -> tuple[str, ...]:
        """An array of strings."""
        return tuple(self._text(f"{key}[{at}]", item) for at, item in enumerate(self._list(key)))

    def names(self, key: str) -> tuple[str, ...]:
        """An array of names."""
        return tuple(self._name(f"{key}[{at}]", item) for at, item in enumerate(self._list(key)))

    def items(self, key: str) -> Iterator[tuple[Any, str]]:
        """The items of an array, each with its path."""
        for at, item in enumerate(self._list(key)):
            yield item, f"{self._path}.{key}[{at}]"

    def texts_by_name(self, key: str) -> dict[str, str]:
        """An object whose values are strings: an environment."""
        value = self._take(key, None)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._wrong(key, "must be an object")
        for name in value:
            if not _ENV_NAME.fullmatch(name):
                raise self._wrong(key, "holds a name that is empty or has = or NUL in it")
        return {name: self._text(f"{key}.{name}", item) for name, item in value.items()}

    def optional_object(self, key: str) -> tuple[dict[str, Any] | None, str]:
        """An object, or null or missing; with its path."""
        value = self._take(key, None)
        if value is not None and not isinstance(value, dict):
            raise self._wrong(key, "must be an object or null")
        return value, f"{self._path}.{key}"

    def choice(self, key: str, kind: type[_E], default: _E) -> _E:
        """One of the values of an enum."""
        value = self._take(key, default)
        try:
            return kind(value)
        except ValueError:
            known = ", ".join(kind)
            raise self._wrong(key, f"must be one of {known}") from None

    def absent(self, key: str, hint: str) -> None:
        """Null, missing or empty: a feature that is not had here."""
        if self._take(key, None):
            raise SpecInvalid(f"{self._path}.{key}", "must be null", hint=hint)

    def _take(self, key: str, default: Any) -> Any:
        value = self._left.pop(key, default)
        if value is _REQUIRED:
            raise self._wrong(key, "is missing")
        return value

    def _list(self, key: str) -> list[Any]:
        value = self._take(key, None)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(key, "must be an array")
        return value

    def _text(self, key: str, value: Any) -> str:
        if not isinstance(value, str):
            raise self._wrong(key, "must be a string")
        if "\0" in value:
            raise self._wrong(key, "must not hold a NUL character")
        return value

    def _name(self, key: str, value: Any) -> str:
        text = self._text(key, value)
        if not _NAME.fullmatch(text):
            raise self._wrong(
                key, "must be 1 to 100 of the characters A-Z a-z 0-9 _ . @ -, beginning with none of . @ -"
            )
        return text

    def _number(self, key: str, value: Any, least: int, most: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(key, "must be a whole number")
        if not least <= value <= most:
            raise self._wrong(key, f"must be from {least} to {most}")
        return value

    def _wrong(self, key: str, text: str) -> SpecInvalid:
        return SpecInvalid(f"{self._path}.{key}", text)
