"""What becomes of a drain: told, cancelled, moved at its deadline; and who may ask for one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hero_livekit_units.model.drain import DrainSeen, Then
from hero_livekit_units.model.observed import Verdict
from hero_livekit_units.model.plan import Action, Effect, Interruption
from hero_livekit_units.model.words import duration
from hero_livekit_units.plan.group import LAST_ROOM, NO_EFFECT, occupancy, pinned, reconnect

if TYPE_CHECKING:
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import InstanceSeen
    from hero_livekit_units.plan.group import Group

_AT_DEADLINE = {
    Then.WAIT: "it goes on",
    Then.ANNOUNCE: "its rooms are told",
    Then.MOVE: "everybody in it reconnects to the new one",
}


def plan_drain(group: Group, spec: LaunchSpec, seen: InstanceSeen) -> None:
    """A slot that people are still in and that gets no new rooms: recorded once, then by the terms of the record."""
    to = group.desired.media[group.slot].instance
    if seen.drain is None:
        because = f"new rooms go to {to}; it ends with its last room"
        group.act(Action.DRAIN, spec, because, NO_EFFECT, pinned(seen), _lonely(seen))
        group.wait(spec.instance, occupancy(seen), LAST_ROOM)
        return
    drain = seen.drain.drain
    if seen.drain.left_s == 0.0:
        if drain.then is Then.MOVE and _may_move(group):
            because = f"the time of its drain is over: its rooms move to {to}"
            group.act(Action.KILL, spec, because, reconnect(group, seen), pinned(seen), to=to)
            return
        if drain.then is Then.ANNOUNCE and not drain.announced:
            effect = Effect(Interruption.NONE, "every room gets a data message")
            group.act(Action.ANNOUNCE, spec, "the time of its drain is over", effect, pinned(seen))
    if drain.idle_room_s is not None:
        _plan_lonely(group, spec, seen, drain.idle_room_s)
    left_s = seen.drain.left_s if drain.then is Then.MOVE else None
    group.wait(spec.instance, f"{occupancy(seen)}; {in_words(seen.drain)}", LAST_ROOM, left_s)


def _may_move(group: Group) -> bool:
    """Whether who is cut off finds the other slot, and it is ready for them."""
    ready = group.seen(group.desired.media[group.slot]).verdict is Verdict.HEALTHY
    return ready and group.desired.steering.follows


def _plan_lonely(group: Group, spec: LaunchSpec, seen: InstanceSeen, limit_s: float) -> None:
    """End what is left of rooms with one in them for too long, and note since when others are like that."""
    if seen.drain is None or seen.calls is None or seen.calls.lonely is None:
        return
    lonely = seen.calls.lonely
    over = tuple(room for room in lonely if seen.drain.alone_for_s(room) >= limit_s)
    if over:
        who = "1 person" if len(over) == 1 else f"{len(over)} people"
        says = f"{who} had a room to themselves for over {duration(limit_s)}, and must leave it"
        effect = Effect(Interruption.DROP, says, len(over), len(over), None)
        group.act(Action.END_ROOMS, spec, "the limit for idle rooms is over", effect, pinned(seen), over)
    elif set(lonely) != set(seen.drain.drain.alone):
        because = "other rooms have one in them than were noted"
        group.act(Action.DRAIN, spec, because, NO_EFFECT, pinned(seen), lonely)


def plan_wanted(group: Group, spec: LaunchSpec) -> None:
    """A drain is over where new rooms come to the slot again."""
    seen = group.seen(spec)
    if seen.drain is not None and not seen.drain.drain.asked and seen.owned:
        group.act(Action.CANCEL, spec, "new rooms come to it again", NO_EFFECT, pinned(seen))


def in_words(seen: DrainSeen) -> str:
    """On whose word, since when, until when, and what then."""
    said = f"drained for {duration(seen.for_s)} on the word of {seen.drain.by}"
    if seen.left_s:
        said += f"; in {duration(seen.left_s)} {_AT_DEADLINE[seen.drain.then]}"
    elif seen.left_s is not None:
        said += "; its time is over" + (", and its rooms were told" if seen.drain.announced else "")
    if seen.drain.idle_room_s is not None:
        said += f"; who is alone in a room for {duration(seen.drain.idle_room_s)} must leave it"
    return said


def _lonely(seen: InstanceSeen) -> tuple[str, ...]:
    return (seen.calls.lonely or ()) if seen.calls else ()
