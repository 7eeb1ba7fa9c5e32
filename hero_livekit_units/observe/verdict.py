"""The verdict over what all witnesses say: a pure table, read from the top, the first row that fits decides.

    1  a process that is not ours holds one of its ports                          foreign
    2  no process found, and a witness could not look (supervisor or kernel)      unknown
    3  no process found, the supervisor is between two lives of it                unhealthy
    4  no process found                                                           stopped
    5  the process is suspended                                                   unhealthy
    6  all its ports are open and every probe is good                             healthy, whatever the supervisor says
    7  nothing failed, but a probe could not be asked                             unknown
    8  not ready, but still within its time to get ready                          starting
    9  not ready                                                                  unhealthy

An instance is never healthy on the word of one witness: a probe that is answered by a stranger is row 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hero_livekit_units.model.observed import EntryState, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import Entry, PortSeen, ProbeSeen, ProcessSeen

_LONGEST_COMMAND = 120


def conclude(
    spec: LaunchSpec,
    *,
    registry_looked: bool,
    entry: Entry | None,
    process: ProcessSeen | None,
    ports: Sequence[PortSeen],
    probes: Sequence[ProbeSeen],
) -> tuple[Verdict, str]:
    """The verdict and the reason for it, in words for a person."""
    stranger = foreign_holder(process, ports)
    if stranger:
        return Verdict.FOREIGN, f"port {stranger.port.number} ({stranger.port.name}) is held by {holder(stranger)}"
    if process is None:
        return _absent(registry_looked=registry_looked, entry=entry, ports=ports)
    if process.suspended:
        return Verdict.UNHEALTHY, f"pid {process.id.pid} is suspended (stopped by a signal)"
    closed = [
        f"port {seen.port.number} ({seen.port.name}) is not open" for seen in ports if seen.looked and not seen.held
    ]
    failed = closed + [seen.says for seen in probes if seen.ok is False]
    silent = [seen for seen in probes if seen.ok is None]
    if not failed and not silent:
        return Verdict.HEALTHY, f"pid {process.id.pid} answers" + _registry_drift(registry_looked, entry, process)
    if not failed:
        return Verdict.UNKNOWN, silent[0].says
    if process.age_s < spec.restart.ready_within_s:
        return Verdict.STARTING, f"pid {process.id.pid} is {process.age_s:.1f} s old and not ready: {failed[0]}"
    return Verdict.UNHEALTHY, f"pid {process.id.pid} is alive, but {failed[0]}"


def foreign_holder(process: ProcessSeen | None, ports: Sequence[PortSeen]) -> PortSeen | None:
    """The first port that a process other than ours holds."""
    own = process.id.pid if process else None
    return next((seen for seen in ports if seen.looked and seen.held and seen.owner_pid != own), None)


def holder(seen: PortSeen) -> str:
    """Who holds a port, in words; a long command line is cut."""
    command = shortened(seen.owner_command)
    return f"pid {seen.owner_pid} ({command})" if seen.owner_pid else command


def shortened(command: str) -> str:
    """A command line of a length that can be shown."""
    return command if len(command) <= _LONGEST_COMMAND else f"{command[:_LONGEST_COMMAND]}..."


def _absent(*, registry_looked: bool, entry: Entry | None, ports: Sequence[PortSeen]) -> tuple[Verdict, str]:
    if not registry_looked:
        return Verdict.UNKNOWN, "the supervisor cannot be asked, and nobody is seen on its ports"
    if not all(seen.looked for seen in ports):
        return Verdict.UNKNOWN, "who holds its ports cannot be seen at the moment"
    if entry is None:
        return Verdict.STOPPED, "the supervisor does not know it, and nobody holds its ports"
    reason = f": {entry.last_error}" if entry.last_error else ""
    if entry.state is EntryState.UNKNOWN:
        return Verdict.UNKNOWN, "the supervisor gives a state that is not known here"
    if entry.wanted and entry.state is not EntryState.FAILED and entry.state is not EntryState.STOPPED:
        return Verdict.UNHEALTHY, f"it ended by itself and the supervisor is starting it again{reason}"
    if entry.state is EntryState.FAILED:
        return Verdict.STOPPED, f"the supervisor has given it up{reason}"
    return Verdict.STOPPED, "it does not run"


def _registry_drift(registry_looked: bool, entry: Entry | None, process: ProcessSeen) -> str:  # noqa: FBT001
    if not registry_looked:
        return "; the supervisor cannot be asked"
    if entry is None:
        return "; the supervisor does not know it"
    if entry.process != process.id:
        return f"; the supervisor says {entry.state} instead"
    return ""
