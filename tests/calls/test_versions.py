"""Another version of livekit-server by one line of media.toml: along the lineage, while nobody is in a call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.calls.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1200)]


@pytest.fixture
def stack(livekit_server: Path) -> Iterator[Stack]:
    """A host whose media run."""
    running = Stack(livekit_server)
    try:
        running.start_hero_proc()
        assert running.hlu("ensure").returncode == 0
        yield running
    finally:
        running.close()


def media(stack: Stack) -> dict[str, Any]:
    """The media server as `hlu status` shows it."""
    units: list[dict[str, Any]] = json.loads(stack.hlu("status", "--json").stdout)["units"]
    (found,) = [unit for unit in units if unit["instance"].startswith("livekit-server@")]
    return found


@pytest.mark.night
def test_down_and_up_the_lineage(stack: Stack, livekit_servers: dict[str, Path]) -> None:
    """Step by step, each release with its own configuration; where no edge leads, `ensure` says which way does."""
    assert stack.hlu("set", "livekit.version", "1.11.0").returncode == 6  # it has no port for /debug/rooms
    assert stack.hlu("unset", "livekit.ports.debug").returncode == 0
    for version in ("1.13.3", "1.11.0", "1.9.12", "1.11.0", "1.13.3", "1.13.5"):
        before = media(stack)
        changed = stack.hlu("set", "livekit.version", version)
        assert changed.returncode == 0, changed.stderr
        assert stack.hlu("install", "--livekit-server", str(livekit_servers[version])).returncode == 0
        done = stack.hlu("ensure", "--json")
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        after = media(stack)
        assert (after["release"], after["verdict"]) == (f"{version}-r1", "healthy")
        assert (after["pid"], after["start_time"]) != (before["pid"], before["start_time"])
        assert json.loads(stack.hlu("ensure", "--json").stdout)["changed"] is False

    stack.hlu("set", "livekit.version", "1.9.12")
    stack.hlu("install", "--livekit-server", str(livekit_servers["1.9.12"]))
    before = media(stack)
    refused = stack.hlu("ensure", "--json")
    assert refused.returncode == 6
    (refusal,) = json.loads(refused.stdout)["refusals"]
    assert refusal["because"] == "release 1.13.5-r1 runs, and 1.9.12-r1 is not declared to replace it"
    assert "`hlu path livekit-server 1.13.5-r1 1.9.12-r1`" in refusal["possible_when"]
    assert media(stack) | {"evidence": [], "age_s": 0} == before | {
        "evidence": [],
        "age_s": 0,
        "wanted_release": "1.9.12-r1",
    }
    assert stack.hlu("path", "livekit-server", "1.13.5-r1", "1.9.12-r1").returncode == 0
