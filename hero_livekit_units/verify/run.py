"""One `hlu verify`: refuse, prepare, baseline, stages, tail; and clean up, whatever happens."""

from __future__ import annotations

import secrets
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import attrs

from hero_livekit_units.calls.call import SETTLE_S, Call
from hero_livekit_units.calls.extra import require_extra
from hero_livekit_units.calls.network import require_interface
from hero_livekit_units.calls.verdict import NOTED_MS
from hero_livekit_units.errors import UnitsError, VerifyRefused
from hero_livekit_units.livekit.desired import MEDIA
from hero_livekit_units.livekit.install import install
from hero_livekit_units.livekit.progress import SILENT, Reporter
from hero_livekit_units.model.plan import Allowed
from hero_livekit_units.verify import host
from hero_livekit_units.verify.daemons import OwnPlane, RunningPlane, Supervisor, plane_for
from hero_livekit_units.verify.damage import PAUSE_S, Damage, reach
from hero_livekit_units.verify.programme import Kind, Programme, Stage, places_in_rooms
from hero_livekit_units.verify.report import Outcome, Report, Restored
from hero_livekit_units.verify.wishes_kept import WishesKept

if TYPE_CHECKING:
    from collections.abc import Callable

    from hero_livekit_units.calls.verdict import ParticipantReport
    from hero_livekit_units.media import Media
    from hero_livekit_units.model.observed import Observed

_BACK_WITHIN_S = 25.0  # clients give up 15 to 25 s after they have lost their server
_JOIN_S, _JOIN_EACH_S = 30.0, 2.0
_BUSY = 0.85


class Verification:
    """One run. `notes` has what it could not leave as it was, even where the run itself ended by an exception."""

    def __init__(
        self,
        media: Media,
        programme: Programme,
        *,
        hero_proc: str | None = None,
        reporter: Reporter = SILENT,
        cleaning_up: Callable[[], None] = lambda: None,
    ) -> None:
        """Do nothing yet.

        Args:
            media: the user's units.
            programme: what is asked.
            hero_proc: its socket, None where it is in its place.
            reporter: hears what happens.
            cleaning_up: called when from now on nothing may be interrupted.
        """
        self.notes: list[str] = []
        self._media = media
        self._asked = programme
        self._hero_proc = hero_proc
        self._reporter: Reporter = _Unbreakable(reporter)
        self._cleaning_up = cleaning_up
        self._call = Call()
        self._plane: OwnPlane | RunningPlane | None = None
        self._supervisor = Supervisor(media)
        self._wishes: WishesKept | None = None
        self._joined = False
        self._restored: Restored | None = None
        self._not_put_back = ""

    def run(self) -> Report:
        """Do all of it, and leave nothing behind.

        Raises:
            VerifyRefused: it would hit somebody, or cannot be undone; nothing was done.
            RegistryUnavailable: the supervisor cannot be asked.
            UnitsError: the call could not begin, or the extra is missing.
        """
        require_extra()
        require_interface()
        before = self._refuse()
        present = host.people(before)
        kept = False
        try:
            self._prepare()
            report = self._measure(before)
            kept = self._asked.keep and all(not outcome.because for outcome in report.outcomes)
        finally:
            self._clean_up(present, kept=kept)
        return attrs.evolve(report, restored=self._restored, notes=(*report.notes, *self.notes))

    def _refuse(self) -> Observed:
        seen = host.require_units(self._media)
        if not self._asked.beside_calls:
            host.require_no_calls(seen)
        if self._asked.has(Kind.ENSURE) or self._asked.has(Kind.UPGRADE):
            found = self._media.plan()
            if found.steps or found.refusals:
                raise VerifyRefused(
                    "cannot verify that ensure changes nothing: what runs is not as media.toml wants it",
                    hint="`hlu plan` says what differs; `hlu ensure` first",
                )
        if self._asked.has(Kind.CONTROL_PLANE):
            self._plane = plane_for(self._media.places, self._hero_proc, running=self._asked.kill_running_plane)
        if self._asked.has(Kind.SUPERVISOR):
            self._supervisor.require_embedded()
        if self._asked.releases:
            self._wishes = WishesKept(self._media.places.settings_file)
        return seen

    def _prepare(self) -> None:
        """Have all that takes long before the call begins."""
        settings = self._media.settings()
        for release in self._asked.releases:
            wanted = attrs.evolve(settings, livekit=attrs.evolve(settings.livekit, version=release))
            install(self._media.catalog, wanted, self._media.places.home, reporter=self._reporter)
        if self._plane is not None:
            self._plane.start()

    def _measure(self, before: Observed) -> Report:
        asked = self._asked
        door = host.Door(self._media.places.home)
        wanted = places_in_rooms(secrets.token_hex(4), asked.rooms, asked.participants)
        seats = [door.seat(room, identity) for room, identity in wanted]
        self._reporter.task(f"{asked.participants} participants in each of {asked.rooms} rooms")
        self._joined = True
        self._call.start(seats, timeout_s=_JOIN_S + _JOIN_EACH_S * len(seats))
        began_s, processors = time.monotonic(), host.Processors()
        self._reporter.task(f"{asked.baseline_s:g} undisturbed seconds")
        self._call.listen(asked.baseline_s)
        baseline_s = time.monotonic() - began_s
        outcomes = self._stages(began_s)
        people = self._call.report()
        ended_s, busy = time.monotonic() - began_s, processors.busy()
        return Report(
            outcomes,
            people,
            host.lives(before, self._media.status()),
            began_s,
            baseline_s,
            ended_s,
            cpu_busy=busy,
            notes=_doubts(people, busy),
        )

    def _stages(self, began_s: float) -> tuple[Outcome, ...]:
        damage = Damage(
            self._media,
            self._plane,
            self._supervisor,
            self._wishes,
            allowed=frozenset({Allowed.RECONNECT} if self._asked.allow_reconnect else ()),
            reporter=self._reporter,
            pause=self._call.listen,
        )
        outcomes = []
        for number, stage in enumerate(self._asked.stages, 1):
            self._reporter.task(stage.name)
            self._call.mark(stage.name)
            stage_s = time.monotonic() - began_s
            deed = damage.do(stage)
            self._settle(stage, last=number == len(self._asked.stages))
            gap_ms = max((person.gap_since_mark_ms for person in self._call.snapshot()), default=0.0)
            outcomes.append(
                Outcome(
                    stage,
                    stage_s,
                    time.monotonic() - began_s,
                    deed.done,
                    deed.because,
                    tuple(at_s - began_s for at_s in deed.at_s),
                    deed.changed,
                    gap_ms,
                    tuple(deed.notes),
                )
            )
        return tuple(outcomes)

    def _settle(self, stage: Stage, *, last: bool) -> None:
        """Let what the stage has done show, and people come back who are on their way."""
        undisturbed_s = self._asked.baseline_s if stage.kind is Kind.UNDISTURBED else 0.0
        self._call.listen(max(undisturbed_s, SETTLE_S if last else PAUSE_S))
        if not _all_hear(self._call.snapshot()):
            self._reporter.task("waiting for people to come back")
            self._call.wait_until(_all_hear, timeout_s=_BACK_WITHIN_S)
            self._call.listen(PAUSE_S)

    def _clean_up(self, present: int | None, *, kept: bool) -> None:
        """Put everything back. Each part is done whatever became of the others; the last one first."""
        self._cleaning_up()
        changed = self._wishes is not None and self._wishes.is_changed and not kept
        with ExitStack() as parts:
            if changed:
                parts.callback(self._restore)
            parts.callback(self._see_rooms_empty, present)
            parts.callback(self._bring_back)
            if self._plane is not None:
                parts.callback(self._plane.end)
            parts.callback(self._call.stop)
            self._put_back(kept=kept)
            self._reporter.task("cleaning up")

    def _put_back(self, *, kept: bool) -> None:
        if self._wishes is not None and kept:
            self._wishes.forget()
        elif self._wishes is not None:
            self._not_put_back = self._wishes.put_back()

    def _bring_back(self) -> None:
        try:
            self._supervisor.bring_back()
        except UnitsError as error:
            self.notes.append(str(error))

    def _see_rooms_empty(self, present: int | None) -> None:
        if not self._joined:
            return
        self._reporter.task("until everybody of this run is seen to have left")
        if crowded := host.wait_until_left(self._media, present):
            self.notes.append(crowded)

    def _restore(self) -> None:
        """What ran before runs again, where media.toml says so again."""
        because = self._not_put_back
        if not because:
            self._reporter.task(f"what {MEDIA} was before")
            try:
                because = reach(self._media, self._reporter)
            except UnitsError as error:
                because = str(error)
        self._restored = Restored(settings=not self._not_put_back, converged=not because, because=because)
        if because:
            self.notes.append(f"`hlu ensure` is needed: {because}")


class _Unbreakable:
    """A reporter that goes on where nobody listens: the terminal may be gone, and there is much to put back."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def task(self, name: str) -> None:
        with suppress(OSError, ValueError):
            self._reporter.task(name)

    def progress(self, done_bytes: int, total: int | None, text: str) -> None:
        with suppress(OSError, ValueError):
            self._reporter.progress(done_bytes, total, text)


def _all_hear(people: tuple[ParticipantReport, ...]) -> bool:
    """Whether everybody who can still be heard is; who is gone for good is not waited for."""
    if any(person.failure or person.disconnects for person in people):
        return all(person.failure or person.disconnects or person.hears_at_end for person in people)
    return not any(person.unheard for person in people)


def _doubts(people: tuple[ParticipantReport, ...], busy: float) -> tuple[str, ...]:
    """Where something else may have been heard than what was done."""
    host_busy = f"the processors of this host were {busy:.0%} busy meanwhile: gaps may come from that alone"
    own = tuple(
        f"{person.identity} in {person.room} stood still for {person.stall_ms:.0f} ms itself: a gap of about that"
        " length may be the measurement's own"
        for person in people
        if person.stall_ms > NOTED_MS
    )
    return (host_busy, *own) if busy > _BUSY else own
