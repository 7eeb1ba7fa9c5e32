"""The library's front door: a stateless client of the supervisor.

A `Media` remembers where things are, nothing of how they are: each call looks at the world anew. It holds no process
and no file of its own.
"""

from __future__ import annotations

import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.doctor.report import lacks_of
from hero_livekit_units.drains import cancel_drain, order_drain
from hero_livekit_units.earlier import execute, foresee
from hero_livekit_units.ensure import ensure
from hero_livekit_units.errors import PlanRefused, RegistryError
from hero_livekit_units.execute.lock import acting_lock
from hero_livekit_units.history import SOURCE, receipts
from hero_livekit_units.livekit import keys
from hero_livekit_units.livekit.desired import desired_state, join_url
from hero_livekit_units.livekit.rotation import Rotated
from hero_livekit_units.livekit.settings import read_settings
from hero_livekit_units.livekit.traits import host_traits
from hero_livekit_units.look import Wish, World, known_secrets
from hero_livekit_units.model.plan import Allowed, Goal, Plan
from hero_livekit_units.model.settings import Settings
from hero_livekit_units.observe.held import held_secrets
from hero_livekit_units.observe.observer import Observer
from hero_livekit_units.places import Places, find_places, own_python
from hero_livekit_units.plan.slots import in_use
from hero_livekit_units.registry.choice import registry_at
from hero_livekit_units.secret_report import secret_report
from hero_livekit_units.wishes import read_wishes, set_wish, unset_wish

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.doctor.report import Report
    from hero_livekit_units.execute.executor import Progress
    from hero_livekit_units.model.desired import Desired
    from hero_livekit_units.model.drain import Terms
    from hero_livekit_units.model.launch import LaunchFile
    from hero_livekit_units.model.observed import Observed
    from hero_livekit_units.model.receipt import Receipt
    from hero_livekit_units.registry.port import Registry
    from hero_livekit_units.wishes import Change

_LOCK_WAIT_S = 60.0
# What stands for itself in a configuration file of any kind.
_PLAIN = re.compile(r"[!#-&(-\[\]-~]+", re.ASCII)


class Media:
    """The media group of one host."""

    def __init__(self, registry: Registry, places: Places, catalog: Catalog) -> None:
        self.places = places
        self.catalog = catalog
        self._registry = registry
        self._observer = Observer(registry, lacks=partial(lacks_of, places.home))

    @classmethod
    def connect(cls, *, socket: str | None = None, places: Places | None = None) -> Media:
        """A client of the supervisor on this host. Changes nothing: a supervisor that is away shows in `status`.

        Args:
            socket: path of its socket, of a hero_proc (`rpc.sock`) or a zinit (`zinit.sock`); one of another name is
                asked which it is. By default `<sockets>/hero_proc/rpc.sock`, or zinit's where only that is there.
            places: where things lie; by default as the environment says.
        """
        here = places or find_places()
        return cls(registry_at(socket or str(here.supervisor()), here.home), here, shipped_catalog().on(host_traits()))

    def desired(self, secrets: Mapping[str, Any] | None = None) -> Desired:
        """The desired state, from `media.toml` as it is now.

        Args:
            secrets: by name; without them the launch digests are not those of the processes that run.

        Raises:
            DefinitionInvalid: `media.toml` has faults, each with its place.
        """
        return self._desired(self.settings(), secrets)

    def files(self) -> dict[str, LaunchFile]:
        """The files that `media.toml` makes, by path, with names of secrets in the place of secrets.

        A launch is named after its secrets too; where they cannot be had or do not exist yet, its folder is `launch-…`.

        Raises:
            DefinitionInvalid: `media.toml` has faults, each with its place.
        """
        known = known_secrets(self._registry, Goal.RUN)
        secrets = known.values if known and all(name in known.values for name in keys.NAMES) else None
        return {
            file.path if secrets else file.path.replace(spec.launch_digest, "…"): file
            for spec in self.desired(secrets).preferred
            for file in spec.files
        }

    def settings(self) -> Settings:
        """The user's `media.toml`, or the defaults when there is none.

        Raises:
            DefinitionInvalid: it has faults, each with its place.
        """
        path = self.places.settings_file
        text = read_wishes(path)
        return read_settings(text, str(path), self.catalog) if text else Settings()

    def set(self, key: str, value: str) -> Change:
        """Set a key of media.toml, such as `livekit.version`; `value` is text as on a command line. See `set_wish`."""
        return set_wish(self.places.settings_file, self.catalog, key, value)

    def unset(self, key: str) -> Change:
        """Take a key out of media.toml. See `unset_wish`."""
        return unset_wish(self.places.settings_file, self.catalog, key)

    def status(self) -> Observed:
        """What lives or should, with the evidence of each verdict. Changes nothing and takes a second at most."""
        try:
            secrets = known_secrets(self._registry, Goal.RUN)
        except RegistryError:
            secrets = None  # whoever only looks can look without
        values = secrets.values if secrets else None
        desired = self.desired(values)
        return in_use(self._observer.observe(desired.specs, secrets=values, files=False), desired)

    def plan(self, goal: Goal = Goal.RUN, *, allowed: Collection[Allowed] = ()) -> Plan:
        """What would have to change, and why. Changes nothing."""
        return foresee(self._wish(goal, allowed), self._world())

    def execute(self, found: Plan, *, progress: Progress | None = None) -> Receipt:
        """Do a plan that was made earlier, step by step as it says; it stops before the first one that no longer fits.

        Raises:
            PlanStale: the world or media.toml is another by now; the rest of the plan was not done.
            DefinitionInvalid, StepFailed, StepTimedOut, RegistryError: as `ensure`.
        """
        return execute(found, self._wish(found.goal, ()), self._world(), progress)

    def ensure(
        self, goal: Goal = Goal.RUN, *, allowed: Collection[Allowed] = (), progress: Progress | None = None
    ) -> Receipt:
        """Bring the group to the goal. Safe to repeat, from anywhere, after a crash at any point.

        Args:
            goal: what is wanted of the group.
            allowed: what is accepted by name for people in calls.
            progress: hears each step while it happens.

        Raises:
            DefinitionInvalid: `media.toml` has faults.
            StepFailed, StepTimedOut, RegistryError: a step did not reach its end; calling again goes on from there.
        """
        return ensure(self._wish(goal, allowed), self._world(), progress)

    def drain(
        self,
        slot: str = "",
        *,
        terms: Terms | None = None,
        allowed: Collection[Allowed] = (),
        progress: Progress | None = None,
    ) -> Receipt:
        """Send new rooms to another slot, and let this one end with its last room; or set other terms for that.

        It is recorded, and goes on with each `ensure`, and by itself where a control plane runs.

        Args:
            slot: which one; by default the one that is drained already, else the one that new rooms go to.
            terms: how long it may last; by default those of media.toml.
            allowed: what is accepted by name for people in calls.
            progress: hears each step while it happens.

        Raises:
            PlanRefused: it cannot be drained without more harm than was allowed; nothing was done.
            DefinitionInvalid, StepFailed, StepTimedOut, RegistryError: as `ensure`.
        """
        order_drain(self._wish(Goal.RUN, allowed), self._world(), slot, terms)
        return self.ensure(allowed=allowed, progress=progress)

    def terms(self, **named: Any) -> Terms:
        """The terms of media.toml for a drain, with those that are named in their place.

        Raises:
            DefinitionInvalid: `media.toml` has faults.
        """
        return attrs.evolve(self.desired().terms, **named)

    def cancel_drain(self, slot: str = "", *, progress: Progress | None = None) -> Receipt:
        """Let new rooms come to a slot again; what was started in its place ends with its last room.

        Args:
            slot: which one; by default the one that is drained.
            progress: hears each step while it happens.

        Raises:
            PlanRefused: nothing is drained there, or there is no way back: its stop signal may have been sent, or
                media.toml asks for another release.
            DefinitionInvalid, StepFailed, StepTimedOut, RegistryError: as `ensure`.
        """
        cancel_drain(self._wish(Goal.RUN, ()), self._world(), slot)
        return self.ensure(progress=progress)

    def doctor(self, *, again: bool = False, says: Callable[[str], None] = lambda _: None) -> Report:
        """What the supervisor does, proved with units that harm nobody, before media are trusted to it.

        Takes about ten seconds and leaves nothing behind but the report, which is kept for as long as the same
        supervisor answers. What it was seen not to do, plans reckon with from then on.

        Args:
            again: examine it although it was examined already.
            says: hears what is looked at.

        Raises:
            ExaminationFailed: it could not be done to the end; nothing was concluded.
            RegistryError: the supervisor is not there or says no.
            StepTimedOut: another examination of it does not end.
        """
        from hero_livekit_units.doctor.run import doctor  # noqa: PLC0415  few ask for it

        return doctor(self._registry, self.places.home, again=again, says=says)

    def history(self, lines: int = 20) -> list[dict[str, Any]]:
        """The receipts of what was done here, as plain data, the newest last; see `history.receipts`.

        Args:
            lines: how many at most, 1 or more.

        Raises:
            RegistryError: the supervisor, which keeps them, cannot be asked or said no.
        """
        return receipts(self._registry.history(SOURCE, lines))

    def secret_status(self) -> dict[str, Any]:
        """Which secrets there are, and whether source, files and processes agree: see `secret_report`. No values."""
        secrets = known_secrets(self._registry, Goal.RUN)
        desired = self.desired(secrets.values if secrets else None)
        observed = in_use(self._observer.observe(desired.specs), desired)
        specs = desired.by_slot[observed.slot]
        seen = tuple(attrs.evolve(observed.instance(spec.instance), spec=spec) for spec in specs)
        held = {file.path: held_secrets(file) for spec in specs for file in spec.files}
        return secret_report(attrs.evolve(observed, instances=seen), held, secrets, made=keys.NAMES, given=keys.GIVEN)

    def rotate_secret(self, what: Rotated = Rotated.API_KEY, *, progress: Progress | None = None) -> Receipt:
        """Begin to replace a secret, or go on with it, as far as that can be done now.

        Old and new are valid for one token lifetime; `ensure` does the rest when it is due. Safe to repeat, after a
        crash at any point. A group that does not run is not started for it: only its files are written.

        Args:
            what: the API key or the backend secret.
            progress: hears each step while it happens.

        Raises:
            PlanRefused: a rotation of the other one lasts.
            DefinitionInvalid, StepFailed, StepTimedOut, RegistryError: as `ensure`.
        """
        lasting = keys.read_all(self._registry).rotation
        if lasting is None or lasting.what is not what:
            ttl_s = self.settings().backend.token_ttl_s
            with acting_lock(self.places.home, timeout_s=_LOCK_WAIT_S):
                keys.begin_rotation(self._registry, what, lifetime_s=ttl_s, now_s=time.time())
        runs = any(seen.process for seen in self.status().instances)
        return self.ensure(Goal.RUN if runs else Goal.CONFIGURE, progress=progress)

    def set_secret(self, name: str, value: str) -> None:
        """Store a secret that is yours to choose (`keys.GIVEN`). `ensure` brings it to the programs.

        Raises:
            PlanRefused: it is not one of those, or not a value that every file can hold.
            RegistryError: the supervisor cannot be asked or said no.
        """
        if name not in keys.GIVEN:
            raise PlanRefused(
                [f"{name!r} is not a secret that is set by hand"], hint=f"those are: {', '.join(keys.GIVEN)}"
            )
        if not _PLAIN.fullmatch(value):
            raise PlanRefused(
                [f"the value for {name} is empty, or holds white space, quotes, a backslash or a sign beyond ASCII"],
                hint="letters, digits and other visible signs; nothing was stored",
            )
        with acting_lock(self.places.home, timeout_s=_LOCK_WAIT_S):
            self._registry.store_secret(name, value)

    def join_url(self, slot: str = "") -> str:
        """The address at which participants join calls; of a slot, or of the one that media.toml prefers."""
        settings = self.settings()
        chosen = attrs.evolve(settings.livekit, slot=slot or settings.livekit.slot)
        return join_url(attrs.evolve(settings, livekit=chosen), self.catalog)

    def _desired(self, settings: Settings, secrets: Mapping[str, Any] | None) -> Desired:
        home = str(self.places.home)
        return desired_state(self.catalog, settings, home=home, python=own_python(), secrets=secrets)

    def _wish(self, goal: Goal, allowed: Collection[Allowed]) -> Wish:
        settings = self.settings()
        desired = partial(self._desired, settings)
        return Wish(desired, goal, frozenset(allowed), settings.backend.token_ttl_s)

    def _world(self) -> World:
        return World(self._registry, self._observer, self.places.home)

    def program_folder(self) -> Path:
        """Where provisioned programs lie."""
        return self.places.home / "bin"
