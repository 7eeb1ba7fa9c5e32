"""What holds for every row of the verdict table, whatever the witnesses say; the rows: test_verdict_cases.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.model.observed import ProcessId, Verdict
from tests.strategies import MEDIA, PID, entry, instances, probes, process, seen

if TYPE_CHECKING:
    from hero_livekit_units.model.observed import InstanceSeen


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
