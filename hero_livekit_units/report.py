"""What was observed, as the plain data that `hlu status --json` and `livekitservice.status` give out. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hero_livekit_units.model.plain import plain

if TYPE_CHECKING:
    from hero_livekit_units.model.drain import DrainSeen
    from hero_livekit_units.model.observed import InstanceSeen, Observed


def status_report(observed: Observed, join_url: str, looked_by: str) -> dict[str, Any]:
    """The status of the media group.

    Args:
        observed: one look at the world.
        join_url: where participants join.
        looked_by: who looked, such as "control plane, pid 12".

    Returns:
        {"units": [{"instance", "release", "wanted_release", "verdict", "because", "pid", "start_time", "age_s",
        "restarts", "ports": {name: number}, "calls": {"rooms", "people", "source", "longest_s", "lonely"} or null,
        "log_file", "evidence": [{"witness", "says", "speaks_for", "took_ms"}], "drain": {"by", "since_s", "for_s",
        "left_s", "then", "idle_room_s", "asked", "announced", "signal"} or null, "foreign": {"process": {"pid",
        "start_time"} or null, "command", "user", "group", "session", "parents": [{"pid", "command"}], "dies_with",
        "calls", "age_s"} or null}], "supervisor": {"kind", "version", "pid", "start_time", "verdict", "says",
        "socket", "lacks": [what `hlu doctor` has missed, by name] or null for not examined}, "join_url", "looked_by",
        "took_ms"}. pid and start_time (clock ticks since boot) are null where no process was seen. foreign is who
        makes the verdict foreign. drain: see `model.drain`; for_s and left_s are seconds from now, left_s is null
        without a deadline.
    """
    supervisor = observed.supervisor
    return {
        "units": [_unit(seen) for seen in observed.instances],
        "supervisor": {
            "kind": supervisor.kind,
            "version": supervisor.version,
            "pid": supervisor.process.pid if supervisor.process else None,
            "start_time": supervisor.process.start_time if supervisor.process else None,
            "verdict": supervisor.verdict.value,
            "says": supervisor.says,
            "socket": supervisor.socket,
            "lacks": None if supervisor.lacks is None else sorted(ability.value for ability in supervisor.lacks),
        },
        "join_url": join_url,
        "looked_by": looked_by,
        "took_ms": round(observed.took_ms, 3),
    }


def _unit(seen: InstanceSeen) -> dict[str, Any]:
    process = seen.process
    return {
        "instance": seen.spec.instance,
        "release": process.release if process else "",
        "wanted_release": seen.spec.release,
        "verdict": seen.verdict.value,
        "because": seen.because,
        "pid": process.id.pid if process else None,
        "start_time": process.id.start_time if process else None,
        "age_s": round(process.age_s, 2) if process else None,
        "restarts": seen.entry.restarts if seen.entry else None,
        "ports": {port.name: port.number for port in seen.spec.ports},
        "calls": plain(seen.calls),
        "log_file": seen.entry.log_file if seen.entry else "",
        "evidence": plain(seen.evidence),
        "drain": _drain(seen.drain) if seen.drain else None,
        "foreign": plain(seen.foreign),
    }


def _drain(seen: DrainSeen) -> dict[str, Any]:
    drain = seen.drain
    return {
        "by": drain.by,
        "since_s": drain.since_s,
        "for_s": seen.for_s,
        "left_s": seen.left_s,
        "then": drain.then.value,
        "idle_room_s": drain.idle_room_s,
        "asked": drain.asked,
        "announced": drain.announced,
        "signal": drain.signal.value,
    }
