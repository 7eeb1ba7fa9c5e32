"""Fixtures that more than one folder needs."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.definitions.resolve import binary_of
from hero_livekit_units.livekit.provision import provision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hero_livekit_units.definitions.catalog import Catalog

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("check", max_examples=200, deadline=None, derandomize=True)
settings.load_profile("check" if os.environ.get("CI") else "dev")

ROOT = Path(__file__).parent.parent
BUILT = ("1.9.12", "1.11.0", "1.13.3", "1.13.5")


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The definitions that ship with the package."""
    return shipped_catalog()


@pytest.fixture(scope="session")
def built_server(catalog: Catalog) -> Callable[[str], Path]:
    """From a version to a real livekit-server, found or built; kept between runs."""

    @cache
    def build(version: str) -> Path:
        definition = catalog.find("livekit-server", version)
        return provision(binary_of(definition), definition.unit.version, ROOT / ".cache" / "bin").path

    return build


@pytest.fixture(scope="session")
def livekit_server(built_server: Callable[[str], Path]) -> Path:
    """A real livekit-server of the newest release."""
    return built_server("")


@pytest.fixture(scope="session")
def livekit_servers(built_server: Callable[[str], Path]) -> dict[str, Path]:
    """Real servers by version: every release that `go install` can build from what the module proxy has."""
    return {version: built_server(version) for version in BUILT}


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Numbers of TCP ports that nobody holds at this moment, no number twice."""
    given: set[int] = set()

    def find() -> int:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                number = int(probe.getsockname()[1])
            if number not in given:
                given.add(number)
                return number

    return find


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """An empty folder with a short path, as the path of a Unix socket has 107 bytes at most."""
    folder = Path(tempfile.mkdtemp(prefix="hlu", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
