"""HTTP/1.1 on a connected stream: requests in, responses out, limits in between.

Owns: one task a connection, h11 as the protocol, the limits on sizes and times. Must not know routes or JSON-RPC: a
handler turns a Request into a Response. A client may go away, stall or send garbage at any byte; that ends its
connection and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import h11
from attrs import field, frozen

from hero_livekit_units.herosocket.listener import BACKLOG

LARGEST_BODY = 1024 * 1024
LARGEST_HEAD = 32 * 1024
IDLE_S = 30.0
MOST_CONNECTIONS = 256
_PIECE = 64 * 1024
_LINGER_S = 2.0
_LINGER_BYTES = 8 * 1024 * 1024
_FINISH_S = 2.0  # for requests that are being answered
_HALF_S = 0.2  # for the rest of a request of which some has come
_LOOK_AGAIN_S = 0.005
_TURNS = 10  # of the loop, until what was accepted is a connection, and what was read is with it
_REASONS = {200: b"OK", 204: b"No Content", 400: b"Bad Request", 404: b"Not Found", 405: b"Method Not Allowed"} | {
    413: b"Content Too Large",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}

_log = logging.getLogger(__name__)


@frozen
class Request:
    """A complete request. `path` is without its query."""

    method: str
    path: str
    body: bytes


@frozen
class Response:
    """An answer. `headers` adds to the ones that every response has."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(factory=dict)


Handler = Callable[[Request], Awaitable[Response]]


class _Refused(Exception):
    """The request is answered before it is complete; the connection ends after it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class HttpServer:
    """Serves a listening socket until closed."""

    def __init__(self, handler: Handler, *, idle_s: float = IDLE_S) -> None:
        self._handler = handler
        self._idle_s = idle_s
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket, connections: Sequence[int] = ()) -> None:
        """Accept connections on a socket that listens already, and go on with those that another left."""
        loop = asyncio.get_running_loop()
        for descriptor in connections:
            accepted = socket.socket(fileno=descriptor)
            accepted.setblocking(False)  # noqa: FBT003
            await loop.connect_accepted_socket(self._protocol, accepted)
        self._server = await asyncio.start_unix_server(self._connected, sock=sock, limit=_PIECE, backlog=BACKLOG)

    async def finish(self) -> list[int]:
        """Accept no more, without closing the socket, and end each connection after the answer to what it has asked.

        A request that is being answered has FINISH_S for that, one of which only some has come HALF_S.

        Returns:
            Descriptors of the connections on which nothing has come since their last answer, or at all, for `start` of
            whoever goes on. What is sent on them waits there.
        """
        left: list[int] = []
        if self._server is None:
            return left
        loop = asyncio.get_running_loop()
        for sock in self._server.sockets:
            loop.remove_reader(sock.fileno())
        await _settle()
        began = loop.time()
        while self._connections:
            for connection in self._connections.values():
                connection.finish()
            await _settle()
            passed_s = loop.time() - began
            for task, connection in self._connections.items():
                descriptor = connection.leave()
                if descriptor is not None:
                    left.append(descriptor)
                if descriptor is not None or passed_s >= (_FINISH_S if connection.answering else _HALF_S):
                    task.cancel()
            if open_still := list(self._connections):
                await asyncio.wait(open_still, timeout=_LOOK_AGAIN_S)
        return left

    async def close(self) -> None:
        """Accept no more, and end what is open."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=_PIECE), self._connected)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:  # asyncio runs this callback as a task
            raise RuntimeError("a connection without a task")
        connection = self._connections[task] = _Connection(reader, writer, self._idle_s)
        try:
            await connection.serve(self._handler, busy=len(self._connections) > MOST_CONNECTIONS)
        except asyncio.CancelledError:
            # The server closes. Nobody awaits this task but close(), which does not look at how it ended.
            pass
        except (OSError, TimeoutError, h11.ProtocolError) as error:
            _log.debug("connection ended: %s", error)
        finally:
            del self._connections[task]
            writer.transport.abort()


class _Connection:
    """One connection: h11 decides what may come next, this moves the bytes.

    answering: a whole request has come and its answer has not gone.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle_s: float) -> None:
        self._reader = reader
        self._writer = writer
        self._idle_s = idle_s
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
        self.answering = self._finishing = False
        self._untouched = True  # nothing has come since the last answer, or at all
        self._transport = cast("asyncio.Transport", writer.transport)
        # Written means handed to the kernel: what waits here would be lost when the connection ends.
        self._transport.set_write_buffer_limits(high=0)

    async def serve(self, handler: Handler, *, busy: bool) -> None:
        """Answer requests one after the other until the connection ends."""
        while True:
            try:
                request = await self._read_request()
                if request is None:
                    return
                self.answering = True
                response = Response(503) if busy else await handler(request)
            except h11.RemoteProtocolError as error:
                await self._refuse(_Refused(error.error_status_hint, str(error)))
                return
            except _Refused as refused:
                await self._refuse(refused)
                return
            await self._send(response)
            self.answering = False
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()
            self._untouched = not self._http.trailing_data[0]

    def finish(self) -> None:
        """Make the next answer the last; what has not begun to come is not read any more."""
        self._finishing = True
        if self._untouched:
            self._transport.pause_reading()

    def leave(self) -> int | None:
        """A descriptor for whoever goes on, once; None where something has come that is not answered yet."""
        if not self._untouched or self._transport.is_reading() or self._transport.is_closing():
            return None
        self._untouched = False
        return os.dup(self._transport.get_extra_info("socket").fileno())

    async def _read_request(self) -> Request | None:
        """The next complete request, None when the client is done."""
        # One limit for the whole request, so that a byte now and then does not keep a connection open.
        async with asyncio.timeout(self._idle_s):
            head = await self._next_event()
            if not isinstance(head, h11.Request):
                return None
            declared = dict(head.headers).get(b"content-length", b"0")
            if int(declared) > LARGEST_BODY:
                raise _too_large()
            body = bytearray()
            while not isinstance(event := await self._next_event(), h11.EndOfMessage):
                if not isinstance(event, h11.Data):
                    return None
                body += event.data
                if len(body) > LARGEST_BODY:
                    raise _too_large()
        path = head.target.partition(b"?")[0].decode("ascii", "replace")
        return Request(head.method.decode("ascii"), path, bytes(body))

    async def _next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._http.they_are_waiting_for_100_continue:
                await self._write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))
            piece = await self._reader.read(_PIECE)
            self._untouched = False
            if self._finishing:
                self._transport.resume_reading()  # it had come before the pause; its rest has to come too
            if not piece and self._http.their_state is not h11.IDLE:
                raise ConnectionResetError("the client left within a request")
            self._http.receive_data(piece)

    async def _send(self, response: Response) -> None:
        headers = [(name.encode(), value.encode()) for name, value in response.headers.items()]
        if self._finishing and "connection" not in response.headers:
            headers.append((b"connection", b"close"))
        if response.status != 204:
            headers.append((b"content-length", str(len(response.body)).encode()))
        if response.body:
            headers.append((b"content-type", response.content_type.encode()))
        reason = _REASONS.get(response.status, b"")
        start = h11.Response(status_code=response.status, headers=headers, reason=reason)
        data = self._http.send(start) or b""
        if response.body:
            data += self._http.send(h11.Data(data=response.body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        await self._write(data)

    async def _write(self, data: bytes | None) -> None:
        self._writer.write(data or b"")
        if self._transport.get_write_buffer_size():
            async with asyncio.timeout(self._idle_s):
                await self._writer.drain()

    async def _refuse(self, refused: _Refused) -> None:
        """Answer a request that will not be read to its end, and let the client come to read the answer."""
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        text = f"{refused}\n".encode()
        await self._send(Response(refused.status, text, "text/plain; charset=utf-8", {"connection": "close"}))
        with contextlib.suppress(OSError, TimeoutError):
            if self._writer.can_write_eof():
                self._writer.write_eof()
            async with asyncio.timeout(_LINGER_S):
                left = _LINGER_BYTES
                while left > 0 and (piece := await self._reader.read(_PIECE)):
                    left -= len(piece)


async def _settle() -> None:
    """Let what the loop has accepted and read come to its connection."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _too_large() -> _Refused:
    return _Refused(413, f"the body is larger than {LARGEST_BODY} bytes")
