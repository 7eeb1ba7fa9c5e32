"""Folders short enough for a Unix socket, and a service on one."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.herosocket.serving import Served, serve

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short folder: the path of a Unix socket has 107 bytes."""
    made = Path(tempfile.mkdtemp(prefix="hs"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    """A service that answers."""
    yield from serve(str(folder / "rpc.sock"))


@pytest.fixture
def impatient(folder: Path) -> Iterator[Served]:
    """A service that closes a connection after a fifth of a second without a complete request."""
    yield from serve(str(folder / "rpc.sock"), idle_s=0.2)
