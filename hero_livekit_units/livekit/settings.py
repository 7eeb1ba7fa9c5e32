"""`media.toml`, the user's one file: read strictly, against the releases that it asks for. Pure."""

from __future__ import annotations

import ipaddress
import re
from functools import partial
from typing import TYPE_CHECKING

from hero_livekit_units.definitions.kinds import is_port_range
from hero_livekit_units.definitions.resolve import ports_of
from hero_livekit_units.definitions.structure import load
from hero_livekit_units.errors import CatalogError, DefinitionInvalid, PlanRefused
from hero_livekit_units.livekit import config
from hero_livekit_units.livekit.desired import MEDIA, UNITS, port_numbers, wanted_units
from hero_livekit_units.model.launch import instance_name
from hero_livekit_units.model.settings import Settings, setting_fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.definitions.structure import Fault
    from hero_livekit_units.definitions.text import KeyPath
    from hero_livekit_units.model.settings import DrainSettings, NetworkSettings, RedisSettings, TurnSettings
    from hero_livekit_units.model.unit import Definition

    Chosen = list[tuple[str, Definition, dict[str, int]]]

_INTERFACE = re.compile(r"[^\s/\"]{1,15}")  # IFNAMSIZ of the kernel
_HTTP = re.compile(r"https?://[^\s/?#@]+([/?][^\s#]*)?")
_PATH = re.compile(r"/[^\s\"'\\#]*")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}")


def read_settings(text: str, file: str, catalog: Catalog, *, choosing: bool = False) -> Settings:
    """Read `media.toml`.

    Args:
        text: what stands in it.
        file: its name, for the issues.
        catalog: all releases.
        choosing: somebody is about to choose a release, so that a blocked one is a fault. One that was chosen before it
            was blocked may carry calls, and must be seen: what is to be done with it is the planner's business.

    Raises:
        DefinitionInvalid: with all issues.
    """
    settings = load(text, file, Settings, partial(_faults, catalog, choosing=choosing))
    if isinstance(settings, list):
        raise DefinitionInvalid(settings)
    return settings


def _faults(catalog: Catalog, settings: Settings, *, choosing: bool) -> list[Fault]:
    found = [
        *_network_faults(settings.network),
        *_turn_faults(settings.turn),
        *_redis_faults(settings.redis),
        *_drain_faults(settings.drain),
        *_other_faults(settings),
    ]
    chosen: Chosen = []
    for unit in wanted_units(settings):
        table, section = UNITS[unit], getattr(settings, UNITS[unit])
        wanted = getattr(section, "version", "")
        try:
            definition = catalog.find(unit, wanted)
        except (CatalogError, PlanRefused) as error:
            found.append(((table, "version"), str(error), error.hint))
            continue
        if choosing and wanted and (reason := catalog.blocked(definition)):
            found.append(((table, "version"), f"{unit} {wanted} is blocked: {reason}", "choose another version"))
        chosen.append((table, definition, port_numbers(settings, unit)))
    for table, definition, numbers in chosen:
        if table == "livekit" and settings.livekit.slot not in definition.slots:
            found.append((("livekit", "slot"), f"no such slot: {settings.livekit.slot!r}", ", ".join(definition.slots)))
        found += _port_faults(table, definition, numbers)
        if table == "livekit":
            found += [
                (("livekit", "config", *path), fault, hint)
                for path, fault, hint in config.faults(definition, settings.livekit.config)
            ]
    found += _unused_faults(catalog, settings, chosen)
    return found or list(_collisions(chosen))


def _network_faults(network: NetworkSettings) -> Iterator[Fault]:
    for key in ("bind", "node_ip"):
        if not _is_address(getattr(network, key)):
            yield ("network", key), f"not an IP address: {getattr(network, key)!r}", ""
    for at, name in enumerate(network.interfaces):
        if not _INTERFACE.fullmatch(name):
            yield ("network", "interfaces", at), f"not the name of a network interface: {name!r}", ""


def _turn_faults(turn: TurnSettings) -> Iterator[Fault]:
    if turn.relay_range and not _is_range(turn.relay_range):
        yield ("turn", "relay_range"), f"not a range of ports: {turn.relay_range!r}", 'such as "30000-40000"'
    for key, is_one, example in (
        ("allow_restricted_peer_cidrs", _is_network, "10.0.0.0/8"),
        ("deny_peer_cidrs", _is_network, "10.0.0.0/8"),
        ("bind_addresses", _is_address, "0.0.0.0"),
    ):
        for at, text in enumerate(getattr(turn, key)):
            if not is_one(text):
                yield ("turn", key, at), f"not valid here: {text!r}", f'such as "{example}"'
    if turn.ttl_s is not None and turn.ttl_s < 1:
        yield ("turn", "ttl_s"), f"not a time in seconds: {turn.ttl_s}", "with 0, credentials end as they are made"
    if turn.enabled:
        yield from _turn_listener_faults(turn)


def _turn_listener_faults(turn: TurnSettings) -> Iterator[Fault]:
    if not (turn.udp or turn.tls):
        yield ("turn", "enabled"), "neither udp nor tls is on", "set one of them"
    if turn.tls and not turn.domain:
        yield ("turn", "tls"), "needs domain", "the name in the certificate"
    if turn.tls and not turn.external_tls and not (turn.cert_file and turn.key_file):
        yield ("turn", "tls"), "needs cert_file and key_file", "or external_tls = true, where TLS ends in front of it"


def _redis_faults(redis: RedisSettings) -> Iterator[Fault]:
    if redis.address and not _HOST_PORT.fullmatch(redis.address):
        yield ("redis", "address"), f"not HOST:PORT: {redis.address!r}", 'such as "127.0.0.1:6379"'
    if redis.enabled and bool(redis.address) == redis.own:
        yield ("redis", "enabled"), "needs either address, or own = true", "own runs livekit-redis on this host"


def _drain_faults(drain: DrainSettings) -> Iterator[Fault]:
    for key in ("within_s", "idle_room_s"):
        seconds = getattr(drain, key)
        if seconds is not None and seconds < 1:
            yield ("drain", key), f"not a time in seconds: {seconds}", "leave it out for no limit"


def _other_faults(settings: Settings) -> Iterator[Fault]:
    if settings.livekit.udp_range and not _is_range(settings.livekit.udp_range):
        text = settings.livekit.udp_range
        yield ("livekit", "udp_range"), f"not a range of ports: {text!r}", 'such as "50000-60000"'
    for at, url in enumerate(settings.webhook.urls):
        if not _HTTP.fullmatch(url):
            yield ("webhook", "urls", at), f"not an address: {url!r}", "http:// or https://, with a host"
    for key, value in ((name, getattr(settings.limits, name)) for name in _LIMITS):
        if value is not None and not 0 <= value < 2**31:
            yield ("limits", key), f"out of range: {value}", "0 to 2147483647"
    if settings.backend.token_ttl_s < 1:
        yield ("backend", "token_ttl_s"), f"not a time in seconds: {settings.backend.token_ttl_s}", ""
    if not _is_address(settings.front.bind):
        yield ("front", "bind"), f"not an IP address: {settings.front.bind!r}", ""
    for table, key in (("turn", "cert_file"), ("turn", "key_file"), ("front", "certificate")):
        path = getattr(getattr(settings, table), key)
        if path and not _PATH.fullmatch(path):
            yield (table, key), f"not an absolute path: {path!r}", "it begins with / and has no white space or quotes"


def _unused_faults(catalog: Catalog, settings: Settings, chosen: Chosen) -> Iterator[Fault]:
    """A wish that the wanted release cannot carry out must not be passed over in silence."""
    definitions = {definition.unit.name: definition for _, definition, _ in chosen}
    if len(definitions) < len(wanted_units(settings)):
        return
    media = definitions[MEDIA]
    for path in config.unused(list(definitions.values()), settings):
        table, key = path.split(".")
        since = next(
            (
                release
                for release in catalog.releases(media.unit.name)
                if path in config.mentioned(catalog.find(media.unit.name, release))
            ),
            "",
        )
        fault = f"{media.unit.name} {media.unit.version} has no use for it"
        yield (table, key), fault, f"{since} and later have" if since else "remove it, or enable what it belongs to"


def _port_faults(table: str, definition: Definition, numbers: dict[str, int]) -> Iterator[Fault]:
    highest = 65535 - max(definition.slots.values(), default=0)
    for name, number in numbers.items():
        if name not in definition.ports:
            known = f"ports of {definition.unit.name}: {', '.join(definition.ports)}"
            yield _port_key(table, name), "unknown port", known
        elif not 1 <= number <= highest:
            yield _port_key(table, name), f"not a port: {number}", f"1 to {highest}"


def _collisions(chosen: Chosen) -> Iterator[Fault]:
    used: dict[tuple[int, str], tuple[str, KeyPath, bool]] = {}
    for table, definition, numbers in chosen:
        for slot in definition.slots or {"": 0}:
            for name, number in ports_of(definition, slot, numbers).items():
                who, key = f"{name} of {instance_name(definition.unit.name, slot)}", _port_key(table, name)
                other, its_key, is_set = used.setdefault(
                    (number, definition.ports[name].protocol), (who, key, name in numbers)
                )
                # Of two, the one that the user has set is told: the other one need not stand in the file.
                if other != who and is_set and name not in numbers:
                    yield its_key, f"port {number} of {other} is also {who}", "choose another"
                elif other != who:
                    yield key, f"port {number} of {who} is also {other}", "choose another"


def _port_key(table: str, name: str) -> KeyPath:
    return (table, "port") if table == "redis" else (table, "ports", name)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_range(text: str) -> bool:
    return "-" in text and is_port_range(text)


_LIMITS = tuple(name.removeprefix("limits.") for name in setting_fields() if name.startswith("limits."))
