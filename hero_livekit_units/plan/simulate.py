"""What an instance should look like after a step, and whether it does: what the executor waits for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import attrs

from hero_livekit_units.model.drain import Drain, DrainSeen
from hero_livekit_units.model.observed import (
    CallsSeen,
    Entry,
    EntryState,
    Failed,
    PortSeen,
    ProbeSeen,
    ProcessId,
    ProcessSeen,
    Verdict,
)
from hero_livekit_units.model.plan import Action

if TYPE_CHECKING:
    from hero_livekit_units.model.launch import LaunchFile, LaunchSpec
    from hero_livekit_units.model.observed import InstanceSeen
    from hero_livekit_units.model.plan import Step

TO_BE = ProcessId(0, 0)  # a process that is not there yet
ANY_LAUNCH = ""


def simulate(seen: InstanceSeen, step: Step, spec: LaunchSpec) -> InstanceSeen:
    """The instance after a step that reached its end, as it would be observed."""
    entry = seen.entry or Entry(spec.instance, False, EntryState.STOPPED, None, "", "")  # noqa: FBT003
    match step.action:
        case Action.WRITE_FILES:
            return attrs.evolve(_written(seen, spec, spec.start_files), left=())
        case Action.UPDATE:
            routes = seen.routes and attrs.evolve(
                seen.routes,
                new_rooms=spec.new_rooms,
                idle=tuple(room for room in seen.routes.idle if room.name not in step.rooms),
                certificate_shown=None if seen.routes.certificate_shown is None else True,
            )
            return attrs.evolve(_written(seen, spec, spec.live_files), updated_for_s=0.0, routes=routes)
        case Action.DRAIN | Action.ANNOUNCE | Action.END_ROOMS | Action.CANCEL:
            return _drained(seen, step)
        case Action.RECORD_FAILURE:
            return attrs.evolve(seen, failed=Failed(0.0, step.because, seen.log_line))
        case Action.QUIET:
            return attrs.evolve(seen, entry=attrs.evolve(entry, wanted=False, state=EntryState.STOPPED, process=None))
        case Action.REGISTER:
            return attrs.evolve(seen, entry=attrs.evolve(entry, digest=spec.digest, launch_digest=spec.launch_digest))
        case Action.START | Action.RESTART | Action.SWAP:
            return attrs.evolve(_running(seen, entry, spec, entry.launch_digest or spec.launch_digest), failed=None)
        case Action.AWAIT_READY:
            # Whatever launch comes up, and a supervisor may try an older one again: the rest is for the next plan.
            return _running(seen, entry, spec, ANY_LAUNCH)
        case Action.STOP | Action.KILL:
            return _ended(seen, entry)
        case _:
            assert_never(step.action)


def reached(seen: InstanceSeen, after: InstanceSeen, *, unlike: ProcessId | None = None) -> bool:
    """Whether an instance is what `simulate` says, so far as the step was about it.

    Args:
        seen: as it is.
        after: as it should be.
        unlike: the process that was to be replaced.
    """
    if after.process is None:
        # The supervisor has to know it too: until then it may be about to do something to what is gone.
        ending = seen.entry is not None and seen.entry.state is EntryState.STOPPING
        return seen.process is None and seen.verdict is Verdict.STOPPED and not ending
    return (
        seen.process is not None
        and seen.process.id != unlike
        and seen.verdict is after.verdict
        and seen.owned
        and (
            after.process.launch_digest == ANY_LAUNCH or seen.process.launch_digest in {after.process.launch_digest, ""}
        )
    )


def _drained(seen: InstanceSeen, step: Step) -> InstanceSeen:
    if step.action is Action.CANCEL:
        return attrs.evolve(seen, drain=None)
    if step.action is Action.END_ROOMS and seen.calls is not None:
        rooms, people = (
            None if count is None else count - len(step.rooms) for count in (seen.calls.rooms, seen.calls.people)
        )
        lonely = tuple(room for room in seen.calls.lonely or () if room not in step.rooms)
        return attrs.evolve(seen, calls=attrs.evolve(seen.calls, rooms=rooms, people=people, lonely=lonely))
    now_s = seen.drain.now_s if seen.drain else 0.0
    process = seen.process.id if seen.process else TO_BE
    drain = seen.drain.drain if seen.drain else Drain(process, "", now_s)
    if step.action is Action.ANNOUNCE:
        drain = attrs.evolve(drain, announced=True)
    else:
        drain = attrs.evolve(drain, alone={room: drain.alone.get(room, now_s) for room in step.rooms})
    return attrs.evolve(seen, drain=DrainSeen(drain, now_s))


def _written(seen: InstanceSeen, spec: LaunchSpec, files: tuple[LaunchFile, ...]) -> InstanceSeen:
    differ = seen.differ(spec)
    left = (file.path for file in spec.files if file not in files and (differ is None or file.path in differ))
    # The other ways of the instance read the same files at their start, and others while they run.
    live = {file.path for file in files if not file.read_at_start}
    start = {file.path for file in files if file.read_at_start}
    others = {
        digest: paths if paths is None else tuple(sorted({*paths, *live} - start))
        for digest, paths in seen.files_differ.items()
    }
    return attrs.evolve(seen, files_differ={**others, spec.digest: tuple(left)})


def _running(seen: InstanceSeen, entry: Entry, spec: LaunchSpec, launch_digest: str) -> InstanceSeen:
    process = ProcessSeen(
        TO_BE,
        suspended=False,
        age_s=0.0,
        command=spec.argv[0],
        unit=spec.unit,
        slot=spec.slot,
        release=spec.release,
        launch_digest=launch_digest,
    )
    return attrs.evolve(
        seen,
        entry=attrs.evolve(entry, wanted=True, state=EntryState.RUNNING, process=TO_BE),
        process=process,
        ports=tuple(PortSeen(port, looked=True, held=True) for port in spec.ports),
        probes=tuple(ProbeSeen(probe, ok=True, says="", took_ms=0.0) for probe in spec.probes),
        calls=CallsSeen(0, 0, "nobody has joined yet") if spec.carries_calls else None,
        drain=None,
        verdict=Verdict.HEALTHY,
        because="it is ready",
        in_the_way=(),
    )


def _ended(seen: InstanceSeen, entry: Entry) -> InstanceSeen:
    return attrs.evolve(
        seen,
        entry=attrs.evolve(entry, wanted=False, state=EntryState.STOPPED, process=None),
        process=None,
        ports=tuple(PortSeen(port.port, looked=True, held=False) for port in seen.ports),
        probes=(),
        calls=None,
        drain=None,
        verdict=Verdict.STOPPED,
        because="it does not run",
    )
