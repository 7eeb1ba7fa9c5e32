"""The configuration file of one release: which keys it knows, and which of the user's wishes it can carry out. Pure.

livekit-server is strict: one key that a release does not know, and it ends at once, with exit status 0. So nothing is
written that is not in the release's own list of keys.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from hero_livekit_units.definitions import kinds, template
from hero_livekit_units.model.settings import Settings, setting_fields, setting_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hero_livekit_units.definitions.structure import Fault
    from hero_livekit_units.definitions.text import KeyPath
    from hero_livekit_units.model.unit import Definition

# Dotted keys and the marks of lists and tables belong to the list of keys, not to what a user writes.
_MARKS = re.compile(r"[.\[\]{}]")
# What this package itself reads of media.toml, whatever the definitions use.
_OURS = frozenset(
    {
        "backend.version",
        "drain.idle_room_s",
        "drain.then",
        "drain.within_s",
        "front.enabled",
        "front.version",
        "livekit.slot",
        "livekit.two_slots",
        "livekit.version",
        "network.node_ip",
    }
    | {"redis.address", "redis.enabled", "redis.own", "redis.port", "turn.enabled"}
)
# Parameters that are made from a key of media.toml under another name.
DERIVED = {
    "front.tls": "front.certificate",
    "loopback": "network.node_ip",
    "redis.server": "redis.address",
    "livekit.udp_first": "livekit.udp_range",
    "livekit.udp_last": "livekit.udp_range",
    "turn.relay_first": "turn.relay_range",
    "turn.relay_last": "turn.relay_range",
}


def render(definition: Definition, config: Mapping[str, Any]) -> dict[str, Any]:
    """The user's own keys, nested as in `[livekit.config]`, as the dotted keys that this release knows.

    What `faults` complains of is left out.
    """
    if not config:
        return {}  # as nearly everybody has it: the keys of the release need not be looked at
    known = _Known(definition.config.keys)
    return {key: value for key, value in _flat(known, "", config) if known.kind(key) not in ("", kinds.REMOVED)}


def faults(definition: Definition, config: Mapping[str, Any]) -> Iterator[Fault]:
    """What is wrong with the user's own keys: not known to this release, of the wrong kind, or ours to set."""
    yield from _Reading(definition).table((), "", config)


def unused(definitions: Sequence[Definition], settings: Settings) -> list[str]:
    """Keys of media.toml that the user has set and that none of the wanted releases can carry out."""
    used = _OURS.union(*(mentioned(definition) for definition in definitions))
    default = setting_values(Settings())
    return [
        path
        for path, value in setting_values(settings).items()
        if value is not None and value != default[path] and path not in used
    ]


def mentioned(definition: Definition) -> frozenset[str]:
    """The keys of media.toml that a definition uses."""
    run = definition.run
    files = [[file.template, file.values] for file in run.files.values()]
    ports = [[port.bind, f"${{{port.when}}}", f"${{{port.unless}}}"] for port in definition.ports.values()]
    found = template.names([list(run.argv), run.env, files, ports])
    return frozenset(DERIVED.get(name, name) for name in found) & frozenset(setting_fields())


class _Known:
    """The keys of a release, and the tables around them."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys
        self.tables: set[str] = set()
        for key, kind in keys.items():
            if kind != kinds.REMOVED:
                # In `rtc.turn_servers[].host` both `rtc` and `rtc.turn_servers[]` are tables.
                parts = key.split(".")
                self.tables |= {".".join(parts[:length]) for length in range(1, len(parts))}

    def kind(self, key: str) -> str:
        """The kind of a key: one of `kinds.KINDS`, or for a list or table of tables, `[]` or `{}`; "" if unknown."""
        for mark in ("[]", "{}"):
            if key + mark in self.tables:
                return mark
        return self._keys.get(key, "")

    def near(self, key: str) -> str:
        """What to say of a key that is not known."""
        if self._keys.get(key) == kinds.REMOVED:
            return "this release has it no more: remove it"
        names = [name for name, kind in self._keys.items() if kind != kinds.REMOVED]
        close = difflib.get_close_matches(key, names, n=1)
        return f"did you mean {close[0]}?" if close else "`hlu show livekit-server --keys` lists what it knows"


def _flat(known: _Known, prefix: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        key = prefix + name
        if isinstance(value, dict) and not known.kind(key):
            yield from _flat(known, f"{key}.", value)
        else:
            yield key, value


class _Reading:
    """The user's own keys, read against one release."""

    def __init__(self, definition: Definition) -> None:
        self._release = f"{definition.unit.name} {definition.unit.version}"
        self._known = _Known(definition.config.keys)
        file = definition.run.files.get(definition.config.file)
        self._ours = {key: template.names(value) for key, value in file.values.items()} if file else {}

    def table(self, path: KeyPath, prefix: str, table: Mapping[str, Any]) -> Iterator[Fault]:
        """The faults of a table at `path`, whose keys begin with `prefix` in the list of the release."""
        for name, value in table.items():
            here = (*path, name)
            if _MARKS.search(name):
                yield here, f"not the name of a key: {name!r}", "one name at a time, tables as tables"
            elif prefix + name in self._ours:
                yield here, f"{prefix}{name} is ours to set", _instead(self._ours[prefix + name])
            else:
                yield from self._value(here, prefix + name, value)

    def _value(self, path: KeyPath, key: str, value: Any) -> Iterator[Fault]:
        kind = self._known.kind(key)
        if kind in ("[]", "{}"):
            for at, item in _items(kind, value):
                if isinstance(item, dict):
                    yield from self.table((*path, *at), f"{key}{kind}.", item)
                else:
                    yield (*path, *at), f"{key}: expected a {'list' if kind == '[]' else 'table'} of tables", ""
        elif kind and kind != kinds.REMOVED:
            if not kinds.fits(kind, value):
                yield path, f"{key}: {kinds.expected(kind)}, found {value!r}", ""
        elif key not in self._known.tables:
            yield path, f"{self._release} does not know {key}", self._known.near(key)
        elif isinstance(value, dict):
            yield from self.table(path, f"{key}.", value)
        else:
            yield path, f"{key}: expected a table", ""


def _items(kind: str, value: Any) -> list[tuple[KeyPath, Any]]:
    """The tables of a list or table of tables, each with its place in it; what is neither stands for itself."""
    if kind == "[]" and isinstance(value, list):
        return [((at,), item) for at, item in enumerate(value)]
    if kind == "{}" and isinstance(value, dict):
        return [((name,), item) for name, item in value.items()]
    return [((), None)]


def _instead(names: Sequence[str]) -> str:
    if "secret.redis_password" in names:
        return "set it with `hlu secret set redis_password`"
    keys = [DERIVED.get(name, name).replace("ports.", "livekit.ports.") for name in names]
    keys = [key for key in keys if not key.startswith("secret.")]
    return f"in media.toml it is {', '.join(keys)}" if keys else "leave it out"
