"""An examination from beginning to end.

It is made at the supervisor at hand where its units can be taken out again, and at a second one of the same program for
what media could not survive.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hero_livekit_units.doctor.client import OtherProcess
from hero_livekit_units.doctor.examine import examine, examine_adoption
from hero_livekit_units.doctor.report import Finding, Report, keep, kept
from hero_livekit_units.doctor.twin import NoTwin, Twin
from hero_livekit_units.doctor.ward import ward
from hero_livekit_units.errors import ExaminationFailed, RegistryUnavailable
from hero_livekit_units.execute.lock import acting_lock
from hero_livekit_units.model.ability import Ability
from hero_livekit_units.model.observed import Verdict
from hero_livekit_units.registry.hero_proc import HeroProcRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hero_livekit_units.model.observed import SupervisorSeen
    from hero_livekit_units.registry.port import Registry

_LOCK, _LOCK_WAIT_S = ".doctor.lock", 60.0
_AT_TWIN = "at a second one: "


def doctor(
    registry: Registry, home: Path, *, again: bool = False, says: Callable[[str], None] = lambda _: None
) -> Report:
    """Examine a supervisor, or tell what was found when this very one was examined. See `Media.doctor`."""
    with acting_lock(home, timeout_s=_LOCK_WAIT_S, name=_LOCK):
        supervisor = registry.survey([]).supervisor
        if supervisor.verdict is not Verdict.HEALTHY:
            raise RegistryUnavailable("system.ping", supervisor.says)
        if not again and (before := kept(home, supervisor)) is not None:
            return before
        at_s, began = time.time(), time.monotonic()
        # What is proved at one moment of a supervisor that changes meanwhile is proved of none.
        findings = _findings(registry, home, supervisor, says)
        if registry.survey([]).supervisor.process != supervisor.process:
            raise ExaminationFailed("another supervisor answers than at the beginning", hint="try again")
        process = supervisor.process
        report = Report(
            kind=supervisor.kind,
            version=supervisor.version,
            pid=process.pid if process else 0,
            start_time=process.start_time if process else 0,
            at_s=at_s,
            took_s=round(time.monotonic() - began, 3),
            findings=tuple(findings),
        )
        keep(report, home)
        return report


def _findings(registry: Registry, home: Path, supervisor: SupervisorSeen, says: Callable[[str], None]) -> list[Finding]:
    pid = supervisor.process.pid if supervisor.process else 0
    if isinstance(registry, HeroProcRegistry):
        registry.check_forgets()
        with _folder() as folder, ward(registry, folder, registry.forget) as units:
            found = examine(units, partial(OtherProcess, supervisor.socket, home), pid, says)
        return [*found, *_at_twin(supervisor, says, adoption_alone=True)]
    # What zinit has had it cannot forget without harm to others: nothing of this is tried out on the one at hand.
    return _at_twin(supervisor, says, adoption_alone=False)


def _at_twin(supervisor: SupervisorSeen, says: Callable[[str], None], *, adoption_alone: bool) -> list[Finding]:
    says("a second supervisor of the same program is started, in a folder of its own")
    with _folder() as folder:
        try:
            twin = Twin(supervisor, folder)
            try:
                twin.start()
                return _seen_at(twin, says, folder, adoption_alone=adoption_alone)
            finally:
                twin.close()
        except NoTwin as reason:
            missed = [Ability.ADOPTS] if adoption_alone else list(Ability)
            return [Finding(ability, None, f"not looked at: {reason}") for ability in missed]


def _seen_at(twin: Twin, says: Callable[[str], None], folder: Path, *, adoption_alone: bool) -> list[Finding]:
    def crash() -> None:
        twin.kill()
        twin.start()

    found = []
    units_folder = folder / "units"
    units_folder.mkdir()
    with ward(twin.registry, units_folder, None) as units:
        if not adoption_alone:
            process = twin.registry.survey([]).supervisor.process
            found += examine(units, partial(OtherProcess, twin.socket, twin.home), process.pid if process else 0, says)
        found.append(examine_adoption(units, crash, says))
    return [Finding(one.ability, one.holds, _AT_TWIN + one.says) for one in found]


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    found = Path(tempfile.mkdtemp(prefix="hlu-doctor-"))
    try:
        yield found
    finally:
        shutil.rmtree(found, ignore_errors=True)
