"""The tables of states."""

from __future__ import annotations

import itertools

import pytest

from hero_livekit_units.embedded.lifecycle import (
    TRANSITIONS,
    IllegalTransition,
    JobEvent,
    JobFacts,
    JobState,
    RunState,
    ServiceState,
    next_state,
    run_state,
    service_state,
)

PENDING, RUNNING, STOPPING = JobState.PENDING, JobState.RUNNING, JobState.STOPPING
SUCCEEDED, FAILED, CANCELLED, UNKNOWN = JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.UNKNOWN

LEGAL = {
    (PENDING, JobEvent.SPAWNED): RUNNING,
    (PENDING, JobEvent.SPAWN_FAILED): FAILED,
    (PENDING, JobEvent.CANCEL): CANCELLED,
    (RUNNING, JobEvent.STOP_ASKED): STOPPING,
    (STOPPING, JobEvent.STOP_WITHDRAWN): RUNNING,
    (RUNNING, JobEvent.ENDED_WELL): SUCCEEDED,
    (RUNNING, JobEvent.ENDED_BADLY): FAILED,
    (RUNNING, JobEvent.ENDED_UNSEEN): UNKNOWN,
    (STOPPING, JobEvent.ENDED_WELL): CANCELLED,
    (STOPPING, JobEvent.ENDED_BADLY): CANCELLED,
    (STOPPING, JobEvent.ENDED_UNSEEN): CANCELLED,
    (FAILED, JobEvent.RETRY): PENDING,
    (FAILED, JobEvent.CANCEL): CANCELLED,
    (UNKNOWN, JobEvent.RETRY): PENDING,
    (UNKNOWN, JobEvent.CANCEL): CANCELLED,
}


@pytest.mark.parametrize(
    ("state", "event"), list(itertools.product(JobState, JobEvent)), ids=lambda value: value.replace(" ", "-")
)
def test_each_event_in_each_state(state: JobState, event: JobEvent) -> None:
    """Every pair of state and event has its one next state, or is refused by name."""
    if (state, event) in LEGAL:
        assert LEGAL[state, event] == next_state(state, event)
    else:
        with pytest.raises(IllegalTransition) as caught:
            next_state(state, event)
        assert (state, event) == (caught.value.state, caught.value.event)


def test_every_state_has_a_row() -> None:
    """The table has a row for each state, so that a new one cannot be forgotten."""
    assert set(JobState) == set(TRANSITIONS)


def test_a_stop_can_only_be_withdrawn() -> None:
    """However a job that is stopping ends, it is cancelled; the one other way is to withdraw the request."""
    ways = {state for event, state in TRANSITIONS[STOPPING].items() if event is not JobEvent.STOP_WITHDRAWN}
    assert ways == {CANCELLED}


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], ServiceState.INACTIVE),
        ([PENDING], ServiceState.STARTING),
        ([PENDING, SUCCEEDED], ServiceState.STARTING),
        ([PENDING, RUNNING], ServiceState.STARTING),
        ([RUNNING], ServiceState.RUNNING),
        ([SUCCEEDED, RUNNING], ServiceState.RUNNING),
        ([RUNNING, FAILED], ServiceState.DEGRADED),
        ([RUNNING, UNKNOWN], ServiceState.DEGRADED),
        ([RUNNING, CANCELLED], ServiceState.DEGRADED),
        ([RUNNING, STOPPING], ServiceState.STOPPING),
        ([FAILED, STOPPING], ServiceState.STOPPING),
        ([FAILED], ServiceState.FAILED),
        ([FAILED, PENDING], ServiceState.FAILED),
        ([UNKNOWN], ServiceState.FAILED),
        ([SUCCEEDED], ServiceState.EXITED),
        ([CANCELLED], ServiceState.INACTIVE),
        ([CANCELLED, SUCCEEDED], ServiceState.INACTIVE),
    ],
    ids=lambda value: "+".join(value) or "none" if isinstance(value, list) else value,
)
def test_state_of_a_service(states: list[JobState], expected: ServiceState) -> None:
    """The state of a service follows from its jobs, whatever their order."""
    for order in itertools.permutations(states):
        assert expected == service_state([JobFacts(state) for state in order], wanted=True, blocked=False)


def test_a_service_that_lost_one_of_two_is_degraded() -> None:
    """An action between two lives, beside one that runs, is a degraded service and not a starting one."""
    facts = [JobFacts(RUNNING), JobFacts(PENDING, restarts=1)]
    assert service_state(facts, wanted=True, blocked=False) == ServiceState.DEGRADED


@pytest.mark.parametrize(
    ("states", "wanted", "target", "expected"),
    [
        ([PENDING], True, False, ServiceState.BLOCKED),
        ([RUNNING], True, False, ServiceState.RUNNING),
        ([], True, True, ServiceState.BLOCKED),
        ([], True, False, ServiceState.INACTIVE),
        ([CANCELLED], False, False, ServiceState.INACTIVE),
    ],
    ids=["waits", "runs-on", "target", "never-started", "not-wanted"],
)
def test_a_blocked_service(
    states: list[JobState],
    wanted: bool,  # noqa: FBT001
    target: bool,  # noqa: FBT001
    expected: ServiceState,
) -> None:
    """Only what is wanted and has no process is blocked by a service that is not up."""
    facts = [JobFacts(state) for state in states]
    assert expected == service_state(facts, wanted=wanted, blocked=True, target=target)


def test_a_service_at_work_on_a_oneshot_is_not_up() -> None:
    """While an action that is meant to end runs, the service is starting, so that nobody who requires it goes ahead."""
    facts = [JobFacts(RUNNING), JobFacts(RUNNING, is_process=False)]
    assert service_state(facts, wanted=True, blocked=False) == ServiceState.STARTING


def test_a_target_runs_when_what_it_requires_does() -> None:
    """A service without actions of its own runs as soon as nothing blocks it."""
    assert service_state([], wanted=True, blocked=False, target=True) == ServiceState.RUNNING


@pytest.mark.parametrize(
    ("states", "blocked", "expected"),
    [
        ([PENDING], True, RunState.WAITING_DEPS),
        ([PENDING], False, RunState.RUNNING),
        ([PENDING, RUNNING], True, RunState.RUNNING),
        ([STOPPING, FAILED], False, RunState.RUNNING),
        ([SUCCEEDED, SUCCEEDED], False, RunState.SUCCEEDED),
        ([SUCCEEDED, FAILED], False, RunState.FAILED),
        ([SUCCEEDED, UNKNOWN], False, RunState.FAILED),
        ([SUCCEEDED, CANCELLED], False, RunState.CANCELLED),
    ],
    ids=["waiting", "soon", "one-runs", "one-stops", "all-well", "one-failed", "one-unknown", "one-cancelled"],
)
def test_state_of_a_run(states: list[JobState], blocked: bool, expected: RunState) -> None:  # noqa: FBT001
    """The state of a run follows from all of its jobs."""
    assert expected == run_state(states, blocked=blocked)
