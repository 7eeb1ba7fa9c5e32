"""Fixtures that more than one folder needs."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from hero_livekit_units.definitions.files import shipped_catalog
from tests.servers import BUILT, built_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hero_livekit_units.definitions.catalog import Catalog

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("check", max_examples=100, deadline=None, derandomize=True)
settings.load_profile("check" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The definitions that ship with the package."""
    return shipped_catalog()


@pytest.fixture(scope="session")
def livekit_server() -> Path:
    """A real livekit-server of the newest release."""
    return built_server()


@pytest.fixture(scope="session")
def livekit_servers() -> dict[str, Path]:
    """Real servers by version."""
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
