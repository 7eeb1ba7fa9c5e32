"""livekit.yaml for every release and every media.toml: nothing in it that the release does not know."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hero_livekit_units.definitions import kinds
from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.definitions.render import file_text
from hero_livekit_units.livekit.desired import MEDIA, desired_specs
from hero_livekit_units.livekit.settings import read_settings
from tests.media_tomls import media_tomls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CATALOG = shipped_catalog()
RUNNABLE = [release for release in CATALOG.releases(MEDIA) if not CATALOG.blocked(CATALOG.find(MEDIA, release))]
SECRETS = {
    "api_key": "APIx",
    "api_secret": "s" * 43,
    "api_keys": {"APIx": "s" * 43, "APIy$": "$t" * 20},
    "backend_secret": "b" * 43,
    "webhook_key": "APIx",
}


def rendered(text: str) -> str:
    """The livekit.yaml that a media.toml makes, secrets and all."""
    wanted = read_settings(text, "media.toml", CATALOG)
    specs = desired_specs(CATALOG, wanted, home="/srv/media", python="/usr/bin/python3", secrets=SECRETS)
    (media,) = [spec for spec in specs if spec.unit == MEDIA]
    return file_text(media.files[0], SECRETS)


def leaves(keys: dict[str, str], value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a configuration that the list has, or that has no table of the list around it, with its value."""
    for name, item in value.items():
        key = f"{prefix}{name}"
        if isinstance(item, dict) and key not in keys:
            yield from leaves(keys, item, f"{key}.")
        else:
            yield key, item


@pytest.mark.parametrize("release", RUNNABLE)
@given(data=st.data())
@settings(max_examples=20)
def test_only_known_keys_of_their_kind(release: str, data: st.DataObject) -> None:
    """Whatever the user asks of a release, its configuration holds keys of its list, each with a value of its kind."""
    definition = CATALOG.find(MEDIA, release)
    config = yaml.safe_load(rendered(data.draw(media_tomls(definition))))
    found = dict(leaves(definition.config.keys, config))
    assert {key for key in found if definition.config.keys.get(key, kinds.REMOVED) == kinds.REMOVED} == set()
    assert {key: value for key, value in found.items() if not kinds.fits(definition.config.keys[key], value)} == {}


@pytest.mark.servers
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("version", ["1.9.12", "1.11.0", "1.13.3", "1.13.5"])
@given(data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_real_program_takes_it(
    version: str, livekit_servers: dict[str, Path], tmp_path: Path, data: st.DataObject
) -> None:
    """The release itself reads the configuration, strictly, and prints its ports."""
    text = rendered(data.draw(media_tomls(CATALOG.find(MEDIA, version))))
    file = tmp_path / "livekit.yaml"
    file.write_text(text)
    run = subprocess.run(
        [livekit_servers[version], "ports", "--config", file], check=False, capture_output=True, text=True, timeout=30
    )
    # It exits 0 on errors too.
    assert "TCP Ports" in run.stdout, f"{run.stdout}{run.stderr}\n{text}"
