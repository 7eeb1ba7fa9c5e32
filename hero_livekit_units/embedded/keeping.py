"""The wire methods of hero_proc that keep things for others: log lines, secrets, notes, and the units of plugins.

Owns: names and shapes on the wire, as `methods`. Must not know services or jobs.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from hero_livekit_units.embedded import units
from hero_livekit_units.embedded.arguments import LARGEST_NUMBER, flag, number, text, text_list
from hero_livekit_units.embedded.faults import NotFound
from hero_livekit_units.embedded.notes import Notes
from hero_livekit_units.herosocket.rpc import invalid_params

if TYPE_CHECKING:
    from hero_livekit_units.embedded import shapes, unit_shapes
    from hero_livekit_units.embedded.plugins import Plugins
    from hero_livekit_units.embedded.store import Store

CONTEXT = "core"
_MOST_LINES = 10_000


class Keeping:
    """The methods. A name on the wire is `group.verb`, here `group_verb`."""

    def __init__(self, store: Store, plugins: Plugins) -> None:
        self._store = store
        self._plugins = plugins
        self._notes = Notes(store)

    # -- units of the plugins

    async def unit_list(self) -> list[unit_shapes.UnitRow]:
        """All units of the plugins."""
        return cast("list[unit_shapes.UnitRow]", units.listed(await self._plugins.contributed()))

    async def unit_get(self, name: str, release: shapes.Release = None) -> unit_shapes.UnitDefinition:
        """A release of a unit, with its whole definition.

        Raises:
            NotFound: there is no such unit, or no such release of it.
        """
        chosen = None if release is None else text("release", release)
        row = units.release(await self._plugins.contributed(), text("name", name), chosen)
        return cast("unit_shapes.UnitDefinition", row | {"definition": self._plugins.definition(row["definition"])})

    async def unit_history(self, name: str) -> list[unit_shapes.UnitRelease]:
        """The releases of a unit, the eldest first.

        Raises:
            NotFound: there is no such unit.
        """
        found = units.history(await self._plugins.contributed(), text("name", name))
        return cast("list[unit_shapes.UnitRelease]", found)

    async def unit_plugins(self) -> unit_shapes.PluginList:
        """The installed plugins, broken ones too."""
        contributed = await self._plugins.contributed()
        found = self._plugins.state() | {key: contributed[key] for key in ("loaded_ms", "plugins")}
        return cast("unit_shapes.PluginList", found)

    # -- logs

    async def logs_insert(
        self,
        src: shapes.Source,
        content: str,
        loglevel: shapes.Count = 3,
        tags: list[str] | None = None,
        context_name: shapes.Context = CONTEXT,
    ) -> shapes.Ok:
        """Add a line to the log."""
        row = (
            text("src", src),
            time.time_ns() // 1_000_000,
            number("loglevel", loglevel),
            text_list("tags", tags) or (),
        )
        self._store.add_log(text("context_name", context_name), *row, text("content", content))
        return {"ok": True}

    async def logs_get(
        self, src_prefix: str = "", lines: shapes.Lines = 100, from_: shapes.EpochMs = None, to: shapes.EpochMs = None
    ) -> list[shapes.LogRow]:
        """The newest lines of the log, the eldest of them first."""
        begin = 0 if from_ is None else number("from", from_)
        end = LARGEST_NUMBER if to is None else number("to", to)
        most = min(number("lines", lines), _MOST_LINES)
        return cast("list[shapes.LogRow]", self._store.logs(text("src_prefix", src_prefix), most, begin, end))

    # -- secrets

    async def secret_set(
        self,
        key: str,
        value: str,
        context: shapes.Context = CONTEXT,
        if_absent: shapes.IfAbsent = False,  # noqa: FBT002
    ) -> shapes.SecretStored:
        """Store a secret."""
        if not isinstance(value, str):
            raise invalid_params("value must be a string")
        row = (text("context", context), text("key", key), value)
        return {"ok": True, "created": self._store.save_secret(*row, if_absent=flag("if_absent", if_absent))}

    async def secret_get(self, key: str, context: shapes.Context = CONTEXT) -> shapes.Secret:
        """A secret.

        Raises:
            NotFound: there is none.
        """
        value = self._store.secret(text("context", context), text("key", key))
        if value is None:
            raise NotFound("secret", key)
        return {"key": key, "value": value}

    async def secret_list(self, context: shapes.Context = CONTEXT) -> list[str]:
        """Keys of the secrets."""
        return self._store.secret_keys(text("context", context))

    async def secret_delete(self, key: str, context: shapes.Context = CONTEXT) -> shapes.Ok:
        """Delete a secret; nothing of it stays in the files of the daemon.

        Raises:
            NotFound: there is none.
        """
        if not self._store.delete_secret(text("context", context), text("key", key)):
            raise NotFound("secret", key)
        return {"ok": True}

    # -- notes

    async def note_get(self, key: str, context: shapes.Context = CONTEXT) -> shapes.Note:
        """A note.

        Raises:
            NotFound: there is none.
        """
        return cast("shapes.Note", self._notes.get(text("context", context), text("key", key)))

    async def note_set(
        self,
        key: str,
        value: str,
        expected: shapes.ExpectedRevision = None,
        by: shapes.By = "",
        context: shapes.Context = CONTEXT,
    ) -> shapes.NoteStored:
        """Write a note.

        Raises:
            Conflict: it is not at the expected revision; nothing was changed.
        """
        believed = None if expected is None else number("expected", expected)
        row = (text("context", context), text("key", key), text("value", value))
        return {"key": key, "revision": self._notes.set(*row, by=text("by", by), expected=believed)}

    async def note_list(self, prefix: str = "", context: shapes.Context = CONTEXT) -> list[shapes.NoteRow]:
        """Keys of the notes that begin so, with their revisions."""
        return cast("list[shapes.NoteRow]", self._notes.keys(text("context", context), text("prefix", prefix)))

    async def note_delete(
        self, key: str, expected: shapes.ExpectedRevision = None, context: shapes.Context = CONTEXT
    ) -> shapes.Ok:
        """Delete a note.

        Raises:
            NotFound: there is none.
            Conflict: it is not at the expected revision; nothing was changed.
        """
        believed = None if expected is None else number("expected", expected)
        self._notes.delete(text("context", context), text("key", key), expected=believed)
        return {"ok": True}
