"""The desired state: which ports there are, what they are numbered, where people join, and which release runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.livekit.desired import (
    MEDIA,
    REDIS,
    desired_specs,
    desired_state,
    join_url,
    port_numbers,
    wanted_units,
)
from hero_livekit_units.livekit.settings import read_settings
from hero_livekit_units.model.launch import connect_host
from hero_livekit_units.model.unit import HostTrait, Protocol

if TYPE_CHECKING:
    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.launch import LaunchSpec

TURN = "[turn]\nenabled = true\n"
REDIS_HERE = "[redis]\nenabled = true\nown = true"


def media(catalog: Catalog, text: str) -> LaunchSpec:
    """livekit-server as a media.toml wants it."""
    settings = read_settings(text, "media.toml", catalog)
    specs = desired_specs(catalog, settings, home="/srv/media", python="/usr/bin/python3")
    (found,) = [spec for spec in specs if spec.unit == MEDIA]
    return found


def ports(spec: LaunchSpec) -> dict[str, int]:
    """The number of each port."""
    return {port.name: port.number for port in spec.ports}


def yaml_of(spec: LaunchSpec) -> dict[str, Any]:
    """The values of its livekit.yaml."""
    return spec.files[0].values


DEFAULT = {"http": 7880, "rtc_tcp": 7881, "rtc_udp": 7882, "prometheus": 6789, "debug": 6800}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", DEFAULT, id="default"),
        pytest.param(
            "[livekit]\nslot = 'b'", {name: number + 10 for name, number in DEFAULT.items()}, id="the-other-slot"
        ),
        pytest.param("[livekit.ports]\nhttp = 17880", DEFAULT | {"http": 17880}, id="chosen"),
        pytest.param(
            "[livekit]\nslot = 'b'\nports.http = 17880",
            {name: number + 10 for name, number in DEFAULT.items()} | {"http": 17890},
            id="chosen-numbers-are-those-of-slot-a",
        ),
        pytest.param(
            "[livekit]\nudp_range = '50000-60000'",
            {name: number for name, number in DEFAULT.items() if name != "rtc_udp"},
            id="a-range-takes-the-place-of-the-one-udp-port",
        ),
        pytest.param(TURN, DEFAULT | {"turn_udp": 3478}, id="turn"),
        pytest.param(
            TURN + "tls = true\ndomain = 't.org'\nexternal_tls = true",
            DEFAULT | {"turn_udp": 3478, "turn_tls": 5349},
            id="turn-over-tls-too",
        ),
        pytest.param(
            TURN + "udp = false\ntls = true\ndomain = 't.org'\nexternal_tls = true",
            DEFAULT | {"turn_tls": 5349},
            id="turn-over-tls-only",
        ),
        pytest.param("[turn]\ntls = true\ndomain = 't.org'\nexternal_tls = true", DEFAULT, id="turn-is-off"),
        pytest.param(
            "[livekit]\nversion = '1.11.0'",
            {name: number for name, number in DEFAULT.items() if name != "debug"},
            id="a-release-without-that-port",
        ),
    ],
)
def test_ports(text: str, expected: dict[str, int], catalog: Catalog) -> None:
    """Those that are there with these settings, and no other, for probes and planner alike."""
    assert ports(media(catalog, text)) == expected


@pytest.mark.parametrize(
    ("text", "there", "missing"),
    [
        pytest.param("", {"rtc.udp_port": 7882}, ["rtc.port_range_start", "rtc.port_range_end"], id="one-udp-port"),
        pytest.param(
            "[livekit]\nudp_range = '50000-60000'",
            {"rtc.port_range_start": 50000, "rtc.port_range_end": 60000},
            ["rtc.udp_port"],
            id="udp-range",
        ),
        pytest.param("", {"turn.enabled": False}, ["turn.udp_port", "turn.tls_port", "turn.domain"], id="no-turn"),
        pytest.param(
            TURN + "relay_range = '30000-30010'",
            {"turn.udp_port": 3478, "turn.relay_range_start": 30000, "turn.relay_range_end": 30010},
            ["turn.tls_port", "turn.cert_file"],
            id="turn",
        ),
        pytest.param("[turn]\nrelay_range = '30000-30010'", {}, ["turn.relay_range_start"], id="relay-range-while-off"),
        pytest.param("[network]\nnode_ip = '::1'", {"rtc.enable_loopback_candidate": True}, [], id="loopback"),
        pytest.param("[network]\nnode_ip = '10.0.0.1'", {"rtc.enable_loopback_candidate": False}, [], id="no-loopback"),
        pytest.param("[network]\ninterfaces = []", {}, ["rtc.interfaces"], id="all-interfaces"),
        pytest.param("", {}, ["redis.address", "redis.db", "redis.use_tls"], id="no-redis"),
        pytest.param(
            "[redis]\nenabled = true\nown = true\nport = 6400", {"redis.address": "127.0.0.1:6400"}, [], id="own-redis"
        ),
        pytest.param(
            "[redis]\nenabled = true\naddress = 'r.org:1'\ntls = true",
            {"redis.address": "r.org:1", "redis.use_tls": True},
            ["redis.username"],
            id="redis-elsewhere",
        ),
    ],
)
def test_the_configuration_follows(text: str, there: dict[str, Any], missing: list[str], catalog: Catalog) -> None:
    """What is set is written with its type; what is not set is left out."""
    found = yaml_of(media(catalog, text))

    def at(key: str) -> Any:
        value: Any = found
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    assert {key: at(key) for key in there} == there
    assert {key for key in missing if at(key) is not None} == set()


@pytest.mark.parametrize(
    ("text", "url", "token_url"),
    [
        ("", "ws://127.0.0.1:7880", "http://127.0.0.1:8080/api/token"),
        ("[network]\nbind = '0.0.0.0'", "ws://127.0.0.1:7880", "http://127.0.0.1:8080/api/token"),
        ("[network]\nbind = '::'", "ws://[::1]:7880", "http://[::1]:8080/api/token"),
        ("[network]\nbind = 'fd00::1'", "ws://[fd00::1]:7880", "http://[fd00::1]:8080/api/token"),
        ("[livekit]\nslot = 'b'", "ws://127.0.0.1:7890", "http://127.0.0.1:8080/api/token"),
        ("[backend.ports]\nhttp = 9090", "ws://127.0.0.1:7880", "http://127.0.0.1:9090/api/token"),
        ("[front]\nenabled = true", "ws://127.0.0.1:7980", "http://127.0.0.1:8080/api/token"),
        (
            "[front]\nenabled = true\nbind = '::'\ncertificate = '/c.pem'\nports.http = 443",
            "wss://[::1]:443",
            "http://127.0.0.1:8080/api/token",
        ),
    ],
    ids=["default", "any", "any-ipv6", "ipv6", "slot-b", "backend-port", "front", "front-tls"],
)
def test_where_people_join(text: str, url: str, token_url: str, catalog: Catalog) -> None:
    """One address, in the file that the backend and other programs read, and asked for; and those of the slots.

    With a front all join there, whatever the slot, so that nobody has to know one.
    """
    settings = read_settings(text, "media.toml", catalog)
    assert join_url(settings, catalog) == url
    specs = desired_specs(catalog, settings, home="/srv/media", python="/usr/bin/python3")
    backend = {file.path.rpartition("/")[2]: file for file in specs[-1].files}
    assert "ROUTES_FILE=/srv/media/runtime.json\n" in backend["backend.env"].template
    runtime = backend["runtime.json"].values
    assert runtime["join_url"] == url
    assert (url in runtime["slots"].values()) if "slots" in runtime else settings.front.enabled
    assert backend["runtime.json"].values["token_url"] == token_url


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("", ""),
        ("[livekit]\ntwo_slots = false", "media.toml says two_slots = false"),
        ("[front]\nenabled = true", ""),
        (REDIS_HERE, ""),
        (f"{REDIS_HERE}\n[livekit]\ntwo_slots = false", "media.toml says two_slots = false"),
        (
            f"{REDIS_HERE}\n[front]\nenabled = true",
            "with Redis livekit-server chooses the slot of a room itself, whatever slot the front sends its people to",
        ),
        (
            f"{REDIS_HERE}\n[livekit.config.prometheus]\nusername = 'eve'\npassword = 'x'",
            "with Redis two slots need the gauges of livekit-server, and media.toml puts a password before them",
        ),
    ],
    ids=["by-tokens", "off", "front", "redis", "redis-off", "redis-and-front", "redis-and-locked-gauges"],
)
def test_whether_joins_are_steered(text: str, because: str, catalog: Catalog) -> None:
    """By the front, or else by lk-backend, unless media.toml says no or livekit-server chooses itself.

    lk-backend knows the addresses of the slots only where it has to find or make a room there, and with Redis where
    each says which node it is.
    """
    settings = read_settings(text, "media.toml", catalog)
    found = desired_state(catalog, settings, home="/srv/media", python="/usr/bin/python3")
    assert (found.steering.possible, found.steering.because) == (not because, because)
    (runtime,) = found.preferred[-1].live_files
    on_nodes = REDIS_HERE in text and not settings.front.enabled and not settings.livekit.config
    assert ("slots" in runtime.values) == (on_nodes or (not because and not settings.front.enabled))
    gauges = {"a": "http://127.0.0.1:6789/metrics", "b": "http://127.0.0.1:6799/metrics"}
    assert runtime.values.get("gauges") == (gauges if on_nodes else None)
    assert found.steering.grace_s == (10.0 if not because and not settings.front.enabled else 0.0)
    assert [spec.unit for spec in found.steering_units["a"]] == (
        ["livekit-front"] if settings.front.enabled else ["lk-backend"]
    )


@pytest.mark.parametrize(
    ("version", "text", "kinds"),
    [
        ("1.13.5", "", ["debug-rooms", "prometheus", "list-rooms"]),
        ("1.13.5", REDIS_HERE, ["prometheus"]),
        ("1.11.0", "", ["prometheus", "list-rooms"]),
        ("1.11.0", REDIS_HERE, ["prometheus"]),
    ],
)
def test_where_calls_are_counted(version: str, text: str, kinds: list[str], catalog: Catalog) -> None:
    """With Redis only what is of this one node and counts those whose signals it relays: no count beats a wrong one."""
    found = media(catalog, f"{text}\n[livekit]\nversion = '{version}'")
    assert [source.kind for source, _ in found.calls] == kinds


@pytest.mark.parametrize("wanted", ["1.11.0", "1.11.0-r1"])
def test_a_pinned_release(wanted: str, catalog: Catalog) -> None:
    """By version or by release: the same launch, to the digest, and not that of the newest."""
    spec = media(catalog, f"[livekit]\nversion = '{wanted}'")
    assert spec.release == "1.11.0-r1"
    assert spec.argv[0] == "/srv/media/bin/livekit-server-1.11.0/livekit-server"
    assert spec == media(catalog, "[livekit]\nversion = '1.11.0'")
    assert {edge.start for edge in spec.replaces} == {"1.9.12-r1", "1.10.1-r1", "1.12.0-r1", "1.13.3-r1"}
    assert media(catalog, "").release == "1.13.5-r1"


def test_a_trait_of_the_host_does_not_move_what_runs(catalog: Catalog) -> None:
    """The same release on a host that can run it is the same launch."""
    there = catalog.on(frozenset({HostTrait.QDISC_STATS2_ONLY}))
    assert media(there, "") == media(catalog, "")


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("", ["livekit-server", "lk-backend"]),
        ("[redis]\nenabled = true\nown = true", ["livekit-redis", "livekit-server", "lk-backend"]),
        ("[redis]\nenabled = true\naddress = 'r:1'", ["livekit-server", "lk-backend"]),
        ("[redis]\nown = true", ["livekit-server", "lk-backend"]),
        ("[front]\nenabled = true", ["livekit-front", "livekit-server", "lk-backend"]),
    ],
    ids=["default", "own-redis", "redis-elsewhere", "redis-off", "front"],
)
def test_wanted_units(text: str, units: list[str], catalog: Catalog) -> None:
    """In the order of their start, so the front outlives the media at the end; a Redis elsewhere is not ours to run."""
    assert list(wanted_units(read_settings(text, "media.toml", catalog))) == units


def test_numbers_that_the_user_chose(catalog: Catalog) -> None:
    """As they stand in the file; Redis has its one under a name of its own."""
    settings = read_settings("[livekit.ports]\nhttp = 1\n[redis]\nport = 2\n", "media.toml", catalog)
    assert port_numbers(settings, MEDIA) == {"http": 1}
    assert port_numbers(settings, REDIS) == {"redis": 2}


def test_transports_and_addresses(catalog: Catalog) -> None:
    """What is bound to every address says so, whatever the HTTP listeners are bound to."""
    found = {port.name: port for port in media(catalog, TURN + "[network]\nbind = '10.0.0.1'").ports}
    assert {name for name, port in found.items() if port.protocol is Protocol.UDP} == {"rtc_udp", "turn_udp"}
    assert {name for name, port in found.items() if port.bind == "*"} == {"rtc_tcp", "rtc_udp", "turn_udp"}
    assert {port.bind for name, port in found.items() if port.bind != "*"} == {"10.0.0.1"}


@pytest.mark.parametrize(
    ("bind", "host"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("::1", "::1"), ("10.0.0.1", "10.0.0.1")]
)
def test_how_a_program_here_reaches_a_listener(bind: str, host: str) -> None:
    """Every address is no address to connect to."""
    assert connect_host(bind) == host
