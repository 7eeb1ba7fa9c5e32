"""The rotation of a secret as a value: which keys count when, and what ends each phase."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.errors import RegistryProtocolError
from hero_livekit_units.livekit.rotation import (
    RECORD,
    End,
    Phase,
    Rotated,
    Rotation,
    effective,
    following,
    outlook,
    parse,
    rotation_note,
    secrets_of,
    serialise,
    time_text,
)

STORED = {"api_key": "APIold", "api_secret": "old-secret", "backend_secret": "old-bearer", "redis_password": "pw"}
NEW_KEY = {"api_key": "APInew", "api_secret": "new-secret"}
NEW_BEARER = {"backend_secret": "new-bearer"}
BOTH = {"APIold": "old-secret", "APInew": "new-secret"}
LIFETIME_S = 100.0


def rotation(what: Rotated = Rotated.API_KEY, phase: Phase = Phase.INTRODUCE, **changes: Any) -> Rotation:
    """One that began at 1000."""
    new = NEW_KEY if what is Rotated.API_KEY else NEW_BEARER
    old = {name: STORED[name] for name in new}
    return attrs.evolve(Rotation(what, phase, old, new, LIFETIME_S, 1000.0, 1000.0), **changes)


numbers = st.floats(allow_nan=False, allow_infinity=False, min_value=0, max_value=1e12)


@st.composite
def rotations(draw: st.DrawFn) -> Rotation:
    """Any rotation."""
    what = draw(st.sampled_from(Rotated))
    return rotation(
        what,
        draw(st.sampled_from(Phase)),
        lifetime_s=draw(numbers),
        began_at_s=draw(numbers),
        since_s=draw(numbers),
        until_s=draw(st.none() | numbers),
    )


def test_without_a_rotation() -> None:
    """One key, and what is made of it."""
    assert effective(STORED, None) == STORED | {"api_keys": {"APIold": "old-secret"}, "webhook_key": "APIold"}
    assert effective({"backend_secret": "b"}, None) == {"backend_secret": "b"}


@pytest.mark.parametrize(
    ("phase", "signs", "valid", "webhook"),
    [
        pytest.param(Phase.INTRODUCE, "APIold", BOTH, "APIold", id="introduce"),
        pytest.param(Phase.OVERLAP, "APInew", BOTH, "APIold", id="overlap"),
        pytest.param(Phase.RETIRE, "APInew", {"APInew": "new-secret"}, "APInew", id="retire"),
    ],
)
def test_the_keys_of_each_phase(phase: Phase, signs: str, valid: dict[str, str], webhook: str) -> None:
    """What signs is always valid, and valid before it signs."""
    values = effective(STORED, rotation(phase=phase))
    assert (values["api_key"], values["api_secret"]) == (signs, valid[signs])
    assert (values["api_keys"], values["webhook_key"]) == (valid, webhook)
    assert (values["backend_secret"], values["redis_password"]) == ("old-bearer", "pw")
    assert "old_backend_secret" not in values


def test_the_first_two_phases_are_one_file_for_livekit() -> None:
    """Order and all: else livekit-server would be restarted in between."""
    introduce, overlap = (effective(STORED, rotation(phase=phase)) for phase in (Phase.INTRODUCE, Phase.OVERLAP))
    assert list(introduce["api_keys"].items()) == list(overlap["api_keys"].items())
    assert introduce["webhook_key"] == overlap["webhook_key"]


@pytest.mark.parametrize(
    ("phase", "shown", "accepted"),
    [
        pytest.param(Phase.INTRODUCE, "old-bearer", {"old-bearer", "new-bearer"}, id="introduce"),
        pytest.param(Phase.OVERLAP, "new-bearer", {"old-bearer", "new-bearer"}, id="overlap"),
        pytest.param(Phase.RETIRE, "new-bearer", {"new-bearer"}, id="retire"),
    ],
)
def test_the_bearers_of_each_phase(phase: Phase, shown: str, accepted: set[str]) -> None:
    """What callers are told is always accepted, and the API key is left alone."""
    values = effective(STORED, rotation(Rotated.BACKEND_SECRET, phase))
    assert values["backend_secret"] == shown
    assert {values["backend_secret"], values.get("old_backend_secret", shown)} == accepted
    assert values["api_keys"] == {"APIold": "old-secret"}


@given(rotations())
def test_making_them_again_changes_nothing(any_rotation: Rotation) -> None:
    """From what is stored or from what was made of it: the same."""
    values = effective(STORED, any_rotation)
    assert effective(values, any_rotation) == values
    assert effective(effective(STORED, None), any_rotation) == values


@pytest.mark.parametrize(
    ("phase", "until_s", "converged", "now_s", "then"),
    [
        pytest.param(Phase.INTRODUCE, None, False, 9e9, None, id="introduce-until-all-have-it"),
        pytest.param(Phase.INTRODUCE, None, True, 1005.0, (Phase.OVERLAP, 1005.0, None), id="introduced"),
        pytest.param(Phase.OVERLAP, None, False, 9e9, None, id="overlap-until-the-new-key-signs"),
        pytest.param(Phase.OVERLAP, None, True, 1007.0, (Phase.OVERLAP, 1000.0, 1107.0), id="the-lifetime-begins"),
        pytest.param(Phase.OVERLAP, 1107.0, True, 1106.9, None, id="overlap-for-a-lifetime"),
        pytest.param(Phase.OVERLAP, 1107.0, False, 9e9, None, id="overlap-until-all-is-well"),
        pytest.param(Phase.OVERLAP, 1107.0, True, 5.0, None, id="the-clock-was-set-back"),
        pytest.param(Phase.OVERLAP, 1107.0, True, 1107.0, (Phase.RETIRE, 1107.0, 1107.0), id="a-lifetime-is-over"),
        pytest.param(Phase.RETIRE, 1107.0, False, 9e9, None, id="retire-until-nobody-has-the-old"),
        pytest.param(Phase.RETIRE, 1107.0, True, 1108.0, End.DONE, id="retired"),
    ],
)
def test_what_follows(phase: Phase, until_s: float | None, converged: bool, now_s: float, then: Any) -> None:  # noqa: FBT001
    """The table of the module, row by row."""
    now = rotation(phase=phase, until_s=until_s)
    found = following(now, converged=converged, lifetime_s=LIFETIME_S, now_s=now_s)
    actual = (found.phase, found.since_s, found.until_s) if isinstance(found, Rotation) else found
    assert actual == then


@pytest.mark.parametrize(("now_lives_s", "until_s"), [(300.0, 2300.0), (10.0, 2100.0)], ids=["longer", "shorter"])
def test_the_longest_lifetime_counts(now_lives_s: float, until_s: float) -> None:
    """A shorter one in media.toml does not shorten the tokens that people hold already."""
    counted = following(rotation(phase=Phase.OVERLAP), converged=True, lifetime_s=now_lives_s, now_s=2000.0)
    assert isinstance(counted, Rotation)
    assert counted.until_s == until_s


@given(st.sampled_from(Rotated), st.lists(st.tuples(st.booleans(), numbers, numbers), max_size=40))
def test_whatever_happens_each_key_is_valid_long_enough(
    what: Rotated, moments: list[tuple[bool, float, float]]
) -> None:
    """Phases never go back, the old key is retired only a lifetime after the new one was seen to sign, and it ends."""
    now: Rotation | End | None = rotation(what)
    counted_at_s: float | None = None
    order = [*Phase]
    for converged, lifetime_s, now_s in [*moments, *((True, 1.0, later_s) for later_s in (1e13, 1e13, 1e14, 1e14))]:
        if not isinstance(now, Rotation):
            break
        then = following(now, converged=converged, lifetime_s=lifetime_s, now_s=now_s)
        if then is None:
            continue
        assert converged
        if isinstance(then, Rotation):
            assert order.index(now.phase) <= order.index(then.phase) <= order.index(now.phase) + 1
            assert (then.old, then.new, then.began_at_s) == (now.old, now.new, now.began_at_s)
            assert then.lifetime_s >= now.lifetime_s
            if then.phase is Phase.OVERLAP and then.until_s is not None:
                counted_at_s = now_s
            if then.phase is Phase.RETIRE:
                assert counted_at_s is not None
                assert now_s - counted_at_s >= now.lifetime_s or now_s >= counted_at_s + now.lifetime_s
        now = then
    assert now is End.DONE


@given(rotations())
def test_text_and_back(any_rotation: Rotation) -> None:
    """What the supervisor keeps is all of it, and survives."""
    assert parse(serialise(any_rotation)) == any_rotation
    assert secrets_of(STORED | {RECORD: serialise(any_rotation)}).rotation == any_rotation


BROKEN = json.loads(serialise(rotation()))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="cut"),
        pytest.param("[]", id="a-list"),
        pytest.param("[" * 100_000, id="deep"),
        *(
            pytest.param(json.dumps(BROKEN | change), id=name)
            for name, change in {
                "newer": {"format": 2},
                "a-key-more": {"pace": 1},
                "unknown-what": {"what": "all"},
                "unknown-phase": {"phase": "celebrate"},
                "the-values-of-another": {"what": "backend-secret"},
                "no-old": {"old": {}},
                "no-value": {"new": {"api_key": "APInew", "api_secret": ""}},
                "values-of-numbers": {"new": {"api_key": "APInew", "api_secret": 5}},
                "no-lifetime": {"lifetime_s": None},
                "lifetime-of-text": {"lifetime_s": "100"},
                "true-as-time": {"since_s": True},
                "no-end-of-time": {"until_s": float("inf")},
            }.items()
        ),
        pytest.param(json.dumps({key: value for key, value in BROKEN.items() if key != "new"}), id="a-key-less"),
    ],
)
def test_another_text_is_refused_and_not_shown(text: str) -> None:
    """Nothing is guessed about keys; and neither the error nor what it came from holds what was read."""
    with pytest.raises(RegistryProtocolError, match="not the record of a rotation") as caught:
        parse(text)
    assert caught.value.__suppress_context__
    assert "secret-" not in f"{caught.value}{caught.value.hint}"


@given(rotations())
def test_words_and_no_values(any_rotation: Rotation) -> None:
    """What is said of a rotation says what it does to calls, and never a key; nor does its own form."""
    ahead, note = outlook(any_rotation), rotation_note(any_rotation)
    assert "call" in ahead.effect
    assert ahead.next in note.text
    assert any_rotation.what in note.text
    values = [*any_rotation.old.values(), *any_rotation.new.values()]
    known = secrets_of(STORED | {RECORD: serialise(any_rotation)})
    assert not any(value in f"{ahead}{note}{any_rotation}{known}" for value in values)


def test_the_end_of_the_overlap_is_told() -> None:
    """As a moment, once it is known."""
    assert outlook(rotation(phase=Phase.OVERLAP)).not_before_s is None
    text = rotation_note(rotation(phase=Phase.OVERLAP, until_s=1_778_000_000.2)).text
    assert "next, not before 2026-05-05T16:53:21Z: livekit-server forgets the old key" in text
    assert "restarted while nobody is in a call" in text
    assert outlook(rotation(phase=Phase.RETIRE, until_s=5.0)).not_before_s is None


@pytest.mark.parametrize("seconds", [1e11 * 3, 1e300], ids=["beyond the calendar", "beyond the machine"])
def test_a_moment_that_no_calendar_has(seconds: float) -> None:
    """It is words, not an error."""
    assert time_text(seconds) == "the end of time"
