"""What is asked of livekit-server's RoomService, and what becomes of an answer that is none."""

from __future__ import annotations

import pytest

from hero_livekit_units.errors import StepFailed
from hero_livekit_units.livekit.roomservice import RoomService
from hero_livekit_units.model.launch import Port
from hero_livekit_units.model.unit import Protocol
from tests.fakes.http_answers import HttpAnswers, ok

KEYS = {"APIold": "o" * 32, "APInew": "n" * 32}
PATH = "/twirp/livekit.RoomService/"
UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"


def port(server: HttpAnswers) -> Port:
    """Of its API."""
    return Port("http", server.port, Protocol.TCP, "127.0.0.1")


def test_every_room_is_told() -> None:
    """One message each."""
    answers = {PATH + "ListRooms": ok('{"rooms": [{"name": "x"}, {"name": "y"}]}'), PATH + "SendData": ok("{}")}
    with HttpAnswers(answers) as server:
        assert RoomService().tell(port(server), KEYS, {"type": "drain"}) == 2
        assert server.asked == [PATH + "ListRooms", PATH + "SendData", PATH + "SendData"]


def test_either_key_may_be_the_one_that_it_knows() -> None:
    """While one is replaced."""
    with HttpAnswers({PATH + "ListRooms": [UNAUTHORIZED, ok("{}")]}) as server:
        assert RoomService().tell(port(server), KEYS, {}) == 0


def test_a_room_with_one_in_it_is_ended() -> None:
    """For good."""
    answers = {PATH + "ListParticipants": ok('{"participants": [{}]}'), PATH + "DeleteRoom": ok("{}")}
    with HttpAnswers(answers) as server:
        assert RoomService().end_lonely(port(server), KEYS, "x") is True
        assert server.asked == [PATH + "ListParticipants", PATH + "DeleteRoom"]


def test_a_room_that_somebody_has_joined_stays() -> None:
    """It is looked at in the moment of acting."""
    with HttpAnswers({PATH + "ListParticipants": ok('{"participants": [{}, {}]}')}) as server:
        assert RoomService().end_lonely(port(server), KEYS, "x") is False
        assert server.asked == [PATH + "ListParticipants"]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        pytest.param(ok("[]"), "its answer has no list of rooms", id="a-list"),
        pytest.param(ok('{"rooms": 5}'), "its answer has no list of rooms", id="a-number"),
        pytest.param(ok("<html>"), "Expecting value", id="html"),
        pytest.param(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", "HTTP 500", id="an-error"),
        pytest.param(UNAUTHORIZED, "HTTP 401", id="no-key-that-it-knows"),
        pytest.param(b"", "without response", id="nothing"),
    ],
)
def test_an_answer_that_is_none(answer: bytes, says: str) -> None:
    """It is told, and no secret with it."""
    with HttpAnswers({PATH + "ListRooms": answer}) as server, pytest.raises(StepFailed, match=says) as told:
        RoomService().tell(port(server), KEYS, {})
    assert not any(secret in str(told.value) for secret in KEYS.values())


def test_no_key() -> None:
    """Nobody can be asked."""
    with HttpAnswers({}) as server, pytest.raises(StepFailed, match="no key is known"):
        RoomService().tell(port(server), {}, {})
