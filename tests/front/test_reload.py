"""What a reload, a restart and a SIGKILL of the front leave as it was: real HAProxy, stand-ins for the slots."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.errors import FrontRefused, FrontUnavailable
from hero_livekit_units.livekit import haproxy
from hero_livekit_units.livekit.front import Front, mark_of
from tests.front.running import DEADLINE_S, HAPROXY, wait_for
from tests.front.slots import split

if TYPE_CHECKING:
    from tests.front.running import RunningFront
    from tests.front.slots import Crowd

pytestmark = pytest.mark.servers


class Joining:
    """People who join old and new rooms, 100 a second, while something else is done."""

    def __init__(self, crowd: Crowd, old: list[str]) -> None:
        self._crowd = crowd
        self._old = old
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        at = 0
        while not self._stop.wait(0.02):
            self._crowd.join(self._old[at % len(self._old)])
            self._crowd.join(f"new {at // 2}")
            at += 1


def test_reloads_amid_joins(running: RunningFront) -> None:
    """Both slots have rooms: nobody is cut off, no join fails, no room is split, new rooms go where they went."""
    old = [f"old {at}" for at in range(20)]
    people = [running.join(room) for room in old]
    running.front.route("b")
    people += [running.join(f"newer {at}") for at in range(20)]
    crowd = running.crowd()
    took_s, pids = [], {running.seen().pid}
    with Joining(crowd, old):
        for mark in ("first", "second", "third"):
            text = running.config().replace(mark_of(running.config()), mark)
            assert running.front.check(text, HAPROXY) == ()
            (running.folder / "haproxy.cfg").write_text(text)
            done = running.front.reload()
            took_s.append(round(done.took_s, 3))
            pids.add(done.pid)
            assert done.mark == running.seen().mark == mark
            time.sleep(0.3)
    joins = crowd.all()
    seen = running.seen()
    print(f"{len(joins)} joins amid 3 reloads of {took_s} s; split {split(joins)}, workers {len(seen.old_workers)}+1")  # noqa: T201
    assert len(pids) == 4
    assert [one for one in joins if one.fault] == []
    assert split([*people, *joins]) == {}
    assert {one.slot for one in joins if one.room in old} == {"a"}
    assert {one.slot for one in joins if one.room not in old} == {"b"}
    assert all(one.still_open() for one in (*people, *joins))
    assert seen.new_rooms == "b"
    by_name = {room.name: room for room in seen.rooms}
    assert {by_name[room].slot for room in old} == {"a"}
    assert sum(room.connections for room in seen.rooms) == len(people) + len(joins)


def test_rooms_of_old_workers_are_not_forgotten(running: RunningFront) -> None:
    """A connection that only an old worker has holds its room; when it ends, so does the worker."""
    running.join("held")
    running.front.reload()
    running.front.route("b")
    (held,) = running.seen().rooms
    assert (held.slot, held.connections, len(running.seen().old_workers)) == ("a", 1, 1)
    assert running.front.forget([held]) == ("held",)
    assert running.join("held").slot == "a"
    running.leave("held")
    wait_for(running, lambda seen: not seen.old_workers)
    assert running.front.forget(running.seen().rooms) == ()
    assert running.seen().rooms == ()
    assert running.join("held").slot == "b"


def test_a_moved_room_does_not_move_back(running: RunningFront) -> None:
    """The end of a connection in an old worker tells the new one nothing that is no more true."""
    running.join("moves")
    running.front.reload()
    running.front.route("b")
    running.front.move(running.seen().rooms, "b")
    running.leave("moves")
    wait_for(running, lambda seen: not seen.old_workers)
    assert running.join("moves").slot == "b"


def test_a_reload_that_nobody_saw_to_its_end(running: RunningFront) -> None:
    """Whoever steers next enters into the table what only the file and the old worker know."""
    for room in ("told", "begun just then"):
        running.join(room)
    pid = running.seen().pid
    (running.folder / "rooms.map").write_text("* 1\ntold 1\n")
    haproxy.ask_master(running.folder, "reload", time.monotonic() + DEADLINE_S)
    wait_for(running, lambda seen: seen.pid != pid)
    running.front.forget([])
    for room in ("told", "begun just then"):
        running.leave(room)
    wait_for(running, lambda seen: not seen.old_workers)
    running.front.route("b")
    assert [running.join(room).slot for room in ("told", "begun just then", "new")] == ["a", "a", "b"]


def test_a_broken_configuration_is_refused(running: RunningFront) -> None:
    """With its line, before anything is replaced; and if it is reloaded all the same, the old worker goes on."""
    stays = running.join("stays")
    good = running.config()
    bad = good.replace("  retries 40\n", "  timeout queue soon\n  no-such-word\n")
    lines = bad.splitlines()
    files = {path: path.read_bytes() for path in running.folder.iterdir() if path.is_file() and path.name != "log"}
    faults = running.front.check(bad, HAPROXY)
    print([str(fault) for fault in faults])  # noqa: T201
    assert [fault.line for fault in faults] == [
        lines.index("  timeout queue soon") + 1,
        lines.index("  no-such-word") + 1,
    ]
    assert "no-such-word" in faults[1].text
    assert {path: path.read_bytes() for path in files} == files
    before = running.seen()
    (running.folder / "haproxy.cfg").write_text(bad)
    with pytest.raises(FrontRefused, match="cannot reload the front: its configuration was refused"):
        running.front.reload()
    after = running.seen()
    assert (after.pid, after.mark) == (before.pid, before.mark)
    assert stays.still_open()
    assert running.join("stays").slot == "a"
    (running.folder / "haproxy.cfg").write_text(good)
    assert running.front.reload().pid != before.pid
    assert stays.still_open()


@pytest.mark.parametrize("which", ["worker", "master", "both"])
def test_killed(which: str, running: RunningFront) -> None:
    """Everybody is cut off; what comes back after the restart finds its room, and new rooms go where they went."""
    people = [running.join("old")]
    running.front.route("b")
    people.append(running.join("newer"))
    assert running.process is not None
    worker, master = running.seen().pid, running.process.pid
    killed_s = time.monotonic()
    for pid in {"worker": [worker], "master": [master], "both": [master, worker]}[which]:
        os.kill(pid, signal.SIGKILL)
    running.process.wait(DEADLINE_S)
    ended_s = time.monotonic()
    wait_until_gone(worker)
    print(f"{which} killed: master ended after {ended_s - killed_s:.3f} s, worker {time.monotonic() - killed_s:.3f} s")  # noqa: T201
    assert running.front.see() is None
    assert not any(one.still_open() for one in people)
    seen = running.start()
    assert (seen.new_rooms, [(room.name, room.slot, room.connections) for room in seen.rooms]) == (
        "b",
        [("old", "a", 0)],
    )
    assert [running.join(room).slot for room in ("old", "newer", "new")] == ["a", "b", "b"]


def wait_until_gone(pid: int) -> None:
    """Until nobody has this pid, or only a zombie that its parent has not asked for."""
    until_s = time.monotonic() + DEADLINE_S
    while (stat := Path(f"/proc/{pid}/stat")).exists() and stat.read_text().split(") ")[1][0] != "Z":
        assert time.monotonic() < until_s
        time.sleep(0.005)


def test_nobody_answers(tmp_path: Path, running: RunningFront) -> None:
    """No socket, no folder, or a program that is stopped: nothing is known, within the deadline."""
    for front in (Front(tmp_path), Front(tmp_path / "nowhere")):
        assert front.see() is None
        with pytest.raises(FrontUnavailable, match=r"cannot ask the front: master\.sock: No such file or directory"):
            front.route("b")
    pid = running.seen().pid
    os.kill(pid, signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        assert running.front.see(0.2) is None
        assert time.monotonic() - began_s < 1.0
        with pytest.raises(FrontUnavailable, match=r"no answer in time|timed out"):
            running.front.route("b", deadline_s=0.2)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert running.seen().new_rooms == "a"
