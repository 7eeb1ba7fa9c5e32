"""The HTTP face of the backend: two routes, JSON in and out.

Owns routes, statuses, who may ask, and how long anyone waits. Knows tokens and the store as values and calls; must not
know of processes, sockets or the environment.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.routing import Route

from hero_livekit_units.backend.gate import Gate
from hero_livekit_units.backend.rooms import HOLD_S
from hero_livekit_units.backend.tokens import Fault, make_grant, parse_request, sign_grant
from hero_livekit_units.errors import DaemonError
from hero_livekit_units.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from hero_livekit_units.backend.gate import Turned
    from hero_livekit_units.backend.rooms import Rooms
    from hero_livekit_units.backend.settings import Settings
    from hero_livekit_units.backend.store import Store

MAX_BODY_BYTES = 16 * 1024
# Read on to here before a body is refused: a client that is still sending would see a reset instead of the answer.
MAX_DISCARDED_BYTES = 1024 * 1024
BODY_TIMEOUT_S = 10.0
# How long a request waits for its turn at the database. More than a burst needs, less than a caller's patience.
TURN_TIMEOUT_S = 2.0
RETRY_AFTER_S = 1

_log = logging.getLogger("lk-backend")


def build_app(
    settings: Settings,
    store: Store,
    rooms: Rooms,
    gate: Gate | None = None,
    *,
    hold_s: float = HOLD_S,
    clock: Callable[[], float] = time.time,
    body_timeout_s: float = BODY_TIMEOUT_S,
) -> Starlette:
    """Put the service together.

    Args:
        settings: key and secrets.
        rooms: where a room is joined.
        store: where it is kept what was issued; the caller closes it.
        gate: what holds requests while a livekit-server is replaced; without one they all go through.
        hold_s: how long a request is held, at the gate and by rooms taken together.
        clock: seconds since the epoch.
        body_timeout_s: how long a client may take to send its body.
    """
    backend = _Backend(settings, store, rooms, gate or Gate(lambda: None), hold_s, clock, body_timeout_s)
    app = Starlette(
        routes=[
            Route("/health", backend.health, methods=["GET"]),
            Route("/api/token", backend.token, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _answer_http_exception, Exception: _answer_bug},
    )
    # A redirect would make clients send their secret again, to wherever it points.
    app.router.redirect_slashes = False
    return app


class _Backend:
    def __init__(
        self,
        settings: Settings,
        store: Store,
        rooms: Rooms,
        gate: Gate,
        hold_s: float,
        clock: Callable[[], float],
        body_timeout_s: float,
    ) -> None:
        self._settings = settings
        self._store = store
        self._rooms = rooms
        self._gate = gate
        self._hold_s = hold_s
        self._clock = clock
        self._body_timeout_s = body_timeout_s
        # SQLite has one writer. Waiting for it here costs no thread, so that /health always gets one.
        self._turn = asyncio.Lock()
        self._failing: set[str] = set()

    async def health(self, _request: Request) -> JSONResponse:
        reason = await run_in_threadpool(self._store.check)
        if reason:
            return _answer(503, {"status": "unhealthy", "service": "lk-backend", "version": VERSION, "reason": reason})
        return _answer(200, {"status": "ok", "service": "lk-backend", "version": VERSION})

    async def token(self, request: Request) -> JSONResponse:
        # Read before the refusal too: an answer to a client that is still sending may never reach it.
        body = await _read_body(request, self._body_timeout_s)
        # What is left of an unread body must not be taken for the next request.
        ending = {"Connection": "close"} if isinstance(body, Fault) else {}
        if not self._may_ask(request):
            fault = Fault(
                401, "the bearer secret is missing or wrong", hint="send Authorization: Bearer BACKEND_SECRET"
            )
            return _refuse(fault, {"WWW-Authenticate": 'Bearer realm="lk-backend"', **ending})
        if isinstance(body, Fault):
            return _refuse(body, ending)
        wanted = parse_request(body)
        if isinstance(wanted, Fault):
            return _refuse(wanted)
        url = await self._address(request, wanted.room)
        if isinstance(url, JSONResponse):
            return url
        ttl_s = self._settings.token_ttl_s
        grant = make_grant(wanted, token_id=secrets.token_hex(16), now_s=self._clock(), ttl_s=ttl_s)
        try:
            async with asyncio.timeout(TURN_TIMEOUT_S):
                await self._turn.acquire()
        except TimeoutError:
            return self._refuse_for_now("database", "cannot record a token: the database is busy")
        try:
            await run_in_threadpool(self._store.record, grant)
        except DaemonError as error:
            return self._refuse_for_now("database", str(error))
        finally:
            self._turn.release()
        self._works_again("database")
        token = sign_grant(grant, key=self._settings.api_key, secret=self._settings.api_secret)
        return _answer(200, {"url": url, "token": token})

    async def _address(self, request: Request, room: str) -> str | JSONResponse:
        """Where the room is joined, at a moment at which it may be; or the answer that says why not."""
        until_s = time.monotonic() + self._hold_s
        while True:
            try:
                turned = await self._held(request, until_s)
                if turned is not None:
                    reason = f"cannot let anybody join: {turned.because}"
                    return self._refuse_for_now("gate", reason, turned.retry_after_s)
                url = await self._rooms.address(room, until_s)
            except ClientDisconnect:
                return _refuse(Fault(503, "the client has gone"))  # nobody is there to read this
            except DaemonError as error:
                return self._refuse_for_now("slots", str(error))
            if not self._gate.is_shut:
                break  # else it was shut while the slots were asked, perhaps long ago
        self._works_again("gate")
        self._works_again("slots")
        return url

    async def _held(self, request: Request, until_s: float) -> Turned | None:
        if not self._gate.is_shut:
            return None
        gone = asyncio.ensure_future(_client_leaves(request))
        try:
            return await self._gate.let_through(until_s, gone)
        finally:
            gone.cancel()

    def _may_ask(self, request: Request) -> bool:
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        # Header text is Latin-1, so that this gives back the bytes as sent.
        given = shown.strip().encode("latin-1")
        accepted = [self._settings.backend_secret, self._settings.old_backend_secret]
        # All are compared, so that the time it takes does not tell which one it was.
        matches = [hmac.compare_digest(given, secret.encode()) for secret in accepted if secret]
        return scheme.lower() == "bearer" and any(matches)

    def _works_again(self, what: str) -> None:
        if what in self._failing:
            self._failing.remove(what)
            _log.info("token requests are answered again (%s)", what)

    def _refuse_for_now(self, what: str, reason: str, retry_after_s: int = RETRY_AFTER_S) -> JSONResponse:
        if what not in self._failing:
            # Once for each outage: a log line a request would fill the disk that may be full already.
            self._failing.add(what)
            _log.warning("%s; token requests are answered with 503 until it works again", reason)
        body = {"error": reason, "field": "", "hint": "try again", "retry": True}
        return _answer(503, body, {"Retry-After": str(retry_after_s)})


async def _client_leaves(request: Request) -> None:
    """Come back when the client has gone; its body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _read_body(request: Request, timeout_s: float) -> bytes | Fault:
    body = bytearray()
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= MAX_BODY_BYTES:
                    body += chunk
                elif size > MAX_DISCARDED_BYTES:
                    break
    except TimeoutError:
        if size <= MAX_BODY_BYTES:
            return Fault(408, "the body did not arrive in time", hint="send it faster")
    except ClientDisconnect:
        return Fault(400, "the body is not complete")  # nobody is there to read this
    if size > MAX_BODY_BYTES:
        return Fault(413, "the body is too long", hint=f"at most {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _answer(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(body, status, {"Cache-Control": "no-store", **(headers or {})})


def _refuse(fault: Fault, headers: dict[str, str] | None = None) -> JSONResponse:
    return _answer(fault.status, {"error": fault.error, "field": fault.field, "hint": fault.hint}, headers)


async def _answer_http_exception(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    fault = {
        404: Fault(404, "there is nothing at this path", hint="paths: GET /health, POST /api/token"),
        405: Fault(405, "this path does not know this method", hint="paths: GET /health, POST /api/token"),
    }.get(error.status_code, Fault(error.status_code, error.detail.lower()))
    return _refuse(fault, dict(error.headers or {}))


async def _answer_bug(_request: Request, _error: Exception) -> JSONResponse:
    # The server logs the traceback; it holds no values.
    return _refuse(Fault(500, "internal error", hint="the log of lk-backend says more"))
