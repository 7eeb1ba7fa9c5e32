"""The supervisors, one after the other."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.contract.backends import (
    OTHER,
    Embedded,
    GreenWhileDead,
    Memory,
    Other,
    RedWhileAlive,
    SetRestarts,
    StopWindow,
    Zinit,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contract.backends import Backend

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="a /run of its own takes root")
ZINIT = pytest.param(Zinit, id="zinit", marks=[pytest.mark.servers, ROOT])
OTHERS = [pytest.param(Other, id="other", marks=pytest.mark.servers)] if OTHER else []
REAL = [
    *(
        pytest.param(kind, id=name, marks=pytest.mark.servers)
        for name, kind in (
            ("embedded", Embedded),
            ("green-while-dead", GreenWhileDead),
            ("red-while-alive", RedWhileAlive),
            ("set-restarts", SetRestarts),
            ("stop-window", StopWindow),
        )
    ),
    ZINIT,
    *OTHERS,
]


@pytest.fixture(params=[pytest.param(Memory, id="memory"), *REAL])
def any_backend(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[Backend]:
    """Each supervisor, the one in memory too."""
    yield from _opened(request.param, short_folder)


@pytest.fixture(params=REAL)
def backend(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[Backend]:
    """Each supervisor that has processes."""
    yield from _opened(request.param, short_folder)


def _opened(kind: type[Backend], folder: Path) -> Iterator[Backend]:
    found = kind(folder)
    try:
        yield found
    finally:
        found.close()
