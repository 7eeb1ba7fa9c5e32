"""Starts backends as processes and ends those that a test left running."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from tests.backend.running import RunningBackend, launch, settings_for, wait_until_listening

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path


class StartBackend(Protocol):
    """Starts a backend and waits until it listens; keywords change its settings."""

    def __call__(self, *arguments: str, **changes: str) -> RunningBackend:
        """Start one with these arguments."""
        ...


@pytest.fixture
def start_backend(tmp_path: Path) -> Iterator[StartBackend]:
    """A function that starts backends with their database in `tmp_path`."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, **changes: str) -> RunningBackend:
        log = tmp_path / f"backend-{len(processes)}.log"
        process = launch(settings_for(tmp_path, **changes), arguments, log)
        processes.append(process)
        return wait_until_listening(process, log)

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def backend(start_backend: StartBackend) -> RunningBackend:
    """One backend with its database in `tmp_path`."""
    return start_backend()
