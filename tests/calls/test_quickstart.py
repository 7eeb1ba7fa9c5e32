"""The quick start as a newcomer runs it, to its last word, and down again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.model.observed import ProcessId
from hero_livekit_units.observe.kernel import is_alive
from tests.calls.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.servers, pytest.mark.calls, pytest.mark.timeout(600)]

QUICKSTART = Path(__file__).parent.parent.parent / "examples" / "quickstart"


@pytest.fixture
def stack(livekit_server: Path) -> Iterator[Stack]:
    """A folder with free ports in its media.toml, and nothing running."""
    prepared = Stack(livekit_server)
    try:
        yield prepared
    finally:
        quickstart(prepared, "--down")
        prepared.close()


def quickstart(stack: Stack, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [QUICKSTART, *arguments], env=stack.environment, capture_output=True, text=True, check=False, timeout=500
    )


def test_the_quick_start_keeps_its_promise_and_leaves_nothing_behind(
    stack: Stack, livekit_server: Path, tmp_path: Path
) -> None:
    """A call lives on through thirteen crashes and a hundred ensures, in the processes in which it began."""
    result = tmp_path / "result.json"
    run = quickstart(stack, "--json", result, "--livekit-server", livekit_server)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "calls dropped: 0" in run.stdout
    found = json.loads(result.read_text())
    assert (found["calls_dropped"], found["control_plane_crashes"], found["supervisor_crashes"], found["ensures"]) == (
        0,
        10,
        3,
        100,
    )
    assert found["ensures_that_changed_something"] == 0
    assert [unit["instance"] for unit in found["units"]] == ["livekit-server@a", "lk-backend"]
    for unit in found["units"]:
        assert unit["pid_before"] == unit["pid_after"]
        assert unit["start_before"] == unit["start_after"]
        assert is_alive(ProcessId(unit["pid_after"], unit["start_after"]))
    assert [person["identity"] for person in found["participants"]] == ["alice", "bob"]
    for person in found["participants"]:
        assert (person["disconnects"], person["reconnects"]) == (0, 0)
        assert 0 < person["baseline_gap_ms"] < 1000
        assert 0 < person["longest_gap_ms"] < 2000

    down = quickstart(stack, "--down")
    assert down.returncode == 0, down.stdout + down.stderr
    for unit in found["units"]:
        assert not is_alive(ProcessId(unit["pid_after"], unit["start_after"]))
    for service in ("hero_proc", "hero_livekit"):
        assert not stack.places.socket(service).exists()


def test_without_a_network_interface_it_says_what_to_do(stack: Stack) -> None:
    """In a network namespace with nothing but lo it ends before it starts anything."""
    assert quickstart(stack, "--help").returncode == 0  # its environment is set up while there still is a network
    command = ["unshare", "--map-root-user", "--net", str(QUICKSTART)]
    run = subprocess.run(command, env=stack.environment, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "no network interface beside lo" in run.stderr
    assert "hint: as root: ip link add" in run.stderr
    assert not stack.places.socket("hero_proc").parent.exists()


def test_a_stranger_on_a_port_is_named_and_nothing_is_started(stack: Stack, livekit_server: Path) -> None:
    """The quick start stops with the reason, and the stranger lives on."""
    listener = (
        "import socket, time; s = socket.create_server(('127.0.0.1', %d)); print('up', flush=True); time.sleep(300)"
    )
    command = ["python3", "-c", listener % stack.ports[0]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stranger:
        try:
            assert stranger.stdout is not None
            assert stranger.stdout.readline() == "up\n"
            run = quickstart(stack, "--livekit-server", livekit_server)
            assert run.returncode == 1
            assert f"port {stack.ports[0]} (http) is held by pid {stranger.pid} (" in run.stderr
            assert "-c import socket" in run.stderr
            assert stranger.poll() is None
            assert set(stack.identities().values()) == {(None, None)}
            assert quickstart(stack, "--down").returncode == 0
            assert stranger.poll() is None
        finally:
            stranger.kill()
