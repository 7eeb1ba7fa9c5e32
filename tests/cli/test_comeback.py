"""Who came back after a swap or a move, as a person reads it."""

from __future__ import annotations

from typing import Any

from hero_livekit_units.cli.comeback import comeback_lines
from hero_livekit_units.cli.render import history_text, receipt_text
from hero_livekit_units.model.comeback import Comeback, Return, Sign
from hero_livekit_units.model.plain import plain

RETURNS = (
    Return("weekly", "anna", None),
    Return("weekly", "ben", 0.744),
    Return("daily", "cy", 0.61),
    Return("weekly", "di", 0.5),
)
FOUND = Comeback(4, 3, Sign.SOUND, 0.61, 0.744, 6.0, 0, RETURNS)
LINES = [
    "3 of 4 people, after 0.61 s at the median and 0.74 s at most, until the sound went both ways again",
    "anna in room weekly did not come back within 6 s",
    "room daily: cy 0.61 s",
    "room weekly: ben 0.74 s, di 0.50 s",
]


def lines(**changes: Any) -> list[str]:
    """In words."""
    return comeback_lines(plain(FOUND) | changes)


def test_who_came_back() -> None:
    """The figures, then who did not come, then who did."""
    assert lines() == LINES


def test_a_figure_says_what_it_is() -> None:
    """Where only tracks were seen, the sound came later."""
    assert lines(sign="tracks")[0] == (
        "3 of 4 people, after 0.61 s at the median and 0.74 s at most,"
        " until their tracks were there again (they are heard 0.1 to 0.2 s later)"
    )


def test_nobody() -> None:
    """Without a figure there is none."""
    assert lines(back=0, median_s=None, longest_s=None, returns=[])[0] == "0 of 4 people"


def test_more_than_are_listed() -> None:
    """The rest is a number."""
    assert lines(people=104)[-1] == "and 100 more"


def test_sound_that_is_missing() -> None:
    """Told where there is any."""
    assert lines(missing=2)[1] == "2 times one who is back is not sent to another who got their sound before"


def test_names_cannot_move_the_cursor() -> None:
    """People choose them."""
    assert lines(returns=[{"identity": "a\x1b[2J\nb", "room": "r\r", "after_s": None}])[1] == (
        "a [2J b in room r did not come back within 6 s"
    )


def test_in_a_receipt_and_in_the_history() -> None:
    """Below the step that did it."""
    step = {"action": "swap", "instance": "livekit-server@a", "because": "", "effect": {"says": ""}}
    did = {"step": step, "outcome": "ready as pid 7", "took_ms": 140.0, "comeback": plain(FOUND)}
    nothing: dict[str, Any] = {"refusals": [], "waits": [], "notes": [], "after": [], "done_by": "", "changed": True}
    first, *rest = LINES
    assert receipt_text({"done": [did], **nothing}).splitlines() == [
        "done     swap livekit-server@a: ready as pid 7 (0.14 s)",
        f"back     {first}",
        *(f"         {line}" for line in rest),
    ]
    assert history_text([{"at_s": 0.0, "done": [did]}]).splitlines()[1:] == [
        "  done     swap livekit-server@a: ready as pid 7 (0.14 s)",
        f"  back     {first}",
        *(f"           {line}" for line in rest),
    ]
    assert comeback_lines(None) == []
