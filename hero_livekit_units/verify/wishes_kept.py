"""The user's media.toml while an upgrade changes it: what it was is kept beside it, and put back to the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.errors import UnitsError, VerifyRefused
from hero_livekit_units.execute.lock import acting_lock
from hero_livekit_units.wishes import read_wishes

if TYPE_CHECKING:
    from pathlib import Path

_LOCK_WAIT_S = 10.0


class WishesKept:
    """What media.toml was before this run, from the first change to the end.

    A copy lies beside it for that long, so that it is not lost even by `kill -9`.
    """

    def __init__(self, file: Path) -> None:
        """Remember it; changes nothing.

        Raises:
            VerifyRefused: a run before this one was killed, and its copy is still there.
            DefinitionInvalid: it cannot be read.
        """
        self._file = file
        self._copy = file.with_name(f"{file.name}.before-verify")
        if self._copy.exists():
            raise VerifyRefused(
                f"cannot verify an upgrade: {self._copy} is left from a verify that was killed",
                hint=f"it is what {file.name} was before: put it back or delete it",
            )
        self._there = file.exists()
        self._text = read_wishes(file)
        self._mode = file.resolve().stat().st_mode & 0o777 if self._there else 0o600
        self._ours: str | None = None
        self._changing = False

    @property
    def is_changed(self) -> bool:
        """Whether there may be something to put back."""
        return self._ours is not None

    def about_to_change(self) -> None:
        """A change comes now; before the first one the copy is made."""
        if self._ours is None:
            write_atomically(self._copy, self._text, 0o600)
            self._ours = self._text
        self._changing = True

    def changed(self) -> None:
        """Remember what this run has written."""
        self._ours = read_wishes(self._file)
        self._changing = False

    def put_back(self) -> str:
        """Undo all changes of this run; why not, or "". Safe to repeat.

        What somebody else has written meanwhile is left alone, and the copy too.
        """
        if self._ours is None:
            return ""
        try:
            with acting_lock(self._file.parent, timeout_s=_LOCK_WAIT_S, name=".media.toml.lock"):
                # Interrupted in the middle of a change, nobody knows what it would have become: it is taken for ours.
                if not self._changing and read_wishes(self._file) not in {self._ours, self._text}:
                    return f"{self._file} was changed by somebody else meanwhile; what it was is in {self._copy}"
                if self._there:
                    write_atomically(self._file.resolve(), self._text, self._mode)
                else:
                    self._file.unlink(missing_ok=True)
        except (UnitsError, OSError) as error:
            return f"{error}; what it was is in {self._copy}"
        self.forget()
        return ""

    def forget(self) -> None:
        """Let the changes be."""
        self._copy.unlink(missing_ok=True)
        self._ours = None
