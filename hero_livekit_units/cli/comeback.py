"""Who came back after a server was ended under them, in words. Pure, and free of imports as `render` is.

A receipt may be of any release, and names are what people call themselves: whatever is in it, a line is a line.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see `render`
if TYPE_CHECKING:
    from typing import Any

_SIGNS = {
    "sound": ", until the sound went both ways again",
    "tracks": ", until their tracks were there again (they are heard 0.1 to 0.2 s later)",
}


def comeback_lines(comeback: Any) -> list[str]:
    """How many came back and when, then who did not, then who did, by room; nothing where there is no such record."""
    if not isinstance(comeback, dict):
        return []
    middle, longest = (_seconds(comeback.get(key)) for key in ("median_s", "longest_s"))
    after = f", after {middle} at the median and {longest} at most" if middle and longest else ""
    until = _SIGNS.get(_word(comeback.get("sign")), "") if after else ""
    people, missing = (_word(comeback.get(key)) for key in ("people", "missing"))
    lines = [f"{_word(comeback.get('back'))} of {people} people{after}{until}"]
    if missing not in {"0", ""}:
        lines.append(f"{missing} times one who is back is not sent to another who got their sound before")
    found = comeback.get("returns")
    returns = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    rooms: dict[str, list[str]] = {}
    for one in returns:
        name, room, seconds = _word(one.get("identity")), _word(one.get("room")), _seconds(one.get("after_s"))
        if seconds:
            rooms.setdefault(room, []).append(f"{name} {seconds}")
        else:
            lines.append(f"{name} in room {room} did not come back within {_word(comeback.get('within_s'))} s")
    lines += [f"room {room}: {', '.join(names)}" for room, names in sorted(rooms.items())]
    if people.isdecimal() and len(returns) < int(people):
        lines.append(f"and {int(people) - len(returns)} more")
    return lines


def _word(value: Any) -> str:
    """A name must not move the cursor of a terminal."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else "".join(sign if sign.isprintable() else " " for sign in str(value)).strip()


def _seconds(value: Any) -> str:
    try:
        return "" if value is None else f"{value:.2f} s"
    except (OverflowError, TypeError, ValueError):
        return ""
