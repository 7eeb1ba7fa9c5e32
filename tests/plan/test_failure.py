"""Which launches count as failed: the border of each rule, one look on each side of it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from hero_livekit_units.model.observed import CallsSeen, EntryState, InstanceSeen, Verdict
from hero_livekit_units.plan.failure import failures
from tests.plan.worlds import BEFORE, BEFORE_B, between_two_lives, not_ready
from tests.strategies import BACKEND, MEDIA, MEDIA_B, STEERED, entry, healthy, ports, process, seen, stopped, world

OLD = healthy(MEDIA, people=3, process=BEFORE)
CLOSED = attrs.evolve(not_ready(MEDIA_B), ports=ports(MEDIA_B, None))


def waiting(state: EntryState = EntryState.WAITING, **changes: Any) -> InstanceSeen:
    """Between two lives, or given up."""
    return seen(MEDIA_B, entry=entry(MEDIA_B, state=state, process=None, **changes))


def again(age_s: float, began_for_s: float | None, restarts: int = 1) -> InstanceSeen:
    """It serves, after it ended by itself."""
    up = healthy(MEDIA_B, process=process(MEDIA_B, age_s=age_s), entry=entry(MEDIA_B, restarts=restarts))
    return attrs.evolve(up, began_for_s=began_for_s)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        pytest.param(CLOSED, "did not become ready within 15 s", id="no-port-open"),
        pytest.param(attrs.evolve(CLOSED, log_line="no node"), "did not become ready within 15 s: no node", id="log"),
        pytest.param(not_ready(MEDIA_B, age_s=14.9), "", id="still-within-its-time"),
        pytest.param(not_ready(MEDIA_B, suspended=True), "", id="suspended"),
        pytest.param(attrs.evolve(CLOSED, entry=None), "", id="nobody-owns-it"),
        pytest.param(attrs.evolve(CLOSED, process=BEFORE_B), "", id="another-launch"),
        pytest.param(between_two_lives(MEDIA_B), "", id="one-end"),
        pytest.param(
            waiting(restarts=1, last_error="exit status 1"), "ended by itself 2 times: exit status 1", id="two"
        ),
        pytest.param(
            attrs.evolve(waiting(restarts=1, last_error='exit status 1: {"level":"info"}'), log_line="no node"),
            "ended by itself 2 times: exit status 1: no node",
            id="two-and-log",
        ),
        pytest.param(waiting(restarts=1, launch_digest="0" * 16), "", id="two-ends-of-another-launch"),
        pytest.param(waiting(restarts=1, wanted=False), "", id="not-wanted"),
        pytest.param(waiting(EntryState.FAILED), "ended by itself once", id="given-up"),
        pytest.param(waiting(EntryState.STOPPED, restarts=3), "", id="stopped"),
        pytest.param(again(4.0, 48.9), "ended by itself once in its first minutes", id="early-end"),
        pytest.param(again(4.0, 20.0, 3), "ended by itself 3 times in its first minutes", id="early-ends"),
        pytest.param(again(4.0, 49.0), "", id="late-end"),
        pytest.param(again(4.0, None), "", id="nobody-knows-since-when"),
        pytest.param(again(30.0, 40.0), "", id="it-has-lasted-since"),
        pytest.param(again(4.0, 20.0, 0), "", id="it-never-ended"),
        pytest.param(healthy(MEDIA_B), "", id="healthy"),
        pytest.param(stopped(MEDIA_B), "", id="never-started"),
    ],
)
def test_which_launch_has_failed(found: InstanceSeen, why: str) -> None:
    """Beside one that serves; where none does, nothing counts as failed."""
    expected = {"b": f"livekit-server@b {why}"} if why else {}
    if found.verdict is Verdict.UNHEALTHY and found.process and not found.closed:
        assert why == ""
    assert failures(world(OLD, healthy(BACKEND), found), STEERED) == expected
    assert failures(world(stopped(MEDIA), healthy(BACKEND), found), STEERED) == {}


def test_probes_that_fail() -> None:
    """Its ports are open: people may be in it, and it says so."""
    found = failures(world(OLD, healthy(BACKEND), not_ready(MEDIA_B)), STEERED)
    assert found == {"b": "livekit-server@b fails its probes (pid 4242 is alive, but answers said False)"}


def test_two_that_ended_early() -> None:
    """None of them is trusted, so none has failed for the other."""
    both = attrs.evolve(
        healthy(MEDIA, entry=entry(MEDIA, restarts=1), process=process(MEDIA, age_s=4.0)), began_for_s=9.0
    )
    assert failures(world(both, healthy(BACKEND), again(4.0, 9.0)), STEERED) == {}


def test_only_what_had_its_time_and_shows_no_port_is_closed() -> None:
    """Nobody can be in it; of anything else that cannot be counted nobody knows."""
    assert (CLOSED.closed, CLOSED.people) == (True, 0)
    young = attrs.evolve(seen(MEDIA_B, process=process(MEDIA_B, age_s=1.0), ports=ports(MEDIA_B, None)))
    assert (young.verdict, young.closed, young.people) == (Verdict.STARTING, False, None)
    blind = attrs.evolve(CLOSED, ports=tuple(attrs.evolve(port, looked=False) for port in CLOSED.ports))
    assert (blind.closed, blind.people) == (False, None)
    counted = attrs.evolve(CLOSED, calls=CallsSeen(1, 1, "prometheus"))
    assert (counted.closed, counted.people) == (False, 1)
    assert (not_ready(MEDIA_B).closed, not_ready(MEDIA_B).people) == (False, None)
    assert healthy(MEDIA_B, people=2).people == 2
