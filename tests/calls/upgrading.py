"""What the tests of upgrades under calls share: what is wanted, who noticed, where the rooms are, and the right end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from hero_livekit_units.calls.verdict import judge
from hero_livekit_units.livekit.asking import bearer
from hero_livekit_units.livekit.desired import MEDIA
from hero_livekit_units.livekit.keys import read_all
from hero_livekit_units.registry.hero_proc import HeroProcRegistry
from tests.calls.stack import SLOT_OFFSET, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hero_livekit_units.calls.verdict import ParticipantReport

BASELINE_S = 3.0
JOINS_A_SECOND = 50
# The old slot ends when nobody can be on the way to it: 10 s after the last token with its address.
ENDED_S = 45.0
_ROOT = Path(__file__).parent.parent.parent
_DIGEST = re.compile(r"launch-[0-9a-f]{16}")
# What lies in the folder of the group when an upgrade is over, whatever happened on the way: of each unit one launch,
# and nothing half-written.
_FILES = (
    ".acting.lock",
    ".media.toml.lock",
    "backend/backend.sqlite",
    "backend/launch-…/backend.env",
    "media.toml",
    "runtime.json",
)


def wanted(stack: Stack, version: str, servers: dict[str, Path]) -> None:
    """Another release is wanted, and its program is there; its port for /debug/rooms too, where it has one."""
    has_debug = "debug" in stack.media.catalog.find(MEDIA, version).ports
    if not has_debug and "debug" in stack.media.settings().livekit.ports:
        stack.media.unset("livekit.ports.debug")
    changed = stack.hlu("set", "livekit.version", version)
    assert changed.returncode == 0, changed.stderr
    if has_debug:
        stack.media.set("livekit.ports.debug", str(stack.ports[4]))
    provided = stack.hlu("install", "--livekit-server", str(servers[version]))
    assert provided.returncode == 0, provided.stderr


@contextlib.contextmanager
def crowd(join: Callable[[int], None]) -> Iterator[None]:
    """Many who join, each with a number, from a second before what is done meanwhile to a second after it."""
    over = threading.Event()

    def come() -> None:
        with ThreadPoolExecutor(16) as pool:
            number = 0
            while not over.is_set() and number < 2000:
                pool.submit(join, number)
                number += 1
                time.sleep(1 / JOINS_A_SECOND)

    coming = threading.Thread(target=come)
    coming.start()
    try:
        time.sleep(1.0)
        yield
        time.sleep(1.0)
    finally:
        over.set()
        coming.join()


def running(stack: Stack, version: str, servers: dict[str, Path]) -> None:
    """This release runs in slot a, and nothing else."""
    wanted(stack, version, servers)
    assert stack.media.ensure().converged
    assert stack.servers() == {"a": f"{version}-r1"}


def assert_unnoticed(reports: Sequence[ParticipantReport]) -> None:
    """Nobody was dropped, and no client lost its connection, however briefly."""
    assert judge(reports).calls_dropped == 0, reports
    assert [(report.disconnects, report.reconnects) for report in reports] == [(0, 0)] * len(reports), reports


def registry_of(stack: Stack) -> HeroProcRegistry:
    """The supervisor of a stack."""
    return HeroProcRegistry(str(stack.places.socket("hero_proc")))


def rooms(stack: Stack, slot: str) -> set[str]:
    """The rooms that a slot has, by its own word."""
    return set(people_in(stack, slot))


def people_in(stack: Stack, slot: str) -> dict[str, int]:
    """How many are in each room of a slot, by its own word."""
    keys = read_all(registry_of(stack)).values
    headers = bearer(str(keys["api_key"]), str(keys["api_secret"]), {"roomList": True})
    port = stack.ports[0] + (SLOT_OFFSET if slot == "b" else 0)
    url = f"http://127.0.0.1:{port}/twirp/livekit.RoomService/ListRooms"
    try:
        answer = requests.post(url, json={}, headers=headers, timeout=5)
    except requests.ConnectionError:
        return {}
    return {room["name"]: room.get("num_participants", 0) for room in answer.json().get("rooms", [])}


def copies(stack: Stack) -> list[int]:
    """Every livekit-server that runs on files of this stack, whoever knows of it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if str(stack.places.home / "slots").encode() in command and b"livekit.yaml" in command:
                found.append(int(process.name))
    return sorted(found)


def steps_of(stack: Stack) -> list[tuple[str, str]]:
    """What `hlu plan` would do: action and instance of each step."""
    plan = json.loads(stack.hlu("plan", "--json").stdout)
    return [(step["action"], step["instance"]) for wave in plan["waves"] for step in wave["steps"]]


def kill_at(stack: Stack, when: str, number: int, *arguments: str) -> int:
    """Run `hlu`, which dies at a moment of a step; its exit status."""
    command = [sys.executable, "-P", "-m", "tests.calls.dying", when, str(number), *(arguments or ("ensure",))]
    environment = stack.environment | {"PYTHONPATH": str(_ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60).returncode


def assert_killed(status: int) -> None:
    """It died of the kill, and had not come to its end before."""
    assert status == -signal.SIGKILL


def until_over(stack: Stack) -> None:
    """Everybody leaves, and `ensure` is repeated until nothing is waited for."""
    stack.until_empty()
    stack.until("the upgrade is over", lambda: stack.media.ensure().converged, within_s=ENDED_S)


def assert_end(stack: Stack, release: str, slot: str = "b") -> None:
    """The one right end of an upgrade: one slot, its release, what is registered, the files, nothing left to do."""
    assert_what_runs(stack, release, slot)
    assert files_of(stack, slot) == sorted((*_FILES, f"slots/{slot}/launch-…/livekit.yaml"))


def assert_what_runs(stack: Stack, release: str, slot: str) -> None:
    """Exactly what is wanted runs and is registered, and nothing is left to do."""
    assert_one_slot(stack, release, slot)
    steps = steps_of(stack)
    assert steps == [], steps
    assert stack.media.ensure().changed is False


def assert_one_slot(stack: Stack, release: str, slot: str) -> None:
    """This slot runs this release, no other copy runs, and what is registered and wanted is what should be."""
    servers, found = stack.servers(), copies(stack)
    assert servers == {slot: release}, servers
    assert found == [stack.identities()[f"livekit-server@{slot}"][0]], found
    desired = stack.media.desired(read_all(registry_of(stack)).values)
    entries = registry_of(stack).survey([spec.instance for spec in desired.specs]).entries
    assert entries is not None
    for spec in desired.by_slot[slot]:
        entry = entries[spec.instance]
        assert (entry.wanted, entry.digest) == (True, spec.digest), entry
    others = [entries.get(spec.instance) for other, spec in desired.media.items() if other != slot]
    assert not any(entry.wanted for entry in others if entry), others


def files_of(stack: Stack, slot: str) -> list[str]:
    """The files of the group, without programs and with no digests in their names, each as often as it is there.

    The slot that was left may be prepared for its next start, once, where its clearing away was seen to be needed.
    """
    home = stack.places.home
    found = [str(file.relative_to(home)) for file in home.rglob("*") if file.is_file()]
    found = [_DIGEST.sub("launch-…", name) for name in found if not name.endswith(("-shm", "-wal"))]
    prepared = f"slots/{'a' if slot == 'b' else 'b'}/launch-…/livekit.yaml"
    if prepared in found:
        found.remove(prepared)
    return sorted(name for name in found if not name.startswith("bin/"))


def freeze(pid: int) -> None:
    """SIGSTOP."""
    os.kill(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    """SIGCONT."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
