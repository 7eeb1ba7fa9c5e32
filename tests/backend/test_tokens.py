"""Token requests and tokens, without a server."""

from __future__ import annotations

import base64
import json
import time

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from livekit import api

from hero_livekit_units.backend.tokens import Fault, Grant, TokenRequest, make_grant, parse_request, sign_grant
from tests.backend.running import API_KEY, API_SECRET

NASTY = [
    "",
    " ",
    "a",
    "\0",
    "\n",
    "\ud800",
    "\u2028",
    "\u202e",
    "é",
    "會議",
    "🎈" * 33,
    "x" * 129,
    "a b",
    "<&>",
    '"\\/',
]
GRANT = Grant("id-1", "standup", "ana", "Ana", 1_700_000_000, 1_700_021_600)


def test_complete_request_is_read() -> None:
    """All three fields arrive as they were sent."""
    actual = parse_request('{"room": "會議", "identity": "ana", "name": "Ana María"}'.encode())

    assert TokenRequest("會議", "ana", "Ana María") == actual


@pytest.mark.parametrize("fields", [{}, {"name": ""}], ids=["absent", "empty"])
def test_name_is_optional(fields: dict[str, str]) -> None:
    """Who sends no name has none."""
    actual = parse_request(json.dumps({"room": "standup", "identity": "ana", **fields}).encode())

    assert TokenRequest("standup", "ana", "") == actual


@pytest.mark.parametrize(
    ("body", "status", "error", "field"),
    [
        pytest.param(b"", 400, "the body is not JSON", "", id="empty"),
        pytest.param(b"{", 400, "the body is not JSON", "", id="cut-off"),
        pytest.param(b"\xff\xfe{}", 400, "the body is not UTF-8", "", id="not-utf-8"),
        pytest.param('{"room": "a", "identity": "b"}'.encode("utf-16"), 400, "the body is not UTF-8", "", id="utf-16"),
        pytest.param(b"[" * 16_000, 400, "the body is not JSON", "", id="16000-brackets"),
        pytest.param(b"1" * 5_000, 400, "the body is not JSON", "", id="5000-digits"),
        pytest.param(b'["room", "identity"]', 400, "the body is not a JSON object", "", id="list"),
        pytest.param(b"null", 400, "the body is not a JSON object", "", id="null"),
        pytest.param(b'{"room": "a", "room": "b", "identity": "c"}', 400, "the body has a key twice", "", id="twice"),
        pytest.param(b"{}", 422, "room is missing", "room", id="no-room"),
        pytest.param(b'{"room": "a"}', 422, "identity is missing", "identity", id="no-identity"),
        pytest.param(
            b'{"room": "a", "identity": "b", "admin": true}', 422, "the body has a key that is not known", "", id="key"
        ),
        pytest.param(b'{"room": 1, "identity": "b"}', 422, "room is not a string", "room", id="number"),
        pytest.param(b'{"room": "a", "identity": null}', 422, "identity is not a string", "identity", id="null-field"),
        pytest.param(
            b'{"room": "a", "identity": "b", "name": []}', 422, "name is not a string", "name", id="list-field"
        ),
        pytest.param(b'{"room": "", "identity": "b"}', 422, "room is empty", "room", id="empty-room"),
        pytest.param(b'{"room": "a", "identity": "  "}', 422, "identity is empty", "identity", id="blank-identity"),
        pytest.param(
            b'{"room": "a\\u0000b", "identity": "c"}', 422, "room holds a control character (U+0000)", "room", id="nul"
        ),
        pytest.param(
            b'{"room": "a", "identity": "\\ud83d"}',
            422,
            "identity holds half of a surrogate pair (U+D83D)",
            "identity",
            id="surrogate",
        ),
        pytest.param(
            b'{"room": "a\\u2028", "identity": "b"}',
            422,
            "room holds a line separator (U+2028)",
            "room",
            id="separator",
        ),
    ],
)
def test_faulty_request_is_refused(body: bytes, status: int, error: str, field: str) -> None:
    """The answer names the field and the cause, and never lets a doubtful request through."""
    actual = parse_request(body)

    assert isinstance(actual, Fault)
    assert (status, error, field) == (actual.status, actual.error, actual.field)


@pytest.mark.parametrize(
    ("field", "longest", "too_long"),
    [
        pytest.param("room", "x" * 128, "x" * 129, id="room-ascii"),
        pytest.param("room", "é" * 64, "é" * 65, id="room-counts-bytes"),
        pytest.param("identity", "é" * 128, "é" * 129, id="identity-counts-characters"),
        pytest.param("name", "🎈" * 256, "🎈" * 257, id="name"),
    ],
)
def test_length_limits(field: str, longest: str, too_long: str) -> None:
    """The longest allowed value passes, one character more does not."""
    request = {"room": "a", "identity": "b"}

    accepted = parse_request(json.dumps(request | {field: longest}).encode())
    refused = parse_request(json.dumps(request | {field: too_long}).encode())

    assert isinstance(accepted, TokenRequest)
    assert isinstance(refused, Fault)
    assert (422, field, f"{field} is too long") == (refused.status, refused.field, refused.error)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_fault(body: bytes) -> None:
    """No body makes the parser raise, and a fault never repeats what was sent."""
    actual = parse_request(body)

    assert isinstance(actual, TokenRequest) or actual.status in {400, 422}


@given(
    room=st.sampled_from(NASTY) | st.text(max_size=140),
    identity=st.sampled_from(NASTY) | st.text(max_size=140),
    name=st.sampled_from(NASTY) | st.text(max_size=260),
)
@example(room="a", identity="é", name="")
def test_what_is_accepted_survives_the_token(room: str, identity: str, name: str) -> None:
    """Text that is accepted comes out of the token unchanged, fits the front's key, and is not escaped."""
    request = parse_request(json.dumps({"room": room, "identity": identity, "name": name}).encode())
    if isinstance(request, Fault):
        assert request.field in {"room", "identity", "name"}
        return
    grant = make_grant(request, token_id="id", now_s=1_700_000_000.9)

    token = sign_grant(grant, key=API_KEY, secret=API_SECRET)

    claims = jwt.decode(token, API_SECRET, algorithms=["HS256"], options={"verify_exp": False})
    payload = base64.urlsafe_b64decode(token.split(".")[1] + "==").decode()
    assert (room, identity, name) == (claims["video"]["room"], claims["sub"], claims.get("name", ""))
    assert len(room.encode()) <= 128
    assert "\\u" not in payload.replace("\\\\", "")


def test_grant_lasts_six_hours() -> None:
    """A token holds for six hours from the whole second in which it was asked for."""
    actual = make_grant(TokenRequest("standup", "ana", "Ana"), token_id="id-1", now_s=1_700_000_000.9)

    assert actual == GRANT


def test_claims_are_livekits() -> None:
    """The token says who made it, for whom, from when to when, and what may be done in which room; nothing else."""
    token = sign_grant(GRANT, key=API_KEY, secret=API_SECRET)

    assert jwt.decode(token, API_SECRET, algorithms=["HS256"], options={"verify_exp": False}) == {
        "iss": "APItestkey",
        "sub": "ana",
        "name": "Ana",
        "nbf": 1_700_000_000,
        "exp": 1_700_021_600,
        "jti": "id-1",
        "video": {
            "room": "standup",
            "roomJoin": True,
            "canPublish": True,
            "canSubscribe": True,
            "canPublishData": True,
        },
    }
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}


def test_livekits_own_verifier_agrees() -> None:
    """The verifier of LiveKit's server library accepts the token and reads the same grants from it."""
    grant = make_grant(TokenRequest("會議", "ana", "Ana"), token_id="id", now_s=time.time())

    claims = api.TokenVerifier(API_KEY, API_SECRET).verify(sign_grant(grant, key=API_KEY, secret=API_SECRET))

    assert claims.video is not None
    assert (claims.identity, claims.name, claims.video.room, claims.video.room_join) == ("ana", "Ana", "會議", True)


def test_livekits_own_verifier_refuses_another_secret() -> None:
    """What was signed with another secret is not a token."""
    grant = make_grant(TokenRequest("standup", "ana"), token_id="id", now_s=time.time())

    with pytest.raises(jwt.InvalidSignatureError):
        api.TokenVerifier(API_KEY, API_SECRET).verify(sign_grant(grant, key=API_KEY, secret="z" * 32))
