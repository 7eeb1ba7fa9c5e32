"""Values for tests: specs, and worlds as they may be observed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from hypothesis import strategies as st

from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.livekit.desired import desired_specs, desired_state
from hero_livekit_units.model.desired import Desired, Steering
from hero_livekit_units.model.observed import (
    CallsSeen,
    Entry,
    EntryState,
    Foreign,
    InstanceSeen,
    Observed,
    Parent,
    PortSeen,
    ProbeSeen,
    ProcessId,
    ProcessSeen,
    SupervisorSeen,
    Verdict,
)
from hero_livekit_units.model.settings import FrontSettings, RedisSettings, Settings
from hero_livekit_units.observe.verdict import conclude

if TYPE_CHECKING:
    from hero_livekit_units.model.launch import LaunchSpec

CATALOG = shipped_catalog()
STEERED = desired_state(CATALOG, Settings(), home="/srv/media", python="/usr/bin/python3")
UNSTEERED = Steering(possible=False, because="nothing here sends a join to the slot that has its room already")
DESIRED = Desired(STEERED.by_slot, UNSTEERED)
FOLLOWED = Desired(STEERED.by_slot, Steering(possible=True))  # all join at one address, as behind the front
MEDIA, BACKEND = DESIRED.by_slot["a"]
MEDIA_B, BACKEND_B = DESIRED.by_slot["b"]  # with new rooms on slot b
# The same with everything on that may stand beside it.
FULL = Desired(
    {
        "a": desired_specs(
            CATALOG,
            Settings(redis=RedisSettings(enabled=True, own=True), front=FrontSettings(enabled=True)),
            home="/srv/media",
            python="/usr/bin/python3",
        )
    },
    Steering(possible=True),
)
FRONTED = desired_state(
    CATALOG, Settings(front=FrontSettings(enabled=True)), home="/srv/media", python="/usr/bin/python3"
)
# Both slots as nodes of a Redis of our own; and the same behind the front.
NODES, NODES_BEHIND_FRONT = (
    desired_state(
        CATALOG,
        Settings(redis=RedisSettings(enabled=True, own=True), front=FrontSettings(enabled=front)),
        home="/srv/media",
        python="/usr/bin/python3",
    )
    for front in (False, True)
)
REDIS, FRONT, MEDIA_ON_REDIS, BACKEND_BEHIND_FRONT = FULL.by_slot["a"]
PID = ProcessId(4242, 1_000_000)
ANSWERING = SupervisorSeen("embedded", "0.1.0", ProcessId(77, 5), Verdict.HEALTHY, "answered in 0.3 ms", "/s/rpc.sock")
OLD_MEDIA = Foreign(
    ProcessId(4200, 99),
    "livekit-server --dev",
    "ada",
    4100,
    4100,
    (Parent(4100, "old_plane"), Parent(1, "")),
    "whoever stops its group ends it",
    CallsSeen(1, 3, "prometheus on port 6789"),
    3600.0,
)
SILENT = SupervisorSeen("", "", None, Verdict.UNKNOWN, "nobody listens on /s/rpc.sock", "/s/rpc.sock")


def entry(spec: LaunchSpec, **changes: Any) -> Entry:
    """A running entry that fits the spec."""
    running = Entry(spec.instance, True, EntryState.RUNNING, PID, spec.digest, spec.launch_digest)  # noqa: FBT003
    return attrs.evolve(running, **changes)


def process(spec: LaunchSpec, **changes: Any) -> ProcessSeen:
    """A process that was launched from the spec."""
    alive = ProcessSeen(PID, False, 3600.0, spec.argv[0], spec.unit, spec.slot, spec.release, spec.launch_digest)  # noqa: FBT003
    return attrs.evolve(alive, **changes)


def ports(spec: LaunchSpec, pid: int | None = PID.pid, command: str = "livekit-server") -> tuple[PortSeen, ...]:
    """All ports held by one process, or by nobody."""
    if pid is None:
        return tuple(PortSeen(port, looked=True, held=False) for port in spec.ports)
    return tuple(PortSeen(port, looked=True, held=True, owner_pid=pid, owner_command=command) for port in spec.ports)


def probes(spec: LaunchSpec, *, ok: bool | None = True) -> tuple[ProbeSeen, ...]:
    """All probes with the same answer."""
    return tuple(ProbeSeen(probe, ok, f"{probe.name} said {ok}", 0.5) for probe in spec.probes)


def seen(
    spec: LaunchSpec,
    *,
    registry_looked: bool = True,
    entry: Entry | None = None,
    process: ProcessSeen | None = None,
    ports: tuple[PortSeen, ...] | None = None,
    probes: tuple[ProbeSeen, ...] = (),
    calls: CallsSeen | None = None,
    files_differ: tuple[str, ...] | None = (),
    program_missing: str = "",
) -> InstanceSeen:
    """An instance as seen, its verdict concluded by the real table."""
    all_ports = ports if ports is not None else _ports(spec, process)
    verdict, because = conclude(
        spec, registry_looked=registry_looked, entry=entry, process=process, ports=all_ports, probes=probes
    )
    return InstanceSeen(
        spec,
        registry_looked,
        entry,
        process,
        all_ports,
        probes,
        calls,
        _differ(spec, files_differ),
        program_missing,
        verdict,
        because,
        (),
        updated_for_s=3600.0 if spec.live_files else None,
    )


def _differ(spec: LaunchSpec, differ: tuple[str, ...] | None) -> dict[str, tuple[str, ...] | None]:
    """For each way in which the instance may run; what it reads while it runs is that of the spec, so far as it is."""
    found = {spec.digest: differ}
    for other in FRONTED.specs if spec in FRONTED.specs else DESIRED.specs:
        if other.instance == spec.instance and other.digest != spec.digest:
            # A unit that is told where new rooms go reads the same files for all slots.
            live = set() if other.new_rooms else {file.path for file in other.live_files}
            found[other.digest] = None if differ is None else tuple(sorted({*differ, *live}))
    return found


def _ports(spec: LaunchSpec, process: ProcessSeen | None) -> tuple[PortSeen, ...]:
    return ports(spec, process.id.pid if process else None)


def healthy(spec: LaunchSpec, people: int | None = 0, **changes: Any) -> InstanceSeen:
    """A healthy instance that the supervisor owns."""
    calls = CallsSeen(1 if people else 0, people, "debug-rooms") if spec.carries_calls else None
    found = seen(spec, entry=entry(spec), process=process(spec), probes=probes(spec), calls=calls)
    return attrs.evolve(found, **changes)


def stopped(spec: LaunchSpec, **changes: Any) -> InstanceSeen:
    """An instance that does not run and is not registered."""
    return attrs.evolve(seen(spec, files_differ=tuple(file.path for file in spec.files)), **changes)


def world(*instances: InstanceSeen, supervisor: SupervisorSeen = ANSWERING) -> Observed:
    """One moment. Of the slots of the media, one that is not given is free."""
    given = {found.spec.instance for found in instances}
    looked = supervisor.verdict is Verdict.HEALTHY
    spare = [
        attrs.evolve(stopped(spec), verdict=Verdict.STOPPED if looked else Verdict.UNKNOWN)
        for spec in DESIRED.media.values()
        if spec.instance not in given
    ]
    return Observed(supervisor, (*instances, *spare), 1.0)


def with_media(desired: Desired, **changes: Any) -> Desired:
    """The desired state with other LaunchSpecs of the media."""
    return attrs.evolve(
        desired,
        by_slot={
            slot: tuple(attrs.evolve(spec, **changes) if spec.carries_calls else spec for spec in specs)
            for slot, specs in desired.by_slot.items()
        },
    )


def without(desired: Desired, *ways: str) -> Desired:
    """The desired state with a lineage that declares other strategies only."""
    edges = tuple(
        attrs.evolve(edge, strategies=tuple(way for way in edge.strategies if way not in ways))
        for edge in MEDIA.replaces
    )
    return with_media(desired, replaces=edges)


@st.composite
def instances(draw: st.DrawFn, spec: LaunchSpec, *, registry_looked: bool) -> InstanceSeen:
    """Any instance that can be observed, contradictions between witnesses included."""
    here = draw(st.booleans())
    age_s = draw(st.sampled_from([0.01, 1.0, 14.9, 15.0, 86400.0]))
    marks = draw(st.sampled_from([spec.launch_digest, "0" * 16, ""]))
    release = draw(st.sampled_from([spec.release, *(edge.start for edge in spec.replaces), "1.9.12-r1"]))
    alive = process(spec, age_s=age_s, suspended=draw(st.booleans()), launch_digest=marks, release=release)
    registered = draw(st.booleans()) and registry_looked
    remembered = entry(
        spec,
        wanted=draw(st.booleans()),
        state=draw(st.sampled_from(EntryState)),
        process=draw(st.sampled_from([PID, ProcessId(PID.pid, 7), ProcessId(99, 7), None])),
        digest=draw(st.sampled_from([spec.digest, "f" * 16])),
        last_error=draw(st.sampled_from(["", "exit status 0"])),
    )
    holder = draw(st.sampled_from([PID.pid if here else None, None, 666, 0]))
    looked = draw(st.booleans())
    people = draw(st.sampled_from([None, 0, 1, 500]))
    return seen(
        spec,
        registry_looked=registry_looked,
        entry=remembered if registered else None,
        process=alive if here else None,
        ports=tuple(attrs.evolve(port, looked=looked) for port in ports(spec, holder)),
        probes=probes(spec, ok=draw(st.sampled_from([True, False, None]))),
        calls=CallsSeen(people and 1, people, "debug-rooms") if spec.carries_calls else None,
        files_differ=draw(st.sampled_from([(), (spec.files[0].path,), None])),
        program_missing=draw(st.sampled_from(["", spec.argv[0]])),
    )


@st.composite
def usual(draw: st.DrawFn, spec: LaunchSpec) -> InstanceSeen:
    """What is there on most days: nothing, or something that serves, of this launch or of one before."""
    if draw(st.booleans()):
        return stopped(spec)
    release = draw(st.sampled_from([spec.release, *(edge.start for edge in spec.replaces)]))
    marks = draw(st.sampled_from([spec.launch_digest, "0" * 16])) if release == spec.release else "0" * 16
    alive = process(spec, release=release, launch_digest=marks, age_s=draw(st.sampled_from([1.0, 3600.0])))
    state = draw(st.sampled_from([EntryState.RUNNING, EntryState.RUNNING, EntryState.STOPPING]))
    return healthy(spec, people=draw(st.sampled_from([0, 0, 3, None])), process=alive, entry=entry(spec, state=state))


@st.composite
def worlds(draw: st.DrawFn) -> Observed:
    """Any world that can be observed, with both slots of the media drawn on their own."""
    answers = draw(st.sampled_from([True, True, False]))
    found = [
        draw(
            st.one_of(usual(spec), instances(spec, registry_looked=True))
            if answers
            else instances(spec, registry_looked=False)
        )
        for spec in (MEDIA, draw(st.sampled_from([BACKEND, BACKEND_B])), MEDIA_B)
    ]
    return world(*found, supervisor=ANSWERING if answers else SILENT)
