"""The units of this host, as `hlu verify` needs them: whether they run, who is in calls, and seats in rooms.

Asks as any application would: join tokens come from lk-backend, by its address and secret in `runtime.json`.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import psutil
import requests

from hero_livekit_units.calls.call import Seat
from hero_livekit_units.errors import RegistryUnavailable, UnitsError, VerifyRefused
from hero_livekit_units.model.observed import Verdict
from hero_livekit_units.verify.report import UnitLife

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hero_livekit_units.media import Media
    from hero_livekit_units.model.observed import CallsSeen, Observed

_TOKEN_WITHIN_S = 10.0
# livekit-server counts somebody who ended without a word for some 20 s more.
_LEAVING_S = 30.0
_LOOK_AGAIN_S = 0.2


class Processors:
    """How busy the processors of this host are: where they are, calls are not as they would be."""

    def __init__(self) -> None:
        """Begin to look."""
        self._began = psutil.cpu_times()

    def busy(self) -> float:
        """The share of their time that was used since, 0 to 1, by whoever."""
        now = psutil.cpu_times()
        # What a guest uses is in `user` already.
        names = [name for name in now._fields if not name.startswith("guest")]
        spent = {name: max(0.0, getattr(now, name) - getattr(self._began, name)) for name in names}
        whole = sum(spent.values())
        return 1.0 - (spent["idle"] + spent.get("iowait", 0.0)) / whole if whole else 0.0


def require_units(media: Media) -> Observed:
    """The world, when everything that a call needs runs.

    Raises:
        RegistryUnavailable: the supervisor cannot be asked.
        VerifyRefused: a unit that is wanted does not run as it should.
        DefinitionInvalid: `media.toml` has faults.
    """
    seen = media.status()
    if seen.supervisor.verdict is not Verdict.HEALTHY:
        raise RegistryUnavailable(
            "system.ping", seen.supervisor.says, hint="`hlu hero-proc start`, then `hlu ensure`, then verify"
        )
    ill = [
        f"{unit.spec.instance} is {unit.verdict} ({unit.because})"
        for unit in seen.instances
        if unit.verdict is not Verdict.HEALTHY and not _another_slot(unit.spec.instance, seen)
    ]
    if ill:
        raise VerifyRefused(f"cannot verify calls: {'; '.join(ill)}", hint="`hlu ensure` first: verify starts no units")
    return seen


def require_no_calls(seen: Observed) -> None:
    """Make sure that nobody is in a call on this host, by the count of all servers that are seen.

    Raises:
        VerifyRefused: somebody is, or that cannot be told.
    """
    hint = "wait until they have left, or accept with --beside-calls that they are there"
    for name, calls in _counts(seen):
        if calls.people is None:
            raise VerifyRefused(f"cannot verify beside calls: who is on {name} is unknown ({calls.source})", hint=hint)
        if calls.people:
            who = f"on {name}: {calls.says}"
            raise VerifyRefused(f"cannot verify beside calls: {who}", hint=hint)


def people(seen: Observed) -> int | None:
    """How many are in calls on this host; None when it cannot be told."""
    found = [calls.people for _, calls in _counts(seen)]
    return None if None in found else sum(number or 0 for number in found)


def wait_until_left(media: Media, before: int | None) -> str:
    """Wait until no more people are counted than before this run; a word for the user where that was not seen."""
    until_s = time.monotonic() + _LEAVING_S
    while True:
        now = people(media.status())
        if now is not None and now <= (before or 0):
            return ""
        if before is None:
            return "who is in calls is not counted here, so nobody saw that the rooms of this run are empty"
        if time.monotonic() >= until_s:
            return f"after {_LEAVING_S:g} s {now} people are still counted, {before} were there before this run"
        time.sleep(_LOOK_AGAIN_S)


class Door:
    """Where join tokens are to be had. The secret stays in here."""

    def __init__(self, home: Path) -> None:
        """Read `runtime.json`.

        Raises:
            UnitsError: it is not there, or not what it should be.
        """
        file = home / "runtime.json"
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            self._url, self._secret = str(found["token_url"]), str(found["backend_secret"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnitsError(
                f"cannot ask for join tokens: {file} cannot be used ({type(error).__name__})",
                hint="`hlu ensure` writes it",
            ) from error

    def seat(self, room: str, identity: str) -> Seat:
        """A place in a room.

        Raises:
            UnitsError: lk-backend gave no token.
        """
        given = self._ask({"room": room, "identity": identity})
        try:
            return Seat(identity=identity, room=room, url=str(given["url"]), token=str(given["token"]))
        except (KeyError, TypeError) as error:
            raise UnitsError(f"cannot get a join token: {self._url} answers in another shape") from error

    def _ask(self, body: dict[str, str]) -> Any:
        try:
            with requests.Session() as session:
                session.trust_env = False  # a proxy of the user's is no way to this host
                answer = session.post(
                    self._url, json=body, headers={"authorization": f"Bearer {self._secret}"}, timeout=_TOKEN_WITHIN_S
                )
            answer.raise_for_status()
            return answer.json()
        except requests.RequestException as error:
            raise UnitsError(
                f"cannot get a join token: {self._url}: {error}", hint="`hlu status` says how lk-backend is"
            ) from error


def lives(before: Observed, after: Observed) -> tuple[UnitLife, ...]:
    """What became of each unit that was there before or is there after."""
    names = dict.fromkeys(unit.spec.instance for seen in (before, after) for unit in seen.instances)
    return tuple(_life(name, before, after) for name in names)


def _life(name: str, before: Observed, after: Observed) -> UnitLife:
    old, new = (next((unit for unit in seen.instances if unit.spec.instance == name), None) for seen in (before, after))
    counts = [unit.entry.restarts for unit in (old, new) if unit and unit.entry]
    return UnitLife(
        name,
        old.release if old else "",
        new.release if new else "",
        old.process.id if old and old.process else None,
        new.process.id if new and new.process else None,
        counts[1] - counts[0] if len(counts) == 2 else None,
    )


def _another_slot(instance: str, seen: Observed) -> bool:
    """Whether it is a slot of the media that new rooms do not go to, such as one that ends or a stranger's."""
    _, at, slot = instance.partition("@")
    return bool(at) and slot != seen.slot


def _counts(seen: Observed) -> Iterator[tuple[str, CallsSeen]]:
    """Name and count of each server that is seen, ours and strangers on our ports."""
    for unit in seen.instances:
        if unit.foreign is not None and unit.foreign.calls is not None:
            yield f"a foreign server ({unit.because})", unit.foreign.calls
        elif unit.process is not None and unit.calls is not None:
            yield unit.spec.instance, unit.calls
