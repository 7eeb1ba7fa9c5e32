"""The verdict table, row by row, and the pairs of witnesses that contradict each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.model.observed import EntryState, PortSeen, ProcessId, Verdict
from tests.strategies import MEDIA, PID, entry, instances, ports, probes, process, seen

if TYPE_CHECKING:
    from hero_livekit_units.model.observed import InstanceSeen

NOBODY_LOOKED = tuple(PortSeen(port, looked=False, held=False) for port in MEDIA.ports)
YOUNG = process(MEDIA, age_s=0.5)


@pytest.mark.parametrize(
    ("found", "verdict", "because"),
    [
        pytest.param(
            seen(MEDIA, entry=entry(MEDIA), process=process(MEDIA), probes=probes(MEDIA)),
            Verdict.HEALTHY,
            "pid 4242 answers",
            id="all-agree",
        ),
        pytest.param(
            seen(
                MEDIA,
                entry=entry(MEDIA, state=EntryState.FAILED, process=None),
                process=process(MEDIA),
                probes=probes(MEDIA),
            ),
            Verdict.HEALTHY,
            "pid 4242 answers; the supervisor says failed instead",
            id="supervisor-says-failed-but-it-serves",
        ),
        pytest.param(
            seen(MEDIA, registry_looked=False, process=process(MEDIA), probes=probes(MEDIA)),
            Verdict.HEALTHY,
            "pid 4242 answers; the supervisor cannot be asked",
            id="supervisor-unreachable-but-it-serves",
        ),
        pytest.param(
            seen(MEDIA, process=process(MEDIA), probes=probes(MEDIA)),
            Verdict.HEALTHY,
            "pid 4242 answers; the supervisor does not know it",
            id="orphan-that-serves",
        ),
        pytest.param(
            seen(
                MEDIA,
                entry=entry(MEDIA),
                process=process(MEDIA),
                ports=ports(MEDIA, 666, "nginx"),
                probes=probes(MEDIA),
            ),
            Verdict.FOREIGN,
            "port 6800 (debug) is held by pid 666 (nginx)",
            id="a-stranger-answers-for-it",
        ),
        pytest.param(
            seen(MEDIA, ports=ports(MEDIA, 0, "a process of another user")),
            Verdict.FOREIGN,
            "port 6800 (debug) is held by a process of another user",
            id="another-users-process",
        ),
        pytest.param(
            seen(MEDIA, registry_looked=False),
            Verdict.UNKNOWN,
            "the supervisor cannot be asked, and nobody is seen on its ports",
            id="no-process-and-no-supervisor-is-not-stopped",
        ),
        pytest.param(
            seen(MEDIA, ports=NOBODY_LOOKED),
            Verdict.UNKNOWN,
            "the kernel does not tell who holds its ports",
            id="no-process-and-blind-kernel-is-not-stopped",
        ),
        pytest.param(
            seen(MEDIA, entry=entry(MEDIA, state=EntryState.UNKNOWN, process=None)),
            Verdict.UNKNOWN,
            "the supervisor gives a state that is not known here",
            id="state-of-another-world",
        ),
        pytest.param(
            seen(MEDIA, entry=entry(MEDIA, state=EntryState.WAITING, process=None, last_error="exit status 0")),
            Verdict.UNHEALTHY,
            "it ended by itself and the supervisor is starting it again: exit status 0",
            id="between-two-lives",
        ),
        pytest.param(
            seen(MEDIA, entry=entry(MEDIA, state=EntryState.FAILED, process=None, last_error="exit status 0: no keys")),
            Verdict.STOPPED,
            "the supervisor has given it up: exit status 0: no keys",
            id="given-up",
        ),
        pytest.param(
            seen(MEDIA, entry=entry(MEDIA, state=EntryState.STOPPED, process=None, wanted=False)),
            Verdict.STOPPED,
            "it does not run",
            id="stopped",
        ),
        pytest.param(
            seen(MEDIA),
            Verdict.STOPPED,
            "the supervisor does not know it, and nobody holds its ports",
            id="never-registered",
        ),
        pytest.param(
            seen(MEDIA, entry=entry(MEDIA), process=process(MEDIA, suspended=True), probes=probes(MEDIA, ok=None)),
            Verdict.UNHEALTHY,
            "pid 4242 is suspended (stopped by a signal)",
            id="sigstop",
        ),
        pytest.param(
            seen(MEDIA, entry=entry(MEDIA), process=process(MEDIA), probes=probes(MEDIA, ok=False)),
            Verdict.UNHEALTHY,
            "pid 4242 is alive, but answers said False",
            id="not-ready",
        ),
        pytest.param(
            seen(MEDIA, entry=entry(MEDIA), process=process(MEDIA), probes=probes(MEDIA, ok=None)),
            Verdict.UNKNOWN,
            "answers said None",
            id="could-not-ask-in-time",
        ),
        pytest.param(
            seen(MEDIA, entry=entry(MEDIA), process=YOUNG, ports=ports(MEDIA, None), probes=probes(MEDIA, ok=False)),
            Verdict.STARTING,
            "pid 4242 is 0.5 s old and not ready: port 6800 (debug) is not open",
            id="just-started",
        ),
        pytest.param(
            seen(MEDIA, entry=entry(MEDIA), process=process(MEDIA), ports=ports(MEDIA, None), probes=probes(MEDIA)),
            Verdict.UNHEALTHY,
            "pid 4242 is alive, but port 6800 (debug) is not open",
            id="answers-but-owns-nothing",
        ),
    ],
)
def test_row(found: InstanceSeen, verdict: Verdict, because: str) -> None:
    """Each row of the table gives its verdict and says why."""
    assert (verdict, because) == (found.verdict, found.because)


@given(instances(MEDIA, registry_looked=False))
def test_without_a_supervisor_nothing_is_stopped(found: InstanceSeen) -> None:
    """Could not look is never a no."""
    assert found.verdict is not Verdict.STOPPED


@given(st.booleans().flatmap(lambda looked: instances(MEDIA, registry_looked=looked)))
def test_healthy_needs_a_process_that_owns_the_ports(found: InstanceSeen) -> None:
    """Nothing is healthy on the word of one witness."""
    if found.verdict is Verdict.HEALTHY:
        assert found.process is not None
        assert {port.owner_pid for port in found.ports if port.looked} <= {found.process.id.pid}
        assert all(probe.ok for probe in found.probes)


def test_a_reused_pid_is_not_owned() -> None:
    """Pid and start time together are the identity."""
    found = seen(MEDIA, entry=entry(MEDIA, process=ProcessId(PID.pid, 7)), process=process(MEDIA), probes=probes(MEDIA))
    assert not found.owned
    assert attrs.evolve(found, entry=entry(MEDIA)).owned
