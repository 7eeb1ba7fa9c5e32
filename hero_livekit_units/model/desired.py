"""The desired state: what should run, for each slot that new rooms may go to."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from attrs import field, frozen

from hero_livekit_units.model.drain import Terms
from hero_livekit_units.model.launch import LaunchSpec, by_instance


@frozen
class Steering:
    """Whether joins can be sent to the slot that has their room; `because` is why not.

    Without it two slots with calls would split a room, so that two-slot and move are out of the question.
    grace_s: who was given the address of a slot comes within this time, in seconds, or asks again; 0 where nobody has
    the address of a slot.
    """

    possible: bool
    because: str = ""
    grace_s: float = 0.0

    @property
    def follows(self) -> bool:
        """Whether who is in a call comes to another slot when theirs ends: who has its address tries nothing else."""
        return self.possible and not self.grace_s


@frozen
class Returning:
    """How those come back by themselves who have lost their server, in seconds.

    gap_s: how long each is without sound. within_s: until the last one is on the server that follows. Measured without
    Redis: 0.89 and 0.3 to 5.5.
    """

    gap_s: float = 0.8
    within_s: float = 6.0


@frozen
class Desired:
    """What should run.

    by_slot: by the slot that new rooms go to, the preferred one first, a LaunchSpec for each instance in the order of
    start. The instance of the slot is the only one of its unit there. A unit without slots has the one slot "".
    terms: of a drain for which nobody names others.
    """

    by_slot: Mapping[str, tuple[LaunchSpec, ...]]
    steering: Steering
    terms: Terms = field(factory=Terms)
    returning: Returning = Returning()

    @property
    def slots(self) -> tuple[str, ...]:
        """The slots, the preferred one first."""
        return tuple(self.by_slot)

    @property
    def preferred(self) -> tuple[LaunchSpec, ...]:
        """What runs when new rooms go to the preferred slot, in the order of start."""
        return next(iter(self.by_slot.values()))

    @cached_property
    def media(self) -> dict[str, LaunchSpec]:
        """The unit that carries calls, by slot."""
        return {slot: spec for slot, specs in self.by_slot.items() for spec in specs if spec.carries_calls}

    @cached_property
    def specs(self) -> tuple[LaunchSpec, ...]:
        """Every LaunchSpec once: those of the preferred slot in the order of start, then the others'."""
        return tuple(self._by_digest.values())

    def spec(self, instance: str, digest: str) -> LaunchSpec | None:
        """The LaunchSpec of an instance with this digest, None where it is no longer desired like that."""
        return self._by_digest.get((instance, digest))

    @cached_property
    def steering_units(self) -> dict[str, tuple[LaunchSpec, ...]]:
        """By slot, what stands beside the media and runs in another way when new rooms go there."""
        ways = by_instance(self.specs)
        return {
            slot: tuple(spec for spec in specs if len(ways[spec.instance]) > 1) for slot, specs in self.by_slot.items()
        }

    @cached_property
    def _by_digest(self) -> dict[tuple[str, str], LaunchSpec]:
        return {(spec.instance, spec.digest): spec for specs in self.by_slot.values() for spec in specs}
