"""What the package says of livekit-server's keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.definitions.kinds import REMOVED

if TYPE_CHECKING:
    from hero_livekit_units.definitions.catalog import Catalog


@pytest.fixture(scope="session")
def stated_keys(catalog: Catalog) -> dict[str, dict[str, str]]:
    """Version to the complete list of keys that its definition states."""
    own = [catalog.find("livekit-server", release) for release in catalog.releases("livekit-server")]
    return {
        definition.unit.version: {key: kind for key, kind in definition.config.keys.items() if kind != REMOVED}
        for definition in own
    }
