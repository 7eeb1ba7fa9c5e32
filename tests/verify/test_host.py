"""Seats in rooms, by way of lk-backend, and what became of the units."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest

from hero_livekit_units.errors import UnitsError
from hero_livekit_units.media import Media
from hero_livekit_units.model.observed import CallsSeen, Observed, ProcessId, ProcessSeen
from hero_livekit_units.places import find_places
from hero_livekit_units.verify import host
from hero_livekit_units.verify.report import UnitLife
from tests.fakes.http_answers import HttpAnswers, ok

if TYPE_CHECKING:
    from pathlib import Path


def door(home: Path, port: int) -> host.Door:
    """To a backend on this port."""
    found = {"token_url": f"http://127.0.0.1:{port}/api/token", "backend_secret": "s3cret"}
    (home / "runtime.json").write_text(json.dumps(found))
    return host.Door(home)


def test_a_seat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for with the bearer secret, and not by way of the user's proxy."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with HttpAnswers({"/api/token": ok('{"url": "ws://here:7880", "token": "t0ken"}')}) as backend:
        seat = door(tmp_path, backend.port).seat("room", "p1")
    assert (seat.identity, seat.room, seat.url, seat.token) == ("p1", "room", "ws://here:7880", "t0ken")
    assert backend.heads[0]["authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", ok("<html>"), ok('{"url": "x"}'), ok("[]")]
)
def test_no_seat(answer: bytes, tmp_path: Path) -> None:
    """An error of ours, without the secret in it."""
    with HttpAnswers({"/api/token": answer}) as backend, pytest.raises(UnitsError, match="cannot get a join") as caught:
        door(tmp_path, backend.port).seat("room", "p1")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"token_url": "x"}'])
def test_no_door(text: str | None, tmp_path: Path) -> None:
    """`ensure` writes it."""
    if text is not None:
        (tmp_path / "runtime.json").write_text(text)
    with pytest.raises(UnitsError, match=r"runtime\.json cannot be used") as caught:
        host.Door(tmp_path)
    assert caught.value.hint == "`hlu ensure` writes it"


@pytest.fixture
def observed(short_folder: Path) -> Observed:
    """A host on which nothing runs."""
    return Media.connect(places=find_places({"PATH_ROOT": str(short_folder)})).status()


def running(observed: Observed, pid: int, people: int | None = 0) -> Observed:
    """The media run there as this process, with so many people."""
    process = ProcessSeen(ProcessId(pid, 1), suspended=False, age_s=9.0, command="", release="1.13.5-r1")
    unit = attrs.evolve(observed.instances[0], process=process, calls=CallsSeen(1, people, "nobody"))
    return attrs.evolve(observed, instances=(unit, *observed.instances[1:]))


def test_lives_of_units(observed: Observed) -> None:
    """The same, another one, gone and new."""
    name = "livekit-server@a"
    old, new = running(observed, 7), running(observed, 8)
    gone = attrs.evolve(old, instances=old.instances[1:])
    found = {
        (life.before, life.after): life
        for pair in ((old, new), (old, gone), (gone, new))
        for life in host.lives(*pair)
        if life.instance == name
    }
    assert list(found) == [
        (ProcessId(7, 1), ProcessId(8, 1)),
        (ProcessId(7, 1), None),
        (None, ProcessId(8, 1)),
    ]
    assert found[ProcessId(7, 1), None] == UnitLife(name, "1.13.5-r1", "", ProcessId(7, 1), None, None)


class Counting:
    """A host whose count is another one at each look, the last one for ever."""

    def __init__(self, *looks: Observed) -> None:
        self._looks = list(looks)

    def status(self) -> Observed:
        """The next one."""
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]


@pytest.mark.parametrize(
    ("before", "counts", "told"),
    [
        (0, [2, 1, 0], ""),
        (3, [5, 3], ""),
        (None, [0], ""),
        (None, [None], "nobody saw that the rooms of this run are empty"),
        (0, [None, 2, 0], ""),
        (1, [2], "2 people are still counted, 1 were there before this run"),
    ],
)
def test_waiting_for_everybody_to_leave(
    before: int | None, counts: list[int | None], told: str, observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the server's own count, for as long as it counts somebody who ended without a word."""
    monkeypatch.setattr(host, "_LEAVING_S", 0.2)
    monkeypatch.setattr(host, "_LOOK_AGAIN_S", 0.01)
    looks: Any = Counting(*(running(observed, 7, count) for count in counts))
    found = host.wait_until_left(cast("Media", looks), before)
    assert found.endswith(told)
    assert bool(found) == bool(told)


def test_busy_processors() -> None:
    """A share of all of them, whatever this host is doing."""
    looking = host.Processors()
    assert looking.busy() <= 1.0
    until_s = time.monotonic() + 0.3
    while time.monotonic() < until_s:
        pass
    assert 0.0 < looking.busy() <= 1.0
