"""Who is in the calls of a livekit-server, by name, and whose sound goes to whom."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import jwt
import pytest

from hero_livekit_units.livekit.attendance import see_attendance
from hero_livekit_units.model.comeback import Attendance
from hero_livekit_units.model.launch import Port
from hero_livekit_units.model.unit import CallSource, CallSourceKind, Protocol
from tests.fakes.http_answers import HttpAnswers, ok
from tests.strategies import MEDIA

if TYPE_CHECKING:
    from hero_livekit_units.model.launch import LaunchSpec

SERVICE = "/twirp/livekit.RoomService"
KEYS = {"APIkey": "the secret that is, 0123456789abcdef"}


def asking(port: int, *kinds: CallSourceKind) -> LaunchSpec:
    """The media with these sources, all on one port."""
    return attrs.evolve(
        MEDIA, calls=tuple((CallSource(kind, kind), Port(kind, port, Protocol.TCP, "127.0.0.1")) for kind in kinds)
    )


def down(to: str, state: int = 2) -> dict[str, Any]:
    """A track on its way to somebody."""
    return {"SubscriberID": to, "BindState": state, "TrackID": "TR_x"}


def person(id_: str, *tracks: dict[str, Any], state: str = "ACTIVE") -> dict[str, Any]:
    """Somebody, as livekit-server lists them."""
    published = {f"TR_{at}": track for at, track in enumerate(tracks)}
    return {"ID": id_, "State": state, "UpTrackManager": {"PublishedTracks": published}}


def track(*downs: dict[str, Any], muted: bool = False) -> dict[str, Any]:
    """A published track."""
    return {"PubMuted": muted, "DownTracks": list(downs)}


def test_debug_rooms() -> None:
    """Counted are tracks that are bound, not muted, and of who is active; an unknown subscriber is nobody."""
    rooms = [
        {
            "Name": "weekly",
            "Participants": {
                "anna": person("PA_1", track(down("PA_2"), down("PA_3", 1)), track(down("PA_2"), muted=True)),
                "ben": person("PA_2", track(down("PA_1"), down("PA_gone")), track(down("PA_1"))),
                "cy": person("PA_3", track(down("PA_1")), state="JOINED"),
            },
        },
        {"Name": "empty", "Participants": None},
        {"Name": "quiet", "Participants": {"anna": {"ID": "PA_4", "State": "ACTIVE", "UpTrackManager": {}}}},
    ]
    with HttpAnswers({"/debug/rooms": ok(json.dumps(rooms))}) as server:
        found = see_attendance(asking(server.port, CallSourceKind.DEBUG_ROOMS), 2.0)
    assert found == Attendance(
        {("weekly", "anna"): 2, ("weekly", "ben"): 2, ("quiet", "anna"): 0},
        {("weekly", "anna", "ben"): 1, ("weekly", "ben", "anna"): 2},
    )


@pytest.mark.parametrize(
    "participants",
    [3, [{"ID": "PA_1"}], {"anna": {}}, {"anna": None}, {"anna": person("PA_1", {"DownTracks": [down("PA_1")]})}],
    ids=["a-number", "a-list", "nothing-known", "null", "no-word-of-muted"],
)
def test_what_is_not_understood_is_asked_elsewhere(participants: Any) -> None:
    """RoomService says who is there, and not to whom their sound goes."""
    someone = {"identity": "anna", "state": "ACTIVE", "tracks": [{"sid": "TR_1"}]}
    answers = {
        "/debug/rooms": ok(json.dumps([{"Name": "weekly", "Participants": participants}])),
        f"{SERVICE}/ListRooms": ok(json.dumps({"rooms": [{"name": "weekly"}]})),
        f"{SERVICE}/ListParticipants": ok(
            json.dumps({"participants": [someone, someone | {"identity": "ben", "state": "JOINED"}]})
        ),
    }
    with HttpAnswers(answers) as server:
        kinds = (CallSourceKind.DEBUG_ROOMS, CallSourceKind.PROMETHEUS, CallSourceKind.LIST_ROOMS)
        found = see_attendance(asking(server.port, *kinds), 2.0, KEYS)
        assert server.asked == list(answers)
        tokens = [head["authorization"].removeprefix("Bearer ") for head in server.heads[1:]]
    assert found == Attendance({("weekly", "anna"): 1}, None)
    assert [jwt.decode(token, KEYS["APIkey"], algorithms=["HS256"])["video"] for token in tokens] == [
        {"roomList": True},
        {"roomAdmin": True, "room": "weekly"},
    ]


def test_nobody_who_tells() -> None:
    """That is not an empty server."""
    with HttpAnswers({}) as server:
        assert see_attendance(asking(server.port, *CallSourceKind), 2.0) is None
