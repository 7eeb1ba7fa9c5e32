"""What the doctor found, as plain data, and kept for as long as the same supervisor answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import frozen

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.model.ability import MEANINGS, Ability

if TYPE_CHECKING:
    from pathlib import Path

    from hero_livekit_units.model.observed import SupervisorSeen

FILE = "doctor.json"  # in the home of the package
_FORMAT = 1
_LARGEST = 64 * 1024
_UNSHAPED = (KeyError, TypeError, ValueError, AttributeError, RecursionError)


@frozen
class Finding:
    """What was seen of an ability. holds: None where it could not be looked at; `says` is why, or what was seen."""

    ability: Ability
    holds: bool | None
    says: str


@frozen
class Report:
    """An examination of one supervisor.

    kind, version, pid, start_time: whose; start_time is in clock ticks since boot. at_s: seconds since the epoch.
    took_s: seconds. findings: one for each ability, in their order.
    """

    kind: str
    version: str
    pid: int
    start_time: int
    at_s: float
    took_s: float
    findings: tuple[Finding, ...]

    @property
    def lacks(self) -> frozenset[Ability]:
        """What the supervisor was seen not to do."""
        return frozenset(found.ability for found in self.findings if found.holds is False)

    def is_of(self, supervisor: SupervisorSeen) -> bool:
        """Whether it is about this very supervisor: same kind, version, pid and start."""
        process = supervisor.process
        who = (process.pid, process.start_time) if process else None
        return (self.kind, self.version, (self.pid, self.start_time)) == (supervisor.kind, supervisor.version, who)


def as_data(report: Report) -> dict[str, Any]:
    """A report as plain data.

    Returns:
        {"format": 1, "supervisor": {"kind", "version", "pid", "start_time"}, "at_s", "took_s", "well", "checks":
        [{"ability", "asks", "holds": true, false or null for not looked at, "says", "disables": "" where it holds}]}.
        at_s is in seconds since the epoch, start_time in clock ticks since boot. well: nothing was seen to be missing.
    """
    return {
        "format": _FORMAT,
        "supervisor": {
            "kind": report.kind,
            "version": report.version,
            "pid": report.pid,
            "start_time": report.start_time,
        },
        "at_s": report.at_s,
        "took_s": report.took_s,
        "well": not report.lacks,
        "checks": [
            {
                "ability": found.ability.value,
                "asks": MEANINGS[found.ability].asks,
                "holds": found.holds,
                "says": found.says,
                "disables": MEANINGS[found.ability].disables if found.holds is False else "",
            }
            for found in report.findings
        ],
    }


def keep(report: Report, home: Path) -> None:
    """Keep it in place of the one before.

    Raises:
        StepFailed: it could not be written.
    """
    write_atomically(home / FILE, json.dumps(as_data(report), indent=2) + "\n", 0o600)


def kept(home: Path, supervisor: SupervisorSeen) -> Report | None:
    """The report about this very supervisor, None where none is kept that can be read."""
    if supervisor.process is None:
        return None
    try:
        with (home / FILE).open("rb") as file:
            report = _read(json.loads(file.read(_LARGEST)))
    except (OSError, *_UNSHAPED):
        return None
    return report if report.is_of(supervisor) else None


def lacks_of(home: Path, supervisor: SupervisorSeen) -> frozenset[Ability] | None:
    """What this very supervisor was seen not to do, None where it was not examined."""
    report = kept(home, supervisor)
    return report.lacks if report else None


def _read(data: Any) -> Report:
    if data["format"] != _FORMAT:
        raise ValueError("of another release of the package")
    who = data["supervisor"]
    findings = [Finding(Ability(row["ability"]), row["holds"], str(row["says"])) for row in data["checks"]]
    return Report(
        kind=who["kind"],
        version=who["version"],
        pid=who["pid"],
        start_time=who["start_time"],
        at_s=float(data["at_s"]),
        took_s=float(data["took_s"]),
        findings=tuple(findings),
    )
