"""`${name}`: filled in once, never twice, and what is not set leaves no trace."""

from __future__ import annotations

from typing import Any

import pytest

from hero_livekit_units.definitions import template

VALUES = {"text": "t", "number": 7, "part": 1.5, "yes": True, "no": False, "list": ["a$", 1], "unset": None}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        pytest.param("no name", [], id="none"),
        pytest.param("${a} and ${b.c} and ${a}", ["a", "b.c", "a"], id="in-order"),
        pytest.param("$${a} $$${b} $$$${c}", ["b"], id="dollars"),
        pytest.param("${} ${ a }", ["", " a "], id="odd"),
        pytest.param("$a {a} $ {a} ${a", [], id="unfinished"),
        pytest.param({"${a}": ["${b}", {"x": ("${c}",)}], "y": 3}, ["a", "b", "c"], id="data"),
        pytest.param(None, [], id="nothing"),
    ],
)
def test_names(value: Any, found: list[str]) -> None:
    """All that is open, wherever it stands in data."""
    assert template.names(value) == found


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        pytest.param("<${text}>", "<t>", id="text"),
        pytest.param("${number}/${part}", "7/1.5", id="numbers"),
        pytest.param("${yes} ${no}", "true false", id="booleans"),
        pytest.param("$$", "$", id="dollar"),
        pytest.param("$${text}", "${text}", id="dollar-before-a-name"),
        pytest.param("$$${text}", "$t", id="dollar-and-name"),
        pytest.param("$5 and ${", "$5 and ${", id="nothing-open"),
    ],
)
def test_fill(text: str, filled: str) -> None:
    """Every name is replaced in words that programs read."""
    assert template.fill(text, VALUES) == filled


@pytest.mark.parametrize("name", ["unknown", "unset", "list", "secret.api_key", ""])
def test_what_cannot_be_filled_into_text(name: str) -> None:
    """Unknown, not set, or no scalar: the name is told, and nothing half-filled comes out."""
    with pytest.raises(KeyError) as caught:
        template.fill(f"x ${{{name}}}", VALUES)
    assert caught.value.args == (name,)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        pytest.param("${text} ${secret.key} $$", "t ${secret.key} $$", id="kept-open"),
        pytest.param("${dollar}", "$$ $${x} $${secret.key}", id="what-is-brought-in-is-no-template"),
    ],
)
def test_secrets_and_dollars_wait(text: str, filled: str) -> None:
    """They are filled in at the moment of writing, and a value that looks like a secret's name is not one."""
    assert template.fill_but_secrets(text, {"text": "t", "dollar": "$ ${x} ${secret.key}"}) == filled
    once = template.fill_but_secrets("${dollar}", {"dollar": "$ ${x} ${secret.key}"})
    assert template.fill_secrets(once, {"key": "never"}) == "$ ${x} ${secret.key}"


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        pytest.param("${number}", 7, id="alone-keeps-its-type"),
        pytest.param("${yes}", True, id="boolean"),
        pytest.param("${list}", ["a$$", 1], id="list-with-a-dollar"),
        pytest.param(" ${number}", " 7", id="within-text-is-text"),
        pytest.param("${secret.key}", "${secret.key}", id="secret-alone"),
        pytest.param("$$", "$$", id="dollar-alone"),
        pytest.param("${unset}", None, id="unset-alone"),
        pytest.param("x${unset}", None, id="unset-within"),
        pytest.param("${unset} ${secret.key}", None, id="unset-beside-a-secret"),
        pytest.param(["${unset}", "${text}"], ["t"], id="unset-leaves-its-list"),
        pytest.param(["${unset}"], [], id="list-of-nothing"),
        pytest.param({"a": "${unset}", "b": "${text}"}, {"b": "t"}, id="unset-leaves-its-table"),
        pytest.param({"${unset}": 1, "b": 2}, {"b": 2}, id="key-that-is-unset"),
        pytest.param({"${text}": 1}, {"t": 1}, id="key"),
        pytest.param({"a": {"b": "${unset}"}}, None, id="a-table-that-becomes-empty-goes-too"),
        pytest.param({"a": {}, "b": "${unset}"}, {"a": {}}, id="a-table-that-was-empty-stays"),
        pytest.param({"a": "${no}", "b": "${zero}", "c": "${empty}"}, {"a": False, "b": 0, "c": ""}, id="falsy-is-set"),
        pytest.param(3.5, 3.5, id="number"),
    ],
)
def test_fill_data(value: Any, filled: Any) -> None:
    """Types are kept, and what is not set is left out, never written as nothing."""
    assert template.fill_data(value, VALUES | {"zero": 0, "empty": ""}) == filled


def test_an_unknown_name_in_data() -> None:
    """Unknown is not unset."""
    for value in ("${unknown}", "x${unknown}", ["${unknown}"], {"${unknown}": 1}):
        with pytest.raises(KeyError, match="unknown"):
            template.fill_data(value, VALUES)


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        pytest.param("${secret.key}", "k$", id="alone"),
        pytest.param("<${secret.key}> $$", "<k$> $", id="within"),
        pytest.param("${secret.keys}", {"k$": "s"}, id="table"),
        pytest.param("${secret.none}", None, id="missing"),
        pytest.param("${secret.key}${secret.none}", None, id="one-missing"),
        pytest.param({"a": "${secret.none}", "b": ["${secret.none}", "${secret.key}"]}, {"b": ["k$"]}, id="data"),
        pytest.param({"a": {"b": "${secret.none}"}}, None, id="emptied"),
        pytest.param({"${secret.key}": 1}, {"k$": 1}, id="key"),
        pytest.param(True, True, id="boolean"),
    ],
)
def test_fill_secrets(value: Any, filled: Any) -> None:
    """A secret that does not exist takes what needs it along; its value is not looked into for further names."""
    assert template.fill_secrets(value, {"key": "k$", "keys": {"k$": "s"}, "none": None}) == filled


def test_a_secret_that_nobody_knows() -> None:
    """Not known is not the same as not there."""
    with pytest.raises(KeyError):
        template.fill_secrets("${secret.other}", {"key": "k"})
    with pytest.raises(KeyError):
        template.fill_secrets("x ${secret.keys}", {"keys": {}})


@pytest.mark.parametrize("value", ["$", "$$", "${a}", ["$", {"$k": "${b}"}], ("$",), 3, None, True])
def test_literal(value: Any) -> None:
    """Filling gives back what was made literal."""
    expected = list(value) if isinstance(value, tuple) else value
    assert template.fill_secrets(template.fill_data(template.literal(value), {}), {}) == expected
