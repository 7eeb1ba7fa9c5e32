"""A definition and its parameters give one LaunchSpec, with digests that see meaning and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.definitions import template
from hero_livekit_units.definitions.catalog import catalog as make_catalog
from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.errors import DefinitionInvalid
from hero_livekit_units.livekit.desired import desired_specs
from hero_livekit_units.livekit.front import mark_of
from hero_livekit_units.livekit.settings import read_settings
from hero_livekit_units.model.settings import Settings
from hero_livekit_units.model.unit import StopSection

if TYPE_CHECKING:
    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.launch import LaunchSpec
    from hero_livekit_units.model.unit import Definition

SECRETS = {"api_key": "APIx", "api_secret": "s" * 43, "api_keys": {"APIx": "s" * 43}, "webhook_key": "APIx"}


def desired(catalog: Catalog, text: str = "", secrets: dict[str, Any] | None = None) -> dict[str, LaunchSpec]:
    """The desired state by a media.toml, by instance."""
    settings = read_settings(text, "media.toml", catalog)
    specs = desired_specs(catalog, settings, home="/srv/media", python="/usr/bin/python3", secrets=secrets)
    return {spec.instance: spec for spec in specs}


def media(catalog: Catalog, text: str = "", secrets: dict[str, Any] | None = None) -> LaunchSpec:
    """livekit-server in slot a."""
    return desired(catalog, text, secrets)["livekit-server@a"]


def test_everything_open_is_filled_in(catalog: Catalog) -> None:
    """argv, folder and files hold no parameter any more, but for secrets in files."""
    spec = media(catalog)
    assert spec.argv == (
        "/srv/media/bin/livekit-server-1.13.5/livekit-server",
        "--config",
        f"/srv/media/slots/a/launch-{spec.launch_digest}/livekit.yaml",
    )
    assert spec.files[0].mode == 0o600
    assert set(template.names(spec.files[0].values)) == {
        "secret.api_keys",
        "secret.redis_password",
        "secret.webhook_key",
    }
    assert spec.environment["HLU_RELEASE"] == "1.13.5-r1"
    assert spec.environment["HLU_DIGEST"] == spec.launch_digest


def test_the_other_slot_shares_no_port_and_no_folder(catalog: Catalog) -> None:
    """Two releases can stand side by side on one host."""
    one, other = media(catalog), desired(catalog, '[livekit]\nslot = "b"')["livekit-server@b"]
    assert {port.number for port in one.ports}.isdisjoint(port.number for port in other.ports)
    assert one.folder != other.folder


def test_a_port_that_the_user_chose_goes_everywhere(catalog: Catalog) -> None:
    """Configuration, probes and the join address follow one number."""
    specs = desired(catalog, "[livekit.ports]\nhttp = 17880")
    spec = specs["livekit-server@a"]
    assert spec.files[0].values["port"] == 17880
    assert {probe.port.number for probe in spec.probes} == {17880}
    assert specs["lk-backend"].live_files[0].values["join_url"] == "ws://127.0.0.1:17880"


def test_resolving_is_pure(catalog: Catalog) -> None:
    """Equal input, equal value."""
    assert desired(catalog, secrets=SECRETS) == desired(catalog, secrets=dict(reversed(SECRETS.items())))


def test_only_what_needs_a_restart_moves_the_launch_digest(catalog: Catalog) -> None:
    """A changed stop policy is another definition, but the running process need not notice."""
    definition = catalog.find("livekit-server")
    policy = attrs.evolve(definition, stop=StopSection("SIGTERM", window_s=1.0))
    changed = media(one_release(policy))
    assert changed.launch_digest == media(one_release(definition)).launch_digest
    assert changed.digest != media(one_release(definition)).digest
    assert media(catalog, "[livekit.ports]\ndebug = 6999").launch_digest != media(catalog).launch_digest


def one_release(definition: Definition) -> Catalog:
    """A catalog with this one release of livekit-server."""
    return make_catalog([("media.toml", definition), ("backend.toml", shipped_catalog().find("lk-backend"))])


def test_a_file_that_no_program_reads_restarts_none(catalog: Catalog) -> None:
    """runtime.json is for others: another port of livekit-server's API is no reason to restart lk-backend."""
    backend = catalog.find("lk-backend")
    runtime = attrs.evolve(backend.run.files["runtime.json"], values={"join_url": "elsewhere"})
    run = attrs.evolve(backend.run, files=backend.run.files | {"runtime.json": runtime})
    changed = make_catalog([("b", attrs.evolve(backend, run=run)), ("m", catalog.find("livekit-server"))])
    one, other = desired(catalog)["lk-backend"], desired(changed)["lk-backend"]
    assert one.files != other.files
    assert one.launch_digest == other.launch_digest


@pytest.mark.parametrize(
    ("name", "value", "moves"),
    [
        ("api_keys", {"APIx": "s" * 43, "APIy": "t" * 43}, ["livekit-server@a"]),
        ("api_key", "APIy", ["lk-backend"]),
        ("backend_secret", "b" * 43, ["lk-backend"]),
        ("redis_password", "secret", ["livekit-server@a"]),
    ],
)
def test_a_secret_moves_the_launch_digest_of_who_reads_it(
    name: str, value: object, moves: list[str], catalog: Catalog
) -> None:
    """A program that has read another secret than it should is found by the digest in its environment."""
    before, after = desired(catalog, secrets=SECRETS), desired(catalog, secrets=SECRETS | {name: value})
    assert [unit for unit in before if before[unit].launch_digest != after[unit].launch_digest] == moves
    assert "s" * 43 not in str(list(after.values()))


def test_the_default_settings_are_the_desired_state(catalog: Catalog) -> None:
    """Without a media.toml both units are wanted, and the backend hands out the address of the media server."""
    specs = desired_specs(catalog, Settings(), home="/srv/media", python="/usr/bin/python3")
    assert [spec.instance for spec in specs] == ["livekit-server@a", "lk-backend"]
    assert specs[1].live_files[0].values["join_url"] == "ws://127.0.0.1:7880"


def test_companions_come_when_they_are_enabled(catalog: Catalog) -> None:
    """Redis before the media that need it; with a front, people join at the front."""
    specs = desired(catalog, "[redis]\nenabled = true\nown = true\n[front]\nenabled = true")
    assert list(specs) == ["livekit-redis", "livekit-front", "livekit-server@a", "lk-backend"]
    assert specs["livekit-server@a"].files[0].values["redis"]["address"] == "127.0.0.1:6379"
    assert specs["lk-backend"].live_files[0].values["join_url"] == "ws://127.0.0.1:7980"
    assert "server a 127.0.0.1:7880\n" in specs["livekit-front"].files[0].template


def test_the_front_is_steered_and_reloaded_not_restarted(catalog: Catalog) -> None:
    """Its launch and its files are the same whichever slot gets new rooms; its mark tells its configurations apart."""
    front, other_slot, other_port = (
        desired(catalog, f"[front]\nenabled = true\n{more}")["livekit-front"]
        for more in ("", "[livekit]\nslot = 'b'\n", "[livekit.ports]\nhttp = 7800\n")
    )
    assert (front.new_rooms, other_slot.new_rooms) == ("a", "b")
    assert front.digest != other_slot.digest
    assert attrs.evolve(front, new_rooms="b", digest=other_slot.digest) == other_slot
    assert front.launch_digest == other_port.launch_digest
    marks = {mark_of(spec.files[0].template) for spec in (front, other_port)}
    assert len(marks) == 2
    assert all(marks)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("[livekit]\nrelase = 'x'", "media.toml:2:1: livekit.relase: unknown key", id="unknown-key"),
        pytest.param(
            "[livekit]\nversion = '9.9.9'", "media.toml:2:1: livekit.version: cannot find release", id="version"
        ),
        pytest.param("[network]\nbind = 'localhost'", "media.toml:2:1: network.bind: not an IP address", id="address"),
        pytest.param("[livekit]\nlog_level = 'loud'", "expected one of debug, info, warn, error", id="level"),
        pytest.param("[livekit.ports]\nhtpp = 1", "livekit.ports.htpp: unknown port", id="port-name"),
        pytest.param("[backend.ports]\nhttp = 0", "backend.ports.http: not a port: 0", id="port-number"),
        pytest.param(
            "[backend.ports]\nhttp = 7880",
            "port 7880 of http of lk-backend is also http of livekit-server@a",
            id="collision",
        ),
        pytest.param("[livekit]\nslot = 'c'", "livekit.slot: no such slot: 'c'", id="slot"),
        pytest.param("[network]\ninterfaces = ['a\"b']", "not the name of a network interface", id="interface"),
    ],
)
def test_a_faulty_media_toml_is_refused_with_places(catalog: Catalog, text: str, expected: str) -> None:
    """The user's file is read as strictly as a definition."""
    with pytest.raises(DefinitionInvalid) as caught:
        read_settings(text, "media.toml", catalog)
    assert any(expected in str(issue) for issue in caught.value.issues), caught.value


@given(st.dictionaries(st.from_regex(r"[a-z_.]{1,8}", fullmatch=True), st.text(max_size=20), max_size=4))
def test_what_a_parameter_brings_in_is_text(parameters: dict[str, str]) -> None:
    """A value that looks like a template stays as it is, now and when the secrets are filled in."""
    text = "".join(f"<${{{name}}}>" for name in parameters if not name.startswith("secret."))
    expected = "".join(f"<{value}>" for name, value in parameters.items() if not name.startswith("secret."))
    assert template.fill(text, parameters) == expected
    assert template.fill(template.fill_but_secrets(text, parameters), {}) == expected
    assert template.fill_secrets(template.fill_data({"key": [text]}, parameters), {}) == {"key": [expected]}
