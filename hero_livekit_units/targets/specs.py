"""What a target is, in hero_proc's own words, and how a plugin makes one."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import asdict, field, frozen

from hero_livekit_units.definitions.files import read_catalog
from hero_livekit_units.definitions.resolve import resolve
from hero_livekit_units.model.settings import Settings, setting_values
from hero_livekit_units.places import find_places, own_python
from hero_livekit_units.registry.wire import action_spec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.unit import Definition

ORDER = "HLU_TARGET"
_TAG = "target"
_CONFIGURE_MS = 180_000
# A oneshot whose end nobody saw, as hero_proc was away, is done again: both programs are safe to repeat.
_RETRY = {"max_attempts": 3, "delay_ms": 1000, "max_delay_ms": 5000}


@frozen
class Target:
    """A service with its actions, as plain JSON: a ServiceSpec and the ActionSpecs that it names.

    hero_proc registers it when it loads the plugin, and starts it when somebody asks for it.
    """

    service: dict[str, Any]
    actions: tuple[dict[str, Any], ...]


@frozen
class UnitOrder:
    """Which unit a target runs, and with what: enough to resolve it again in another process.

    definitions: the folder that was read. home: the unit's own folder lies below it.
    """

    definitions: str
    unit: str
    release: str
    home: str
    slot: str = ""
    ports: dict[str, int] = field(factory=dict)
    parameters: dict[str, Any] = field(factory=dict)

    def resolved(self, definition: Definition) -> LaunchSpec:
        """The unit with everything filled in.

        Raises:
            ValueError: the definition needs a parameter that is not given.
        """
        try:
            parameters = setting_values(Settings()) | self.parameters
            return resolve(definition, parameters, home=self.home, slot=self.slot, ports=self.ports)
        except KeyError as error:
            raise ValueError(f"cannot run {self.unit}: no value is given for ${{{error.args[0]}}}") from error

    def read(self) -> LaunchSpec:
        """The same, from the file of the definition.

        Raises:
            DefinitionInvalid, CatalogError: the definitions have changed and have faults, or the release is gone.
            ValueError: as for `resolved`.
        """
        return self.resolved(read_catalog(Path(self.definitions)).find(self.unit, self.release))

    def as_text(self) -> str:
        """JSON, for the environment of the program."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> UnitOrder:
        """The order that `as_text` gave."""
        return cls(**json.loads(text))


def media_target() -> Target:
    """The service `hero_livekit_media`: its action `configure` makes the media run as `media.toml` says.

    It does not require the services of the units, as hero_proc would have to start those first, and it is `configure`
    that registers them. Starting it again is an ensure again; stopping it stops no media.
    """
    configure = _oneshot("configure", "hero_livekit_units.targets.media", {})
    return Target(_service("hero_livekit_media", "ensures livekit-server and lk-backend", ["configure"]), (configure,))


def unit_target(
    catalog: Catalog,
    unit: str,
    *,
    release: str = "",
    service: str = "",
    ports: Mapping[str, int] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Target:
    """A service that keeps one unit of a plugin alive: an action that writes its files, and the unit itself.

    The unit lives below `$PATH_VAR/SERVICE`. `${python}` and `${binary}` (looked for on PATH) have values, and the keys
    of media.toml, such as `${network.bind}`, their defaults; any other parameter has to be given.

    Args:
        catalog: as `read_catalog` gave it.
        unit: its name.
        release: the newest by default.
        service: the name of the service; by default the unit's, with `_` for `-`.
        ports: numbers by name, where they are not to be the definition's.
        parameters: values by name.

    Raises:
        CatalogError: there is no such unit or release.
        ValueError: the definition needs a parameter that is not given.
    """
    definition = catalog.find(unit, release)
    name = service or unit.replace("-", "_")
    order = UnitOrder(
        definitions=str(Path(catalog.file(unit, definition.unit.release)).absolute().parent.parent),
        unit=unit,
        release=definition.unit.release,
        home=str(find_places().home.parent / name),
        slot=next(iter(definition.slots), ""),
        ports=dict(ports or {}),
        parameters=_defaults(definition) | dict(parameters or {}),
    )
    spec = order.resolved(definition)
    configure = _oneshot(f"{name}.configure", "hero_livekit_units.targets.unit", {ORDER: order.as_text()})
    process = action_spec(spec)
    process |= {
        "env": _python_path() | process["env"],
        "depends_on": [{"action": configure["name"], "condition": "succeeded"}],
        "tags": [_TAG, f"digest:{spec.digest}"],
    }
    summary = f"{spec.instance} {spec.release}: {definition.unit.summary}"
    return Target(_service(name, summary, [configure["name"], process["name"]]), (configure, process))


def _defaults(definition: Definition) -> dict[str, Any]:
    program = definition.binary.program
    # Where it is missing its bare name stays: the start then fails, and says so.
    return {"python": own_python(), "binary": shutil.which(program) or program}


def _service(name: str, description: str, actions: Sequence[str]) -> dict[str, Any]:
    return {"name": name, "description": description, "actions": list(actions), "status": "stop", "tags": [_TAG]}


def _oneshot(name: str, module: str, env: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "script": shlex.join([sys.executable, "-m", module]),
        "interpreter": "exec",
        "env": _python_path() | dict(env),
        "is_process": False,
        "timeout_ms": _CONFIGURE_MS,
        "retry_policy": _RETRY,
        "tags": [_TAG],
    }


def _python_path() -> dict[str, str]:
    """What a plugin was found by, its programs need too; hero_proc hands nothing of this kind on by itself."""
    found = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": found} if found else {}
