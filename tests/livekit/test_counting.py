"""Counting rooms and people: the right source, and never a zero that nobody counted."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from hero_livekit_units.livekit.counting import count_calls
from hero_livekit_units.model.launch import Port
from hero_livekit_units.model.observed import CallsSeen
from hero_livekit_units.model.unit import CallSource, CallSourceKind, Protocol
from tests.fakes.http_answers import DRIP, HttpAnswers, ok

if TYPE_CHECKING:
    from collections.abc import Callable

LIST_ROOMS = "/twirp/livekit.RoomService/ListRooms"
UNAUTHORISED = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"
KEYS = {"APIold": "the secret that was, 0123456789abcdef", "APInew": "the secret that is, 0123456789abcdef"}
METRICS = """# HELP livekit_room_total
# TYPE livekit_room_total gauge
livekit_room_total{node_id="ND_x",node_type="SERVER"} 2
# TYPE livekit_participant_total gauge
livekit_participant_total{node_id="ND_x",node_type="SERVER"} 5
# TYPE go_goroutines gauge
go_goroutines 40
"""


def debug(number: int) -> tuple[CallSource, Port]:
    """The first source."""
    return CallSource(CallSourceKind.DEBUG_ROOMS, "debug"), Port("debug", number, Protocol.TCP, "127.0.0.1")


def prometheus(number: int) -> tuple[CallSource, Port]:
    """The second source."""
    return CallSource(CallSourceKind.PROMETHEUS, "prometheus"), Port("prometheus", number, Protocol.TCP, "127.0.0.1")


def list_rooms(number: int) -> tuple[CallSource, Port]:
    """The last source."""
    return CallSource(CallSourceKind.LIST_ROOMS, "http"), Port("http", number, Protocol.TCP, "127.0.0.1")


def room(participants: Any) -> dict[str, Any]:
    """A room as livekit-server lists it."""
    return {"Name": "standup", "Sid": "RM_x", "CreatedAt": 1, "Participants": participants}


@pytest.mark.parametrize(
    ("listed", "rooms", "people"),
    [
        pytest.param([], 0, 0, id="no-room"),
        pytest.param([room(None)], 1, 0, id="nobody-has-joined-yet"),
        pytest.param([room({})], 1, 0, id="everybody-has-left"),
        pytest.param([room({"ada": {"ID": "PA_1"}, "bob": {"ID": "PA_2"}})], 1, 2, id="two-people"),
        pytest.param([room({"ada": {}}), room(None), room({"ada": {}, "cy": {}})], 3, 3, id="three-rooms"),
        pytest.param([room([{"ID": "PA_1"}])], 1, 1, id="a-list-of-people"),
    ],
)
def test_debug_rooms(listed: Any, rooms: int, people: int) -> None:
    """The data that livekit-server's own drain decides by."""
    with HttpAnswers({"/debug/rooms": ok(json.dumps(listed))}) as server:
        found = count_calls([debug(server.port)], 2.0)
        assert server.asked == ["/debug/rooms"]
    assert (found.rooms, found.people, found.source) == (rooms, people, f"debug-rooms on port {server.port}")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(ok("null"), "not a list of rooms", id="null"),
        pytest.param(ok("{}"), "not a list of rooms", id="object"),
        pytest.param(ok("[null]"), "not a list of rooms", id="null-for-a-room"),
        pytest.param(ok('[{"Name": "x"}]'), "a room without participants", id="no-participants"),
        pytest.param(ok('[{"participants": {"ada": {}}}]'), "a room without participants", id="renamed"),
        pytest.param(ok('[{"Participants": 3}]'), "a room without participants", id="a-number"),
        pytest.param(ok(""), "Expecting value", id="empty"),
        pytest.param(ok("<html>"), "Expecting value", id="html"),
        pytest.param(b"HTTP/1.1 404 Not Found\r\n\r\n", "HTTP 404", id="not-found"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n[]", "the answer ends early", id="cut-short"),
        pytest.param(b"", "without response", id="closed"),
        pytest.param(b"nonsense\r\n\r\n", "nonsense", id="garbage"),
    ],
)
def test_what_cannot_be_counted_is_none(answer: bytes, reason: str) -> None:
    """An answer that is not understood may hide people: the count is None with the reason, never 0."""
    with HttpAnswers({"/debug/rooms": answer}) as server:
        found = count_calls([debug(server.port)], 2.0)
    assert (found.rooms, found.people) == (None, None)
    assert reason in found.source


def test_the_second_source_is_asked_when_the_first_fails() -> None:
    """livekit-server before 1.13.3 has no list of rooms, but it has metrics."""
    with HttpAnswers({"/metrics": ok(METRICS)}) as server:
        found = count_calls([debug(server.port), prometheus(server.port)], 2.0)
        assert server.asked == ["/debug/rooms", "/metrics"]
    assert (found.rooms, found.people, found.source) == (2, 5, f"prometheus on port {server.port}")


def test_the_second_source_is_not_asked_when_the_first_answers() -> None:
    """The order is the order of trust: metrics may be seconds old."""
    with HttpAnswers({"/debug/rooms": ok("[]"), "/metrics": ok(METRICS)}) as server:
        assert count_calls([debug(server.port), prometheus(server.port)], 2.0).people == 0
        assert server.asked == ["/debug/rooms"]


def test_metrics_of_several_nodes_are_added() -> None:
    """A gauge with labels has a sample for each of them."""
    more = METRICS + 'livekit_room_total{node_id="ND_y"} 1\nlivekit_participant_total{node_id="ND_y"} 7\n'
    with HttpAnswers({"/metrics": ok(more)}) as server:
        found = count_calls([prometheus(server.port)], 2.0)
    assert (found.rooms, found.people) == (3, 12)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("go_goroutines 40\n", id="no-gauges"),
        pytest.param("livekit_room_total 2\n", id="one-of-two"),
        pytest.param("livekit_room_total 2\nlivekit_participant_total NaN\n", id="not-a-number"),
        pytest.param("livekit_room_total 2\nlivekit_participant_total +Inf\n", id="infinite"),
        pytest.param("livekit_room_total{ 2\n", id="broken"),
        pytest.param("{}}}\n\x00\n", id="garbage"),
        pytest.param("<html><body>hello</body></html>", id="html"),
    ],
)
def test_metrics_that_do_not_tell_are_none(text: str) -> None:
    """As for the list of rooms."""
    with HttpAnswers({"/metrics": ok(text)}) as server:
        found = count_calls([prometheus(server.port)], 2.0)
    assert (found.rooms, found.people) == (None, None)
    assert found.source.startswith(f"prometheus on port {server.port}: ")


def test_nobody_answers(free_port: Callable[[], int]) -> None:
    """Both reasons are told."""
    one, other = free_port(), free_port()
    found = count_calls([debug(one), prometheus(other)], 1.0)
    assert (found.rooms, found.people) == (None, None)
    assert f"debug-rooms on port {one}: " in found.source
    assert f"; prometheus on port {other}: " in found.source


@pytest.mark.parametrize("answer", [None, DRIP], ids=["silent", "a-byte-now-and-then"])
def test_a_slow_server(answer: bytes | None) -> None:
    """Each source has its time for the whole answer and no more."""
    with HttpAnswers({"/debug/rooms": answer, "/metrics": ok(METRICS)}) as server:
        began = time.monotonic()
        found = count_calls([debug(server.port), prometheus(server.port)], 0.3)
        assert time.monotonic() - began < 1.0
    assert found.people == 5


def test_nothing_to_ask() -> None:
    """A unit without sources is not counted as empty."""
    assert count_calls([], 1.0) == CallsSeen(None, None, "nothing to ask")


@pytest.mark.parametrize(
    ("listed", "rooms", "people"),
    [
        pytest.param([], 0, 0, id="no-room"),
        pytest.param([{"name": "a", "num_participants": 2}, {"name": "b", "num_participants": 0}], 2, 2, id="as-named"),
        pytest.param([{"name": "a", "numParticipants": 3}], 1, 3, id="as-json-spells-it"),
    ],
)
def test_list_rooms(listed: Any, rooms: int, people: int) -> None:
    """RoomService is asked with a key, for no more than the list, in a token that is soon of no use."""
    with HttpAnswers({LIST_ROOMS: ok(json.dumps({"rooms": listed}))}) as server:
        found = count_calls([list_rooms(server.port)], 2.0, {"APInew": KEYS["APInew"]})
        (head,) = server.heads
    assert (found.rooms, found.people, found.source) == (rooms, people, f"list-rooms on port {server.port}")
    assert head["content-type"] == "application/json"
    claims = jwt.decode(head["authorization"].removeprefix("Bearer "), KEYS["APInew"], algorithms=["HS256"])
    assert (claims["iss"], claims["video"]) == ("APInew", {"roomList": True})
    assert claims["exp"] - time.time() <= 10


@pytest.mark.parametrize("keys", [None, {}], ids=["not-asked-for", "none"])
def test_without_a_key_nothing_is_counted(keys: dict[str, str] | None) -> None:
    """Who may not ask knows nothing: that is no zero, and the server is not bothered."""
    with HttpAnswers({LIST_ROOMS: ok('{"rooms": []}')}) as server:
        found = count_calls([list_rooms(server.port)], 2.0, keys)
        assert server.asked == []
    assert (found.rooms, found.people, found.source) == (None, None, f"list-rooms on port {server.port}: no key known")


def test_each_key_that_is_valid_is_tried() -> None:
    """While a key is being replaced, a server may know only one of the two."""
    with HttpAnswers({LIST_ROOMS: [UNAUTHORISED, ok('{"rooms": [{"num_participants": 4}]}')]}) as server:
        found = count_calls([list_rooms(server.port)], 2.0, KEYS)
        keys = [jwt.decode(head["authorization"][7:], options={"verify_signature": False}) for head in server.heads]
    assert (found.rooms, found.people) == (1, 4)
    assert [key["iss"] for key in keys] == ["APIold", "APInew"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(UNAUTHORISED, "it does not know our key", id="another-key"),
        pytest.param(ok("null"), "not a list of rooms", id="null"),
        pytest.param(ok("[]"), "not a list of rooms", id="list"),
        pytest.param(ok("{}"), "not a list of rooms", id="nothing"),
        pytest.param(ok('{"rooms": null}'), "not a list of rooms", id="null-for-the-list"),
        pytest.param(ok('{"rooms": ["a"]}'), "not a list of rooms", id="text-for-a-room"),
        pytest.param(ok('{"rooms": [{"name": "a"}]}'), "a room without a number", id="no-number"),
        pytest.param(ok('{"rooms": [{"num_participants": "2"}]}'), "a room without a number", id="text-for-a-number"),
        pytest.param(ok('{"rooms": [{"num_participants": true}]}'), "a room without a number", id="true"),
        pytest.param(ok('{"rooms": [{"num_participants": -1}]}'), "a room without a number", id="below-zero"),
        pytest.param(ok("<html>"), "Expecting value", id="html"),
        pytest.param(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", "HTTP 500", id="fault"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}", "the answer ends early", id="cut-short"),
        pytest.param(b"", "without response", id="closed"),
        pytest.param(None, "timed out", id="silent"),
    ],
)
def test_a_list_that_does_not_tell_is_none(answer: bytes | None, reason: str) -> None:
    """As for the other sources; and no reason holds a secret."""
    with HttpAnswers({LIST_ROOMS: answer}) as server:
        found = count_calls([list_rooms(server.port)], 0.4, KEYS)
    assert (found.rooms, found.people) == (None, None)
    assert reason in found.source
    assert not any(word in found.source for pair in KEYS.items() for word in pair)


def test_a_secret_that_cannot_sign() -> None:
    """Nothing of it is told."""
    found = count_calls(
        [list_rooms(9)], 1.0, {"APIx": f"-----BEGIN PUBLIC KEY-----\n{'a' * 32}\n-----END PUBLIC KEY-----"}
    )
    assert (found.rooms, found.people, found.source) == (None, None, "list-rooms on port 9: the key cannot sign")


def test_the_last_source_is_asked_when_the_others_fail() -> None:
    """The one that needs a key is asked for what no other tells."""
    with HttpAnswers({LIST_ROOMS: ok('{"rooms": []}')}) as server:
        found = count_calls([debug(server.port), prometheus(server.port), list_rooms(server.port)], 2.0, KEYS)
        assert server.asked == ["/debug/rooms", "/metrics", LIST_ROOMS]
    assert (found.rooms, found.people, found.source) == (0, 0, f"list-rooms on port {server.port}")
