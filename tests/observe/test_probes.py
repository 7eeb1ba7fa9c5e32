"""Probes: whatever the program does, the answer is a value."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.model.launch import Port, Probe
from hero_livekit_units.model.unit import ProbeKind, ProbeLevel, Protocol
from hero_livekit_units.observe.probes import ask, not_asked, unanswered
from tests.fakes.http_answers import DRIP, HttpAnswers, ok

if TYPE_CHECKING:
    from collections.abc import Callable


def probe(number: int, kind: ProbeKind = ProbeKind.HTTP, *, bind: str = "127.0.0.1", timeout_s: float = 2.0) -> Probe:
    """A probe of `GET /`, or of the port alone."""
    port = Port("http", number, Protocol.TCP, bind)
    return Probe("ready", kind, ProbeLevel.READINESS, port, "/", 200, 5.0, timeout_s, 3)


@pytest.mark.parametrize(
    ("answer", "good", "says"),
    [
        pytest.param(ok("OK"), True, "200 OK", id="ready"),
        pytest.param(b"HTTP/1.1 406 Not Acceptable\r\n\r\n", False, "406 Not Acceptable", id="not-ready"),
        pytest.param(b"HTTP/1.1 503\r\n\r\n", False, "503", id="no-reason"),
        pytest.param(b"HTTP/1.1 301 Moved\r\nlocation: /x\r\n\r\n", False, "301 Moved", id="redirect-is-not-followed"),
        pytest.param(b"\x00\x01\x02\r\n\r\n", False, "BadStatusLine", id="garbage"),
        pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", False, "BadStatusLine", id="letters-for-status"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200, False, "HTTPException", id="too-many-headers"),
        pytest.param(b"", False, "RemoteDisconnected", id="closed-at-once"),
    ],
)
def test_http(answer: bytes, good: bool, says: str) -> None:  # noqa: FBT001
    """The status decides; what is no HTTP is a failed probe that says why."""
    with HttpAnswers({"/": answer}) as server:
        seen = ask(probe(server.port))
        assert server.asked == ["/"]
    assert seen.ok is good
    assert seen.says == f"GET / on port {server.port}: {says}"
    assert 0.0 < seen.took_ms < 2000.0


@pytest.mark.parametrize("answer", [None, DRIP], ids=["silent", "a-byte-now-and-then"])
def test_a_server_that_does_not_answer(answer: bytes | None) -> None:
    """The probe's own timeout ends the wait, also for one that never comes to the end of its first line."""
    with HttpAnswers({"/": answer}) as server:
        began = time.monotonic()
        seen = ask(probe(server.port, timeout_s=0.2))
        took_s = time.monotonic() - began
    assert (seen.ok, seen.says) == (False, f"GET / on port {server.port}: no answer within 0.2 s")
    assert took_s < 1.0


@pytest.mark.parametrize("kind", list(ProbeKind))
def test_nobody_listens(kind: ProbeKind, free_port: Callable[[], int]) -> None:
    """A refused connection is a failed probe."""
    seen = ask(probe(free_port(), kind))
    assert seen.ok is False
    assert seen.says.endswith(": Connection refused")


@pytest.mark.parametrize(
    ("listens_on", "bind"),
    [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"), ("127.0.0.1", "*"), ("::1", "::1"), ("::1", "::")],
)
def test_tcp(listens_on: str, bind: str) -> None:
    """A TCP probe connects to where the port can be reached from this host."""
    family = socket.AF_INET6 if ":" in listens_on else socket.AF_INET
    with socket.create_server((listens_on, 0), family=family) as server:
        number = server.getsockname()[1]
        seen = ask(probe(number, ProbeKind.TCP, bind=bind))
    assert (seen.ok, seen.says) == (True, f"connect to port {number}: accepted")


def test_a_probe_that_was_not_sent() -> None:
    """Nobody was there to answer: that is a no, and it says so."""
    seen = not_asked(probe(7880), "nobody is there")
    assert (seen.ok, seen.says, seen.took_ms) == (False, "GET / on port 7880: nobody is there", 0.0)


def test_a_probe_without_an_answer_in_time() -> None:
    """Nobody answered before the look was over: that is not a no."""
    seen = unanswered(probe(7880, ProbeKind.TCP), 1.0)
    assert (seen.ok, seen.says) == (None, "connect to port 7880: no answer within 1 s")
