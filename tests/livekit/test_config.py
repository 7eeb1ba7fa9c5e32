"""Keys of livekit.yaml that media.toml has no word for: checked against the very release that will read them."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from hero_livekit_units.definitions.render import nested
from hero_livekit_units.errors import DefinitionInvalid
from hero_livekit_units.livekit import config
from hero_livekit_units.livekit.settings import read_settings
from hero_livekit_units.model.settings import Settings, setting_fields
from hero_livekit_units.model.unit import ConfigSection

if TYPE_CHECKING:
    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.unit import Definition


def faults(definition: Definition, text: str) -> list[tuple[str, str, str]]:
    """What is wrong with a [livekit.config] of this text: key, fault, hint."""
    return [
        (".".join(map(str, path)), fault, hint) for path, fault, hint in config.faults(definition, tomllib.loads(text))
    ]


@pytest.fixture
def newest(catalog: Catalog) -> Definition:
    """livekit-server 1.13.5."""
    return catalog.find("livekit-server", "1.13.5")


@pytest.fixture
def free(newest: Definition) -> Definition:
    """A release with every form of key, few of each."""
    keys = {
        "plain": "uint8",
        "table.deep.key": "bool",
        "list[].name": "text",
        "list[].inner[].size": "integer",
        "map{}.host": "text",
        "map{}.inner.port": "uint16",
        "anything": "tree",
        "gone": "removed",
        "old.key": "removed",
        "numbers": "list of integer",
    }
    run = attrs.evolve(newest.run, files={})
    return attrs.evolve(newest, config=ConfigSection("livekit.yaml", keys=keys), run=run)


@pytest.mark.parametrize(
    "text",
    [
        "plain = 255",
        "table.deep.key = true",
        "[table]\n[table.deep]",
        "[[list]]\nname = 'a'\n[[list.inner]]\nsize = 1\n[[list.inner]]\n[[list]]",
        "list = []",
        "[map.one]\nhost = 'h'\n[map.two.inner]\nport = 1",
        "map = {}",
        "anything = { a.'b.c' = [1] }",
        "numbers = [1, 2]",
    ],
)
def test_what_the_release_knows(text: str, free: Definition) -> None:
    """Of its kind, at any depth, in lists and tables of tables, whole or in part."""
    assert faults(free, text) == []


UNKNOWN = "livekit-server 1.13.5 does not know "
LISTS = "`hlu show livekit-server --keys` lists what it knows"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("plan = 1", ("plan", UNKNOWN + "plan", "did you mean plain?"), id="near"),
        pytest.param("zzzzzz = 1", ("zzzzzz", UNKNOWN + "zzzzzz", LISTS), id="far"),
        pytest.param(
            "table.deep.kex = 1",
            ("table.deep.kex", UNKNOWN + "table.deep.kex", "did you mean table.deep.key?"),
            id="deep",
        ),
        pytest.param("gone = 1", ("gone", UNKNOWN + "gone", "this release has it no more: remove it"), id="removed"),
        pytest.param("old.key = 1", ("old", UNKNOWN + "old", LISTS), id="a-table-of-removed-keys"),
        pytest.param("plain = 256", ("plain", "plain: expected an integer, 0 to 255, found 256", ""), id="limit"),
        pytest.param("plain = true", ("plain", "plain: expected an integer, 0 to 255, found True", ""), id="kind"),
        pytest.param(
            "plain.x = 1", ("plain", "plain: expected an integer, 0 to 255, found {'x': 1}", ""), id="table-for-a-value"
        ),
        pytest.param("table = 1", ("table", "table: expected a table", ""), id="value-for-a-table"),
        pytest.param("table.deep = []", ("table.deep", "table.deep: expected a table", ""), id="list-for-a-table"),
        pytest.param("list = 1", ("list", "list: expected a list of tables", ""), id="value-for-a-list"),
        pytest.param("list.name = 'a'", ("list", "list: expected a list of tables", ""), id="one-table-for-a-list"),
        pytest.param("list = [{}, 1]", ("list.1", "list: expected a list of tables", ""), id="no-table-in-a-list"),
        pytest.param(
            "[[list]]\n[[list]]\nname = 1",
            ("list.1.name", "list[].name: expected text, found 1", ""),
            id="in-the-second-table",
        ),
        pytest.param(
            "[[list]]\n[[list.inner]]\nsize = 'x'",
            (
                "list.0.inner.0.size",
                "list[].inner[].size: expected an integer, -9223372036854775808 to 9223372036854775807, found 'x'",
                "",
            ),
            id="list-in-a-list",
        ),
        pytest.param(
            "[[list]]\nnam = 1",
            ("list.0.nam", UNKNOWN + "list[].nam", "did you mean list[].name?"),
            id="near-in-a-list",
        ),
        pytest.param("map = []", ("map", "map: expected a table of tables", ""), id="list-for-tables"),
        pytest.param("map.one = 1", ("map.one", "map: expected a table of tables", ""), id="value-among-tables"),
        pytest.param(
            "[map.one.inner]\nport = 65536",
            ("map.one.inner.port", "map{}.inner.port: expected an integer, 0 to 65535, found 65536", ""),
            id="deep-in-free-tables",
        ),
        pytest.param(
            "numbers = ['1']",
            ("numbers", "numbers: expected list of integer, found ['1']", ""),
            id="item-of-a-list",
        ),
        *(
            pytest.param(
                f'"{name}" = 1',
                (name, f"not the name of a key: {name!r}", "one name at a time, tables as tables"),
                id=f"mark-{name}",
            )
            for name in ("table.deep", "list[]", "[", "map{}", "}")
        ),
    ],
)
def test_what_it_does_not_know(text: str, expected: tuple[str, str, str], free: Definition) -> None:
    """Each with its own path, what was expected, and what is near."""
    assert faults(free, text) == [expected]


def test_a_parameter_of_ours_is_no_value_of_theirs(free: Definition) -> None:
    """Nothing fills in what a user writes under [livekit.config], so it is judged as the text that it is."""
    assert faults(free, "plain = '${ports.http}'") == [
        ("plain", "plain: expected an integer, 0 to 255, found '${ports.http}'", "")
    ]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("port = 1", "in media.toml it is livekit.ports.http"),
        ("rtc.udp_port = 1", "in media.toml it is livekit.ports.rtc_udp"),
        ("rtc.port_range_start = 1", "in media.toml it is livekit.udp_range"),
        ("rtc.port_range_end = 1", "in media.toml it is livekit.udp_range"),
        ("rtc.node_ip = '1.2.3.4'", "in media.toml it is network.node_ip"),
        ("rtc.enable_loopback_candidate = true", "in media.toml it is network.node_ip"),
        ("rtc.interfaces.includes = []", "in media.toml it is network.interfaces"),
        ("turn.relay_range_end = 1", "in media.toml it is turn.relay_range"),
        ("turn.ttl_seconds = 1", "in media.toml it is turn.ttl_s"),
        ("turn.tls_port = 1", "in media.toml it is livekit.ports.turn_tls"),
        ("redis.address = 'x:1'", "in media.toml it is redis.address"),
        ("redis.password = 'x'", "set it with `hlu secret set redis_password`"),
        ("keys.a = 'b'", "leave it out"),
        ("webhook.api_key = 'b'", "leave it out"),
        ("logging.level = 'info'", "in media.toml it is livekit.log_level"),
        ("logging.json = true", "leave it out"),
        ("room.max_participants = 1", "in media.toml it is limits.max_participants"),
    ],
)
def test_what_is_ours_to_set(text: str, hint: str, newest: Definition) -> None:
    """Told where it is set instead; a name that a user can find in media.toml."""
    ((path, fault, said),) = faults(newest, text)
    assert fault == f"{path} is ours to set" or fault == f"{path.rpartition('.')[0]} is ours to set"
    assert said == hint
    if said.startswith("in media.toml it is livekit.ports."):
        assert said.rpartition(".")[2] in newest.ports
    elif said.startswith("in media.toml"):
        assert said.rpartition(" ")[2] in setting_fields()


@pytest.mark.parametrize("version", ["1.9.12", "1.13.5"])
def test_every_key_of_ours_has_a_way(version: str, catalog: Catalog) -> None:
    """Whichever of them the user tries, it is refused, and the advice names what there is."""
    definition = catalog.find("livekit-server", version)
    for key in definition.run.files["livekit.yaml"].values:
        ((_, fault, hint),) = list(config.faults(definition, nested({key: 1})))
        assert fault == f"{key} is ours to set"
        ports = {f"livekit.ports.{name}" for name in definition.ports}
        named = hint.removeprefix("in media.toml it is ").split(", ")
        assert hint == "leave it out" or hint.startswith("set it with") or set(named) <= {*setting_fields(), *ports}


@pytest.mark.parametrize(
    ("version", "key", "known"),
    [
        ("1.13.1", "room.create_room_enabled", True),
        ("1.13.2", "room.create_room_enabled", False),
        ("1.13.5", "room.create_room_enabled", False),
        ("1.9.9", "trace.jaeger_url", False),
        ("1.9.11", "trace.jaeger_url", True),
    ],
)
def test_keys_come_and_go(version: str, key: str, known: bool, catalog: Catalog) -> None:  # noqa: FBT001
    """Each release is judged by its own list, and a key that is gone is told as such."""
    definition = catalog.find("livekit-server", version)
    value: Any = "x" if key.startswith("trace") else True
    found = list(config.faults(definition, nested({key: value})))
    assert (not found) == known
    if key.startswith("room") and not known:
        assert found == [
            (
                ("room", "create_room_enabled"),
                f"livekit-server {version} does not know room.create_room_enabled",
                "this release has it no more: remove it",
            )
        ]


def test_foreign_turn_servers(newest: Definition) -> None:
    """A list of tables of theirs, beside keys of ours in the same table."""
    text = "[[rtc.turn_servers]]\nhost = 'a'\nport = 3478\nprotocol = 'udp'\n[[rtc.turn_servers]]\nhost = 'b'\n"
    assert faults(newest, text) == []
    assert config.render(newest, tomllib.loads(text)) == {
        "rtc.turn_servers": [{"host": "a", "port": 3478, "protocol": "udp"}, {"host": "b"}]
    }
    assert faults(newest, text.replace("3478", "'x'"))[0][0] == "rtc.turn_servers.0.port"


def test_rendering(free: Definition) -> None:
    """Nested tables become the dotted keys of the release; lists and tables of tables stay whole."""
    text = "plain = 1\ntable.deep.key = true\nmap.one.host = 'h'\nanything.a.b = 1\n[[list]]\nname = 'a'\n"
    assert config.render(free, tomllib.loads(text)) == {
        "plain": 1,
        "table.deep.key": True,
        "map": {"one": {"host": "h"}},
        "anything": {"a": {"b": 1}},
        "list": [{"name": "a"}],
    }


def test_what_is_faulty_is_not_rendered(free: Definition) -> None:
    """One key too many ends livekit-server, so not even a mistake of ours lets it through."""
    assert config.render(free, tomllib.loads("zzz = 1\ntable.no = 1\n[other.x]\ny = 1\n")) == {}
    assert config.render(free, {"gone": 1, "old": {"key": 1}}) == {}


def test_faults_are_placed_in_the_file(catalog: Catalog) -> None:
    """The path into [livekit.config] is a path into media.toml."""
    text = "[livekit.config.room]\nauto_create = 1\n[[livekit.config.rtc.turn_servers]]\nhost = 'a'\nhots = 'b'\n"
    with pytest.raises(DefinitionInvalid) as caught:
        read_settings(text, "media.toml", catalog)
    assert [str(issue) for issue in caught.value.issues] == [
        "media.toml:2:1: livekit.config.room.auto_create: room.auto_create: expected bool, found 1",
        (
            "media.toml:5:1: livekit.config.rtc.turn_servers.0.hots: livekit-server 1.13.5 does not know "
            "rtc.turn_servers[].hots (did you mean rtc.turn_servers[].host?)"
        ),
    ]


def test_what_a_definition_mentions(catalog: Catalog) -> None:
    """Under the names of media.toml: in files, in argv, in ports and their conditions, and by another name."""
    media = config.mentioned(catalog.find("livekit-server", "1.13.5"))
    assert {"network.bind", "livekit.udp_range", "turn.relay_range", "turn.udp", "turn.ttl_s"} <= media
    assert media <= set(setting_fields())
    assert "front.certificate" in config.mentioned(catalog.find("livekit-front"))
    assert "turn.ttl_s" not in config.mentioned(catalog.find("livekit-server", "1.11.0"))


def test_every_key_of_media_toml_is_used_by_the_newest(catalog: Catalog) -> None:
    """None is left that nothing can carry out."""
    definitions = [catalog.find(unit) for unit in catalog.units]
    full = Settings()
    for section in attrs.fields(Settings):
        default = getattr(full, section.name)
        changes: dict[str, Any] = {"enabled": True} if hasattr(default, "enabled") else {}
        for key in attrs.fields(type(default)):
            if not str(key.type).startswith("dict") and key.name not in {"enabled", "log_level"}:
                values = {"bool": not key.default, "str": "x", "int": 7, "int | None": 7}
                changes[key.name] = values.get(str(key.type), ("x",))
        full = attrs.evolve(full, **{section.name: attrs.evolve(default, **changes)})
    assert config.unused(definitions, full) == []
    assert "turn.ttl_s" in config.unused([catalog.find("livekit-server", "1.11.0")], full)
    assert config.unused([catalog.find("livekit-server", "1.11.0")], Settings()) == []
