"""What the package says of livekit-server's keys, and the servers that it is held against."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def stated_keys() -> dict[str, dict[str, str]]:
    """Release -> the complete key list that its definition states."""
    if "HLU_STATED_KEYS" not in os.environ:
        pytest.skip("HLU_STATED_KEYS names no file: the definitions state no keys yet")
    stated: dict[str, dict[str, str]] = json.loads(Path(os.environ["HLU_STATED_KEYS"]).read_text())
    return stated


@pytest.fixture(scope="session")
def livekit_servers() -> dict[str, Path]:
    """Release -> the built program."""
    if "HLU_SERVERS" not in os.environ:
        pytest.skip("HLU_SERVERS names no folder with built servers")
    return {path.parent.name: path for path in sorted(Path(os.environ["HLU_SERVERS"]).glob("*/server"))}
