"""An exception as one line of text. Pure."""

from __future__ import annotations

_LONGEST = 400


def one_line(error: BaseException) -> str:
    """What an exception says, its advice behind it, printable and not too long."""
    said = "; ".join(line.strip() for line in str(error).splitlines() if line.strip()) or type(error).__name__
    hint = getattr(error, "hint", "")
    text = f"{said} ({hint})" if isinstance(hint, str) and hint else said
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
