"""The plugin: definitions from the folder beside this file, and one service that runs the newest of them."""

from __future__ import annotations

import os
from pathlib import Path

from hero_livekit_units.plugin import Units, read_catalog, unit_target


def units() -> Units:
    """What hero_proc gets. STATUS_PAGE_PORT is for those whose port 8090 is taken."""
    catalog = read_catalog(Path(__file__).parent / "unit_defs")
    ports = {"http": int(os.environ.get("STATUS_PAGE_PORT", "8090"))}
    target = unit_target(catalog, "status-page", ports=ports)
    return Units(catalog.definitions, targets=(target,), files=catalog.files)
