"""A definition and its text: what one says the other says, whatever the layout, and no slip goes unnoticed."""

from __future__ import annotations

import tomllib
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.definitions import rules
from hero_livekit_units.definitions.digest import digest, meaning
from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.definitions.structure import load
from hero_livekit_units.definitions.write import text_of
from hero_livekit_units.model.unit import Definition
from tests.definition_strategies import definitions, plain_release

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from hero_livekit_units.errors import Issue

SHIPPED = [
    pytest.param(definition, id=f"{definition.unit.name}-{definition.unit.release}")
    for definition in shipped_catalog().definitions
]


def read(text: str) -> Definition:
    """The definition that a text says."""
    found = load(text, "echo.toml", Definition, rules.faults)
    assert isinstance(found, Definition), found
    return found


@given(definitions())
def test_text_and_definition_say_the_same(definition: Definition) -> None:
    """Definition to text to definition to text is the identity, twice."""
    text = text_of(definition)
    assert read(text) == definition
    assert text_of(read(text)) == text


@pytest.mark.parametrize("definition", SHIPPED)
def test_a_shipped_definition_is_one_complete_text(definition: Definition) -> None:
    """Bases and all, it can be written as one file that means the same."""
    assert read(text_of(definition)) == definition
    assert digest(read(text_of(definition))) == digest(definition)


@given(definitions(), st.randoms(use_true_random=False))
def test_layout_order_and_comments_change_no_digest(definition: Definition, dice: random.Random) -> None:
    """The same tables in another order, with comments and blank lines between them, are the same definition."""
    document = tomlkit.document()
    for key, value in shuffled(meaning(definition), dice).items():
        document.add(tomlkit.comment(f"{key} = 'something else'"))
        document.add(tomlkit.nl())
        document.add(key, value)
    assert digest(read(tomlkit.dumps(document))) == digest(definition)


def shuffled(value: Any, dice: random.Random) -> Any:
    """The same data with the keys of every table in another order."""
    if isinstance(value, dict):
        keys = list(value)
        dice.shuffle(keys)
        # Plain values first: in TOML they cannot follow a table of the same level.
        keys.sort(key=lambda key: isinstance(value[key], dict) or _has_tables(value[key]))
        return {key: shuffled(value[key], dice) for key in keys}
    return value


def _has_tables(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)


@given(definitions(), definitions())
def test_meaning_always_changes_the_digest(one: Definition, other: Definition) -> None:
    """Definitions have equal digests when they are equal, and only then."""
    assert (digest(one) == digest(other)) == (one == other)


def test_every_slip_is_an_error_with_a_place_or_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Every single slip of the finger: an issue with its place, or the same digest if the text means the same.

    Slips are every character deleted, doubled or replaced, every line deleted, doubled or swapped with the next. What a
    slip turns into another valid text has another digest, so that it can never be taken for the released one.
    """
    outcomes: Counter[str] = Counter()
    for text in [text_of(plain_release("1.2")), text_of(shipped_catalog().find("lk-backend"))]:
        definition = read(text)
        for mutant in slips(text):
            outcomes[outcome(mutant, definition, text)] += 1
    with capsys.disabled():
        print(f"\n{sum(outcomes.values())} slips: {dict(outcomes)}")  # noqa: T201  how many is part of the result
    assert outcomes["an issue with its place"] > 1000
    assert set(outcomes) == {"an issue with its place", "the same digest", "another meaning, another digest"}


def outcome(mutant: str, definition: Definition, original: str) -> str:
    """What a changed text comes to."""
    found = load(mutant, "echo.toml", Definition, rules.faults)
    if isinstance(found, list):
        assert found
        return "an issue with its place" if all(placed(issue) for issue in found) else f"no place: {found}"
    if digest(found) == digest(definition):
        return "the same digest" if found == definition else f"a silent change: {mutant}"
    said = tomllib.loads(mutant) != tomllib.loads(original)
    return "another meaning, another digest" if said else f"a digest that sees layout: {mutant}"


def placed(issue: Issue) -> bool:
    """Whether a person finds it: file, line and column, or the key that is missing from the whole file."""
    return bool(issue.file) and (issue.line > 0 < issue.column or (bool(issue.path) and issue.text == "missing"))


def slips(text: str) -> Iterator[str]:
    """Every text that one slip makes of a text."""
    for at, letter in enumerate(text):
        yield text[:at] + text[at + 1 :]
        yield text[:at] + letter + text[at:]
        yield text[:at] + ("x" if letter != "x" else "=") + text[at + 1 :]
    lines = text.splitlines(keepends=True)
    for at in range(len(lines)):
        yield "".join(lines[:at] + lines[at + 1 :])
        yield "".join([*lines[: at + 1], *lines[at:]])
        yield "".join(lines[:at] + lines[at : at + 2][::-1] + lines[at + 2 :])
