"""What the service does when a client stalls or a bug strikes, called as a server calls it but without one."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from hero_livekit_units.backend.app import build_app
from hero_livekit_units.backend.rooms import Rooms
from hero_livekit_units.backend.routes import Routes
from hero_livekit_units.backend.settings import read_settings
from hero_livekit_units.backend.store import Store
from tests.backend.running import API_KEY, API_SECRET, BACKEND_SECRET, LIVEKIT_URL, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Message, Receive

    from hero_livekit_units.backend.tokens import Grant


class BuggyStore(Store):
    """A store with a mistake in it."""

    def record(self, grant: Grant) -> None:
        """Fail in a way that nobody foresaw."""
        raise ZeroDivisionError(grant.token_id)


def rooms() -> Rooms:
    """One address for all rooms."""
    return Rooms(lambda: Routes(LIVEKIT_URL), key=API_KEY, secret=API_SECRET)


async def post(app: Any, receive: Receive, sent: list[Message]) -> None:
    """Send one token request whose body comes from `receive`; the answer goes to `sent`."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/token",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {BACKEND_SECRET}".encode())],
    }

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)


def answer(sent: list[Message]) -> tuple[int, Any]:
    """Status and parsed body of what was sent."""
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_stalled_body_is_given_up(tmp_path: Path) -> None:
    """Who begins a body and never ends it gets 408 instead of a place for ever."""

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("the event is never set")

    sent: list[Message] = []
    with closing(Store(tmp_path / "backend.db")) as store:
        app = build_app(read_settings(settings_for(tmp_path), {}), store, rooms(), body_timeout_s=0.05)
        asyncio.run(post(app, receive, sent))

    assert answer(sent) == (408, {"error": "the body did not arrive in time", "field": "", "hint": "send it faster"})


def test_endless_body_is_refused_after_a_mebibyte(tmp_path: Path) -> None:
    """Who never stops sending is answered once it is clear that he will not."""
    chunks = 0

    async def receive() -> Message:
        nonlocal chunks
        chunks += 1
        return {"type": "http.request", "body": b" " * 65_536, "more_body": True}

    sent: list[Message] = []
    with closing(Store(tmp_path / "backend.db")) as store:
        asyncio.run(post(build_app(read_settings(settings_for(tmp_path), {}), store, rooms()), receive, sent))

    assert answer(sent) == (413, {"error": "the body is too long", "field": "", "hint": "at most 16384 bytes"})
    assert chunks == 17


def test_long_body_that_stalls_is_told_its_length(tmp_path: Path) -> None:
    """A body that is too long already gets that answer, not one about time."""
    messages: list[Message] = [{"type": "http.request", "body": b" " * 20_000, "more_body": True}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise AssertionError("the event is never set")

    sent: list[Message] = []
    with closing(Store(tmp_path / "backend.db")) as store:
        app = build_app(read_settings(settings_for(tmp_path), {}), store, rooms(), body_timeout_s=0.05)
        asyncio.run(post(app, receive, sent))

    assert answer(sent)[0] == 413


def test_client_that_hangs_up_is_no_error(tmp_path: Path) -> None:
    """A client that goes away in the middle of its body causes no exception."""

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    sent: list[Message] = []
    with closing(Store(tmp_path / "backend.db")) as store:
        asyncio.run(post(build_app(read_settings(settings_for(tmp_path), {}), store, rooms()), receive, sent))

    assert answer(sent)[0] == 400


def test_bug_is_answered_and_reported(tmp_path: Path) -> None:
    """An exception that nobody foresaw becomes a JSON answer without details, and still reaches the server's log."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b'{"room": "a", "identity": "b"}', "more_body": False}

    sent: list[Message] = []
    with closing(BuggyStore(tmp_path / "backend.db")) as store:
        app = build_app(read_settings(settings_for(tmp_path), {}), store, rooms())
        with pytest.raises(ZeroDivisionError):
            asyncio.run(post(app, receive, sent))

    assert answer(sent) == (500, {"error": "internal error", "field": "", "hint": "the log of lk-backend says more"})
