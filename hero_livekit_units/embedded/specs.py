"""The stored specs of actions and services, and what is wanted of each service.

Owns: the specs in memory, always equal to those in the store, and the rules for changing them. Must not know jobs:
storing a spec never starts, stops or restarts anything.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve

from hero_livekit_units.embedded.dependencies import check_actions, waits_for_itself
from hero_livekit_units.embedded.faults import ActionInUse, Conflict, DependencyInvalid, NotFound
from hero_livekit_units.embedded.records import Service
from hero_livekit_units.embedded.spec import Wanted, parse_action

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from hero_livekit_units.embedded.spec import ActionSpec, ServiceSpec
    from hero_livekit_units.embedded.store import Store

_Key = TypeVar("_Key", str, tuple[str, str])


class Specs:
    """Specs by name; an action is text until somebody asks for it.

    A method that changes something raises sqlite3.Error when that fails; then nothing changed. `changed` is
    called with the name of each service whose spec or wanted state is another one now.
    """

    def __init__(
        self,
        store: Store,
        actions: dict[tuple[str, str], ActionSpec | str],
        services: dict[str, Service],
        changed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._changed = changed
        self._actions = actions
        self._services = services
        self._users: dict[tuple[str, str], set[str]] = {}
        self._waiters: dict[str, set[str]] = {}
        self._touched = set(services)
        for service in services.values():
            self._link(service)

    # -- actions

    def set_action(self, context: str, spec: ActionSpec, *, expected: ActionSpec | None, checked: bool) -> bool:
        """Store an action; nothing is restarted. Returns whether it had to be written.

        Raises:
            Conflict: `checked`, and what is stored is not `expected`.
        """
        known = (context, spec.name) in self._actions
        stored = self.action(context, spec.name) if known else None
        if checked and stored != expected:
            raise Conflict(f"action {spec.name} is not as expected", stored.as_json() if stored else None)
        if stored == spec:
            return False
        self._store.save_action(context, spec)
        self._actions[context, spec.name] = spec
        self._touched |= self._users.get((context, spec.name), set())
        return True

    def action(self, context: str, name: str) -> ActionSpec:
        """A stored action.

        Raises:
            NotFound: there is none.
        """
        try:
            stored = self._actions[context, name]
        except KeyError:
            raise NotFound("action", name) from None
        if isinstance(stored, str):
            stored = self._actions[context, name] = parse_action(json.loads(stored))
        return stored

    def action_names(self, context: str) -> list[str]:
        """Names of the actions of a context, sorted."""
        return sorted(name for where, name in self._actions if where == context)

    def delete_action(self, context: str, name: str) -> None:
        """Delete an action.

        Raises:
            NotFound: there is none.
            ActionInUse: a service names it.
        """
        self.action(context, name)
        users = self._users.get((context, name))
        if users:
            raise ActionInUse(name, sorted(users))
        self._store.delete_action(context, name)
        del self._actions[context, name]

    # -- services

    def set_service(self, context: str, spec: ServiceSpec, *, expected: ServiceSpec | None, checked: bool) -> bool:
        """Store a service; nothing is started or restarted. Returns whether it had to be written.

        Its `status` is what is wanted from now on if the service is new or had another `status` in its spec; otherwise
        what the last start or stop said stays.

        Raises:
            Conflict: `checked`, and what is stored is not `expected`.
            DependencyInvalid: it would have to wait for itself.
        """
        stored = self._services.get(spec.name)
        if checked and (stored.spec if stored else None) != expected:
            raise Conflict(f"service {spec.name} is not as expected", stored.spec.as_json() if stored else None)
        if stored and stored.spec == spec and stored.context == context:
            return False
        self._refuse_cycle(spec)
        wanted = spec.status is Wanted.START
        if stored and stored.spec.status is spec.status:
            wanted = stored.wanted
        held = stored.held & set(spec.actions) if stored else frozenset()
        service = Service(spec, context, wanted, frozenset(held))
        self._store.save_service(service)
        if stored:
            self._unlink(stored)
        self._services[spec.name] = service
        self._link(service)
        self._note(spec.name)
        return True

    def service(self, name: str) -> Service:
        """A stored service.

        Raises:
            NotFound: there is none.
        """
        try:
            return self._services[name]
        except KeyError:
            raise NotFound("service", name) from None

    def forget_service(self, name: str) -> None:
        """Delete a service."""
        self._store.delete_service(name)
        self._unlink(self._services.pop(name))
        self._note(name)

    def want(self, name: str, *, wanted: bool, held: Collection[str]) -> Service:
        """Record what is wanted of a service from now on; returns it."""
        service = evolve(self._services[name], wanted=wanted, held=frozenset(held))
        if service != self._services[name]:
            self._store.save_service(service)
            self._services[name] = service
            self._note(name)
        return service

    def services(self) -> list[Service]:
        """All services."""
        return list(self._services.values())

    def knows(self, name: str) -> bool:
        """Whether there is such a service."""
        return name in self._services

    def chosen(self, service: Service, actions: Sequence[str] | None) -> list[str]:
        """These actions of a service, None for all.

        Raises:
            NotFound: one is not an action of the service.
        """
        for action in actions or ():
            if action not in service.spec.actions:
                raise NotFound("action", f"{action} in service {service.spec.name}")
        return list(service.spec.actions if actions is None else actions)

    def check_startable(self, service: Service) -> None:
        """Check that all actions of a service are stored and can start some time.

        Raises:
            NotFound, DependencyInvalid: as they say.
        """
        check_actions([self.action(service.context, action) for action in service.spec.actions])

    def is_kept(self, service: Service, action: str) -> bool:
        """Whether an action of a service is to be kept alive."""
        known = (service.context, action) in self._actions
        return service.wanted and known and action in service.spec.actions and action not in service.held

    def _note(self, name: str) -> None:
        self._touched.add(name)
        self._changed(name)

    def take_touched(self) -> set[str]:
        """Names of the services whose spec, actions or wanted state changed since the last call; all, at first."""
        touched, self._touched = self._touched, set()
        return touched

    def with_waiters(self, names: Iterable[str]) -> set[str]:
        """These services, and all that have to wait for one of them, however far around."""
        todo, found = list(names), set[str]()
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += self._waiters.get(name, ())
        return found

    def _refuse_cycle(self, spec: ServiceSpec) -> None:
        def waits(name: str) -> tuple[str, ...]:
            found = spec if name == spec.name else self._services[name].spec if name in self._services else None
            return (*found.requires, *found.after) if found else ()

        if waits_for_itself(spec.name, waits):
            raise DependencyInvalid(f"service {spec.name} would have to wait for itself")

    def _link(self, service: Service) -> None:
        """Note who is used and waited for by a service, so that nobody has to look through all for it."""
        name = service.spec.name
        for action in service.spec.actions:
            self._users.setdefault((service.context, action), set()).add(name)
        for other in (*service.spec.requires, *service.spec.after):
            self._waiters.setdefault(other, set()).add(name)

    def _unlink(self, service: Service) -> None:
        name = service.spec.name
        for action in service.spec.actions:
            _leave(self._users, (service.context, action), name)
        for other in (*service.spec.requires, *service.spec.after):
            _leave(self._waiters, other, name)


def _leave(index: dict[_Key, set[str]], key: _Key, name: str) -> None:
    """Take a name out of an index, in which an empty entry is none."""
    if key in index:
        index[key].discard(name)
        if not index[key]:
            del index[key]
