"""`service.watch`: whoever waits learns at once, misses nothing, and is in nobody's way."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.embedded import changes
from hero_livekit_units.embedded.changes import Changes
from hero_livekit_units.embedded.faults import TooManyWaiters

if TYPE_CHECKING:
    from tests.embedded.running import Daemon


def nothing(_: str) -> list[str]:
    """A service leans on no other."""
    return []


def test_what_changed_before_is_told_at_once() -> None:
    """Only of the services that are asked for, "" for jobs of none left out, and not what was known already."""

    async def scenario() -> None:
        told = Changes()
        told.note("a")
        before = told.revision
        for name in ("b", "a", "", "b"):
            told.note(name)
        assert await told.since(before, None, nothing, 0) == (["a", "b"], False)
        assert await told.since(before, ["b", "c"], nothing, 0) == (["b"], False)
        assert await told.since(before, ["c"], lambda _: ["x", "a"], 0) == (["c"], False)
        assert await told.since(told.revision, None, nothing, 0) == ([], False)

    asyncio.run(scenario())


@pytest.mark.parametrize("revision", ["", "5", "deadbeef.0", "x.y", "LIFE.9", "LIFE.x"])
def test_a_revision_of_another_life(revision: str) -> None:
    """It is a reset, without a wait; so is one that never was."""

    async def scenario() -> None:
        told = Changes()
        life = told.revision.partition(".")[0]
        assert await told.since(revision.replace("LIFE", life), None, nothing, 60_000) == ([], True)

    asyncio.run(scenario())


def test_a_wait_ends_with_the_change_or_the_time() -> None:
    """A change of another service does not end it."""

    async def scenario() -> None:
        told = Changes()
        waits = [asyncio.create_task(told.since(told.revision, [name], nothing, 50)) for name in ("a", "b")]
        await asyncio.sleep(0)
        told.note("a")
        assert await asyncio.gather(*waits) == [(["a"], False), ([], False)]

    asyncio.run(scenario())


def test_waiters_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is refused, until another one has gone; a caller that is cut off is gone."""
    monkeypatch.setattr(changes, "MOST_WAITERS", 1)

    async def scenario() -> None:
        told = Changes()
        first = asyncio.create_task(told.since(told.revision, None, nothing, 60_000))
        await asyncio.sleep(0)
        with pytest.raises(TooManyWaiters):
            await told.since(told.revision, None, nothing, 60_000)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert await told.since(told.revision, None, nothing, 1) == ([], False)

    asyncio.run(scenario())


class Watcher:
    """A call of service.watch under way."""

    def __init__(self, daemon: Daemon, **params: Any) -> None:
        self.answer: dict[str, Any] = {}
        self.after_s = 0.0
        self._daemon = daemon
        self._thread = threading.Thread(target=self._watch, kwargs=params)
        self._thread.start()

    def _watch(self, **params: Any) -> None:
        began = time.monotonic()
        self.answer = self._daemon.call("service.watch", **params)
        self.after_s = time.monotonic() - began

    def join(self) -> dict[str, Any]:
        """The answer."""
        self._thread.join()
        return self.answer


@pytest.mark.servers
def test_what_happens_to_a_service_is_told(daemon: Daemon) -> None:
    """Stored, started, dead and back, stopped, deleted: each is a change, and the status says what."""
    revision = daemon.call("service.watch")["revision"]

    def changed() -> list[str]:
        nonlocal revision
        answer = daemon.call("service.watch", names=["s"], since=revision, timeout_ms=15_000)
        revision = answer["revision"]
        assert answer["reset"] is False
        return list(answer["changed"])

    daemon.keep("s", "sleep 1000")
    assert changed() == ["s"]
    pid = daemon.job("s")["pid"]
    daemon.call("job.kill", job_id=daemon.job("s")["job_id"], signal=9)
    while daemon.job("s")["pid"] in {pid, None}:
        assert changed() == ["s"]
    daemon.call("service.stop", name="s")
    while daemon.state_of("s") != "inactive":
        assert changed() == ["s"]
    daemon.call("service.delete", name="s")
    assert changed() == ["s"]
    assert daemon.call("service.watch", names=["s"], since=revision, timeout_ms=1)["changed"] == []


@pytest.mark.servers
def test_a_waiter_is_in_nobodys_way(daemon: Daemon) -> None:
    """Calls are answered while many wait, the change wakes them all, and what concerns another service does not."""
    daemon.keep("other", "sleep 1000")
    revision = daemon.call("service.watch")["revision"]
    watchers = [Watcher(daemon, names=["s"], since=revision, timeout_ms=15_000) for _ in range(20)]
    assert daemon.call("service.status", name="other")["state"] == "running"
    daemon.call("service.stop", name="other")
    daemon.call("service.set", service={"name": "s"})
    assert [watcher.join()["changed"] for watcher in watchers] == [["s"]] * 20
    assert max(watcher.after_s for watcher in watchers) < 15


@pytest.mark.servers
def test_the_state_of_another_service_shows(daemon: Daemon) -> None:
    """A service that waits for another one changes with it: who blocks it is a part of its status."""
    daemon.call("service.set", service={"name": "needed", "status": "stop"})
    daemon.call("service.set", service={"name": "s", "after": ["needed"]})
    revision = daemon.call("service.watch")["revision"]
    daemon.call("service.start", name="needed")
    assert daemon.call("service.watch", names=["s"], since=revision, timeout_ms=15_000)["changed"] == ["s"]


@pytest.mark.servers
def test_a_restart_of_the_daemon_is_a_reset(daemon: Daemon) -> None:
    """The revision of the daemon before is told from one of this daemon, and what runs is not lost to the watcher."""
    daemon.keep("s", "sleep 1000")
    revision = daemon.call("service.watch")["revision"]
    daemon.restart()
    answer = daemon.call("service.watch", names=["s"], since=revision, timeout_ms=15_000)
    assert (answer["reset"], daemon.state_of("s")) == (True, "running")
    again = daemon.call("service.watch", names=["s"], since=answer["revision"], timeout_ms=1)
    assert (again["reset"], again["changed"]) == (False, [])


@pytest.mark.servers
def test_a_daemon_ends_though_somebody_waits(daemon: Daemon) -> None:
    """SIGTERM ends it at once, not when the wait is over."""
    revision = daemon.call("service.watch")["revision"]
    broken = threading.Thread(target=_watch_until_cut_off, args=(daemon, revision))
    broken.start()
    time.sleep(0.2)
    began = time.monotonic()
    assert daemon.end() == 0
    broken.join()
    assert time.monotonic() - began < 10


def _watch_until_cut_off(daemon: Daemon, revision: str) -> None:
    with pytest.raises(Exception, match="answer"):
        daemon.call("service.watch", since=revision, timeout_ms=15_000)
