"""Token requests at the gate: held, let through, turned away; and a gate that nobody can hold shut for ever."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from starlette.requests import ClientDisconnect

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.backend.app import build_app
from hero_livekit_units.backend.gate import Gate, GateFile, Turned
from hero_livekit_units.backend.rooms import Rooms
from hero_livekit_units.backend.routes import Routes
from hero_livekit_units.backend.settings import read_settings
from hero_livekit_units.backend.store import Store
from hero_livekit_units.livekit.gate import LEASE_S, Shut, serialise
from hero_livekit_units.procfs import start_time_of
from tests.backend.running import API_KEY, API_SECRET, AUTHORISED, LIVEKIT_URL, settings_for
from tests.backend.test_app import answer, post

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Message

    from tests.backend.conftest import StartBackend

WHY = "livekit-server@a is being replaced"


def shut(lease_s: float = LEASE_S, now_s: float | None = None) -> Shut:
    """Shut by this process."""
    now_s = time.monotonic() if now_s is None else now_s
    return Shut(now_s + lease_s, WHY, os.getpid(), start_time_of(os.getpid()) or 0)


def written(path: Path, value: Shut) -> Path:
    """The file as the executor writes it."""
    write_atomically(path, serialise(value), 0o600)
    return path


# -- the file


def test_it_is_shut_while_the_file_is_there(tmp_path: Path) -> None:
    """No file, no gate; what is written counts from the next request on, and so does its going."""
    path = tmp_path / "gate.json"
    gate = GateFile(path)
    assert gate.now() is None
    first, second = shut(), attrs.evolve(shut(), because="another reason")
    written(path, first)
    assert gate.now() == first
    assert gate.now() is gate.now()
    written(path, second)
    assert gate.now() == second
    path.unlink()
    assert gate.now() is None


def test_the_lease_ends_by_itself(tmp_path: Path) -> None:
    """Whoever shut it lives and does nothing more."""
    now_s = 100.0
    gate = GateFile(written(tmp_path / "gate.json", shut(now_s=100.0)), clock=lambda: now_s)
    assert gate.now() is not None
    now_s += LEASE_S - 0.001
    assert gate.now() is not None
    now_s += 0.001
    assert gate.now() is None


def test_a_lease_of_another_boot(tmp_path: Path) -> None:
    """The clock begins anew with each boot: what would last longer than any lease is none."""
    gate = GateFile(written(tmp_path / "gate.json", shut(now_s=500_000.0)), clock=lambda: 60.0)
    assert gate.now() is None


def test_who_shut_it_has_ended(tmp_path: Path) -> None:
    """It is open at once, also when the pid was given out again."""
    path = tmp_path / "gate.json"
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as holder:
        held = attrs.evolve(shut(), pid=holder.pid, start_time=start_time_of(holder.pid) or 0)
        gate = GateFile(written(path, held))
        assert gate.now() == held
        assert GateFile(written(path, attrs.evolve(held, start_time=held.start_time - 1))).now() is None
        written(path, held)
        holder.kill()
    assert gate.now() is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        "null",
        serialise(shut())[:-20],
        json.dumps(attrs.asdict(shut()) | {"until_s": "soon"}),
        json.dumps(attrs.asdict(shut()) | {"until_s": float("nan")}),
        json.dumps(attrs.asdict(shut()) | {"until_s": float("inf")}),
        json.dumps(attrs.asdict(shut()) | {"pid": True}),
        json.dumps(attrs.asdict(shut()) | {"more": 1}),
        "[" * 5000,
        "\udcff",
        "x" * 70_000,
    ],
    ids=lambda text: repr(text[:40]),
)
def test_a_broken_file_is_an_open_gate(text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Told once for each file, whoever asks how often; a good one after it counts."""
    path = tmp_path / "gate.json"
    path.write_text(text, errors="surrogateescape")
    path.chmod(0o600)
    gate = GateFile(path)
    with caplog.at_level(logging.WARNING):
        assert [gate.now() for _ in range(3)] == [None] * 3
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"the gate {path} counts as open: ")
    written(path, shut())
    assert gate.now() is not None


def test_a_file_that_cannot_be_read_is_an_open_gate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that others may write, a folder, and a path through a file: each is told once."""
    others = written(tmp_path / "others.json", shut())
    others.chmod(0o666)
    with caplog.at_level(logging.WARNING):
        for path in (others, tmp_path, others / "gate.json"):
            gate = GateFile(path)
            assert [gate.now() for _ in range(3)] == [None] * 3
    assert len(caplog.messages) == 3


# -- requests


class Door:
    """A gate as a value of the test."""

    def __init__(self, now: Shut | None = None) -> None:
        self.now = now

    def __call__(self) -> Shut | None:
        """Who has shut it."""
        return self.now


async def until(condition: Any) -> None:
    """Wait for something, with a deadline."""
    async with asyncio.timeout(10.0):
        while not condition():  # noqa: ASYNC110  the gate tells nobody
            await asyncio.sleep(0.005)


def test_held_until_it_opens() -> None:
    """All who wait get through, and nobody waits at an open gate."""

    async def scene() -> None:
        door = Door(shut())
        gate = Gate(door)
        gone: asyncio.Future[None] = asyncio.Future()
        waiting = [asyncio.create_task(gate.let_through(time.monotonic() + 20.0, gone)) for _ in range(50)]
        await until(lambda: gate.held == 50)
        assert not any(task.done() for task in waiting)
        door.now = None
        assert await asyncio.gather(*waiting) == [None] * 50
        assert gate.held == 0
        assert await gate.let_through(0.0, gone) is None

    asyncio.run(scene())


def test_turned_away_when_it_takes_long() -> None:
    """With what is left of the lease, at least a second."""

    async def scene(lease_s: float) -> Turned | None:
        gate = Gate(Door(shut(lease_s)))
        found = await gate.let_through(time.monotonic() + 0.1, asyncio.Future())
        assert gate.held == 0
        return found

    assert asyncio.run(scene(7.9)) == Turned(f"{WHY}, and it takes long", 8)
    assert asyncio.run(scene(0.2)) == Turned(f"{WHY}, and it takes long", 1)


def test_who_goes_away_frees_its_place_and_one_too_many_is_turned_away() -> None:
    """At once, without a wait; and the place of who has gone is free."""

    async def scene() -> None:
        gate = Gate(Door(shut()), most=2)
        until_s = time.monotonic() + 20.0
        leaving: asyncio.Future[None] = asyncio.Future()
        first = asyncio.create_task(gate.let_through(until_s, leaving))
        second = asyncio.create_task(gate.let_through(until_s, asyncio.Future()))
        await until(lambda: gate.held == 2)
        turned = await gate.let_through(until_s, asyncio.Future())
        assert turned == Turned(f"{WHY}, and 2 requests wait already", int(LEASE_S))
        leaving.set_result(None)
        with pytest.raises(ClientDisconnect):
            await first
        assert gate.held == 1
        third = asyncio.create_task(gate.let_through(until_s, asyncio.Future()))
        await until(lambda: gate.held == 2)
        for task in (second, third):
            task.cancel()
        await asyncio.wait([second, third])
        assert gate.held == 0

    asyncio.run(scene())


def asked(folder: Path, gate: Gate, *, hold_s: float = 0.15, leaves: bool = False) -> tuple[int, Any, dict[str, str]]:
    """The answer to one token request of a client that stays, or goes when it has asked."""
    messages: list[Message] = [{"type": "http.request", "body": b'{"room": "a", "identity": "b"}', "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        if not leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    sent: list[Message] = []
    with closing(Store(folder / "backend.db")) as store:
        rooms = Rooms(lambda: Routes(LIVEKIT_URL), key=API_KEY, secret=API_SECRET)
        app = build_app(read_settings(settings_for(folder), {}), store, rooms, gate, hold_s=hold_s)
        asyncio.run(post(app, receive, sent))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return (*answer(sent), headers)


def test_the_answer_of_who_is_turned_away(tmp_path: Path) -> None:
    """503, when to come again, and why."""
    status, body, headers = asked(tmp_path, Gate(Door(shut(3.5))))
    assert (status, headers["retry-after"]) == (503, "4")
    error = f"cannot let anybody join: {WHY}, and it takes long"
    assert body == {"error": error, "field": "", "hint": "try again", "retry": True}


def test_who_has_gone_gets_no_token(tmp_path: Path) -> None:
    """It is noticed while it waits, not at the end of the time that it would be held."""
    began_s = time.monotonic()
    assert asked(tmp_path, Gate(Door(shut())), hold_s=60.0, leaves=True)[0] == 503
    assert time.monotonic() - began_s < 30.0


def test_it_is_shut_while_the_slots_are_asked(tmp_path: Path) -> None:
    """A token of before would come at the wrong time: the request is held as well, and the slots are asked again."""
    answers = iter([None, shut(), shut(), shut(), None])
    seen: list[Shut | None] = []

    def now() -> Shut | None:
        seen.append(next(answers, None))
        return seen[-1]

    # Open when it comes, shut after the address is known, open after a while.
    assert asked(tmp_path, Gate(now), hold_s=20.0)[0] == 200
    assert sum(one is not None for one in seen) == 3
    assert seen[-1] is None


def test_a_service_at_the_gate(start_backend: StartBackend, tmp_path: Path) -> None:
    """Many wait and /health answers; who has gone frees its place; all get their token when it opens."""
    path = written(tmp_path / "gate.json", shut())
    backend = start_backend(GATE_FILE=str(path))
    request = json.dumps({"room": "r", "identity": "gone"}).encode()
    head = f"POST /api/token HTTP/1.1\r\nhost: x\r\ncontent-length: {len(request)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in AUTHORISED.items())

    def sent(timeout_s: float = 0.0) -> bytes:
        """What comes back for a request of a client that goes away after a while, b"" when that is nothing."""
        with socket.create_connection(("127.0.0.1", backend.port), timeout=10.0) as client:
            client.sendall(head.encode() + b"\r\n" + request)
            client.settimeout(timeout_s)
            try:
                return client.recv(4096)
            except (BlockingIOError, TimeoutError):
                return b""

    with ThreadPoolExecutor(60) as pool:
        for _ in range(300):  # more than are held at once
            sent()
        deadline_s = time.monotonic() + 5.0
        while sent(0.3):
            assert time.monotonic() < deadline_s
        written(path, shut())
        waiting = [pool.submit(backend.ask_token, room=f"r{at}", identity=f"p{at}") for at in range(60)]
        for _ in range(10):
            assert backend.ask("GET", "/health").status == 200
        assert not any(one.done() for one in waiting), [one.result() for one in waiting if one.done()]
        path.unlink()
        assert [one.result().status for one in waiting] == [200] * 60


def test_a_service_whose_gate_is_broken(start_backend: StartBackend, tmp_path: Path) -> None:
    """Tokens are handed out, and the log says once what is wrong."""
    path = tmp_path / "gate.json"
    write_atomically(path, "broken", 0o600)
    backend = start_backend(GATE_FILE=str(path))
    assert [backend.ask_token(room="r", identity=f"p{at}").status for at in range(5)] == [200] * 5
    assert backend.log.read_text().count("counts as open") == 1
