"""A definition and its parameters give one LaunchSpec, with digests that see meaning and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_livekit_units.definitions import template
from hero_livekit_units.definitions.resolve import resolve
from hero_livekit_units.definitions.settings import desired_specs, join_url, read_settings
from hero_livekit_units.errors import DefinitionInvalid
from hero_livekit_units.model.settings import Settings
from hero_livekit_units.model.unit import StopSection

if TYPE_CHECKING:
    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.launch import LaunchSpec

PARAMETERS = {
    "binary": "/opt/livekit-server",
    "bind": "127.0.0.1",
    "interfaces": '["lo"]',
    "livekit_url": "ws://127.0.0.1:7880",
    "log_level": "info",
    "loopback": "true",
    "node_ip": "127.0.0.1",
    "python": "/usr/bin/python3",
}


def media(catalog: Catalog, slot: str = "a", **ports: int) -> LaunchSpec:
    """livekit-server resolved."""
    return resolve(catalog.find("livekit-server"), PARAMETERS, home="/srv/media", slot=slot, ports=ports)


def test_everything_open_is_filled_in(catalog: Catalog) -> None:
    """argv, folder and files hold no parameter any more, but for secrets in files."""
    spec = media(catalog)
    assert spec.instance == "livekit-server@a"
    assert spec.argv == ("/opt/livekit-server", "--config", "/srv/media/slots/a/livekit.yaml")
    assert spec.files[0].mode == 0o600
    assert set(template.names(spec.files[0].template)) == {"secret.api_key", "secret.api_secret"}
    assert spec.environment["HLU_RELEASE"] == "1.13.5-r1"
    assert spec.environment["HLU_DIGEST"] == spec.launch_digest


def test_the_other_slot_shares_no_port_and_no_folder(catalog: Catalog) -> None:
    """Two releases can stand side by side on one host."""
    one, other = media(catalog, "a"), media(catalog, "b")
    assert {port.number for port in one.ports}.isdisjoint(port.number for port in other.ports)
    assert one.folder != other.folder


def test_a_port_that_the_user_chose_goes_everywhere(catalog: Catalog) -> None:
    """Configuration, probes and the join address follow one number."""
    spec = media(catalog, http=17880)
    assert "port: 17880\n" in spec.files[0].template
    assert {probe.port.number for probe in spec.probes} == {17880}
    assert join_url(spec) == "ws://127.0.0.1:17880"


def test_resolving_is_pure(catalog: Catalog) -> None:
    """Equal input, equal value, whatever the order of the parameters."""
    backwards = dict(reversed(PARAMETERS.items()))
    definition = catalog.find("livekit-server")
    assert resolve(definition, backwards, home="/srv/media", slot="a", ports={}) == media(catalog)


def test_only_what_needs_a_restart_moves_the_launch_digest(catalog: Catalog) -> None:
    """A changed stop policy is another definition, but the running process need not notice."""
    definition = catalog.find("livekit-server")
    policy = attrs.evolve(definition, stop=StopSection("SIGTERM", window_s=1.0))
    changed = resolve(policy, PARAMETERS, home="/srv/media", slot="a", ports={})
    assert changed.launch_digest == media(catalog).launch_digest
    assert changed.digest != media(catalog).digest
    assert media(catalog, debug=6999).launch_digest != media(catalog).launch_digest


def test_the_default_settings_are_the_desired_state(catalog: Catalog) -> None:
    """Without a media.toml both units are wanted, and the backend hands out the address of the media server."""
    livekit, backend = desired_specs(catalog, Settings(), home="/srv/media", python="/usr/bin/python3")
    assert livekit.argv[0] == "/srv/media/bin/livekit-server-1.13.5/livekit-server"
    assert "LIVEKIT_URL=ws://127.0.0.1:7880\n" in backend.files[0].template


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("[livekit]\nrelase = 'x'", "media.toml:2:1: livekit.relase: unknown key", id="unknown-key"),
        pytest.param(
            "[livekit]\nrelease = '9.9.9-r1'", "media.toml:2:1: livekit.release: cannot find release", id="release"
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
