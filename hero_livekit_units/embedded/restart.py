"""When a job that ended badly gets its next life. Pure: times come in as numbers and go out as numbers."""

from __future__ import annotations

from attrs import frozen


@frozen
class RetryPolicy:
    """How often and how fast. Times are milliseconds.

    max_attempts: lives in a row that may end badly, 0 for no limit. delay_ms: before the second life; with `backoff` it
    doubles each time, up to max_delay_ms. stability_period_ms: a life of this length starts the count over.
    """

    max_attempts: int = 0
    delay_ms: int = 1000
    max_delay_ms: int = 60_000
    backoff: bool = True
    stability_period_ms: int = 30_000


@frozen
class Decision:
    """after_ms: until the next life, None to give up. failures: bad ends in a row, this one counted."""

    after_ms: int | None
    failures: int
    because: str


def decide(policy: RetryPolicy, *, failures: int, lived_ms: int | None) -> Decision:
    """Decide what follows on a bad end.

    Args:
        policy: of the action.
        failures: bad ends in a row before this one.
        lived_ms: how long this life lasted, None where nobody knows; that is not counted as stable.
    """
    stable = lived_ms is not None and lived_ms >= policy.stability_period_ms
    count = 1 if stable else failures + 1
    if policy.max_attempts and count >= policy.max_attempts:
        return Decision(None, count, f"given up after {count} of {policy.max_attempts} attempts")
    delay = policy.delay_ms
    if policy.backoff:
        # The exponent is bounded: a unit that fails for a year must not make a number with a million digits.
        delay = min(policy.delay_ms * 2 ** min(count - 1, 32), max(policy.max_delay_ms, policy.delay_ms))
    limit = f" of {policy.max_attempts}" if policy.max_attempts else ""
    return Decision(delay, count, f"attempt {count + 1}{limit} in {delay} ms")
