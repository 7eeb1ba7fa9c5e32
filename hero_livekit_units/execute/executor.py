"""Does the steps of a plan: check what a step needs, act, wait for what it is to bring about."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, assert_never

from hero_livekit_units.definitions.render import file_text
from hero_livekit_units.errors import StepFailed, StepTimedOut
from hero_livekit_units.execute.files import write_atomically
from hero_livekit_units.livekit.keys import ensure_secrets
from hero_livekit_units.model.observed import Verdict
from hero_livekit_units.model.plan import AwaitReady, Register, Restart, Start, Step, Stop, WriteFiles
from hero_livekit_units.model.receipt import StepDone
from hero_livekit_units.observe.files import files_that_differ

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import InstanceSeen, Observed
    from hero_livekit_units.registry.port import Registry

_LOOK_AGAIN_S = 0.02
_LOOK_AGAIN_AT_MOST_S = 0.25


class Progress(Protocol):
    """Hears what happens while it happens."""

    def step(self, step: Step) -> None:
        """A step begins."""

    def waiting(self, instance: str, what: str) -> None:
        """It is still being waited for; `what` is the latest verdict in words."""


class Silent:
    """A Progress that keeps quiet."""

    def step(self, step: Step) -> None:
        """Say nothing."""

    def waiting(self, instance: str, what: str) -> None:
        """Say nothing."""


class Executor:
    """Acts through the registry. The caller holds the acting lock."""

    def __init__(
        self, registry: Registry, observe: Callable[[Sequence[LaunchSpec]], Observed], progress: Progress
    ) -> None:
        self._registry = registry
        self._observe = observe
        self._progress = progress

    def do(self, step: Step, spec: LaunchSpec) -> StepDone:
        """Do one step for the instance of `spec`.

        Raises:
            StepFailed: it could not be done, or its precondition no longer holds; the world is as it was.
            StepTimedOut: it was done, but what it should bring about did not show in time.
            RegistryError: the supervisor could not be asked or said no.
        """
        began = time.monotonic()
        self._progress.step(step)
        outcome = self._act(step, spec)
        return StepDone(step, outcome, (time.monotonic() - began) * 1000)

    def _act(self, step: Step, spec: LaunchSpec) -> str:
        match step:
            case WriteFiles():
                return self._write(spec)
            case Register():
                return "registered" if self._registry.register(spec) else "was registered like this already"
            case Start():
                self._check_files(spec, "start")
                self._registry.start(spec.instance)
                return self._ready(spec)
            case Restart():
                return self._restart(spec, idle_only=step.idle_only)
            case AwaitReady():
                return self._ready(spec)
            case Stop():
                return self._stop(spec, idle_only=step.idle_only, force=step.force)
            case _:
                assert_never(step)

    def _write(self, spec: LaunchSpec) -> str:
        secrets = ensure_secrets(self._registry)
        for file in spec.files:
            write_atomically(Path(file.path), file_text(file, secrets), file.mode)
        return f"wrote {', '.join(file.path for file in spec.files)}"

    def _check_files(self, spec: LaunchSpec, verb: str) -> None:
        """No program starts on files with other secrets than the supervisor holds: that was the 401 of the past."""
        differ = files_that_differ(spec, ensure_secrets(self._registry))
        if differ is None or differ:
            what = f"{', '.join(differ)} changed since it was written" if differ else "its files cannot be read"
            raise StepFailed(f"{verb} {spec.instance}", what, hint="ensure again; it writes them anew")

    def _restart(self, spec: LaunchSpec, *, idle_only: bool) -> str:
        self._check_files(spec, "restart")
        before = self._look(spec)
        self._may_end(before, idle_only=idle_only)
        self._registry.restart(spec.instance)
        return self._ready(spec, unlike=before)

    def _stop(self, spec: LaunchSpec, *, idle_only: bool, force: bool) -> str:
        before = self._look(spec)
        self._may_end(before, idle_only=idle_only)
        self._registry.stop(spec.instance)
        if force:
            self._registry.kill(spec.instance)
        window_s = min(spec.stop.window_s, 30.0) + spec.stop.minimum_age_s
        self._until(spec, lambda seen: seen.process is None and seen.verdict is not Verdict.UNKNOWN, "end", window_s)
        return "ended"

    def _may_end(self, seen: InstanceSeen, *, idle_only: bool) -> None:
        """The precondition is looked at in the very moment of acting, as people join at any time."""
        if not idle_only:
            return
        people = seen.calls.people if seen.calls else None
        if people is None:
            raise StepFailed(f"end {seen.spec.instance}", "who is in a call is unknown now", hint="ensure again later")
        if people:
            raise StepFailed(
                f"end {seen.spec.instance}", f"{people} people are in a call now", hint="ensure again later"
            )

    def _ready(self, spec: LaunchSpec, unlike: InstanceSeen | None = None) -> str:
        old = unlike.process.id if unlike and unlike.process else None
        window_s = spec.restart.ready_within_s + (spec.stop.window_s if old and spec.stop.kill_after_window else 0.0)

        def ready(seen: InstanceSeen) -> bool:
            return (
                seen.verdict is Verdict.HEALTHY and seen.owned and seen.process is not None and seen.process.id != old
            )

        seen = self._until(spec, ready, "be ready", window_s)
        return f"ready as pid {seen.process.id.pid}" if seen.process else "ready"

    def _until(
        self, spec: LaunchSpec, reached: Callable[[InstanceSeen], bool], what: str, window_s: float
    ) -> InstanceSeen:
        until = time.monotonic() + window_s
        pause_s = _LOOK_AGAIN_S
        while True:
            seen = self._look(spec)
            if reached(seen):
                return seen
            if seen.verdict is Verdict.FOREIGN:
                raise StepFailed(
                    f"see {spec.instance} {what}", seen.because, hint="nothing of that process was touched"
                )
            if time.monotonic() >= until:
                raise StepTimedOut(f"see {spec.instance} {what} within {window_s:g} s", _why(seen), hint=_where(seen))
            self._progress.waiting(spec.instance, seen.because)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LOOK_AGAIN_AT_MOST_S)

    def _look(self, spec: LaunchSpec) -> InstanceSeen:
        return self._observe([spec]).instances[0]


def _why(seen: InstanceSeen) -> str:
    last = seen.entry.last_error if seen.entry else ""
    return f"{seen.because}; its last end: {last}" if last and last not in seen.because else seen.because


def _where(seen: InstanceSeen) -> str:
    return f"its log: {seen.entry.log_file}" if seen.entry and seen.entry.log_file else ""
