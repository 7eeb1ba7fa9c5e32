"""The backend as a process: what it answers, what it survives, how it ends."""

from __future__ import annotations

import http.client
import json
import resource
import signal
import socket
import sqlite3
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import jwt
import pytest
from livekit import api

from hero_livekit_units.version import VERSION
from tests.backend.running import API_KEY, API_SECRET, AUTHORISED, BACKEND_SECRET, DEADLINE_S, LIVEKIT_URL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backend.conftest import StartBackend
    from tests.backend.running import RunningBackend

pytestmark = pytest.mark.servers

REQUEST = b'{"room": "standup", "identity": "ana", "name": "Ana"}'


def issued(folder: Path) -> list[tuple[object, ...]]:
    """Room, identity and name of every row, and the id, as another program reads them."""
    with closing(sqlite3.connect(folder / "backend.db")) as connection:
        return connection.execute("SELECT token_id, room, identity, name FROM issued").fetchall()


def test_health_names_service_and_version(backend: RunningBackend) -> None:
    """Health needs no secret and says who answers."""
    answer = backend.ask("GET", "/health")

    assert answer.status == 200
    assert answer.body == {"status": "ok", "service": "lk-backend", "version": VERSION}


def test_token_lets_its_holder_in(backend: RunningBackend, tmp_path: Path) -> None:
    """The answer is a URL and a token that LiveKit's own verifier accepts, and the issue is on record."""
    answer = backend.ask("POST", "/api/token", REQUEST, AUTHORISED)

    claims = api.TokenVerifier(API_KEY, API_SECRET).verify(answer.body["token"])
    raw = jwt.decode(answer.body["token"], API_SECRET, algorithms=["HS256"])
    assert (answer.status, answer.body["url"], sorted(answer.body)) == (200, LIVEKIT_URL, ["token", "url"])
    assert answer.headers["cache-control"] == "no-store"
    assert claims.video is not None
    assert (claims.identity, claims.name, claims.video.room) == ("ana", "Ana", "standup")
    assert raw["exp"] - raw["nbf"] == 6 * 3600
    assert abs(raw["nbf"] - time.time()) < DEADLINE_S
    assert issued(tmp_path) == [(raw["jti"], "standup", "ana", "Ana")]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"Authorization": "Bearer "}, id="empty"),
        pytest.param({"Authorization": "Bearer wrong"}, id="wrong"),
        pytest.param({"Authorization": f"Bearer {BACKEND_SECRET[:-1]}"}, id="prefix"),
        pytest.param({"Authorization": f"Bearer {BACKEND_SECRET}x"}, id="longer"),
        pytest.param({"Authorization": f"Basic {BACKEND_SECRET}"}, id="other-scheme"),
        pytest.param({"Authorization": BACKEND_SECRET}, id="no-scheme"),
        pytest.param({"Authorization": "Bearer \xe9\xff"}, id="latin-1"),
        pytest.param({"Authorization": f"Bearer {API_SECRET}"}, id="the-other-secret"),
    ],
)
def test_who_does_not_show_the_secret_gets_nothing(
    backend: RunningBackend, tmp_path: Path, headers: dict[str, str]
) -> None:
    """Without the right secret: 401, how to authenticate, no token, no record."""
    answer = backend.ask("POST", "/api/token", REQUEST, headers)

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="lk-backend"'
    assert answer.body == {
        "error": "the bearer secret is missing or wrong",
        "field": "",
        "hint": "send Authorization: Bearer BACKEND_SECRET",
    }
    assert issued(tmp_path) == []


def test_either_secret_is_accepted_while_one_replaces_the_other(start_backend: StartBackend) -> None:
    """The new one and the old one get tokens of the lifetime that was asked for; a third one does not."""
    backend = start_backend(OLD_BACKEND_SECRET="o" * 32, TOKEN_TTL_S="90")
    answers = [
        backend.ask("POST", "/api/token", REQUEST, {"Authorization": f"Bearer {secret}"})
        for secret in (BACKEND_SECRET, "o" * 32, "n" * 32)
    ]

    assert [answer.status for answer in answers] == [200, 200, 401]
    raw = jwt.decode(answers[1].body["token"], API_SECRET, algorithms=["HS256"])
    assert raw["exp"] - raw["nbf"] == 90


def test_scheme_is_read_in_any_case(backend: RunningBackend) -> None:
    """HTTP's schemes have no case."""
    answer = backend.ask("POST", "/api/token", REQUEST, {"authorization": f"bEARER {BACKEND_SECRET}"})

    assert answer.status == 200


def test_faulty_request_names_its_field(backend: RunningBackend, tmp_path: Path) -> None:
    """A fault comes back as error, field and hint, and nothing is recorded."""
    answer = backend.ask_token(room="standup", identity=7)

    assert answer.status == 422
    assert answer.body == {
        "error": "identity is not a string",
        "field": "identity",
        "hint": "put it in double quotes",
    }
    assert issued(tmp_path) == []


@pytest.mark.parametrize(("size", "status"), [(16_384, 200), (16_385, 413), (900_000, 413)], ids=str)
def test_long_body_is_refused(backend: RunningBackend, size: int, status: int) -> None:
    """16 KiB is the limit, and a client that sends all of a longer body before it reads still reads why."""
    body = REQUEST + b" " * (size - len(REQUEST))
    with closing(socket.create_connection(("127.0.0.1", backend.port), DEADLINE_S)) as client:
        head = f"POST /api/token HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {BACKEND_SECRET}\r\n"
        client.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode() + body)

        answer = http.client.HTTPResponse(client)
        answer.begin()
        content = json.loads(answer.read())

    assert answer.status == status
    assert status == 200 or content["error"] == "the body is too long"


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        pytest.param("GET", "/", 404, "there is nothing at this path", id="root"),
        pytest.param("GET", "/health/", 404, "there is nothing at this path", id="slash-is-no-redirect"),
        pytest.param("POST", "/api/token/", 404, "there is nothing at this path", id="slash-after-token"),
        pytest.param("GET", "/api/token", 405, "this path does not know this method", id="get-token"),
        pytest.param("POST", "/health", 405, "this path does not know this method", id="post-health"),
    ],
)
def test_wrong_path_or_method_is_json_too(
    backend: RunningBackend, method: str, path: str, status: int, error: str
) -> None:
    """Every error has the same form."""
    answer = backend.ask(method, path, None, AUTHORISED)

    assert answer.status == status
    assert answer.body == {"error": error, "field": "", "hint": "paths: GET /health, POST /api/token"}


def test_answers_on_one_connection_do_not_wait(backend: RunningBackend) -> None:
    """The second answer on a connection is not held back for an acknowledgement, which takes 40 ms."""
    took: list[float] = []
    with closing(http.client.HTTPConnection("127.0.0.1", backend.port, timeout=DEADLINE_S)) as connection:
        for _ in range(21):
            began = time.monotonic()
            connection.request("POST", "/api/token", REQUEST, AUTHORISED)
            connection.getresponse().read()
            took.append(time.monotonic() - began)

    assert statistics.median(took) < 0.03


def test_crowd_gets_different_tokens(backend: RunningBackend, tmp_path: Path) -> None:
    """Two hundred joins at once all get a token with an id of its own, all on record."""
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: backend.ask_token(room="all", identity=f"i{number}"), range(200)))

    ids = {jwt.decode(answer.body["token"], API_SECRET, algorithms=["HS256"])["jti"] for answer in answers}
    assert [answer.status for answer in answers] == [200] * 200
    assert len(ids) == 200
    assert {row[0] for row in issued(tmp_path)} == ids


def test_locked_database_is_waited_out(backend: RunningBackend, tmp_path: Path) -> None:
    """While somebody holds the database every caller is soon told to retry; it needs no restart."""
    with closing(sqlite3.connect(tmp_path / "backend.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with ThreadPoolExecutor(6) as pool:
            pending = [pool.submit(backend.ask_token, room="a", identity="b") for _ in range(6)]
            health = backend.ask("GET", "/health")
            answers = [future.result() for future in pending]
        took = time.monotonic() - began
        other.execute("ROLLBACK")
    after = backend.ask_token(room="a", identity="b")

    assert [(answer.status, answer.body["retry"]) for answer in answers] == [(503, True)] * 6
    assert {answer.headers["retry-after"] for answer in answers} == {"1"}
    assert took < 6
    assert health.status == 200
    assert after.status == 200
    assert backend.log.read_text().count("WARNING") == 1


def test_full_disk_is_waited_out(backend: RunningBackend) -> None:
    """A disk that takes no byte more: 503 for tokens, health stays good, and room on the disk is all it needs."""
    before = backend.ask_token(room="a", identity="b")
    resource.prlimit(backend.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    full = backend.ask_token(room="a", identity="b")
    health = backend.ask("GET", "/health")
    resource.prlimit(backend.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    after = backend.ask_token(room="a", identity="b")

    assert [before.status, full.status, health.status, after.status] == [200, 503, 200, 200]
    assert full.body["retry"] is True
    assert full.body["error"].startswith("cannot record a token: ")


def test_removed_database_is_seen_and_made_again(backend: RunningBackend, tmp_path: Path) -> None:
    """Health says that the file is gone; the next token brings it back."""
    (tmp_path / "backend.db").unlink()
    gone = backend.ask("GET", "/health")
    token = backend.ask_token(room="a", identity="b")
    back = backend.ask("GET", "/health")

    assert gone.status == 503
    assert gone.body == {
        "status": "unhealthy",
        "service": "lk-backend",
        "version": VERSION,
        "reason": "unable to open database file",
    }
    assert (token.status, back.status, len(issued(tmp_path))) == (200, 200, 1)


def test_no_secret_is_left_anywhere(backend: RunningBackend, tmp_path: Path) -> None:
    """Neither secrets nor tokens are in the database, the log, standard output or the command line."""
    token = backend.ask_token(room="a", identity="b").body["token"]
    backend.ask("POST", f"/api/token?access_token={token}", REQUEST, {"Authorization": f"Bearer x{BACKEND_SECRET}"})
    backend.ask("GET", f"/nothing/{BACKEND_SECRET}")
    with open(f"/proc/{backend.process.pid}/cmdline", "rb") as file:  # noqa: PTH123 - procfs, not a stored file
        left = file.read()
    left += b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("backend"))
    backend.end()
    assert backend.process.stdout is not None
    left += backend.process.stdout.read()

    assert b"listens on" in left
    assert b"issued" in left
    assert [secret for secret in (API_SECRET, BACKEND_SECRET, token) if secret.encode() in left] == []


def test_records_survive_a_kill(start_backend: StartBackend, tmp_path: Path) -> None:
    """What was issued before `kill -9` is on record, and the next process goes on from there."""
    first = start_backend()
    first.ask_token(room="a", identity="before")
    first.end(signal.SIGKILL)
    start_backend().ask_token(room="a", identity="after")

    assert sorted(str(row[2]) for row in issued(tmp_path)) == ["after", "before"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_stop_is_quick_and_clean(backend: RunningBackend, number: signal.Signals) -> None:
    """Asked to stop, with an idle client still connected, it ends within two seconds with status 0."""
    with closing(http.client.HTTPConnection("127.0.0.1", backend.port, timeout=DEADLINE_S)) as idle:
        idle.request("GET", "/health")
        idle.getresponse().read()

        status, took = backend.end(number)

    assert status == 0
    assert took < 2
    assert backend.log.read_text().rstrip().endswith("stopped")


def test_half_sent_request_does_not_hold_up_the_stop(backend: RunningBackend) -> None:
    """A client that never finishes its request cannot keep the service from ending cleanly."""
    with closing(socket.create_connection(("127.0.0.1", backend.port), DEADLINE_S)) as client:
        client.sendall(b"POST /api/token HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        backend.ask("GET", "/health")

        status, took = backend.end()

    assert status == 0
    assert took < 6
