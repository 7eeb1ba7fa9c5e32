"""Notes: nobody overwrites what he has not read, and whoever loses learns who won and what."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.embedded.faults import Conflict, NotFound
from hero_livekit_units.embedded.notes import NO_NOTE, Notes
from hero_livekit_units.embedded.store import Store
from hero_livekit_units.errors import RegistryRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.embedded.running import Daemon


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Notes]:
    """Notes in a database of their own."""
    with closing(Store.open(str(tmp_path / "db"))) as store:
        yield Notes(store)


def test_a_note_is_written_and_read(notes: Notes) -> None:
    """What was written comes back with its revision and its writer."""
    revision = notes.set("core", "k", "v", by="me", expected=None)
    found = notes.get("core", "k")
    assert (found["value"], found["by"], found["revision"]) == ("v", "me", revision)
    assert notes.keys("core", "") == [{"key": "k", "revision": revision}]
    assert notes.keys("other", "") == []


def test_keys_by_their_beginning(notes: Notes) -> None:
    """Sorted, and `_` and `%` mean themselves."""
    for key in ("a_1", "ab1", "a_0", "b"):
        notes.set("core", key, "", by="", expected=None)
    assert [row["key"] for row in notes.keys("core", "a_")] == ["a_0", "a_1"]


def test_the_loser_learns_who_won(notes: Notes) -> None:
    """A write that expects another revision changes nothing, and says what is there and who wrote it."""
    read = notes.set("core", "k", "first", by="a", expected=NO_NOTE)
    won = notes.set("core", "k", "second", by="b", expected=read)
    with pytest.raises(Conflict, match=f"note k is not at revision {read}: it is at revision {won}, written by b") as e:
        notes.set("core", "k", "third", by="c", expected=read)
    current = e.value.more["current"]
    assert (current["value"], current["by"], current["revision"]) == ("second", "b", won)
    assert notes.get("core", "k") == current


def test_a_note_that_should_not_be_there(notes: Notes) -> None:
    """Revision 0 means that there is none."""
    notes.set("core", "k", "v", by="", expected=NO_NOTE)
    with pytest.raises(Conflict, match="note k is not absent: it is at revision 1, written by nobody named"):
        notes.set("core", "k", "w", by="", expected=NO_NOTE)


def test_a_note_that_came_again_has_another_revision(notes: Notes) -> None:
    """Deleted and made again is not what was read."""
    read = notes.set("core", "k", "v", by="", expected=None)
    notes.delete("core", "k", expected=read)
    with pytest.raises(Conflict, match=f"note k is not at revision {read}: it is gone"):
        notes.set("core", "k", "w", by="", expected=read)
    assert notes.set("core", "k", "v", by="", expected=NO_NOTE) > read


def test_deleting(notes: Notes) -> None:
    """Only what is there, and at the revision that is expected."""
    with pytest.raises(NotFound):
        notes.delete("core", "k", expected=None)
    revision = notes.set("core", "k", "v", by="", expected=None)
    with pytest.raises(Conflict):
        notes.delete("core", "k", expected=revision + 1)
    notes.delete("core", "k", expected=None)
    assert notes.keys("core", "") == []


def test_a_database_of_before_there_were_notes(tmp_path: Path) -> None:
    """It gets them."""
    with closing(Store.open(str(tmp_path / "db"))) as store:
        store._db.execute("DROP TABLE notes")
    with closing(Store.open(str(tmp_path / "db"))) as store:
        assert Notes(store).set("core", "k", "v", by="", expected=None) == 1


@pytest.mark.servers
def test_many_writers_lose_nothing(daemon: Daemon) -> None:
    """Eight callers add to one number at once; each addition counts once, also those before a crash."""
    daemon.call("note.set", key="n", value="0", by="test")
    won: list[bool] = []

    def add() -> None:
        for _ in range(10):
            while True:
                read = daemon.call("note.get", key="n")
                value = str(int(read["value"]) + 1)
                try:
                    daemon.call("note.set", key="n", value=value, expected=read["revision"])
                except RegistryRefused as refused:
                    won.append(refused.data["current"]["revision"] > read["revision"])
                else:
                    break

    callers = [threading.Thread(target=add) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    daemon.restart()
    assert daemon.call("note.get", key="n")["value"] == "80"
    assert all(won)
