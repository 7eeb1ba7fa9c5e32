"""The stored specs: who uses and who waits for whom is found without a look at all of them, and found right."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import create_autospec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.embedded.faults import ActionInUse, DependencyInvalid
from hero_livekit_units.embedded.spec import ActionSpec, ServiceSpec, parse_action, parse_service
from hero_livekit_units.embedded.specs import Specs
from hero_livekit_units.embedded.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMES = ("a", "b", "c", "d", "e")
names = st.lists(st.sampled_from(NAMES), unique=True, max_size=3)
changes = st.lists(st.tuples(st.sampled_from(NAMES), st.booleans(), names, names, names), min_size=1, max_size=25)


def action(name: str) -> ActionSpec:
    """An action of which nothing but the name matters."""
    return parse_action({"name": name, "script": "true"})


def service(name: str, actions: Iterable[str], requires: Iterable[str], after: Iterable[str]) -> ServiceSpec:
    """A service with these actions, waiting for these services."""
    rows = {"actions": list(actions), "requires": list(requires), "after": list(after)}
    return parse_service({"name": name, "status": "stop", **rows})


@given(changes)
def test_users_and_waiters_are_those_that_a_look_at_all_would_find(
    history: list[tuple[str, bool, list[str], list[str], list[str]]],
) -> None:
    """After any history of stored and deleted services; deleting an action that is in use names each user."""
    specs = Specs(create_autospec(Store), {}, {})
    for name in NAMES:
        specs.set_action("core", action(name), expected=None, checked=False)
    for name, kept, actions, requires, after in history:
        if kept:
            try:
                specs.set_service("core", service(name, actions, requires, after), expected=None, checked=False)
            except DependencyInvalid:
                continue
        elif specs.knows(name):
            specs.forget_service(name)
        stored = [found.spec for found in specs.services()]
        for one in NAMES:
            waiting = {one}
            while more := {s.name for s in stored if waiting & {*s.requires, *s.after}} - waiting:
                waiting |= more
            assert specs.with_waiters([one]) == waiting
            users = sorted(s.name for s in stored if one in s.actions)
            if users:
                with pytest.raises(ActionInUse) as refused:
                    specs.delete_action("core", one)
                assert all(user in str(refused.value) for user in users)


def test_a_changed_action_touches_who_uses_it() -> None:
    """And nobody else; what is stored again as it was touches nobody."""
    specs = Specs(create_autospec(Store), {}, {})
    specs.set_action("core", action("a"), expected=None, checked=False)
    for name, uses in (("one", ["a"]), ("two", [])):
        specs.set_service("core", service(name, uses, [], []), expected=None, checked=False)
    specs.take_touched()
    specs.set_action("core", action("a"), expected=None, checked=False)
    assert specs.take_touched() == set()
    changed = parse_action({"name": "a", "script": "false"})
    specs.set_action("core", changed, expected=None, checked=False)
    assert specs.take_touched() == {"one"}
