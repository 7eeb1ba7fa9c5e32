"""`media.toml` and the catalog become the desired state: a LaunchSpec for every instance that should run. Pure."""

from __future__ import annotations

import ipaddress
import json
import re
from functools import partial
from typing import TYPE_CHECKING

from hero_livekit_units.definitions.resolve import ports_of, resolve
from hero_livekit_units.definitions.structure import load
from hero_livekit_units.errors import CatalogError, DefinitionInvalid
from hero_livekit_units.model.launch import instance_name
from hero_livekit_units.model.settings import NetworkSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.definitions.structure import Fault
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.unit import Definition

_INTERFACE = re.compile(r"[^\s/\"]{1,15}")  # IFNAMSIZ of the kernel


def read_settings(text: str, file: str, catalog: Catalog) -> Settings:
    """Read `media.toml`.

    Raises:
        DefinitionInvalid: with all issues.
    """
    settings = load(text, file, Settings, partial(_faults, catalog))
    if isinstance(settings, list):
        raise DefinitionInvalid(settings)
    return settings


def desired_specs(catalog: Catalog, settings: Settings, *, home: str, python: str) -> tuple[LaunchSpec, ...]:
    """One LaunchSpec for each instance that should run: the media server first, as tokens without it serve nobody.

    Args:
        catalog: all releases.
        settings: what the user wants; must have passed `read_settings` or be the default.
        home: absolute folder of the package.
        python: the interpreter that runs the parts which belong to this package.
    """
    livekit = catalog.find("livekit-server", settings.livekit.release)
    backend = catalog.find("lk-backend", settings.backend.release)
    network = settings.network
    parameters = {
        "binary": program_path(livekit, home),
        "bind": network.bind,
        "interfaces": json.dumps(list(network.interfaces)),
        "livekit_url": "",
        "log_level": settings.livekit.log_level.value,
        "loopback": json.dumps(ipaddress.ip_address(network.node_ip).is_loopback),
        "node_ip": network.node_ip,
        "python": python,
    }
    media = resolve(livekit, parameters, home=home, slot=settings.livekit.slot, ports=settings.livekit.ports)
    parameters["livekit_url"] = join_url(media)
    return media, resolve(backend, parameters, home=home, ports=settings.backend.ports)


def join_url(media: LaunchSpec) -> str:
    """The address that participants connect to."""
    port = media.port("http")
    host = f"[{port.connect_host}]" if ":" in port.connect_host else port.connect_host
    return f"ws://{host}:{port.number}"


def program_path(definition: Definition, home: str) -> str:
    """Where the provisioned program of a release lies, "" for one that is part of this package."""
    binary = definition.binary
    return f"{home}/bin/{binary.program}-{definition.unit.version}/{binary.program}" if binary.program else ""


def _faults(catalog: Catalog, settings: Settings) -> list[Fault]:
    found = list(_network_faults(settings.network))
    chosen: list[tuple[str, Definition, dict[str, int]]] = []
    for table, unit, section in (
        ("livekit", "livekit-server", settings.livekit),
        ("backend", "lk-backend", settings.backend),
    ):
        try:
            chosen.append((table, catalog.find(unit, section.release), section.ports))
        except CatalogError as error:
            found.append(((table, "release"), str(error), error.hint))
    for table, definition, numbers in chosen:
        if table == "livekit" and settings.livekit.slot not in definition.slots:
            found.append((("livekit", "slot"), f"no such slot: {settings.livekit.slot!r}", ", ".join(definition.slots)))
        found += _port_faults(table, definition, numbers)
    return found or list(_collisions(chosen))


def _network_faults(network: NetworkSettings) -> Iterator[Fault]:
    for key in ("bind", "node_ip"):
        value = getattr(network, key)
        try:
            ipaddress.ip_address(value)
        except ValueError:
            yield ("network", key), f"not an IP address: {value!r}", ""
    for at, name in enumerate(network.interfaces):
        if not _INTERFACE.fullmatch(name):
            yield ("network", "interfaces", at), f"not the name of a network interface: {name!r}", ""


def _port_faults(table: str, definition: Definition, numbers: dict[str, int]) -> Iterator[Fault]:
    highest = 65535 - max(definition.slots.values(), default=0)
    for name, number in numbers.items():
        if name not in definition.ports:
            known = f"ports of {definition.unit.name}: {', '.join(definition.ports)}"
            yield (table, "ports", name), "unknown port", known
        elif not 1 <= number <= highest:
            yield (table, "ports", name), f"not a port: {number}", f"1 to {highest}"


def _collisions(chosen: list[tuple[str, Definition, dict[str, int]]]) -> Iterator[Fault]:
    used: dict[tuple[int, str], str] = {}
    for table, definition, numbers in chosen:
        for slot in definition.slots or {"": 0}:
            for name, number in ports_of(definition, slot, numbers).items():
                who = f"{name} of {instance_name(definition.unit.name, slot)}"
                other = used.setdefault((number, definition.ports[name].protocol), who)
                if other != who:
                    yield (table, "ports", name), f"port {number} of {who} is also {other}", "choose another"
