"""Texts of media.toml for properties: any that a release of livekit-server can carry out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tomlkit
from hypothesis import strategies as st

from hero_livekit_units.definitions.render import nested
from hero_livekit_units.livekit.config import mentioned

if TYPE_CHECKING:
    from hero_livekit_units.model.unit import Definition

addresses = st.sampled_from(["127.0.0.1", "0.0.0.0", "10.1.2.3", "::1"])
networks = st.lists(st.sampled_from(["10.0.0.0/8", "192.168.0.0/16", "fd00::/8"]), max_size=2)
sizes = st.integers(0, 2**31 - 1)
seconds = st.integers(1, 10**6)
ranges = st.integers(20000, 29000).flatmap(lambda first: st.just(f"{first}-{first + 1000}"))
files = st.sampled_from(["/etc/tls/live.pem", "/srv/with-dash_and.dots/key.pem"])
words = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True)
urls = st.lists(st.sampled_from(["https://example.org/hook", "http://127.0.0.1:9/x?y=$z"]), max_size=2)

# Every key that livekit-server's own configuration is made of.
KEYS: dict[str, st.SearchStrategy[Any]] = {
    "network.bind": addresses,
    "network.node_ip": addresses,
    "network.interfaces": st.lists(st.sampled_from(["lo", "eth0", "wg-1.2"]), max_size=2),
    "livekit.log_level": st.sampled_from(["debug", "info", "warn", "error"]),
    "livekit.udp_range": ranges,
    "livekit.region": words,
    "turn.domain": st.just("turn.example.org"),
    "turn.relay_range": ranges,
    "turn.bind_addresses": st.lists(addresses, max_size=2),
    "turn.ttl_s": seconds,
    "turn.allow_restricted_peer_cidrs": networks,
    "turn.deny_peer_cidrs": networks,
    "redis.address": st.just("127.0.0.1:1"),
    "redis.username": words,
    "redis.db": st.integers(0, 15),
    "redis.tls": st.booleans(),
    "webhook.urls": urls,
    **{f"limits.{name}_s": seconds for name in ("empty_timeout", "departure_timeout")},
    **{
        f"limits.{name}": sizes
        for name in (
            "max_participants",
            "num_tracks",
            "bytes_per_sec",
            "subscription_limit_video",
            "subscription_limit_audio",
            "max_metadata_size",
            "max_attributes_size",
            "max_room_name_length",
            "max_participant_identity_length",
            "max_participant_name_length",
        )
    },
}
# Own keys whose values no livekit-server looks into when it reads its configuration.
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "integer": st.integers(1, 200),
    "number": st.floats(0.1, 0.9),
    "duration": st.sampled_from(["1s", "1.5s", "200ms", "1h2m"]),
}
_SECTIONS_OF_OWN = ("agents.", "audio.", "limit.", "metric.", "room.", "signal_relay.", "video.", "api.")


@st.composite
def media_tomls(draw: st.DrawFn, definition: Definition) -> str:
    """A media.toml that asks for this release and sets some of what it can be asked for."""
    used = mentioned(definition)
    chosen = draw(st.sets(st.sampled_from(sorted(set(KEYS) & used))))
    values = {"livekit.version": definition.unit.version} | {key: draw(KEYS[key]) for key in sorted(chosen)}
    for section in ("turn", "redis"):
        if any(key.startswith(f"{section}.") for key in values):
            values[f"{section}.enabled"] = True
    if values.get("redis.enabled"):
        values.setdefault("redis.address", "127.0.0.1:1")
    if values.get("turn.enabled") and draw(st.booleans()):
        values |= {"turn.tls": True, "turn.domain": "turn.example.org", "turn.cert_file": draw(files)}
        values |= {"turn.key_file": draw(files), "turn.external_tls": draw(st.booleans())}
    text = tomlkit.dumps(nested(values))
    own = draw(st.dictionaries(st.sampled_from(own_keys(definition)), st.randoms(), max_size=4))
    if own:
        config = {key: draw(_VALUES[definition.config.keys[key]]) for key in own}
        text += "\n" + tomlkit.dumps({"livekit": {"config": nested(config)}}).replace("[livekit]\n", "")
    return text


def own_keys(definition: Definition) -> list[str]:
    """Keys that a user may set under [livekit.config] with any value of their kind."""
    ours = definition.run.files[definition.config.file].values
    return sorted(
        key
        for key, kind in definition.config.keys.items()
        if kind in _VALUES and key not in ours and key.startswith(_SECTIONS_OF_OWN) and not {"[", "{"} & set(key)
    )
