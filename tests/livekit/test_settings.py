"""media.toml, each rule once: told at its key, with what helps; and what is right is read as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.definitions.catalog import Catalog
from hero_livekit_units.definitions.catalog import catalog as make_catalog
from hero_livekit_units.errors import DefinitionInvalid
from hero_livekit_units.livekit.desired import desired_specs
from hero_livekit_units.livekit.settings import read_settings
from hero_livekit_units.model.settings import LogLevel, Settings, setting_fields, setting_values
from hero_livekit_units.model.unit import HostTrait

if TYPE_CHECKING:
    from hero_livekit_units.model.settings import Settings as SettingsType

TURN = "[turn]\nenabled = true\n"
REDIS = "[redis]\nenabled = true\n"


def issues(catalog: Catalog, text: str) -> list[str]:
    """What is wrong with a media.toml, as a person reads it; nothing for one that is right."""
    try:
        read_settings(text, "media.toml", catalog, choosing=True)
    except DefinitionInvalid as error:
        return [str(issue) for issue in error.issues]
    return []


def read(catalog: Catalog, text: str) -> SettingsType:
    """A media.toml that is right."""
    return read_settings(text, "media.toml", catalog)


def test_an_empty_file_is_the_default(catalog: Catalog) -> None:
    """Every key has one."""
    assert read(catalog, "") == Settings()
    assert read(catalog, "[livekit]\n[turn]\n") == Settings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a = 1", "1:1: a: unknown key (known keys: network, ", id="unknown-table"),
        pytest.param("[livekt]", "1:1: livekt: unknown key (did you mean 'livekit'?)", id="near-table"),
        pytest.param(
            "[turn]\nenabeld = true", "2:1: turn.enabeld: unknown key (did you mean 'enabled'?)", id="near-key"
        ),
        pytest.param("[turn]\nenabled = 1", "2:1: turn.enabled: expected a boolean, found an integer 1", id="kind"),
        pytest.param(
            "[turn]\nttl_s = 1.5", "2:1: turn.ttl_s: expected an integer, found a number 1.5", id="whole-number"
        ),
        pytest.param(
            "[livekit]\nlog_level = 'loud'",
            "2:1: livekit.log_level: expected one of debug, info, warn, error, found 'loud'",
            id="choice",
        ),
        pytest.param("[livekit]\nslot = 'c'", "2:1: livekit.slot: no such slot: 'c' (a, b)", id="slot"),
        pytest.param("[livekit]\nslot = ''", "2:1: livekit.slot: no such slot: '' (a, b)", id="no-slot"),
        pytest.param(
            "[network]\nbind = 'localhost'", "2:1: network.bind: not an IP address: 'localhost'", id="bind-is-a-name"
        ),
        pytest.param(
            "[network]\nnode_ip = '1.2.3'", "2:1: network.node_ip: not an IP address: '1.2.3'", id="half-an-address"
        ),
        pytest.param("[network]\nnode_ip = ''", "2:1: network.node_ip: not an IP address: ''", id="no-address"),
        pytest.param(
            "[network]\ninterfaces = ['lo', 'a/b']",
            "2:1: network.interfaces.1: not the name of a network interface: 'a/b'",
            id="interface",
        ),
        pytest.param(
            "[network]\ninterfaces = ['sixteen-letters-']",
            "2:1: network.interfaces.0: not the name of a network interface: 'sixteen-letters-'",
            id="long-interface",
        ),
        pytest.param(
            TURN + "relay_range = '40000'",
            "3:1: turn.relay_range: not a range of ports: '40000' (such as \"30000-40000\")",
            id="relay-range-of-one",
        ),
        pytest.param(
            "[turn]\nrelay_range = '40000-30000'",
            "2:1: turn.relay_range: not a range of ports: '40000-30000' (such as \"30000-40000\")",
            id="relay-range-backwards-though-off",
        ),
        pytest.param(
            TURN + "allow_restricted_peer_cidrs = ['10.0.0.0/8', '10.0.0.1/8']",
            "3:1: turn.allow_restricted_peer_cidrs.1: not valid here: '10.0.0.1/8' (such as \"10.0.0.0/8\")",
            id="host-bits-in-a-network",
        ),
        pytest.param(
            TURN + "deny_peer_cidrs = ['x']",
            "3:1: turn.deny_peer_cidrs.0: not valid here: 'x' (such as \"10.0.0.0/8\")",
            id="not-a-network",
        ),
        pytest.param(
            TURN + "bind_addresses = ['10.0.0.0/8']",
            "3:1: turn.bind_addresses.0: not valid here: '10.0.0.0/8' (such as \"0.0.0.0\")",
            id="network-for-an-address",
        ),
        pytest.param(
            TURN + "ttl_s = 0",
            "3:1: turn.ttl_s: not a time in seconds: 0 (with 0, credentials end as they are made)",
            id="turn-ttl",
        ),
        pytest.param(
            TURN + "udp = false",
            "2:1: turn.enabled: neither udp nor tls is on (set one of them)",
            id="turn-without-a-listener",
        ),
        pytest.param(
            TURN + "tls = true\nexternal_tls = true",
            "3:1: turn.tls: needs domain (the name in the certificate)",
            id="turn-tls-without-a-domain",
        ),
        pytest.param(
            TURN + "tls = true\ndomain = 't.example.org'\nkey_file = '/k'",
            "3:1: turn.tls: needs cert_file and key_file (or external_tls = true, where TLS ends in front of it)",
            id="turn-tls-without-a-certificate",
        ),
        pytest.param(
            REDIS,
            "2:1: redis.enabled: needs either address, or own = true (own runs livekit-redis on this host)",
            id="redis-without-an-address",
        ),
        pytest.param(
            REDIS + "own = true\naddress = 'r:1'",
            "2:1: redis.enabled: needs either address, or own = true (own runs livekit-redis on this host)",
            id="redis-twice",
        ),
        pytest.param(
            REDIS + "address = 'redis.example.org'",
            "3:1: redis.address: not HOST:PORT: 'redis.example.org' (such as \"127.0.0.1:6379\")",
            id="redis-without-a-port",
        ),
        pytest.param(
            REDIS + "address = '::1:6379'",
            "3:1: redis.address: not HOST:PORT: '::1:6379' (such as \"127.0.0.1:6379\")",
            id="redis-ipv6-without-brackets",
        ),
        pytest.param(
            "[livekit]\nudp_range = '50000'",
            "2:1: livekit.udp_range: not a range of ports: '50000' (such as \"50000-60000\")",
            id="udp-range-of-one",
        ),
        pytest.param(
            "[livekit]\nudp_range = '50000-70000'",
            "2:1: livekit.udp_range: not a range of ports: '50000-70000' (such as \"50000-60000\")",
            id="udp-range-too-high",
        ),
        pytest.param(
            "[webhook]\nurls = ['https://ok.example.org', 'ftp://example.org']",
            "2:1: webhook.urls.1: not an address: 'ftp://example.org' (http:// or https://, with a host)",
            id="webhook-scheme",
        ),
        pytest.param(
            "[webhook]\nurls = ['https://user:secret@example.org/']",
            "2:1: webhook.urls.0: not an address: 'https://user:secret@example.org/' (http:// or ",
            id="webhook-password",
        ),
        pytest.param(
            "[webhook]\nurls = ['https:///path']",
            "2:1: webhook.urls.0: not an address: 'https:///path' (http:// or https://, with a host)",
            id="webhook-without-a-host",
        ),
        pytest.param(
            "[limits]\nnum_tracks = -1", "2:1: limits.num_tracks: out of range: -1 (0 to 2147483647)", id="limit-below"
        ),
        pytest.param(
            "[limits]\nempty_timeout_s = 2147483648",
            "2:1: limits.empty_timeout_s: out of range: 2147483648 (0 to 2147483647)",
            id="limit-above",
        ),
        pytest.param(
            "[backend]\ntoken_ttl_s = 0", "2:1: backend.token_ttl_s: not a time in seconds: 0", id="token-ttl"
        ),
        pytest.param("[front]\nenabled = true\nbind = 'x'", "3:1: front.bind: not an IP address: 'x'", id="front-bind"),
        pytest.param(
            "[front]\nenabled = true\ncertificate = 'live.pem'",
            "3:1: front.certificate: not an absolute path: 'live.pem' "
            "(it begins with / and has no white space or quotes)",
            id="relative-path",
        ),
        pytest.param(
            TURN + "cert_file = '/a b'\n",
            "3:1: turn.cert_file: not an absolute path: '/a b' (it begins with / and has no white space or quotes)",
            id="path-with-a-blank",
        ),
        pytest.param(
            TURN + "key_file = '/a#b'\n",
            "3:1: turn.key_file: not an absolute path: '/a#b' (it begins with / and has no white space or quotes)",
            id="path-with-a-comment",
        ),
        pytest.param(
            "[livekit.ports]\nhtpp = 1",
            "2:1: livekit.ports.htpp: unknown port "
            "(ports of livekit-server: http, rtc_tcp, rtc_udp, turn_udp, turn_tls, prometheus, debug)",
            id="unknown-port",
        ),
        pytest.param(
            "[livekit.ports]\nhttp = 0", "2:1: livekit.ports.http: not a port: 0 (1 to 65525)", id="port-zero"
        ),
        pytest.param(
            "[livekit.ports]\nhttp = 65526",
            "2:1: livekit.ports.http: not a port: 65526 (1 to 65525)",
            id="no-room-for-the-other-slot",
        ),
        pytest.param(
            "[backend.ports]\nhttp = 65536", "2:1: backend.ports.http: not a port: 65536 (1 to 65535)", id="port-high"
        ),
        pytest.param(
            "[livekit.ports]\nhttp = '1'",
            "2:1: livekit.ports.http: expected an integer, found text '1'",
            id="port-as-text",
        ),
        pytest.param(
            "[livekit.ports]\nhttp = 8080",
            "2:1: livekit.ports.http: port 8080 of http of livekit-server@a is also http of lk-backend",
            id="two-units-on-one-port",
        ),
        pytest.param(
            "[livekit.ports]\nhttp = 7890\n",
            "",
            id="its-own-other-slot-may-follow",
        ),
        pytest.param(
            "[livekit.ports]\nrtc_tcp = 7890\n",
            "2:1: livekit.ports.rtc_tcp: port 7890 of rtc_tcp of livekit-server@a is also http of livekit-server@b",
            id="a-port-of-the-other-slot",
        ),
        pytest.param(
            "[backend.ports]\nhttp = 9000\n[livekit.ports]\nhttp = 9000",
            "2:1: backend.ports.http: port 9000 of http of lk-backend is also http of livekit-server@a",
            id="both-are-set",
        ),
        pytest.param(REDIS + "own = true\nport = 0", "4:1: redis.port: not a port: 0 (1 to 65535)", id="port-of-redis"),
        pytest.param(
            REDIS + "own = true\nport = 7890",
            "4:1: redis.port: port 7890 of redis of livekit-redis is also http of livekit-server@b (choose another)",
            id="redis-on-the-port-of-another",
        ),
        pytest.param("[livekit.ports]\nrtc_udp = 7880\n", "", id="tcp-and-udp-do-not-collide"),
        pytest.param(
            "[livekit]\nversion = '1.9.10'",
            "2:1: livekit.version: livekit-server 1.9.10 is blocked: it panics while calls run; upstream "
            "says not to use it (mended in 1.9.11) (choose another version)",
            id="blocked",
        ),
        pytest.param(
            "[livekit]\nversion = '1.9.10-r1'",
            "2:1: livekit.version: livekit-server 1.9.10-r1 is blocked: it panics",
            id="blocked-release",
        ),
        pytest.param(
            "[livekit]\nversion = '1.13'",
            "2:1: livekit.version: cannot find release '1.13' of livekit-server (known releases: 1.9.0-r1, ",
            id="unknown-version",
        ),
        pytest.param(
            "[backend]\nversion = '9'",
            "2:1: backend.version: cannot find release '9' of lk-backend (known releases: 0.1.0-r1)",
            id="unknown-version-of-another",
        ),
        pytest.param(
            "[livekit]\nversion = '1.11.0'\n[turn]\nenabled = true\nttl_s = 300",
            "5:1: turn.ttl_s: livekit-server 1.11.0 has no use for it (1.12.0-r1 and later have)",
            id="wish-before-its-time",
        ),
        pytest.param(
            "[livekit]\nversion = '1.10.0'\n[turn]\nenabled = true\nbind_addresses = ['0.0.0.0']",
            "5:1: turn.bind_addresses: livekit-server 1.10.0 has no use for it (1.10.1-r1 and later have)",
            id="another-wish-before-its-time",
        ),
        pytest.param("[livekit]\nversion = '1.12.0'\n[turn]\nenabled = true\nttl_s = 300", "", id="wish-in-its-time"),
    ],
)
def test_a_rule(text: str, expected: str, catalog: Catalog) -> None:
    """One fault, said once, at its place; an empty expectation is a file in which nothing is wrong."""
    found = issues(catalog, text)
    assert len(found) == bool(expected), found
    if found:
        assert found[0].startswith("media.toml")
        assert expected in found[0]
        if expected[0].isdigit():
            assert found[0].startswith(f"media.toml:{expected}")


def test_all_faults_come_at_once_in_the_order_of_the_text(catalog: Catalog) -> None:
    """Those of the types beside those of unknown keys, and each rule beside the others."""
    text = "[network]\nbind = 'x'\n[limits]\nnum_tracks = -1\n[livekit]\nversion = '1.9.10'\nslot = 'c'\nslto = 1\n"
    assert [issue.split(": ")[1] for issue in issues(catalog, text)] == [
        "network.bind",
        "limits.num_tracks",
        "livekit.version",
        "livekit.slot",
        "livekit.slto",
    ]


def test_a_wish_is_not_judged_by_a_version_that_is_not_there(catalog: Catalog) -> None:
    """What a release that nobody knows could carry out, nobody can say."""
    (found,) = issues(catalog, "[livekit]\nversion = '1.0'\n[turn]\nenabled = true\nttl_s = 3\n")
    assert "livekit.version" in found


def test_what_is_off_is_not_used(catalog: Catalog) -> None:
    """A wish in a section that is not enabled is no wish: it may wait there."""
    assert issues(catalog, "[livekit]\nversion = '1.11.0'\n[turn]\nttl_s = 300\n[redis]\nown = true\n") == []


def test_two_faults_of_one_list(catalog: Catalog) -> None:
    """Each item has its own."""
    found = issues(catalog, "[webhook]\nurls = ['a', 'https://b', 'c']")
    assert [issue.split(": ")[1] for issue in found] == ["webhook.urls.0", "webhook.urls.2"]


def test_a_release_that_this_kernel_cannot_run(catalog: Catalog) -> None:
    """Refused there with its reason, and nowhere else; the default is not touched by it."""
    there = catalog.on(frozenset({HostTrait.QDISC_STATS2_ONLY}))
    text = "[livekit]\nversion = '1.13.3'"
    assert issues(catalog, text) == []
    (found,) = issues(there, text)
    assert found.startswith("media.toml:2:1: livekit.version: livekit-server 1.13.3 is blocked: ends at its start on")
    assert issues(there, "") == []


def test_a_release_that_was_chosen_before_it_was_blocked(catalog: Catalog) -> None:
    """It may carry calls, and has to be seen: the file can be read, and the spec says why nobody should run it."""
    settings = read_settings('[livekit]\nversion = "1.9.10"\n', "media.toml", catalog)
    media, _ = desired_specs(catalog, settings, home="/srv/media", python="python3")
    assert media.blocked.startswith("it panics while calls run")
    chosen = read_settings('[livekit]\nversion = "1.9.11"\n', "media.toml", catalog)
    assert desired_specs(catalog, chosen, home="/srv/media", python="python3")[0].blocked == ""


def test_every_release_is_blocked(catalog: Catalog) -> None:
    """Without a version to blame, the table is told, and nothing else of it is judged."""
    only = make_catalog(
        [("m", catalog.find("livekit-server", "1.9.10")), ("b", catalog.find("lk-backend"))],
    )
    (found,) = issues(only, "[livekit]\nslot = 'c'\n")
    assert found.startswith(
        "media.toml:1:1: livekit.version: cannot reach the desired state: livekit-server 1.9.10-r1 is"
    )


@pytest.mark.parametrize("address", ["127.0.0.1:6379", "[::1]:6379", "redis.example.org:1", "redis_1:65535"])
def test_addresses_of_redis(address: str, catalog: Catalog) -> None:
    """By number, by name, and IPv6 in brackets."""
    assert read(catalog, f"{REDIS}address = '{address}'").redis.address == address


@pytest.mark.parametrize("url", ["http://a", "https://a:1/b?c=d", "https://a.example.org?x", "http://[::1]:80/x"])
def test_addresses_of_webhooks(url: str, catalog: Catalog) -> None:
    """With or without a path."""
    assert read(catalog, f"[webhook]\nurls = ['{url}']").webhook.urls == (url,)


def test_values_have_their_types(catalog: Catalog) -> None:
    """Choices, lists and tables are read as the settings name them."""
    found = read(catalog, "[livekit]\nlog_level = 'warn'\nports = { http = 17880 }\n[network]\ninterfaces = []\n")
    assert found.livekit.log_level is LogLevel.WARN
    assert found.livekit.ports == {"http": 17880}
    assert found.network.interfaces == ()


def test_what_is_set() -> None:
    """Empty is not set; a section that is off has nothing set but that it is off; false and 0 are values."""
    values = setting_values(Settings())
    assert set(values) == set(setting_fields())
    assert "livekit.ports" not in values
    assert "livekit.config" not in values
    assert values["network.interfaces"] == ["lo"]
    assert (values["livekit.region"], values["webhook.urls"], values["limits.num_tracks"]) == (None, None, None)
    assert (values["turn.enabled"], values["turn.udp"], values["redis.db"]) == (False, None, None)
    assert values["network.use_external_ip"] is False
