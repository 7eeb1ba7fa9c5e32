"""When a job gets its next life."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.embedded.restart import Decision, RetryPolicy, decide

POLICY = RetryPolicy(max_attempts=0, delay_ms=100, max_delay_ms=1000, backoff=True, stability_period_ms=5000)


@pytest.mark.parametrize(
    ("failures", "expected_ms"),
    [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1000), (5, 1000), (10**9, 1000)],
    ids=["first", "second", "third", "fourth", "at-the-cap", "beyond-the-cap", "after-years"],
)
def test_the_delay_doubles_up_to_the_cap(failures: int, expected_ms: int) -> None:
    """Each bad end in a row doubles the delay, never beyond max_delay_ms."""
    assert expected_ms == decide(POLICY, failures=failures, lived_ms=10).after_ms


def test_without_backoff_the_delay_stays() -> None:
    """A policy without backoff waits delay_ms every time."""
    policy = RetryPolicy(delay_ms=100, backoff=False)
    assert [decide(policy, failures=count, lived_ms=0).after_ms for count in (0, 9)] == [100, 100]


def test_a_stable_life_starts_the_count_over() -> None:
    """A life of stability_period_ms forgets the failures before it."""
    assert Decision(100, 1, "attempt 2 in 100 ms") == decide(POLICY, failures=7, lived_ms=5000)


def test_a_life_just_short_of_stable_counts_on() -> None:
    """One millisecond less is not stable."""
    assert decide(POLICY, failures=7, lived_ms=4999).failures == 8


def test_a_life_of_unknown_length_is_not_stable() -> None:
    """Nobody saw how long it lived, so the count goes on."""
    assert decide(POLICY, failures=7, lived_ms=None).failures == 8


def test_it_gives_up_after_max_attempts() -> None:
    """max_attempts = 3 means three lives; the decision says why there is no fourth."""
    policy = RetryPolicy(max_attempts=3, delay_ms=100)
    decisions = [decide(policy, failures=count, lived_ms=0) for count in (0, 1, 2)]
    assert [decision.after_ms for decision in decisions] == [100, 200, None]
    assert decisions[-1].because == "given up after 3 of 3 attempts"


@given(
    failures=st.integers(0, 10**6),
    delay=st.integers(0, 10**6),
    cap=st.integers(0, 10**6),
    lived=st.none() | st.integers(0, 10**6),
)
def test_the_delay_is_always_within_its_bounds(failures: int, delay: int, cap: int, lived: int | None) -> None:
    """Unlimited attempts always get a delay, from delay_ms to the larger of the two bounds."""
    policy = RetryPolicy(delay_ms=delay, max_delay_ms=cap)
    after = decide(policy, failures=failures, lived_ms=lived).after_ms
    assert after is not None
    assert delay <= after <= max(delay, cap)
