"""Who a foreign holder of a port is, in words for whoever has to decide what becomes of it. Pure: only tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hero_livekit_units.model.observed import Foreign, Parent
from hero_livekit_units.observe.verdict import shortened

if TYPE_CHECKING:
    from hero_livekit_units.model.observed import CallsSeen, PortSeen, ProcessSeen


class Kin(NamedTuple):
    """Where a process stands: user, process group, session, the processes above it, and who leads the group.

    user: "" where it cannot be told. parents: the next one first. leader: None when it has ended or cannot be seen.
    """

    user: str
    group: int
    session: int
    parents: tuple[Parent, ...]
    leader: Parent | None


def described(process: ProcessSeen, kin: Kin, calls: CallsSeen | None, *, supervisor_pid: int) -> Foreign:
    """A stranger that can be seen; `supervisor_pid` is 0 where there is no supervisor."""
    return Foreign(
        process=process.id,
        command=shortened(process.command),
        user=kin.user,
        group=kin.group,
        session=kin.session,
        parents=tuple(Parent(parent.pid, shortened(parent.command)) for parent in kin.parents),
        dies_with=dies_with(process.id.pid, kin, supervisor_pid),
        calls=calls,
        age_s=process.age_s,
    )


def undescribed(seen: PortSeen, why: str, calls: CallsSeen | None) -> Foreign:
    """A stranger of whom only the port tells, and why that is all."""
    return Foreign(None, shortened(seen.owner_command), seen.owner_user, 0, 0, (), why, calls)


def hidden(user: str) -> str:
    """What can be said of a process that only its user, or root, may look at."""
    return f"its process cannot be seen from here: user {user} can see and end it"


def dies_with(pid: int, kin: Kin, supervisor_pid: int) -> str:
    """What would end a process, as its place among others tells."""
    above = [parent.pid for parent in kin.parents]
    if kin.group == pid:
        words = f"it leads process group {pid} itself"
    elif kin.leader is None:
        words = f"it is in process group {kin.group}, whose leader has ended or is hidden"
    else:
        words = f"it is in process group {kin.group}, led by {named(kin.leader)}"
    words += ": whoever stops that group ends it"
    # A supervisor stops a service by its process group, whose leader is what it started.
    line = [pid, *above]
    started = line[: line.index(supervisor_pid)] if supervisor_pid in above else []
    if kin.group in started:
        words += f", as restarting this service of the supervisor (pid {supervisor_pid}) does"
    if above and above[0] not in {1, supervisor_pid}:
        words += f"; that its parent, pid {above[0]}, ends does not by itself end it"
    return words


def says(foreign: Foreign) -> str:
    """All that is known of a stranger, as one line."""
    if foreign.process is None:
        words = [foreign.command]
    else:
        words = [
            f"{named(Parent(foreign.process.pid, foreign.command))} started at tick {foreign.process.start_time}",
            f"user {foreign.user or 'unknown'}",
            f"process group {foreign.group}",
            f"session {foreign.session}",
            *(f"child of {named(parent)}" for parent in foreign.parents),
        ]
    text = f"{', '.join(words)}; {foreign.dies_with}"
    if foreign.calls is None:
        return text
    return f"{text}; {counted(foreign.calls)}"


def counted(calls: CallsSeen) -> str:
    """A count of calls in words."""
    if calls.people is None:
        return f"people in its calls: unknown ({calls.source})"
    return f"people in its calls: {calls.people} in {calls.rooms} rooms ({calls.source})"


def named(process: Parent) -> str:
    """A process by pid and, where it can be read, command line."""
    return f"pid {process.pid} ({shortened(process.command)})" if process.command else f"pid {process.pid}"
