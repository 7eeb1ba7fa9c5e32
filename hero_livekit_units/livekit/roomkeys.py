r"""How the front writes the names of rooms: its keys, and what they mean. Pure; the other half is in the unit's file.

HAProxy takes the name out of the JSON of a token without making one text of all the ways to write it: a service that
writes `\u4f1a` and one that writes the character itself give the same room two keys. So a room that is on another slot
than new ones is told to the front under all of them.
"""

from __future__ import annotations

import json
from urllib.parse import quote, unquote_to_bytes

LONGEST = 1000  # what the front cuts its keys to; livekit-server by default refuses names of more than 256 bytes


def keys_of(name: str) -> tuple[str, ...]:
    """All the keys that the front may know a room by, the most likely first."""
    ways = [name.encode(errors="surrogatepass")]
    if not name.isascii():
        # mjson, which HAProxy reads JSON with, makes one byte of \u00XX, and gives up at any other \uXXXX.
        ways += [name.encode("latin-1")] if max(name) <= "\xff" else [json.dumps(name).encode()]
    return tuple(quote(way, safe="")[:LONGEST] for way in ways)


def name_of(key: str) -> str:
    """The room of a key. Of one that was cut it is the beginning."""
    said = unquote_to_bytes(key)
    try:
        text = said.decode()
    except UnicodeDecodeError:
        return said.decode("utf-8" if len(key) == LONGEST else "latin-1", errors="replace")
    if text.startswith('"') and "\\u" in text:
        try:
            return str(json.loads(text))
        except ValueError:
            pass  # cut, or a name that begins so
    return text
