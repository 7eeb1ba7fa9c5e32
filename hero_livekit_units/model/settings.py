"""What the user wants: the values of `media.toml`, the one file that people edit. Every key has a default.

Definitions use these keys as parameters, by the same names: `${network.bind}`. A key that is empty, None, or in a
section with `enabled = false` is not set, and what needs it is left out.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import Any

import attrs
from attrs import field, frozen


class LogLevel(StrEnum):
    """How much livekit-server writes to its log."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class AtDeadline(StrEnum):
    """What happens at the deadline of a drain, so far as it can be a rule: see `drain.Then`."""

    WAIT = "wait"
    ANNOUNCE = "announce"


@frozen
class NetworkSettings:
    """`[network]`: where the programs listen and under which address media are offered.

    bind: address of the HTTP listeners. node_ip: the address that people's media connect to. use_external_ip: ask the
    internet for that address instead. interfaces: network interfaces used for media; empty for all.
    """

    bind: str = "127.0.0.1"
    node_ip: str = "127.0.0.1"
    use_external_ip: bool = False
    interfaces: tuple[str, ...] = ("lo",)


@frozen
class LivekitSettings:
    """`[livekit]`: the media server.

    version: the version wanted, such as `1.13.5`, or a release, `1.13.5-r1`; "" for the newest known. slot: the
    preferred one. two_slots: whether upgrades may use the other one, whose ports people must reach too. udp_range: such
    as `50000-60000`, for media over a port for each connection instead of the one port `rtc_udp`. region: of this node,
    for livekit-server's own choice of a node. ports: numbers by name, for slot a. config: keys of livekit.yaml that
    media.toml has no word for, as tables.
    """

    version: str = ""
    slot: str = "a"
    two_slots: bool = True
    log_level: LogLevel = LogLevel.INFO
    udp_range: str = ""
    region: str = ""
    ports: dict[str, int] = field(factory=dict)
    config: dict[str, Any] = field(factory=dict)


@frozen
class BackendSettings:
    """`[backend]`: the token service.

    version: as in `[livekit]`. token_ttl_s: how long a join token is good for. ports: numbers by name.
    """

    version: str = ""
    token_ttl_s: int = 6 * 60 * 60
    ports: dict[str, int] = field(factory=dict)


@frozen
class TurnSettings:
    """`[turn]`: livekit-server's own TURN server, for people behind firewalls.

    domain: under which it is reached, needed for TLS. udp, tls: the listeners to open, on the ports `turn_udp` and
    `turn_tls` of `[livekit.ports]`. external_tls: TLS ends in front of it. relay_range: such as `30000-40000`.
    bind_addresses: of the listeners. ttl_s: how long its credentials are good for. allow_restricted_peer_cidrs: private
    networks that may be reached through it. deny_peer_cidrs: networks that may not.
    """

    enabled: bool = False
    domain: str = ""
    udp: bool = True
    tls: bool = False
    cert_file: str = ""
    key_file: str = ""
    external_tls: bool = False
    relay_range: str = ""
    bind_addresses: tuple[str, ...] = ()
    ttl_s: int | None = None
    allow_restricted_peer_cidrs: tuple[str, ...] = ()
    deny_peer_cidrs: tuple[str, ...] = ()


@frozen
class RedisSettings:
    """`[redis]`: for several nodes of livekit-server. The password is the secret `redis_password`.

    address: host and port. own: run livekit-redis on this host instead, on `port`.
    """

    enabled: bool = False
    address: str = ""
    own: bool = False
    port: int = 6379
    username: str = ""
    db: int = 0
    tls: bool = False


@frozen
class WebhookSettings:
    """`[webhook]`: addresses that hear of rooms and participants; signed with the API key."""

    urls: tuple[str, ...] = ()


@frozen
class LimitsSettings:
    """`[limits]`: what livekit-server allows; None for its own default.

    Sizes are bytes or characters, times seconds. empty_timeout_s: how long a room lives without anybody ever having
    joined. departure_timeout_s: how long it lives after the last one left.
    """

    max_participants: int | None = None
    empty_timeout_s: int | None = None
    departure_timeout_s: int | None = None
    num_tracks: int | None = None
    bytes_per_sec: int | None = None
    subscription_limit_video: int | None = None
    subscription_limit_audio: int | None = None
    max_metadata_size: int | None = None
    max_attributes_size: int | None = None
    max_room_name_length: int | None = None
    max_participant_identity_length: int | None = None
    max_participant_name_length: int | None = None


@frozen
class FrontSettings:
    """`[front]`: one public address before the slots (HAProxy).

    bind: its address. certificate: a file with certificate and key for TLS, "" for none. ports: numbers by name.
    """

    enabled: bool = False
    version: str = ""
    bind: str = "127.0.0.1"
    certificate: str = ""
    ports: dict[str, int] = field(factory=dict)


@frozen
class DrainSettings:
    """`[drain]`: a slot that gets no new rooms and ends with its last one, unless `hlu drain` names other terms.

    within_s: seconds until its deadline; None for none. then: what happens there, `wait` or `announce`. idle_room_s:
    for how long somebody may be alone in a room of it; None for ever.
    """

    within_s: int | None = None
    then: AtDeadline = AtDeadline.WAIT
    idle_room_s: int | None = None


@frozen
class Settings:
    """The whole of `media.toml`."""

    network: NetworkSettings = NetworkSettings()
    livekit: LivekitSettings = LivekitSettings()
    backend: BackendSettings = BackendSettings()
    turn: TurnSettings = TurnSettings()
    redis: RedisSettings = RedisSettings()
    webhook: WebhookSettings = WebhookSettings()
    limits: LimitsSettings = LimitsSettings()
    front: FrontSettings = FrontSettings()
    drain: DrainSettings = DrainSettings()


@cache
def setting_fields() -> tuple[str, ...]:
    """Every key of media.toml that is one value, dotted, such as `network.bind`; tables of the user's own are not."""
    default = Settings()
    return tuple(
        f"{section.name}.{key.name}"
        for section in attrs.fields(Settings)
        for key in attrs.fields(type(getattr(default, section.name)))
        if not str(key.type).startswith("dict")
    )


def setting_values(settings: Settings) -> dict[str, Any]:
    """What each of those keys is set to: text, number, boolean or list, None where it is not set."""
    values = {}
    for path in setting_fields():
        name, key = path.split(".")
        section = getattr(settings, name)
        value = getattr(section, key)
        off = not getattr(section, "enabled", True) and key != "enabled"
        values[path] = None if off or value in ("", ()) else list(value) if isinstance(value, tuple) else value
    return values
