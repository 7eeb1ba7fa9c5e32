"""Asks all witnesses, side by side and with one deadline for the whole, and puts their words together."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from hero_livekit_units.livekit.counting import count_calls
from hero_livekit_units.model.launch import by_instance
from hero_livekit_units.model.observed import (
    CallsSeen,
    Entry,
    EntryState,
    Evidence,
    InstanceSeen,
    Observed,
    PortSeen,
    ProbeSeen,
    ProcessSeen,
    RoutesSeen,
    Verdict,
)
from hero_livekit_units.observe import kernel, probes
from hero_livekit_units.observe.files import (
    drain_file,
    drain_of,
    files_that_differ,
    is_over,
    launch_folders,
    read_failed,
    recorded_drain,
    unread,
    written_for_s,
)
from hero_livekit_units.observe.logs import last_words
from hero_livekit_units.observe.ports import see_ports
from hero_livekit_units.observe.routes import not_taken_over, see_routes
from hero_livekit_units.observe.sockets import holders
from hero_livekit_units.observe.stranger import Stranger, timed
from hero_livekit_units.observe.stranger import evidence as told
from hero_livekit_units.observe.verdict import conclude, foreign_holder, holder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hero_livekit_units.model.ability import Ability
    from hero_livekit_units.model.drain import DrainSeen
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import SupervisorSeen
    from hero_livekit_units.observe.sockets import Holders
    from hero_livekit_units.registry.port import Registry, Survey

_THREADS = 16


class Observer:
    """Looks at instances. Keeps nothing from one look to the next but its threads.

    Args:
        registry: the supervisor.
        deadline_s: of a look, in seconds.
        lacks: what was seen that a supervisor cannot do, None where nobody has looked.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        deadline_s: float = 1.0,
        lacks: Callable[[SupervisorSeen], frozenset[Ability] | None] = lambda _: None,
    ) -> None:
        self._registry = registry
        self._lacks = lacks
        self._deadline_s = deadline_s
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="look")

    def observe(
        self, specs: Sequence[LaunchSpec], *, secrets: Mapping[str, Any] | None = None, files: bool = True
    ) -> Observed:
        """See the supervisor and every instance. Takes the deadline at most, plus what reading /proc takes.

        Args:
            specs: the instances to look at. Of several for one instance the first says where to look; they differ in
                nothing but their files.
            secrets: by name; with them, the files on disk are compared too, and calls counted where a key is needed.
            files: whether to compare them.
        """
        began = time.monotonic()
        variants = by_instance(specs)
        survey = self._registry.survey(list(variants))
        survey_ms = (time.monotonic() - began) * 1000
        listing = holders()
        api_keys = (secrets or {}).get("api_keys")
        until_s = began + self._deadline_s
        looks = [self._look(found[0], survey, listing, api_keys, until_s) for found in variants.values()]
        self._wait(looks, began)
        shown = secrets if files else None
        seen = [self._conclude(look, survey, survey_ms, variants[look.wanted.instance], shown) for look in looks]
        supervisor = attrs.evolve(survey.supervisor, lacks=self._lacks(survey.supervisor))
        return Observed(supervisor, tuple(seen), (time.monotonic() - began) * 1000)

    def _look(
        self,
        spec: LaunchSpec,
        survey: Survey,
        listing: Holders | None,
        api_keys: Mapping[str, str] | None,
        until_s: float,
    ) -> _Look:
        began = time.monotonic()
        entry = survey.entries.get(spec.instance) if survey.entries is not None else None
        try:
            process = kernel.see_process(entry.process.pid) if entry and entry.process else None
        except PermissionError:
            process, listing = None, None  # /proc hides other users' processes here: nothing can be said about it
        if entry and entry.process and process and process.id != entry.process:
            if entry.process.start_time == 0 and _carries_marks(process, spec):
                entry = attrs.evolve(entry, process=process.id)
            else:
                process = None  # the pid was reused: the process that the supervisor remembers is gone
        process_ms = (time.monotonic() - began) * 1000
        ports = see_ports(spec.ports, listing, process, until_s)
        process = _who_serves(spec, process, ports)
        launched = as_launched(spec, process) if process else spec
        in_the_way: tuple[PortSeen, ...] = ()
        if process and launched is not spec:
            new = [seen for seen in ports if seen.port not in launched.ports]
            in_the_way = tuple(seen for seen in new if seen.held and seen.owner_pid != process.id.pid)
            ports = see_ports(launched.ports, listing, process, until_s)
        ports_ms = (time.monotonic() - began) * 1000 - process_ms
        look = _Look(launched, entry, process, process_ms, ports, ports_ms)
        look.wanted, look.in_the_way = spec, in_the_way
        stranger = foreign_holder(process, ports)
        if stranger:
            look.stranger = Stranger(
                stranger, launched, ports, pool=self._pool, deadline_s=self._deadline_s, api_keys=api_keys
            )
        if process is None or stranger:
            why = "not asked, as the port is not ours" if stranger else "nobody is there"
            look.probes = [probes.not_asked(probe, why) for probe in launched.probes]
            return look
        look.probe_futures = [self._pool.submit(probes.ask, probe) for probe in launched.probes]
        if spec.new_rooms:
            look.routes_future = self._pool.submit(see_routes, spec, self._deadline_s / 2)
        if launched.calls:
            look.drain = drain_of(process, recorded_drain(spec), time.time())
            count = partial(count_calls, closely=look.drain is not None)
            look.calls_future = self._pool.submit(timed, count, launched.calls, self._deadline_s, api_keys)
        return look

    def _wait(self, looks: Sequence[_Look], began: float) -> None:
        pending: list[Future[object]] = [future for look in looks for future in look.futures()]
        wait(pending, timeout=max(0.0, self._deadline_s - (time.monotonic() - began)))
        for look in looks:
            if look.probe_futures:
                look.probes = [
                    future.result() if future.done() else probes.unanswered(probe, self._deadline_s)
                    for probe, future in zip(look.spec.probes, look.probe_futures, strict=True)
                ]
            if look.routes_future is not None and look.routes_future.done():
                look.routes = look.routes_future.result()
            if look.calls_future is not None:
                late = CallsSeen(None, None, f"no answer within {self._deadline_s:g} s")
                done = look.calls_future.done()
                look.calls, look.calls_ms = look.calls_future.result() if done else (late, self._deadline_s * 1000)
            elif look.spec.carries_calls:
                look.calls = CallsSeen(None, None, "not asked")

    def _conclude(
        self,
        look: _Look,
        survey: Survey,
        survey_ms: float,
        variants: Sequence[LaunchSpec],
        secrets: Mapping[str, Any] | None,
    ) -> InstanceSeen:
        registry_looked = survey.entries is not None
        verdict, because = conclude(
            look.spec,
            registry_looked=registry_looked,
            entry=look.entry,
            process=look.process,
            ports=look.ports,
            probes=look.probes,
        )
        supervisor = survey.supervisor.process
        foreign, foreign_ms = (
            look.stranger.result(supervisor.pid if supervisor else 0) if look.stranger else (None, 0.0)
        )
        program = look.wanted.argv[0]
        now_s = time.time()
        began_for_s = written_for_s(look.wanted.start_files, now_s)
        failed = read_failed(look.wanted) if look.wanted.carries_calls else None
        seen = InstanceSeen(
            spec=look.wanted,
            registry_looked=registry_looked,
            entry=look.entry,
            process=look.process,
            ports=look.ports,
            probes=tuple(look.probes),
            calls=look.calls,
            files_differ={spec.digest: _differ(spec, secrets, look.routes) for spec in variants},
            routes=look.routes,
            program_missing="" if Path(program).exists() else program,
            verdict=verdict,
            because=f"{because}; {failed.says}" if failed and verdict is Verdict.STOPPED else because,
            evidence=(*look.evidence(survey, survey_ms), *([told(foreign, foreign_ms)] if foreign else [])),
            in_the_way=look.in_the_way,
            foreign=foreign,
            updated_for_s=written_for_s(look.wanted.live_files, now_s),
            drain=look.drain,
            began_for_s=began_for_s,
            failed=failed,
            log_line=_log_line(look, verdict, 0.0 if began_for_s is None else now_s - began_for_s),
        )
        if secrets is None:
            return seen
        left = unread(seen, variants, launch_folders(look.wanted))
        over = look.wanted.carries_calls and is_over(seen, recorded_drain(look.wanted))
        return attrs.evolve(seen, left=(*left, *([str(drain_file(look.wanted))] if over else [])))


def _log_line(look: _Look, verdict: Verdict, since_s: float) -> str:
    """What its log says, where it may have failed: it is not ready, or has ended by itself."""
    entry = look.entry
    if entry is None or not look.wanted.carries_calls:
        return ""
    ended = bool(entry.restarts) or entry.state in {EntryState.WAITING, EntryState.FAILED}
    return last_words(entry.log_file, since_s) if ended or verdict is Verdict.UNHEALTHY else ""


def _differ(spec: LaunchSpec, secrets: Mapping[str, Any] | None, routes: RoutesSeen | None) -> tuple[str, ...] | None:
    differ = files_that_differ(spec, secrets)
    return None if differ is None else tuple(sorted({*differ, *not_taken_over(spec, routes)}))


class _Look:
    """One instance while it is being looked at."""

    def __init__(
        self,
        spec: LaunchSpec,
        entry: Entry | None,
        process: ProcessSeen | None,
        process_ms: float,
        ports: tuple[PortSeen, ...],
        ports_ms: float,
    ) -> None:
        self.spec = spec  # as launched
        self.wanted = spec
        self.in_the_way: tuple[PortSeen, ...] = ()
        self.entry = entry
        self.process = process
        self.process_ms = process_ms
        self.ports = ports
        self.ports_ms = ports_ms
        self.probes: list[ProbeSeen] = []
        self.probe_futures: list[Future[ProbeSeen]] = []
        self.calls: CallsSeen | None = None
        self.calls_ms = 0.0
        self.calls_future: Future[tuple[CallsSeen, float]] | None = None
        self.stranger: Stranger | None = None
        self.routes: RoutesSeen | None = None
        self.drain: DrainSeen | None = None
        self.routes_future: Future[RoutesSeen | None] | None = None

    def futures(self) -> list[Future[object]]:
        """Everything that is still being asked."""
        calls = [one for one in (self.calls_future, self.routes_future) if one is not None]
        strangers = self.stranger.futures() if self.stranger else []
        return [*self.probe_futures, *calls, *strangers]  # type: ignore[list-item]

    def evidence(self, survey: Survey, survey_ms: float) -> tuple[Evidence, ...]:
        """What each witness said, for a person to argue with."""
        return (
            self._registry_evidence(survey, survey_ms),
            self._kernel_evidence(),
            *(_port_evidence(seen, self.process, self.ports_ms) for seen in self.ports),
            *(Evidence(f"probe {seen.probe.name}", seen.says, seen.ok, seen.took_ms) for seen in self.probes),
            *([_calls_evidence(self.calls, self.calls_ms)] if self.calls else []),
            *([_routes_evidence(self.routes)] if self.wanted.new_rooms else []),
        )

    def _registry_evidence(self, survey: Survey, took_ms: float) -> Evidence:
        if survey.entries is None:
            return Evidence("supervisor", survey.supervisor.says, None, took_ms)
        if self.entry is None:
            return Evidence("supervisor", "not registered", speaks_for=False, took_ms=took_ms)
        says = f"{self.entry.state}, {'wanted' if self.entry.wanted else 'not wanted'}"
        if self.entry.process:
            says += f", pid {self.entry.process.pid} started at tick {self.entry.process.start_time}"
        if self.entry.restarts:
            says += f", restarted {self.entry.restarts} times"
        if self.entry.last_error:
            says += f", last end: {self.entry.last_error}"
        return Evidence("supervisor", says, self.entry.process is not None, took_ms)

    def _kernel_evidence(self) -> Evidence:
        if self.process is None:
            return Evidence("kernel", "no such process", speaks_for=False, took_ms=self.process_ms)
        marks = f", release {self.process.release}, launch {self.process.launch_digest}" if self.process.unit else ""
        says = f"pid {self.process.id.pid} started at tick {self.process.id.start_time}{marks}"
        return Evidence("kernel", says, not self.process.suspended, self.process_ms)


def as_launched(spec: LaunchSpec, process: ProcessSeen) -> LaunchSpec:
    """What to look at for a process: the spec's ports and probes, so far as it was launched with them.

    Who runs with older settings, or as another release, has other ports than the spec, and is none the worse for it.
    """
    if process.ports is None or process.launch_digest == spec.launch_digest:
        return spec
    own = {
        port.name: attrs.evolve(port, number=process.ports[port.name])
        for port in spec.ports
        if port.name in process.ports
    }
    return attrs.evolve(
        spec,
        ports=tuple(own.values()),
        probes=tuple(attrs.evolve(probe, port=own[probe.port.name]) for probe in spec.probes if probe.port.name in own),
        calls=tuple((source, own[port.name]) for source, port in spec.calls if port.name in own),
    )


def _carries_marks(process: ProcessSeen, spec: LaunchSpec) -> bool:
    return (process.unit, process.slot) == (spec.unit, spec.slot)


def _who_serves(spec: LaunchSpec, process: ProcessSeen | None, ports: Sequence[PortSeen]) -> ProcessSeen | None:
    """The process, or who carries its marks and holds its ports: the supervisor has lost it, or cannot be asked.

    What it runs instead is a second copy, which was launched for the same ports and ends as they are busy.
    """
    for pid in {seen.owner_pid for seen in ports if seen.owner_pid} - {process.id.pid if process else 0}:
        holder = kernel.see_process(pid)
        if holder and _carries_marks(holder, spec):
            first = process is not None and holder.ports == process.ports and holder.age_s > process.age_s
            if process is None or first:
                return holder
    return process


def _port_evidence(seen: PortSeen, process: ProcessSeen | None, took_ms: float) -> Evidence:
    witness = f"port {seen.port.number}/{seen.port.protocol} ({seen.port.name})"
    if not seen.looked:
        return Evidence(witness, "the kernel does not tell its holder", None, took_ms)
    if not seen.held:
        return Evidence(witness, "nobody holds it", speaks_for=False, took_ms=took_ms)
    return Evidence(
        witness, f"held by {holder(seen)}", process is not None and seen.owner_pid == process.id.pid, took_ms
    )


def _routes_evidence(routes: RoutesSeen | None) -> Evidence:
    if routes is None:
        return Evidence("routes", "where it sends new rooms could not be asked", None, 0.0)
    return Evidence("routes", f"new rooms go to slot {routes.new_rooms}", speaks_for=True, took_ms=0.0)


def _calls_evidence(calls: CallsSeen, took_ms: float) -> Evidence:
    if calls.people is None:
        return Evidence("calls", f"unknown ({calls.source})", None, took_ms)
    return Evidence("calls", f"{calls.says} ({calls.source})", speaks_for=True, took_ms=took_ms)
