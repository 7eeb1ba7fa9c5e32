"""What the user wants: the values of `media.toml`, the one file that people edit. Every key has a default."""

from __future__ import annotations

from enum import StrEnum

from attrs import field, frozen


class LogLevel(StrEnum):
    """How much livekit-server writes to its log."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


@frozen
class NetworkSettings:
    """`[network]`: where the programs listen and under which address media are offered.

    bind: address of the HTTP listeners. node_ip: the address that people's media connect to.
    interfaces: network interfaces used for media; empty for all.
    """

    bind: str = "127.0.0.1"
    node_ip: str = "127.0.0.1"
    interfaces: tuple[str, ...] = ("lo",)


@frozen
class LivekitSettings:
    """`[livekit]`: the media server. `release` is "" for the newest known; `ports` are numbers by name, for slot a."""

    release: str = ""
    slot: str = "a"
    log_level: LogLevel = LogLevel.INFO
    ports: dict[str, int] = field(factory=dict)


@frozen
class BackendSettings:
    """`[backend]`: the token service. `release` is "" for the newest known; `ports` are numbers by name."""

    release: str = ""
    ports: dict[str, int] = field(factory=dict)


@frozen
class Settings:
    """The whole of `media.toml`."""

    network: NetworkSettings = NetworkSettings()
    livekit: LivekitSettings = LivekitSettings()
    backend: BackendSettings = BackendSettings()
