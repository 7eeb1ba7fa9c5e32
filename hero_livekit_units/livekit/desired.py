"""`media.toml` and the catalog become the desired state: a LaunchSpec for every instance that should run. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import attrs

from hero_livekit_units.definitions.resolve import ports_of, resolve
from hero_livekit_units.livekit import config
from hero_livekit_units.model.desired import Desired, Returning, Steering
from hero_livekit_units.model.drain import Terms, Then
from hero_livekit_units.model.launch import connect_host, instance_name
from hero_livekit_units.model.settings import Settings, setting_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.unit import Definition

MEDIA, BACKEND, FRONT, REDIS = "livekit-server", "lk-backend", "livekit-front", "livekit-redis"
# The table of media.toml that is about a unit.
UNITS = {MEDIA: "livekit", BACKEND: "backend", FRONT: "front", REDIS: "redis"}


def wanted_units(settings: Settings) -> tuple[str, ...]:
    """The units that should run, in the order in which they start; each needs only what comes before it.

    They end in reverse. So the front comes before the media: while people are in calls they need it.
    """
    return (
        *([REDIS] if settings.redis.enabled and settings.redis.own else []),
        *([FRONT] if settings.front.enabled else []),
        MEDIA,
        BACKEND,
    )


# lk-backend asks the slots for the room before it answers with an address.
_BY_TOKENS = Steering(possible=True, grace_s=10.0)
# The front knows each room, and whoever joins has the address of the front only.
_BY_FRONT = Steering(possible=True)
# Only when Redis has not heard of a node for five seconds do its rooms go to another; measured 4.0 to 8.6 s.
_BY_REDIS = Returning(gap_s=9.0, within_s=15.0)
_NOT_STEERED = {
    "off": "media.toml says two_slots = false",
    # The front sees a join only when its room may be on any node already, and knows of no nodes.
    "front": "with Redis livekit-server chooses the slot of a room itself, whatever slot the front sends its people to",
    # lk-backend has to name the node of a slot, and the gauges are where a slot tells it.
    "locked": "with Redis two slots need the gauges of livekit-server, and media.toml puts a password before them",
}


def steering(settings: Settings) -> Steering:
    """Whether a join for a room that runs is sent to its slot, and one for a new room to the slot that is wanted."""
    redis = settings.redis.enabled
    why_not = {
        "off": not settings.livekit.two_slots,
        "front": redis and settings.front.enabled,
        "locked": redis and _gauges_locked(settings),
    }
    because = next((_NOT_STEERED[name] for name, holds in why_not.items() if holds), "")
    if because:
        return Steering(possible=False, because=because)
    return _BY_FRONT if settings.front.enabled else _BY_TOKENS


def desired_state(
    catalog: Catalog, settings: Settings, *, home: str, python: str, secrets: Mapping[str, Any] | None = None
) -> Desired:
    """What should run, for each slot that new rooms may go to; the one of media.toml is preferred.

    The arguments are those of `desired_specs`.
    """
    preferred = settings.livekit.slot
    others = [slot for slot in catalog.find(MEDIA, wanted_version(settings, MEDIA)).slots if slot != preferred]
    return Desired(
        {
            slot: desired_specs(
                catalog,
                attrs.evolve(settings, livekit=attrs.evolve(settings.livekit, slot=slot)),
                home=home,
                python=python,
                secrets=secrets,
            )
            for slot in (preferred, *others)
        },
        steering(settings),
        Terms(settings.drain.within_s, Then(settings.drain.then), settings.drain.idle_room_s),
        _BY_REDIS if settings.redis.enabled else Returning(),
    )


def desired_specs(
    catalog: Catalog, settings: Settings, *, home: str, python: str, secrets: Mapping[str, Any] | None = None
) -> tuple[LaunchSpec, ...]:
    """One LaunchSpec for each instance that should run, in the order in which they should start.

    Args:
        catalog: all releases.
        settings: what the user wants; must have passed `read_settings` or be the default.
        home: absolute folder of the package.
        python: the interpreter that runs the parts which belong to this package.
        secrets: by name, None where they are not known; see `resolve`.
    """
    chosen = _chosen(catalog, settings)
    parameters = _parameters(settings, chosen, python)
    slots = {unit: settings.livekit.slot if unit == MEDIA else "" for unit in chosen}
    return tuple(
        resolve(
            definition,
            parameters,
            home=home,
            slot=slots[unit],
            ports=port_numbers(settings, unit),
            config=config.render(definition, settings.livekit.config) if unit == MEDIA else {},
            secrets=secrets,
            new_rooms=settings.livekit.slot if unit == FRONT else "",
            after=tuple(instance_name(other, slots[other]) for other in definition.depends.after if other in chosen),
            blocked=catalog.blocked(definition),
            replaces=catalog.edges_to(definition),
        )
        for unit, definition in chosen.items()
    )


def port_numbers(settings: Settings, unit: str) -> dict[str, int]:
    """The port numbers that the user chose for a unit, by name."""
    return {"redis": settings.redis.port} if unit == REDIS else getattr(settings, UNITS[unit]).ports


def join_url(settings: Settings, catalog: Catalog) -> str:
    """The address that participants connect to."""
    return str(_parameters(settings, _chosen(catalog, settings), "")["join_url"])


def _chosen(catalog: Catalog, settings: Settings) -> dict[str, Definition]:
    return {unit: catalog.find(unit, wanted_version(settings, unit)) for unit in wanted_units(settings)}


def _parameters(settings: Settings, chosen: Mapping[str, Definition], python: str) -> dict[str, Any]:
    """The values of `rules.PARAMETERS` that do not depend on the instance."""
    media = chosen[MEDIA]
    numbers = {slot: ports_of(media, slot, settings.livekit.ports) for slot in media.slots}
    host = connect_host(settings.network.bind)
    backend = ports_of(chosen[BACKEND], "", settings.backend.ports)["http"]
    return {
        **setting_values(settings),
        **{f"media.{slot}.{name}": number for slot, found in numbers.items() for name, number in found.items()},
        **{f"media.{slot}.url": _slot_url(settings, found["http"]) for slot, found in numbers.items()},
        **{f"media.{slot}.gauges": _gauges_url(settings, found["prometheus"]) for slot, found in numbers.items()},
        **_ends(settings.livekit.udp_range, "livekit.udp_first", "livekit.udp_last"),
        **_ends(settings.turn.relay_range if settings.turn.enabled else "", "turn.relay_first", "turn.relay_last"),
        "front.tls": f" ssl crt {settings.front.certificate} alpn http/1.1" if settings.front.certificate else "",
        "join_url": _join_url(settings, chosen, numbers[settings.livekit.slot]["http"]),
        "loopback": ipaddress.ip_address(settings.network.node_ip).is_loopback,
        "media.host": host,
        "python": python,
        "redis.server": _redis_server(settings),
        "token_url": f"http://{_in_url(host)}:{backend}/api/token",
    }


def wanted_version(settings: Settings, unit: str) -> str:
    """The version or release of a unit that the user asks for, "" for the newest."""
    return str(getattr(getattr(settings, UNITS[unit]), "version", ""))


def _join_url(settings: Settings, chosen: Mapping[str, Definition], media_port: int) -> str:
    if FRONT in chosen:
        scheme = "wss" if settings.front.certificate else "ws"
        port = ports_of(chosen[FRONT], "", settings.front.ports)["http"]
        return f"{scheme}://{_in_url(connect_host(settings.front.bind))}:{port}"
    return f"ws://{_in_url(connect_host(settings.network.bind))}:{media_port}"


def _slot_url(settings: Settings, media_port: int) -> str | None:
    """Where people join a slot; None where they all join at one address, whatever the slot."""
    if steering(settings) != _BY_TOKENS and not _on_nodes(settings):
        return None
    return f"ws://{_in_url(connect_host(settings.network.bind))}:{media_port}"


def _gauges_url(settings: Settings, port: int) -> str | None:
    """Where a slot says which node it is, None where nobody has to know."""
    if not _on_nodes(settings):
        return None
    return f"http://{_in_url(connect_host(settings.network.bind))}:{port}/metrics"


def _on_nodes(settings: Settings) -> bool:
    """Whether lk-backend makes rooms on nodes: also with one slot, as nodes of other hosts may be on that Redis."""
    return settings.redis.enabled and not settings.front.enabled and not _gauges_locked(settings)


def _gauges_locked(settings: Settings) -> bool:
    prometheus = settings.livekit.config.get("prometheus", {})
    return isinstance(prometheus, dict) and bool(prometheus.get("username") or prometheus.get("password"))


def _redis_server(settings: Settings) -> str | None:
    redis = settings.redis
    if not redis.enabled:
        return None
    return f"127.0.0.1:{redis.port}" if redis.own else redis.address


def _ends(text: str, first: str, last: str) -> dict[str, int | None]:
    if not text:
        return {first: None, last: None}
    begin, _, end = text.partition("-")
    return {first: int(begin), last: int(end)}


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
