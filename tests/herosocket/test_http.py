"""HTTP on the socket: the four routes, the limits, and clients that behave badly at every byte."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.herosocket.http import HttpServer, Request, Response
from tests.herosocket.serving import parse, read_all

if TYPE_CHECKING:
    from pathlib import Path

    from tests.herosocket.serving import Served

ADD = b'{"jsonrpc":"2.0","id":1,"method":"add","params":{"a":2,"b":3}}'
MIB = 1024 * 1024


def still_answers(served: Served) -> bool:
    """Whether the service answers a plain call."""
    return bool(served.call({"jsonrpc": "2.0", "id": 1, "method": "add", "params": [1]})["result"] == 2)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/health", {"status": "ok", "service": "tested", "version": "1.2.3"}),
        (
            "/.well-known/heroservice.json",
            {
                "protocol": "openrpc",
                "name": "tested",
                "title": "Tested",
                "version": "1.2.3",
                "description": "For tests.",
                "socket": "rpc",
            },
        ),
        ("/openrpc.json", {"openrpc": "1.3.2", "methods": []}),
        ("/health?from=router", {"status": "ok", "service": "tested", "version": "1.2.3"}),
    ],
    ids=["health", "manifest", "openrpc", "query"],
)
def test_documents(served: Served, path: str, expected: object) -> None:
    """The documents of a Hero service."""
    response = served.request(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    assert json.loads(response.body) == expected


@pytest.mark.parametrize(
    ("request_line", "status", "allow"),
    [
        ("GET / HTTP/1.1", 404, None),
        ("POST /rpc/ HTTP/1.1", 404, None),
        ("GET /rpc HTTP/1.1", 405, "POST"),
        ("DELETE /health HTTP/1.1", 405, "GET"),
        ("POST /openrpc.json HTTP/1.1", 405, "GET"),
    ],
)
def test_wrong_routes(served: Served, request_line: str, status: int, allow: str | None) -> None:
    """An unknown path is 404; a known one with another method 405, with the right one."""
    response = served.request(f"{request_line}\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode())
    assert (response.status, response.headers.get("allow")) == (status, allow)


def test_any_content_type_will_do(served: Served) -> None:
    """The body is JSON whatever its label says."""
    assert json.loads(served.post(ADD, b"content-type: text/plain").body)["result"] == 5


def test_a_connection_is_kept(served: Served) -> None:
    """Several requests, sent at once, are answered one after the other on one connection."""
    request = b"POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(ADD) + ADD
    answers = served.exchange(request * 3)
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert answers.count(b'"result":5') == 3


def test_connection_close_is_honoured(served: Served) -> None:
    """After `connection: close` the server ends the connection."""
    with served.connect() as peer:
        peer.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert parse(read_all(peer)).status == 200


def test_a_chunked_body(served: Served) -> None:
    """Chunked bodies are taken, as some clients send nothing else."""
    chunks = b"".join(b"%x\r\n%c\r\n" % (1, byte) for byte in ADD) + b"0\r\n\r\n"
    response = served.request(b"POST /rpc HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunks)
    assert json.loads(response.body)["result"] == 5


def test_expect_continue(served: Served) -> None:
    """A client that waits for 100 Continue gets it."""
    with served.connect() as peer:
        head = b"POST /rpc HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(ADD)
        peer.sendall(head)
        assert peer.recv(1000).startswith(b"HTTP/1.1 100 ")
        peer.sendall(ADD)
        peer.shutdown(socket.SHUT_WR)
        assert json.loads(parse(read_all(peer)).body)["result"] == 5


@pytest.mark.parametrize(("size", "status"), [(MIB, 200), (MIB + 1, 413)], ids=["largest", "too-large"])
def test_the_largest_body(served: Served, size: int, status: int) -> None:
    """A body of 1 MiB is read; one byte more is 413, and the service lives."""
    assert served.post(ADD + b" " * (size - len(ADD))).status == status
    assert still_answers(served)


def test_a_body_that_is_announced_too_large_is_not_awaited(served: Served) -> None:
    """413 comes from the announced length alone, before the body."""
    with served.connect() as peer:
        peer.sendall(b"POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n")
        assert peer.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_that_grows_too_large(served: Served) -> None:
    """Without an announced length, 413 comes when it has become too large."""
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = b"POST /rpc HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    assert served.request(head + chunk * 17).status == 413


def test_headers_that_are_too_large(served: Served) -> None:
    """Endless headers are refused with 431 and not collected for ever."""
    assert served.request(b"GET /health HTTP/1.1\r\nhost: x\r\na: " + b"x" * 200_000).status == 431


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b'{"jsonrpc":"2.0","id":1,"method":"add"}\n\r\n\r\n',
        b"GET /health\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-length: five\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"POST /rpc HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["tls", "bare-json", "http-0.9", "no-host", "negative", "no-number", "two-lengths", "bad-chunk"],
)
def test_garbage(served: Served, data: bytes) -> None:
    """What is not HTTP is answered with 400, and the service lives."""
    assert served.request(data).status == 400
    assert still_answers(served)


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"", b""),
        (b"P", b"HTTP/1.1 400 "),
        (b"POST /rpc HTTP/1.1\r\nhost", b"HTTP/1.1 400 "),
        (b"POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc", b""),
    ],
    ids=["nothing", "a-letter", "half-a-head", "half-a-body"],
)
def test_a_client_that_leaves_early(served: Served, data: bytes, answer: bytes) -> None:
    """Half a request is carried out by nobody, and nobody else notices."""
    assert served.exchange(data)[:13] == answer
    assert still_answers(served)


def test_a_client_that_leaves_before_its_answer(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """The answer of a slow method to a client that has gone is dropped without a trace in the log."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"wait"}'
    for _ in range(3):
        with served.connect() as peer:
            peer.sendall(b"POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    served.released.set()
    assert still_answers(served)
    assert [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}] == []


@pytest.mark.parametrize(
    "data",
    [b"", b"POST /rpc HTTP/1.1\r\n", b"POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc"],
    ids=["silent", "half-a-head", "half-a-body"],
)
def test_a_client_that_stalls(impatient: Served, data: bytes) -> None:
    """A connection without a complete request in time is closed."""
    with impatient.connect() as peer:
        peer.sendall(data)
        assert read_all(peer) == b""


def test_a_client_that_drips(impatient: Served) -> None:
    """A byte now and then does not keep a connection open: the time is for the whole request."""
    began = time.monotonic()
    with impatient.connect() as peer:
        for byte in b"GET /health HTTP/1.1\r\nhost: " + b"x" * 1000:
            try:
                peer.sendall(bytes([byte]))
            except BrokenPipeError:
                break
            time.sleep(0.01)
    assert time.monotonic() - began < 5.0


@pytest.mark.parametrize("method", ["wait", "wait_blocking"], ids=["coroutine", "thread"])
def test_a_slow_method_blocks_nobody(served: Served, method: str) -> None:
    """While one client waits for a slow method, others are answered."""
    answers: list[object] = []
    call = {"jsonrpc": "2.0", "id": 1, "method": method}
    waiting = threading.Thread(target=lambda: answers.append(served.call(call)))
    waiting.start()
    assert still_answers(served)
    assert answers == []
    served.released.set()
    waiting.join()
    assert answers == [{"jsonrpc": "2.0", "id": 1, "result": True}]


def test_many_connections(served: Served) -> None:
    """A hundred connections that stay open are all served."""
    peers = [served.connect() for _ in range(100)]
    for peer in peers:
        peer.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    assert all(peer.recv(1000).startswith(b"HTTP/1.1 200 ") for peer in peers)
    for peer in peers:
        peer.close()


def test_more_connections_than_allowed(served: Served) -> None:
    """Beyond the limit a request is answered with 503, and below it again as ever."""
    peers = [served.connect() for _ in range(256)]
    assert served.request(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").status == 503
    for peer in peers:
        peer.close()
    deadline = time.monotonic() + 10
    while served.request(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").status != 200:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("count", range(600, 901, 50))
def test_a_large_answer_reaches_a_slow_reader(count: int, served: Served) -> None:
    """The connection that ends after its answer ends when all of the answer has been taken, not before."""
    # Each answer repeats the name of the method. What a socket does not take at once has many sizes.
    body = json.dumps([{"jsonrpc": "2.0", "id": at, "method": "x" * 200} for at in range(count)]).encode()
    with served.connect() as peer:
        head = b"POST /rpc HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        peer.sendall(head + body)
        received = bytearray()
        while piece := peer.recv(16 * 1024):
            received += piece
            time.sleep(0.002)  # slower than it is written
    assert [answer["id"] for answer in json.loads(parse(bytes(received)).body)] == list(range(count))


GET = b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n"


async def _answer(request: Request) -> Response:
    return Response(200, request.path.encode())


async def _served(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    return head.lower() + await reader.readexactly(2)


def test_finish_leaves_what_nobody_is_in_the_midst_of(short_folder: Path) -> None:
    """A server goes on with the connections that one before it left; half a request has a moment for its rest."""

    async def finished() -> None:
        path = str(short_folder / "s")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
            sock.listen()
            sock.setblocking(False)  # noqa: FBT003
            first, second = HttpServer(_answer), HttpServer(_answer)
            await first.start(sock)
            silent, kept, half, slow = [await asyncio.open_unix_connection(path) for _ in range(4)]
            kept[1].write(GET)
            assert b"connection: close" not in await _served(kept[0])
            for _, writer in (half, slow):
                writer.write(GET[:9])
            await asyncio.sleep(0.05)
            finishing = asyncio.create_task(first.finish())
            await asyncio.sleep(0.02)
            for _, writer in (silent, kept):  # the second is not there yet, the first does not read any more
                writer.write(GET)
            slow[1].write(GET[9:])
            answer = await _served(slow[0])
            assert b"connection: close" in answer
            assert (await slow[0].read(), await half[0].read()) == (b"", b"")
            left = await finishing
            await second.start(sock, left)
            for reader, writer in (silent, kept):
                assert (await _served(reader)).endswith(b"/x")
                writer.write(GET)
                assert b"connection: close" not in await _served(reader)
            assert await second.finish()
            await second.close()
            for _, writer in (silent, kept, half, slow):
                writer.close()

    asyncio.run(asyncio.wait_for(finished(), 10.0))
