"""A plan: waves of steps, each with its reason, its effect on calls and what must hold when it is done.

Beside the steps stand the ways that were passed over, what was refused, and what has to be waited for.
"""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

from hero_livekit_units.model.observed import ProcessId, Verdict


class Goal(StrEnum):
    """What is wanted of the media group.

    run: that it runs. configure: that it is only prepared to run. drain: that what is drained comes to its end, and
    nothing else. stop: that it does not run.
    """

    RUN = "run"
    CONFIGURE = "configure"
    DRAIN = "drain"
    STOP = "stop"


class Allowed(StrEnum):
    """What the user allows by name.

    For people in calls: reconnect, their clients lose the sound for a second and come back by themselves; drain, nobody
    can join while the last calls end; drop, they are cut off (counts for STOP only). retry: what failed when it was
    started beside a slot that serves is started once more.
    """

    RECONNECT = "reconnect"
    DRAIN = "drain"
    DROP = "drop"
    RETRY = "retry"


class Action(StrEnum):
    """What a step does.

    write-files: configuration and secrets that are read at a start, atomically. register: tell the supervisor how an
    instance runs. update: write what programs read while they run, which takes effect at once; so joins are sent to
    another slot. drain: record that it ends with its last room, since when and on whose word. announce: tell its rooms.
    end-rooms: end rooms with one in them. cancel-drain: forget that record. record-failure: note that a launch failed,
    so that nobody tries it again unasked. quiet: have the supervisor end its useless copy of what it has lost. start:
    one that does not run. await-ready: wait for one on its way up. restart: ask it to end, and start it again. swap:
    kill it and start it at once on the same ports. stop: ask it to end, and want it not to run. kill: the same without
    asking, so that clients come back instead of leaving for good.
    """

    WRITE_FILES = "write-files"
    REGISTER = "register"
    UPDATE = "update"
    DRAIN = "drain"
    ANNOUNCE = "announce"
    END_ROOMS = "end-rooms"
    CANCEL = "cancel-drain"
    RECORD_FAILURE = "record-failure"
    QUIET = "quiet"
    START = "start"
    AWAIT_READY = "await-ready"
    RESTART = "restart"
    SWAP = "swap"
    STOP = "stop"
    KILL = "kill"


# What changes nothing that runs.
PREPARING = frozenset({Action.WRITE_FILES, Action.REGISTER, Action.RECORD_FAILURE})
# What ends a process. Nothing of this follows from what is unknown.
ENDING = frozenset({Action.RESTART, Action.SWAP, Action.STOP, Action.KILL})


class Way(StrEnum):
    """How an instance gets from what runs to what should run, from the gentlest to the harshest."""

    NOTHING = "nothing"
    LIVE = "live"
    TWO_SLOT = "two-slot"
    IDLE_SWAP = "idle-swap"
    MOVE = "move"
    SWAP = "swap"
    DRAIN = "drain"


class Interruption(StrEnum):
    """What calls notice. joins-wait: new joins wait for a moment. joins-refused: nobody new gets in."""

    NONE = "none"
    JOINS_WAIT = "joins-wait"
    JOINS_REFUSED = "joins-refused"
    RECONNECT = "reconnect"
    DROP = "drop"


@frozen
class Effect:
    """What a step does to calls.

    rooms, people: how many it hits, None where that is unknown. seconds: how long each of them notices it, None for
    good or for as long as calls last. says: the same in words.
    """

    kind: Interruption
    says: str
    rooms: int | None = 0
    people: int | None = 0
    seconds: float | None = 0.0


@frozen
class Needs:
    """What must hold in the moment of acting. None leaves it open.

    process: the very process that the plan is about. absent: no process. people_at_most: in its calls; an unknown
    count is more than any number. entry_digest: what the supervisor holds, "" for nothing.
    """

    process: ProcessId | None = None
    absent: bool = False
    people_at_most: int | None = None
    entry_digest: str | None = None


@frozen
class Step:
    """One thing to do to one instance; `digest` is that of the LaunchSpec it is done by.

    rooms: names of rooms that are forgotten by an update, so that their next meeting is a new room; of those with one
    in them, at the record of a drain; of those that are ended. to: the instance on which the rooms of one that is
    killed come up again, "" for none.
    """

    action: Action
    instance: str
    digest: str
    because: str
    effect: Effect
    needs: Needs = Needs()
    rooms: tuple[str, ...] = ()
    to: str = ""


@frozen
class Wave:
    """Steps that do not need each other. The next wave needs all of them."""

    steps: tuple[Step, ...]


@frozen
class PassedOver:
    """A gentler way than the one that was chosen, and why it was not possible."""

    way: Way
    because: str


@frozen
class Choice:
    """The way that was chosen for an instance, None where none is open, and the gentler ones."""

    instance: str
    way: Way | None
    because: str
    passed_over: tuple[PassedOver, ...] = ()


@frozen
class Refusal:
    """What was not planned: `because` is the reason, `possible_when` what would make it possible."""

    instance: str
    because: str
    possible_when: str


@frozen
class Wait:
    """What comes by itself: `until` says when the rest can be done.

    seconds: how long at most, None where people decide.
    """

    instance: str
    because: str
    until: str
    seconds: float | None = None


@frozen
class Note:
    """Something that a person should know and that needs no step, or gets none."""

    instance: str
    text: str


@frozen
class InstanceState:
    """An instance at one moment; `people` is None when it could not be counted or it carries no calls.

    entry_digest: what the supervisor holds of it, "" for nothing or where it could not be asked.
    """

    instance: str
    verdict: Verdict
    because: str
    release: str
    process: ProcessId | None
    rooms: int | None
    people: int | None
    entry_digest: str


@frozen
class Plan:
    """What would be done.

    slot: where new rooms go when it is done. world: what it was made from. All empty but these: the goal is reached.
    """

    goal: Goal
    slot: str
    waves: tuple[Wave, ...]
    choices: tuple[Choice, ...]
    refusals: tuple[Refusal, ...]
    waits: tuple[Wait, ...]
    notes: tuple[Note, ...]
    world: tuple[InstanceState, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in order."""
        return tuple(step for wave in self.waves for step in wave.steps)

    @property
    def converged(self) -> bool:
        """Whether nothing has to change and nothing is waited for."""
        return not self.waves and not self.refusals and not self.waits
