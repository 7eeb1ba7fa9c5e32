"""Who is in the calls of a server at one moment, and who came back after a server was ended with people in them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import frozen


@frozen
class Attendance:
    """Who is in the calls of a livekit-server, at one moment.

    tracks: how many tracks each of them publishes, by room and identity; who is only on the way in is left out. sent:
    how many tracks the server sends from one to another, by room, sender and receiver, the muted ones left out; None
    where it does not tell.
    """

    tracks: Mapping[tuple[str, str], int]
    sent: Mapping[tuple[str, str, str], int] | None = None


class Sign(StrEnum):
    """By what somebody counts as back, always in the room and with as many tracks as before.

    sound: the server also sends these tracks again to everybody who got them and is back, and theirs to them. tracks:
    that could not be asked; they are heard 0.1 to 0.2 s after it.
    """

    SOUND = "sound"
    TRACKS = "tracks"


@frozen
class Return:
    """Somebody who was in a call; after_s: seconds from the end of the server until they were back, None for not."""

    room: str
    identity: str
    after_s: float | None


@frozen
class Comeback:
    """Who came back by themselves after a server was ended with people in its calls.

    people: how many were in its calls. back: how many of them came back. sign: by what they count as back. median_s,
    longest_s: of those who came back, None where nobody did. within_s: for how long it was looked. missing: from how
    many who are back the sound does not go again to one who is back. returns: the last ones first, and before them
    those who did not come; not all, where they are many.
    """

    people: int
    back: int
    sign: Sign
    median_s: float | None
    longest_s: float | None
    within_s: float
    missing: int
    returns: tuple[Return, ...]
