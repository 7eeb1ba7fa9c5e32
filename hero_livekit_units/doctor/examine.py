"""What a supervisor does, seen with units that harm nobody: by the kernel's word and by what the units write down."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hero_livekit_units.doctor.report import Finding
from hero_livekit_units.doctor.ward import DEAD, IGNORES, LIVE, LOST, SHORT, SLOW, in_words, says_runs, until
from hero_livekit_units.model.ability import Ability
from hero_livekit_units.model.unit import RestartSection, StopSection

if TYPE_CHECKING:
    from collections.abc import Callable

    from hero_livekit_units.doctor.client import Client
    from hero_livekit_units.doctor.ward import Life, Ward

_SEEN_WITHIN_S = 1.0  # an end is seen by then
_BACK_WITHIN_S = 3.0
_FOUND_WITHIN_S = 3.0
_QUIET_S = 0.6  # what a supervisor does to a unit at once it has done by then
_SECOND_COPY_S = 1.5
_WINDOW_S = 1.5
_LATE_S = 2.5  # a supervisor may look at its units once a second or so
_BOTH_S = 0.3  # what is killed by the same rule as another is gone by then too
_LONG_S = 3600.0
_AT_ONCE = RestartSection(exit_zero_is_failure=True, delay_s=0.1, max_delay_s=0.2, stable_after_s=60.0)
_MUCH_LATER = RestartSection(exit_zero_is_failure=True, delay_s=600.0, max_delay_s=600.0, stable_after_s=600.0)


def examine(
    ward: Ward, started_by: Callable[[str], Client], supervisor: int, says: Callable[[str], None]
) -> list[Finding]:
    """See everything but what becomes of units when the supervisor itself dies. Takes about five seconds.

    Args:
        ward: with no unit yet.
        started_by: another client that has started a unit, which it names.
        supervisor: the supervisor's pid, 0 where that is not known.
        says: hears what is looked at.

    Raises:
        ExaminationFailed: a unit did not start, or the supervisor did not answer.
        RegistryError: the supervisor said no.
    """
    says("a few units that harm nobody are started")
    long = StopSection(signal="SIGTERM", window_s=_LONG_S, kill_after_window=False)
    short = StopSection(signal="SIGTERM", window_s=_WINDOW_S, kill_after_window=True)
    ward.register(LIVE, restart=_AT_ONCE, stop=long)
    ward.register(DEAD, restart=_MUCH_LATER, stop=long)
    ward.register(SLOW, manner=IGNORES, restart=_MUCH_LATER, stop=long)
    ward.register(SHORT, manner=IGNORES, restart=_MUCH_LATER, stop=short)
    client = started_by(LIVE)
    try:
        for name in (DEAD, SLOW, SHORT):
            ward.registry.start(name)
        up = {name: ward.await_up(name) for name in (LIVE, DEAD, SLOW, SHORT)}
    finally:
        client.kill()
    says(f"what becomes of a stop, for {_WINDOW_S:g} s and for an hour")
    stopped_at = time.monotonic()
    ward.registry.stop(SHORT)
    ward.registry.stop(SLOW)
    found = {Ability.OWN_GROUP: _own_group(up, supervisor)}
    says("what becomes of a unit whose client is killed")
    time.sleep(_QUIET_S)
    too_soon = not up[SHORT].goes_on
    found[Ability.OUTLIVES_CLIENT] = _as_it_was(ward, up[LIVE], "the program that had it started was killed")
    twice = up[SLOW].goes_on
    ward.registry.stop(SLOW)
    says("what becomes of a unit that is registered anew, is killed, or ends by itself")
    found[Ability.SET_LEAVES_ALONE] = _set_again(ward)
    found[Ability.NOTICES_DEATH] = _killed(ward, up[DEAD])
    found[Ability.RESTARTS_AFTER_ZERO] = _ended_with_zero(ward)
    says("whether stops have lasted as they should")
    found[Ability.KEEPS_WINDOW] = _window(up[SHORT], up[SLOW], stopped_at, too_soon=too_soon)
    found[Ability.STOPS_ONCE] = _signals(ward.signals(SLOW)) if twice else _NOBODY
    return [Finding(ability, *found[ability]) for ability in Ability if ability in found]


def examine_adoption(ward: Ward, crash: Callable[[], None], says: Callable[[str], None]) -> Finding:
    """See what becomes of a unit when the supervisor dies and is there again. Takes about three seconds.

    Args:
        ward: at a supervisor that nothing of value runs under.
        crash: kills it and has it started again.
        says: hears what is looked at.

    Raises:
        ExaminationFailed, RegistryError: as `examine`.
    """
    says("what becomes of a unit when the supervisor is killed")
    ward.register(LOST, restart=_AT_ONCE, stop=StopSection(signal="SIGTERM", window_s=_LONG_S, kill_after_window=False))
    ward.registry.start(LOST)
    life = ward.await_up(LOST)
    crash()
    knows = until(lambda: says_runs(ward.entry(LOST), life.pid), _FOUND_WITHIN_S)
    time.sleep(_SECOND_COPY_S)
    copies = ward.all_lives(LOST)
    if not life.goes_on:
        return Finding(Ability.ADOPTS, holds=False, says="the unit died with the supervisor")
    if len(copies) > 1:
        return Finding(Ability.ADOPTS, holds=False, says=f"{len(copies) - 1} more of it were started beside it")
    if not (knows and says_runs(ward.entry(LOST), life.pid)):
        said = in_words(ward.entry(LOST))
        return Finding(Ability.ADOPTS, holds=False, says=f"pid {life.pid} lives, and the supervisor says {said}")
    return Finding(Ability.ADOPTS, holds=True, says=f"pid {life.pid} was found again, and no other was started")


_Seen = tuple[bool | None, str]
_NOBODY: _Seen = (None, "not looked at: the unit does not run any more")


def _own_group(up: dict[str, Life], supervisor: int) -> _Seen:
    groups = {name: life.group for name, life in up.items()}
    if len(set(groups.values())) < len(groups):
        return False, f"units share process group {max(groups.values(), key=list(groups.values()).count)}"
    others = {os.getpgrp(): "the client's"}
    with suppress(ProcessLookupError):
        others |= {os.getpgid(supervisor): "the supervisor's"} if supervisor else {}
    for group in groups.values():
        if group in others:
            return False, f"a unit runs in process group {group}, which is {others[group]}"
    return True, f"{len(groups)} units have {len(groups)} groups"


def _as_it_was(ward: Ward, life: Life, when: str) -> _Seen:
    """Whether a unit is still the process that it was, and has got no signal."""
    if heard := ward.signals(LIVE):
        return False, f"it got {' and '.join(heard)} when {when}"
    if not life.goes_on:
        return False, f"pid {life.pid} ended when {when}"
    return True, f"pid {life.pid} lives on"


def _set_again(ward: Ward) -> _Seen:
    life, before = ward.life(LIVE), len(ward.signals(LIVE))
    if not life.goes_on:
        return _NOBODY
    ward.again(LIVE)
    time.sleep(_QUIET_S)
    if len(ward.signals(LIVE)) > before:
        return False, f"it got {ward.signals(LIVE)[-1]} when it was registered anew"
    if not life.goes_on:
        return False, f"pid {life.pid} ended when it was registered anew"
    return True, f"pid {life.pid} lives on"


def _killed(ward: Ward, life: Life) -> _Seen:
    life.signal(signal.SIGKILL)
    began = time.monotonic()
    if not until(lambda: not says_runs(ward.entry(DEAD), life.pid), _SEEN_WITHIN_S):
        return False, f"pid {life.pid} was killed, and after {_SEEN_WITHIN_S:g} s it is said to run"
    return True, f"seen after {(time.monotonic() - began) * 1000:.0f} ms"


def _ended_with_zero(ward: Ward) -> _Seen:
    before = ward.life(LIVE)
    if not before.goes_on:
        return _NOBODY
    before.signal(signal.SIGUSR1)
    began = time.monotonic()
    if not until(lambda: ward.life(LIVE).pid != before.pid, _BACK_WITHIN_S):
        return False, f"{_BACK_WITHIN_S:g} s later it does not run ({in_words(ward.entry(LIVE))})"
    return True, f"there again after {(time.monotonic() - began) * 1000:.0f} ms, {_AT_ONCE.delay_s * 1000:.0f} ms asked"


def _window(short: Life, slow: Life, stopped_at: float, *, too_soon: bool) -> _Seen:
    if too_soon:
        return False, f"a stop of {_WINDOW_S:g} s was over after {_QUIET_S:g} s"
    until(lambda: not short.goes_on, stopped_at + _WINDOW_S + _LATE_S - time.monotonic())
    time.sleep(_BOTH_S)
    for_s = time.monotonic() - stopped_at
    if short.goes_on:
        return False, f"a stop of {_WINDOW_S:g} s is not over after {for_s:.1f} s"
    if not slow.goes_on:
        return False, f"what had an hour to end was killed within {for_s:.1f} s"
    return True, f"what had {_WINDOW_S:g} s was killed, what has an hour goes on"


def _signals(heard: list[str]) -> _Seen:
    if heard == ["SIGTERM"]:
        return True, "one SIGTERM for two stops"
    return False, f"two stops sent {' and '.join(heard) or 'no signal'}"
