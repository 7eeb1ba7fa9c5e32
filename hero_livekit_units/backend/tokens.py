"""Token requests and tokens: what may be asked for, and what the answer says. Pure.

Owns the rules of the request body and the claims of the token. Must not know of HTTP servers, clocks, databases or
where the key comes from.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import jwt
from attrs import frozen

DEFAULT_TTL_S = 6 * 60 * 60
MAX_ROOM_BYTES = 128
MAX_IDENTITY_CHARACTERS = 128
MAX_NAME_CHARACTERS = 256

_FIELDS = ("room", "identity", "name")
# Control characters and halves of surrogate pairs break logs and encoders. Line and paragraph separators are refused
# because Go writes them as escapes (U+2028, U+2029) when livekit-server refreshes a token, and a proxy that picks the
# room name out of the raw JSON would then see another room.
_REFUSED_CATEGORIES = {
    "Cc": "a control character",
    "Cs": "half of a surrogate pair",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}


@frozen
class TokenRequest:
    """Who wants to join which room; `name` is what other participants see, or "" for none."""

    room: str
    identity: str
    name: str = ""


@frozen
class Fault:
    """Why a request cannot be served.

    Attributes:
        status: the HTTP status that says so.
        error: what is wrong, one lower-case sentence that never repeats what was sent.
        field: the field at fault, "" where it is the body as a whole.
        hint: how to mend it, or "".
    """

    status: int
    error: str
    field: str = ""
    hint: str = ""


@frozen
class Grant:
    """What one token allows. Times are whole seconds since the epoch; `token_id` is the claim `jti`."""

    token_id: str
    room: str
    identity: str
    name: str
    issued_at_s: int
    expires_at_s: int


class _RepeatedKey(ValueError):
    """The same key twice in one object: which of the two counts would be a guess."""


class _Utf8Encoder(json.JSONEncoder):
    """Writes text as UTF-8 instead of escapes by code point, as livekit-server does when it refreshes a token.

    HAProxy's JSON reader knows escapes up to U+00FF only and takes those for single bytes. A room would then be found
    under another name, or not at all, and its people would be spread over the slots.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "ensure_ascii": False})


def parse_request(body: bytes) -> TokenRequest | Fault:
    """Read the body of a token request.

    Args:
        body: the bytes as sent; their number is the caller's to limit.

    Returns:
        The request, or the first fault: status 400 where the body is no JSON object, 422 where a field is at fault.
    """
    document = _parse_object(body)
    if isinstance(document, Fault):
        return document
    for key in document:
        if key not in _FIELDS:
            # The key itself is not repeated: it may be anything, and the list of known ones helps more.
            return Fault(422, "the body has a key that is not known", hint=f"known keys: {', '.join(_FIELDS)}")
    for field in ("room", "identity"):
        if field not in document:
            return Fault(422, f"{field} is missing", field, "room and identity are needed, name is optional")
    for field, value in document.items():
        fault = _text_fault(field, value)
        if fault is not None:
            return fault
    return TokenRequest(document["room"], document["identity"], document.get("name", ""))


def make_grant(request: TokenRequest, *, token_id: str, now_s: float, ttl_s: int = DEFAULT_TTL_S) -> Grant:
    """Decide what the token for this request allows, from `now_s` (seconds since the epoch) for `ttl_s` seconds."""
    issued_at_s = int(now_s)
    return Grant(token_id, request.room, request.identity, request.name, issued_at_s, issued_at_s + ttl_s)


def sign_grant(grant: Grant, *, key: str, secret: str) -> str:
    """Write the grant as a LiveKit join token: a JWT, signed with HS256."""
    claims: dict[str, Any] = {
        "iss": key,
        "sub": grant.identity,
        "nbf": grant.issued_at_s,
        "exp": grant.expires_at_s,
        "jti": grant.token_id,
        "video": {
            "room": grant.room,
            "roomJoin": True,
            "canPublish": True,
            "canSubscribe": True,
            "canPublishData": True,
        },
    }
    if grant.name:
        claims["name"] = grant.name
    return jwt.encode(claims, secret, algorithm="HS256", json_encoder=_Utf8Encoder)


def _parse_object(body: bytes) -> dict[str, Any] | Fault:
    hint = 'send {"room": "...", "identity": "..."}'
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_object_without_repeats)
    except UnicodeDecodeError:
        return Fault(400, "the body is not UTF-8", hint=hint)
    except _RepeatedKey:
        return Fault(400, "the body has a key twice", hint="send every key once")
    except (ValueError, RecursionError):
        # ValueError also stands for numbers too long to read, RecursionError for thousands of open brackets.
        return Fault(400, "the body is not JSON", hint=hint)
    if not isinstance(document, dict):
        return Fault(400, "the body is not a JSON object", hint=hint)
    return document


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise _RepeatedKey
    return document


def _text_fault(field: str, value: Any) -> Fault | None:
    if not isinstance(value, str):
        return Fault(422, f"{field} is not a string", field, "put it in double quotes")
    for character in value:
        refused = _REFUSED_CATEGORIES.get(unicodedata.category(character))
        if refused is not None:
            return Fault(422, f"{field} holds {refused} (U+{ord(character):04X})", field, "send printable text")
    if field != "name" and not value.strip():
        return Fault(422, f"{field} is empty", field, "send at least one visible character")
    if field == "room" and len(value.encode()) > MAX_ROOM_BYTES:
        return Fault(422, "room is too long", field, f"at most {MAX_ROOM_BYTES} bytes of UTF-8")
    limit = MAX_NAME_CHARACTERS if field == "name" else MAX_IDENTITY_CHARACTERS
    if len(value) > limit:
        return Fault(422, f"{field} is too long", field, f"at most {limit} characters")
    return None
