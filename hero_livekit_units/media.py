"""The library's front door: a stateless client of the supervisor.

A `Media` remembers where things are, nothing of how they are: each call looks at the world anew. It holds no process
and no file of its own.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.ensure import ensure, known_secrets
from hero_livekit_units.errors import DefinitionInvalid, Issue
from hero_livekit_units.livekit.desired import desired_specs, join_url
from hero_livekit_units.livekit.settings import read_settings
from hero_livekit_units.livekit.traits import host_traits
from hero_livekit_units.model.plan import Goal, Plan
from hero_livekit_units.model.settings import Settings
from hero_livekit_units.observe.observer import Observer
from hero_livekit_units.places import Places, find_places
from hero_livekit_units.plan.planner import plan
from hero_livekit_units.registry.hero_proc import HeroProcRegistry
from hero_livekit_units.wishes import set_wish, unset_wish

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.execute.executor import Progress
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.observed import Observed
    from hero_livekit_units.model.receipt import Receipt
    from hero_livekit_units.registry.port import Registry
    from hero_livekit_units.wishes import Change


class Media:
    """The media group of one host."""

    def __init__(self, registry: Registry, places: Places, catalog: Catalog) -> None:
        self.places = places
        self.catalog = catalog
        self._registry = registry
        self._observer = Observer(registry)

    @classmethod
    def connect(cls, *, socket: str | None = None, places: Places | None = None) -> Media:
        """A client of the hero_proc on this host. Opens nothing: a hero_proc that is away shows in `status`.

        Args:
            socket: path of hero_proc's socket; by default `<sockets>/hero_proc/rpc.sock`.
            places: where things lie; by default as the environment says.
        """
        here = places or find_places()
        return cls(HeroProcRegistry(socket or str(here.socket("hero_proc"))), here, shipped_catalog().on(host_traits()))

    def specs(self, secrets: Mapping[str, Any] | None = None) -> tuple[LaunchSpec, ...]:
        """The desired state, from `media.toml` as it is now.

        Args:
            secrets: by name; without them the launch digests are not those of the processes that run.

        Raises:
            DefinitionInvalid: `media.toml` has faults, each with its place.
        """
        return self._desired(self.settings(), secrets)

    def settings(self) -> Settings:
        """The user's `media.toml`, or the defaults when there is none.

        Raises:
            DefinitionInvalid: it has faults, each with its place.
        """
        path = self.places.settings_file
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return Settings()
        except (OSError, UnicodeDecodeError) as error:
            raise DefinitionInvalid([Issue(str(path), 0, 0, "", f"cannot be read: {error}")]) from error
        return read_settings(text, str(path), self.catalog)

    def set(self, key: str, value: str) -> Change:
        """Set a key of media.toml, such as `livekit.version`; `value` is text as on a command line. See `set_wish`."""
        return set_wish(self.places.settings_file, self.catalog, key, value)

    def unset(self, key: str) -> Change:
        """Take a key out of media.toml. See `unset_wish`."""
        return unset_wish(self.places.settings_file, self.catalog, key)

    def status(self) -> Observed:
        """What lives, with the evidence of each verdict. Changes nothing and takes a second at most."""
        return self._observer.observe(self.specs())

    def plan(self, goal: Goal = Goal.RUN, *, allow_drop: bool = False) -> Plan:
        """What would have to change, and why. Changes nothing."""
        secrets = known_secrets(self._registry, goal)
        return plan(self._observer.observe(self.specs(secrets), secrets=secrets), goal, allow_drop=allow_drop)

    def ensure(self, goal: Goal = Goal.RUN, *, allow_drop: bool = False, progress: Progress | None = None) -> Receipt:
        """Bring the group to the goal. Safe to repeat, from anywhere, after a crash at any point.

        Args:
            goal: what is wanted of the group.
            allow_drop: people in calls may be cut off (counts for STOP only).
            progress: hears each step while it happens.

        Raises:
            DefinitionInvalid: `media.toml` has faults.
            StepFailed, StepTimedOut, RegistryError: a step did not reach its end; calling again goes on from there.
        """
        return ensure(
            partial(self._desired, self.settings()),
            registry=self._registry,
            observer=self._observer,
            home=self.places.home,
            goal=goal,
            allow_drop=allow_drop,
            progress=progress,
        )

    def join_url(self) -> str:
        """The address at which participants join calls."""
        return join_url(self.settings(), self.catalog)

    def _desired(self, settings: Settings, secrets: Mapping[str, Any] | None) -> tuple[LaunchSpec, ...]:
        home = str(self.places.home)
        return desired_specs(self.catalog, settings, home=home, python=sys.executable, secrets=secrets)

    def program_folder(self) -> Path:
        """Where provisioned programs lie."""
        return self.places.home / "bin"
