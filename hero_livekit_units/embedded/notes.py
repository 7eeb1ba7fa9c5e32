"""Notes: small texts that programs leave for each other, changed only by whoever knows what is there.

Each write has a revision, larger than every one before, so that neither a later write nor a note that was deleted and
made again is taken for what a caller has read.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hero_livekit_units.embedded.faults import Conflict, NotFound

if TYPE_CHECKING:
    from hero_livekit_units.embedded.store import Store

NO_NOTE = 0


class Notes:
    """The notes. Everything may raise sqlite3.Error, and then has changed nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, context: str, key: str) -> dict[str, Any]:
        """A note.

        Raises:
            NotFound: there is none.
        """
        found = self._store.note(context, key)
        if found is None:
            raise NotFound("note", key)
        return found

    def keys(self, context: str, prefix: str) -> list[dict[str, Any]]:
        """Keys that begin so, sorted, each with its revision."""
        return self._store.notes(context, prefix)

    def set(self, context: str, key: str, value: str, *, by: str, expected: int | None) -> int:
        """Write a note; its new revision.

        Raises:
            Conflict: `expected` is given, NO_NOTE for none, and another revision is there.
        """
        self._check(context, key, expected)
        return self._store.save_note(context, key, value, by, time.time_ns() // 1_000_000)

    def delete(self, context: str, key: str, *, expected: int | None) -> None:
        """Delete a note.

        Raises:
            NotFound: there is none.
            Conflict: `expected` is given, and another revision is there.
        """
        self._check(context, key, expected)
        self.get(context, key)
        self._store.delete_note(context, key)

    def _check(self, context: str, key: str, expected: int | None) -> None:
        """Nothing comes between this and the write: both happen in one turn of the event loop."""
        if expected is None:
            return
        found = self._store.note(context, key)
        if (found["revision"] if found else NO_NOTE) == expected:
            return
        at = f"is at revision {found['revision']}, written by {found['by'] or 'nobody named'}" if found else "is gone"
        believed = f"at revision {expected}" if expected else "absent"
        raise Conflict(f"note {key} is not {believed}: it {at}", found)
