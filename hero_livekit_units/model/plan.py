"""A plan: steps in order, each with its reason and its effect on calls; and what was refused, with what would help."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen


class Goal(StrEnum):
    """What is wanted of the media group: that it runs, that it is only prepared to run, or that it does not run."""

    RUN = "run"
    CONFIGURE = "configure"
    STOP = "stop"


@frozen
class WriteFiles:
    """Write the files of an instance: configuration and secrets, atomically."""

    instance: str
    because: str
    effect: str = "none: files are read at the next start only"


@frozen
class Register:
    """Tell the supervisor how an instance runs."""

    instance: str
    because: str
    effect: str = "none: registering starts and restarts nothing"


@frozen
class Start:
    """Start an instance that does not run, and wait until it is ready."""

    instance: str
    because: str
    effect: str


@frozen
class Restart:
    """Replace a running process by a new one on the same ports; `idle_only`: only while nobody is in a call."""

    instance: str
    because: str
    effect: str
    idle_only: bool


@frozen
class AwaitReady:
    """Wait until an instance that is on its way up is ready."""

    instance: str
    because: str
    effect: str = "none: it only waits"


@frozen
class Stop:
    """End a running process and want it not to run.

    idle_only: only while nobody is in a call. force: kill it after the signal, as livekit-server would otherwise stay
    until the last call ends.
    """

    instance: str
    because: str
    effect: str
    idle_only: bool
    force: bool = False


Step = WriteFiles | Register | Start | Restart | AwaitReady | Stop


@frozen
class Refusal:
    """What was not planned: `because` is the reason, `possible_when` what would make it possible."""

    instance: str
    because: str
    possible_when: str


@frozen
class Note:
    """Something that a person should know and that needs no step, or gets none."""

    instance: str
    text: str


@frozen
class Plan:
    """What would be done. Empty steps and no refusals: the desired state is reached."""

    goal: Goal
    steps: tuple[Step, ...]
    refusals: tuple[Refusal, ...]
    notes: tuple[Note, ...]

    @property
    def converged(self) -> bool:
        """Whether nothing has to change."""
        return not self.steps and not self.refusals
