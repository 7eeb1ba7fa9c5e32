"""What the package needs of a supervisor, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from hero_livekit_units.model.observed import Entry, SupervisorSeen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hero_livekit_units.model.launch import LaunchSpec


@frozen
class Survey:
    """The supervisor's word at one moment. `entries` lacks what it does not know; it is None when it did not answer."""

    supervisor: SupervisorSeen
    entries: Mapping[str, Entry] | None


@frozen
class Recorded:
    """A line of the supervisor's log; `at_s` is when it was added, in seconds since 1970."""

    at_s: float
    text: str


class Registry(Protocol):
    """A supervisor. Every method but `survey` raises RegistryError when it is not there or says no."""

    def survey(self, instances: Sequence[str]) -> Survey:
        """Ask for itself and these instances. Does not raise: not being able to ask is an answer too."""

    def register(self, spec: LaunchSpec) -> bool:
        """Store how an instance runs, without starting or restarting anything. False when nothing had to be written.

        Raises RegistryConflict where the supervisor sees that somebody else has written it meanwhile.
        """

    def start(self, instance: str) -> None:
        """Want it to run. Nothing happens to one that runs already."""

    def stop(self, instance: str) -> None:
        """Want it not to run: the stop signal is sent once, the call does not wait for the end."""

    def kill(self, instance: str) -> None:
        """SIGKILL to the process of an instance. Calls on it are interrupted."""

    def restart(self, instance: str) -> None:
        """Stop and start at once, by the policy of its stop section."""

    def secrets(self, names: Sequence[str]) -> dict[str, str]:
        """The secrets of these names that exist."""

    def store_secret(self, name: str, value: str) -> None:
        """Store a secret."""

    def delete_secret(self, name: str) -> None:
        """Delete a secret; one that does not exist is deleted already."""

    def record(self, source: str, text: str) -> None:
        """Add a line to the supervisor's log, where the history of what was done is kept."""

    def history(self, source: str, lines: int) -> list[Recorded]:
        """The newest lines of exactly this source, at most so many (1 or more), the newest last."""
