"""Does one stage of the programme, while the call lasts."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, assert_never

from attrs import define, field

from hero_livekit_units.errors import UnitsError
from hero_livekit_units.livekit.desired import MEDIA
from hero_livekit_units.livekit.progress import SILENT, Reporter
from hero_livekit_units.model.observed import Verdict
from hero_livekit_units.verify.programme import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from hero_livekit_units.media import Media
    from hero_livekit_units.model.plan import Allowed, Step
    from hero_livekit_units.model.receipt import Receipt
    from hero_livekit_units.verify.daemons import OwnPlane, RunningPlane, Supervisor
    from hero_livekit_units.verify.programme import Stage
    from hero_livekit_units.verify.wishes_kept import WishesKept

PAUSE_S = 1.0  # after each kill: a gap is to be told from the next one's
_AT_ONCE = 8  # ensures
_REACHED_WITHIN_S = 120.0
_LOOK_AGAIN_S = 1.0


@define
class Deed:
    """What was done: how often, when (monotonic seconds), and `because` why not more; `changed` counts ensures."""

    done: int = 0
    because: str = ""
    at_s: list[float] = field(factory=list)
    changed: int = 0
    notes: list[str] = field(factory=list)


class Told:
    """A Progress of an ensure, told to a reporter."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def step(self, step: Step) -> None:
        """A step begins."""
        self._reporter.task(f"{step.action} {step.instance}: {step.because}")

    def waiting(self, instance: str, what: str) -> None:
        """It is still being waited for."""
        self._reporter.progress(0, None, f"waiting for {instance}: {what}")


class Damage:
    """What may be done to this host."""

    def __init__(
        self,
        media: Media,
        plane: OwnPlane | RunningPlane | None,
        supervisor: Supervisor,
        wishes: WishesKept | None,
        *,
        allowed: frozenset[Allowed] = frozenset(),
        reporter: Reporter = SILENT,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Do nothing yet.

        Args:
            media: the units of this host.
            plane: the control plane to kill, None where none is.
            supervisor: the hero_proc to kill.
            wishes: media.toml, None where nothing is upgraded.
            allowed: what an upgrade may do to people in calls.
            reporter: hears how far it is.
            pause: lets seconds pass.
        """
        self._media = media
        self._plane = plane
        self._supervisor = supervisor
        self._wishes = wishes
        self._allowed = allowed
        self._reporter = reporter
        self._pause = pause
        self._stuck = ""

    def do(self, stage: Stage) -> Deed:
        """Do a stage. What stops it is in the deed, and no exception."""
        deed = Deed()
        try:
            self._do(stage, deed)
        except UnitsError as error:
            deed.because = _in_words(error)
        return deed

    def _do(self, stage: Stage, deed: Deed) -> None:
        match stage.kind:
            case Kind.UNDISTURBED:
                deed.done = 1
            case Kind.CONTROL_PLANE:
                if self._plane is None:
                    raise AssertionError("a control plane to kill was looked for before")
                self._crash(stage, deed, self._plane.crash)
            case Kind.SUPERVISOR:
                self._crash(stage, deed, self._supervisor.crash)
            case Kind.ENSURE:
                self._storm(stage, deed)
            case Kind.UPGRADE:
                self._upgrade(stage, deed)
            case _:
                assert_never(stage.kind)

    def _crash(self, stage: Stage, deed: Deed, crash: Callable[[], None]) -> None:
        for number in range(1, stage.times + 1):
            self._reporter.progress(0, None, f"{number} of {stage.times}")
            deed.at_s.append(time.monotonic())
            crash()
            deed.done += 1
            self._pause(PAUSE_S)

    def _storm(self, stage: Stage, deed: Deed) -> None:
        reasons: dict[str, None] = {}
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ensure")
        try:
            for future in as_completed([pool.submit(self._media.ensure) for _ in range(stage.times)]):
                try:
                    receipt = future.result()
                except UnitsError as error:
                    reasons[_in_words(error)] = None
                    continue
                deed.done += 1
                deed.changed += receipt.changed
                for refusal in receipt.refusals:
                    reasons[f"refused: {refusal.instance}: {refusal.because}"] = None
                self._reporter.progress(0, None, f"{deed.done} of {stage.times}")
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        if deed.changed:
            reasons[f"{deed.changed} of them changed something"] = None
        deed.because = "; ".join(reasons)

    def _upgrade(self, stage: Stage, deed: Deed) -> None:
        if self._wishes is None:
            raise AssertionError("the user's wishes are kept before an upgrade")
        if self._stuck:
            deed.because = f"not tried, as {self._stuck} was not reached"
            return
        self._stuck = stage.release
        deed.at_s.append(time.monotonic())
        self._wishes.about_to_change()
        self._media.set("livekit.version", stage.release)
        self._wishes.changed()
        deed.because = reach(
            self._media,
            self._reporter,
            allowed=self._allowed,
            release=stage.release,
            notes=deed.notes,
            pause=self._pause,
        )
        if not deed.because:
            deed.done, self._stuck = 1, ""


def reach(
    media: Media,
    reporter: Reporter,
    *,
    allowed: frozenset[Allowed] = frozenset(),
    release: str = "",
    notes: list[str] | None = None,
    within_s: float = _REACHED_WITHIN_S,
    pause: Callable[[float], None] = time.sleep,
) -> str:
    """`ensure` until all is as wanted; why it is not, or "".

    Args:
        media: the units.
        reporter: hears each step.
        allowed: what is accepted for people in calls.
        release: of the media; where it serves new rooms and the old one only waits for its last call, that is enough.
        notes: gets what is still waited for then.
        within_s: seconds until which it must be reached.
        pause: lets seconds pass.

    Raises:
        StepFailed, StepTimedOut, RegistryError: as `ensure`.
    """
    until_s = time.monotonic() + within_s
    while True:
        receipt = media.ensure(allowed=allowed, progress=Told(reporter))
        if receipt.refusals:
            return "refused: " + "; ".join(f"{item.instance}: {item.because}" for item in receipt.refusals)
        if receipt.converged:
            return ""
        waits = [f"{wait.instance}: {wait.because}, until {wait.until}" for wait in receipt.waits]
        if receipt.waits and all(wait.seconds is None for wait in receipt.waits):
            if not release or not _serves(receipt, release):
                return f"had to wait: {'; '.join(waits)}"
            if notes is not None:
                notes += waits
            return ""
        if time.monotonic() >= until_s:
            return f"not reached within {within_s:g} s" + (f": {'; '.join(waits)}" if waits else "")
        pause(_LOOK_AGAIN_S)


def _serves(receipt: Receipt, release: str) -> bool:
    return any(
        state.instance.partition("@")[0] == MEDIA and state.release == release and state.verdict is Verdict.HEALTHY
        for state in receipt.after
    )


def _in_words(error: UnitsError) -> str:
    return f"{error} (hint: {error.hint})" if error.hint else str(error)
