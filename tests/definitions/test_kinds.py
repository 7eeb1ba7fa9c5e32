"""The kinds of configuration values: what fits, to the last number, and what is said when it does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.definitions.kinds import KINDS, LIMITS, REMOVED, expected, fits, is_port_range

SIZES = {
    "integer": (-9223372036854775808, 9223372036854775807),
    "int32": (-2147483648, 2147483647),
    "uint8": (0, 255),
    "uint16": (0, 65535),
    "uint32": (0, 4294967295),
    "uint64": (0, 18446744073709551615),
}
FITTING: dict[str, list[Any]] = {
    "bool": [True, False],
    **{kind: [least, most, 1] for kind, (least, most) in SIZES.items()},
    "number": [0, -1, 1.5, 1e300],
    "text": ["", "é 漢", "1"],
    "duration": ["1s", "1.5s", "1.s", "-1h2m3.5s", "200ms", "10us", "10µs", "5ns", "+1h"],
    "port range": [1, 65535, "7882", "7882-7892", "7882-7882"],
    "empty table": [{}],
    "tree": [None, 1, "x", {"a": [{"b": 1}]}],
}
UNFIT: dict[str, list[Any]] = {
    "bool": [0, 1, "true", None, []],
    **{kind: [least - 1, most + 1, True, 1.0, "1", None] for kind, (least, most) in SIZES.items()},
    "number": [True, "1.5", None],
    "text": [1, None, True, ["x"]],
    "duration": ["", "1", "s", "1 s", "1d", "1s ", 1, None, "1.5.5s", "--1s", ".5s"],
    "port range": [0, 65536, -1, True, 1.5, "", "a", "7892-7882", "1-65536", "0-5", "1-2-3", "1 - 2", None],
    "empty table": [[], {"a": 1}, "", None],
    REMOVED: [1, "", {}, None, False],
}


def cases(table: dict[str, list[Any]]) -> list[Any]:
    """Every value of every kind, alone."""
    return [pytest.param(kind, value, id=f"{kind}-{value!r}") for kind, values in table.items() for value in values]


@pytest.mark.parametrize(("kind", "value"), cases(FITTING))
def test_fits(kind: str, value: Any) -> None:
    """The kind's own values, its limits included, alone and in a list or a table of the kind."""
    assert fits(kind, value)
    if f"list of {kind}" in KINDS:
        assert fits(f"list of {kind}", [value, value])
        assert fits(f"table of {kind}", {"a": value})


@pytest.mark.parametrize(("kind", "value"), cases(UNFIT))
def test_does_not_fit(kind: str, value: Any) -> None:
    """One beyond a limit and everything of another type, also as one item among good ones."""
    assert not fits(kind, value)
    if f"list of {kind}" in KINDS:
        good = FITTING[kind][0]
        assert not fits(f"list of {kind}", [good, value])
        assert not fits(f"table of {kind}", {"a": good, "b": value})


@pytest.mark.parametrize("kind", [kind for kind in KINDS if " of " in kind])
def test_lists_and_tables(kind: str) -> None:
    """Empty ones fit; a list is no table, and neither is the thing itself."""
    is_list = kind.startswith("list")
    assert fits(kind, []) == is_list
    assert fits(kind, {}) != is_list
    assert not fits(kind, FITTING[kind.partition(" of ")[2]][0])


def test_the_table_is_complete() -> None:
    """Every kind has values here that fit and that do not, but for the one that is not looked into."""
    scalar = {kind for kind in KINDS if " of " not in kind}
    assert scalar == {*FITTING, REMOVED} == {*UNFIT, "tree"}
    assert LIMITS == SIZES


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("bool", "expected bool"),
        ("uint8", "expected an integer, 0 to 255"),
        ("int32", "expected an integer, -2147483648 to 2147483647"),
        ("duration", 'expected duration, such as "1.5s"'),
        ("port range", 'expected port range, such as "50000-60000"'),
        ("list of text", "expected list of text"),
    ],
)
def test_in_words(kind: str, words: str) -> None:
    """What a user reads names limits or an example."""
    assert expected(kind) == words


@given(st.integers(-5, 70000), st.integers(-5, 70000))
def test_port_ranges(first: int, last: int) -> None:
    """A range has real ports with the lower first; one port is a range too."""
    assert is_port_range(f"{first}-{last}") == (1 <= first <= last <= 65535)
    assert is_port_range(str(first)) == (1 <= first <= 65535)


def test_the_shipped_lists_use_kinds_that_there_are() -> None:
    """And nearly all of them are used: an unused kind is a mistake in one of the two places."""
    used = {kind for one in shipped_catalog().definitions for kind in one.config.keys.values()}
    assert used <= set(KINDS)
    assert {"bool", "integer", "int32", "uint8", "uint32", "number", "text", "duration", "tree", REMOVED} <= used
