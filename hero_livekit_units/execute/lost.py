"""What a supervisor has lost and will not find again: ended by its identity, never by its name, as nobody else can."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from hero_livekit_units.errors import EntryNotFound, PlanStale, StepFailed, StepTimedOut
from hero_livekit_units.model.plan import Action
from hero_livekit_units.plan.slots import is_lost
from hero_livekit_units.procfs import lives, start_time_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import InstanceSeen, ProcessId, SupervisorSeen
    from hero_livekit_units.model.plan import Step
    from hero_livekit_units.registry.port import Registry

_LOOK_AGAIN_S = 0.02
_LONGEST_END_S = 30.0  # an end that is waited for; nobody is in what is ended like this
_KILLED_S = 2.0
_ENDABLE = frozenset({Action.RESTART, Action.STOP, Action.KILL})


class Kernel:
    """Signals to a process by its identity."""

    def send(self, process: ProcessId, name: str) -> None:
        """Send a signal of this name to this very process; to one that is gone, nothing.

        Raises:
            StepFailed: it belongs to somebody else.
        """
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return
        try:
            # The descriptor holds whoever has the pid now; the start time says whether that is who was meant.
            if start_time_of(process.pid) == process.start_time:
                signal.pidfd_send_signal(descriptor, signal.Signals[name])
        except ProcessLookupError:
            return
        except PermissionError as error:
            raise StepFailed(
                f"end pid {process.pid}", str(error.strerror), hint="ask as its user, or as root"
            ) from error
        finally:
            os.close(descriptor)

    def lives(self, process: ProcessId) -> bool:
        """Whether it has not ended."""
        return lives(process.pid, process.start_time)


KERNEL = Kernel()


class Orphans:
    """Ends what the supervisor has lost.

    Args:
        registry: the supervisor, which has a copy of it or none.
        kernel: who sends the signal.
        clock, sleep: seconds of the kernel's monotonic clock, and to let them pass.
    """

    def __init__(
        self, registry: Registry, kernel: Kernel, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._registry = registry
        self._kernel = kernel
        self._clock = clock
        self._sleep = sleep

    def which(self, seen: InstanceSeen, supervisor: SupervisorSeen) -> ProcessId | None:
        """The process that the supervisor has lost, None for one that it has, or may find again."""
        return seen.process.id if seen.process and is_lost(seen, supervisor) else None

    def quiet(self, step: Step, spec: LaunchSpec, lost: ProcessId | None) -> str:
        """Have the supervisor end its copy, and start no other; what was done, in words.

        Raises:
            PlanStale: it has lost nothing.
        """
        if lost is None:
            raise PlanStale(f"{step.action} {step.instance}", ["the supervisor has it again"])
        self._want_none(spec)
        return "its copy is not wanted any more"

    def end(self, step: Step, spec: LaunchSpec, lost: ProcessId, signalling: AbstractContextManager[None]) -> None:
        """Do to it what the step says of what the supervisor has.

        Raises:
            PlanStale: the supervisor has lost it since, and the step is none that can be done then.
            StepTimedOut: it was asked to end, and lives.
            StepFailed, RegistryError: it cannot be reached, or the supervisor cannot be.
        """
        if step.action not in _ENDABLE:
            raise PlanStale(f"{step.action} {step.instance}", ["the supervisor has lost it since"])
        self._want_none(spec)
        if step.action is Action.KILL:
            self._kernel.send(lost, "SIGKILL")
            return
        with signalling:
            self._kernel.send(lost, spec.stop.signal)
        if step.action is Action.RESTART:
            self._await_end(spec, lost)
            self._registry.start(spec.instance)

    def _want_none(self, spec: LaunchSpec) -> None:
        with suppress(EntryNotFound):
            self._registry.stop(spec.instance)

    def _await_end(self, spec: LaunchSpec, lost: ProcessId) -> None:
        """Wait for its end: what comes after it needs its ports."""
        until = self._clock() + min(spec.stop.window_s, _LONGEST_END_S)
        killed = False
        while self._kernel.lives(lost):
            if self._clock() >= until:
                if killed or not spec.stop.kill_after_window:
                    raise StepTimedOut(f"end {spec.instance}", f"pid {lost.pid} was asked to end, and lives")
                self._kernel.send(lost, "SIGKILL")
                killed, until = True, self._clock() + _KILLED_S
            self._sleep(_LOOK_AGAIN_S)
