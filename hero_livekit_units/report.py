"""What was observed, as the plain data that `hlu status --json` and `livekitservice.status` give out. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hero_livekit_units.model.plain import plain

if TYPE_CHECKING:
    from hero_livekit_units.model.observed import InstanceSeen, Observed


def status_report(observed: Observed, join_url: str, looked_by: str) -> dict[str, Any]:
    """The status of the media group.

    Args:
        observed: one look at the world.
        join_url: where participants join.
        looked_by: who looked, such as "control plane, pid 12".

    Returns:
        {"units": [{"instance", "release", "wanted_release", "verdict", "because", "pid", "start_time", "age_s",
        "restarts", "ports": {name: number}, "calls": {"rooms", "people", "source"} or null, "log_file", "evidence":
        [{"witness", "says", "speaks_for", "took_ms"}], "foreign": {"process": {"pid", "start_time"} or null, "command",
        "user", "group", "session", "parents": [{"pid", "command"}], "dies_with", "calls", "age_s"} or null}],
        "supervisor": {"kind", "version", "pid", "start_time", "verdict", "says", "socket"}, "join_url", "looked_by",
        "took_ms"}. pid and start_time (clock ticks since boot) are null where no process was seen. foreign is who makes
        the verdict foreign.
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
        "foreign": plain(seen.foreign),
    }
