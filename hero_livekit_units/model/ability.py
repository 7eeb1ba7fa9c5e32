"""What a supervisor has to be able to do before media are trusted to it, and what is off where it cannot. Pure data."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping


class Ability(StrEnum):
    """A thing that some supervisors do and others do not; `hlu doctor` looks which."""

    OWN_GROUP = "own-group"
    OUTLIVES_CLIENT = "outlives-client"
    SET_LEAVES_ALONE = "set-leaves-alone"
    NOTICES_DEATH = "notices-death"
    RESTARTS_AFTER_ZERO = "restarts-after-zero"
    STOPS_ONCE = "stops-once"
    KEEPS_WINDOW = "keeps-window"
    ADOPTS = "adopts"


@frozen
class Meaning:
    """An ability in words.

    asks: what is looked at. lack: what is wrong where it is not there; it goes on after "the supervisor". disables:
    what plans do without then.
    """

    asks: str
    lack: str
    disables: str


MEANINGS: Mapping[Ability, Meaning] = {
    Ability.OWN_GROUP: Meaning(
        "a unit has a process group of its own",
        "runs its units in a process group that is not theirs alone, so that what ends others ends calls",
        "media are not started by it",
    ),
    Ability.OUTLIVES_CLIENT: Meaning(
        "a unit lives on when the program that had it started is killed",
        "ends its units with the program that had them started",
        "media are not started by it",
    ),
    Ability.SET_LEAVES_ALONE: Meaning(
        "a unit that is registered anew runs on as it is",
        "restarts what is registered anew",
        "swap, drain in place; registering media that people are in",
    ),
    Ability.NOTICES_DEATH: Meaning(
        "a unit that was killed is no longer said to run",
        "says of what has died that it runs, and would not start it again",
        "swap",
    ),
    Ability.RESTARTS_AFTER_ZERO: Meaning(
        "a unit that ends by itself with status 0 is started again",
        "does not start again what ended by itself with status 0",
        "nothing; such a unit stays down until the next ensure, and plans say so",
    ),
    Ability.STOPS_ONCE: Meaning(
        "a stop that is repeated sends no second signal",
        "signals again what is asked to end twice, which cuts off all who are in it",
        "drain in place",
    ),
    Ability.KEEPS_WINDOW: Meaning(
        "a stop lasts for as long as the definition says, and no longer",
        "does not keep to the time that a definition gives a stop",
        "drain in place",
    ),
    Ability.ADOPTS: Meaning(
        "after its own kill -9 it finds the units that live, and starts no second copy",
        "does not find again what runs when it is started anew",
        "nothing; what it has lost serves on, and is not touched while people are in it",
    ),
}


def lack(ability: Ability) -> str:
    """What is wrong with a supervisor that is without, as a reason."""
    return f"the supervisor {MEANINGS[ability].lack} (`hlu doctor` has seen it)"
