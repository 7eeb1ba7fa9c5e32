"""The rotation of a secret: which values count in each phase, and what ends the phase. Pure.

    phase      livekit.yaml has   lk-backend signs with   ends when
    introduce  old and new        old                     every process runs with these files
    overlap    old and new        new                     one token lifetime is over since every process does
    retire     new                new                     every process runs with these files

The backend secret goes the same way: what lk-backend accepts stands for what livekit.yaml has, and what callers are
told in runtime.json for what tokens are signed with.

While a rotation lasts its record is the truth about the values that it rotates, so that each of its turns is one write
to the supervisor, and a crash between two writes is none.

The lifetime is counted by the clock on the wall, as it is by this clock that livekit-server of the same host judges the
end of a token: where it jumps, tokens and rotation jump together. Where it is set back the overlap only gets longer.

livekit-server refreshes the tokens of people in calls, and signs with any of its keys. So as long as it knows the old
key there are people who hold it, and what makes people reconnect must not retire it: it is done while nobody is there.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs
from attrs import field, frozen

from hero_livekit_units.errors import RegistryProtocolError
from hero_livekit_units.model.plan import Note

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORD = "rotation"  # the name under which the supervisor keeps it
_FORMAT = 1
_DERIVED = ("api_keys", "webhook_key", "old_backend_secret")  # of the others, each time anew


class Rotated(StrEnum):
    """What can be rotated: the key that signs join tokens, or the bearer secret of lk-backend."""

    API_KEY = "api-key"
    BACKEND_SECRET = "backend-secret"  # noqa: S105  a name


NAMES = {Rotated.API_KEY: ("api_key", "api_secret"), Rotated.BACKEND_SECRET: ("backend_secret",)}


class Phase(StrEnum):
    """How far a rotation is."""

    INTRODUCE = "introduce"
    OVERLAP = "overlap"
    RETIRE = "retire"


class End(StrEnum):
    """What comes after the last phase: the new values take the place of the old ones, and the record goes."""

    DONE = "done"


@frozen
class Rotation:
    """One rotation, as far as it has come. Times are seconds since the epoch.

    what: which secret. old, new: its values by their names in the supervisor. lifetime_s: of a token, the longest that
    was seen. began_at_s, since_s: when it began, and the phase. until_s: the end of the overlap, None until every
    process runs with the files of the overlap.
    """

    what: Rotated
    phase: Phase
    old: dict[str, str] = field(repr=False)
    new: dict[str, str] = field(repr=False)
    lifetime_s: float
    began_at_s: float
    since_s: float
    until_s: float | None = None


@frozen
class Secrets:
    """All secrets of a group: `values` as definitions know them, by name; `rotation`, None where none lasts."""

    values: dict[str, Any] = field(repr=False)
    rotation: Rotation | None = None


@frozen
class Outlook:
    """What a rotation does next: in words, from when on (None: as soon as it can), and what it does to calls."""

    next: str
    not_before_s: float | None
    effect: str


def secrets_of(stored: Mapping[str, str]) -> Secrets:
    """What the supervisor holds, as definitions know it.

    Raises:
        RegistryProtocolError: the record of a rotation cannot be understood.
    """
    rotation = parse(stored[RECORD]) if RECORD in stored else None
    values = {name: value for name, value in stored.items() if name != RECORD}
    return Secrets(effective(values, rotation), rotation)


def effective(stored: Mapping[str, Any], rotation: Rotation | None) -> dict[str, Any]:
    """The secrets as definitions know them (`definitions.rules` lists them), so far as they exist.

    Args:
        stored: what the supervisor holds, by name, or what this function made of it.
        rotation: the one that lasts; its values win.
    """
    values = {name: value for name, value in stored.items() if name not in _DERIVED}
    if rotation is None:
        return values | _keys(values, values, values)
    retired = rotation.phase is Phase.RETIRE
    shown = rotation.old if rotation.phase is Phase.INTRODUCE else rotation.new
    other = rotation.new if rotation.phase is Phase.INTRODUCE else rotation.old
    values |= shown
    if rotation.what is Rotated.BACKEND_SECRET:
        # lk-backend accepts both, whichever of them is the old one.
        values |= {} if retired else {"old_backend_secret": other["backend_secret"]}
        return values | _keys(values, values, values)
    # One order and one key for webhooks all along, so that livekit.yaml is the same in the first two phases.
    first = rotation.new if retired else rotation.old
    return values | _keys(first, first, rotation.new)


def _keys(webhook: Mapping[str, str], *valid: Mapping[str, str]) -> dict[str, Any]:
    if not all({"api_key", "api_secret"} <= pair.keys() for pair in valid):
        return {}
    return {"api_keys": {pair["api_key"]: pair["api_secret"] for pair in valid}, "webhook_key": webhook["api_key"]}


def following(rotation: Rotation, *, converged: bool, lifetime_s: float, now_s: float) -> Rotation | End | None:
    """What a rotation becomes now, None where it stays what it is.

    Args:
        rotation: as it is.
        converged: whether every process runs with what is effective in this phase.
        lifetime_s: of the tokens that are made now.
        now_s: seconds since the epoch.
    """
    lifetime_s = max(lifetime_s, rotation.lifetime_s)
    turned = attrs.evolve(rotation, lifetime_s=lifetime_s, since_s=now_s)
    match rotation.phase, rotation.until_s:
        case _ if not converged:
            return None
        case Phase.INTRODUCE, _:
            return attrs.evolve(turned, phase=Phase.OVERLAP)
        case Phase.OVERLAP, None:
            return attrs.evolve(turned, since_s=rotation.since_s, until_s=now_s + lifetime_s)
        case Phase.OVERLAP, until_s if until_s is not None and now_s < until_s:
            return None
        case Phase.OVERLAP, _:
            return attrs.evolve(turned, phase=Phase.RETIRE)
        case _:
            return End.DONE


def outlook(rotation: Rotation) -> Outlook:
    """What comes next, when, and what it costs."""
    api_key = rotation.what is Rotated.API_KEY
    match rotation.phase:
        case Phase.INTRODUCE if api_key:
            what = "livekit-server gets the new key beside the old one"
            return Outlook(what, None, _IDLE_RESTART)
        case Phase.INTRODUCE:
            return Outlook("lk-backend accepts the new secret beside the old one", None, _BACKEND_RESTART)
        case Phase.OVERLAP if rotation.until_s is None:
            what = "lk-backend signs with the new key" if api_key else "callers are told the new secret"
            return Outlook(what, None, _BACKEND_RESTART)
        case Phase.OVERLAP | Phase.RETIRE:
            what = "livekit-server forgets the old key" if api_key else "lk-backend forgets the old secret"
            until_s = rotation.until_s if rotation.phase is Phase.OVERLAP else None
            return Outlook(what, until_s, _IDLE_RESTART if api_key else _BACKEND_RESTART)


_IDLE_RESTART = "livekit-server reads its keys only at its start: it is restarted while nobody is in a call"
_BACKEND_RESTART = "calls go on; joins wait for the second that lk-backend takes to restart"


def rotation_note(rotation: Rotation) -> Note:
    """A rotation in one sentence, for plans and receipts."""
    ahead = outlook(rotation)
    when = f", not before {time_text(ahead.not_before_s)}" if ahead.not_before_s is not None else ""
    text = f"rotation of the {rotation.what}, phase {rotation.phase}; next{when}: {ahead.next} ({ahead.effect})"
    return Note("secrets", text)


def time_text(epoch_s: float) -> str:
    """A moment, such as `2026-05-04T10:30:00Z`; "the end of time" for one beyond the calendar."""
    try:
        return datetime.fromtimestamp(math.ceil(epoch_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return "the end of time"


def serialise(rotation: Rotation) -> str:
    """A rotation as the text that the supervisor keeps."""
    return json.dumps({"format": _FORMAT} | attrs.asdict(rotation))


def parse(text: str) -> Rotation:
    """The inverse of `serialise`.

    Raises:
        RegistryProtocolError: it is something else; the error does not show it.
    """
    try:
        return _structured(json.loads(text))
    except (ValueError, TypeError, KeyError, RecursionError):
        # Not chained: the errors of a parser hold what was parsed.
        raise RegistryProtocolError(
            "secret.get",
            f"the secret {RECORD!r} is not the record of a rotation that this version knows",
            hint="use the version of hero_livekit_units that began it; running calls are not touched",
        ) from None


def _structured(data: Any) -> Rotation:
    names = {attribute.name for attribute in attrs.fields(Rotation)}
    if not isinstance(data, dict) or data.keys() != names | {"format"} or data["format"] != _FORMAT:
        raise ValueError
    what = Rotated(data["what"])
    for values in (data["old"], data["new"]):
        if not isinstance(values, dict) or set(values) != set(NAMES[what]):
            raise ValueError
        if not all(isinstance(value, str) and value for value in values.values()):
            raise ValueError
    until_s = [] if data["until_s"] is None else [data["until_s"]]
    for seconds in (data["lifetime_s"], data["began_at_s"], data["since_s"], *until_s):
        _check_number(seconds)
    return Rotation(**({name: data[name] for name in names} | {"what": what, "phase": Phase(data["phase"])}))


def _check_number(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
