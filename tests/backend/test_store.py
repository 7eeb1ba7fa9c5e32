"""The database of issued tokens, on real files."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.backend.store import SCHEMA_VERSION, Store
from hero_livekit_units.backend.tokens import Grant
from hero_livekit_units.errors import DaemonError, StateFileInvalid, StateFileNewer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_S = 86_400
NOW_S = 1_700_000_000


def grant(token_id: str, issued_at_s: int = NOW_S) -> Grant:
    """A grant of six hours."""
    return Grant(token_id, "standup", "ana", "Ana", issued_at_s, issued_at_s + 21_600)


def rows(path: Path, query: str = "SELECT * FROM issued ORDER BY token_id") -> list[tuple[object, ...]]:
    """Read the file as another program would."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database goes."""
    return tmp_path / "backend.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """An open store."""
    with closing(Store(path)) as opened:
        yield opened


def test_grants_outlive_the_store(path: Path) -> None:
    """What was recorded is there after closing and opening again."""
    with closing(Store(path)) as store:
        store.record(grant("a"))
    with closing(Store(path)) as store:
        store.record(grant("b"))

    assert rows(path) == [
        ("a", "standup", "ana", "Ana", 1_700_000_000, 1_700_021_600),
        ("b", "standup", "ana", "Ana", 1_700_000_000, 1_700_021_600),
    ]


@pytest.mark.parametrize("before", [None, 0o644], ids=["new", "existing-world-readable"])
def test_files_are_private(path: Path, before: int | None) -> None:
    """The database and its side files are for their owner alone, also those that were not before."""
    if before is not None:
        path.touch()
        path.chmod(before)
    with closing(Store(path)) as store:
        store.record(grant("a"))

        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}

    assert modes == {"backend.db": 0o600, "backend.db-wal": 0o600, "backend.db-shm": 0o600}


def test_readers_never_wait_for_the_writer(store: Store, path: Path) -> None:
    """The file is in WAL mode."""
    store.record(grant("a"))

    assert rows(path, "PRAGMA journal_mode") == [("wal",)]


def test_rows_expired_for_30_days_go_a_hundred_at_a_time(store: Store, path: Path) -> None:
    """Old rows are removed with the next inserts, never more than 100 at once; younger ones stay."""
    for number in range(150):
        store.record(grant(f"old-{number:03}"))
    store.record(grant("younger", NOW_S + 2 * DAY_S))
    left = []

    for number in range(3):
        store.record(grant(f"new-{number}", NOW_S + 31 * DAY_S))
        left.append(rows(path, "SELECT count(*) FROM issued WHERE token_id LIKE 'old-%'")[0][0])

    assert left == [50, 0, 0]
    assert rows(path, "SELECT token_id FROM issued ORDER BY 1") == [("new-0",), ("new-1",), ("new-2",), ("younger",)]


def test_threads_lose_nothing(store: Store, path: Path) -> None:
    """Eight threads that record at once get all their rows in."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.record, [grant(f"{number:03}") for number in range(400)]))

    assert rows(path, "SELECT count(*) FROM issued") == [(400,)]


def test_repeated_id_is_an_error_of_ours(store: Store, path: Path) -> None:
    """An error of SQLite arrives as DaemonError with its cause, and the next record works."""
    store.record(grant("a"))

    with pytest.raises(DaemonError, match="cannot record a token") as caught:
        store.record(grant("a"))
    store.record(grant("b"))

    assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)
    assert rows(path, "SELECT token_id FROM issued ORDER BY 1") == [("a",), ("b",)]


def test_full_database_recovers(store: Store, path: Path) -> None:
    """While there is no room nothing is half recorded; with room again the same store goes on."""
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with ThreadPoolExecutor(1) as pool:
        filling = pool.map(store.record, [grant(f"fill-{number:03}") for number in range(500)])
    with pytest.raises(DaemonError, match="database or disk is full"):
        list(filling)
    (before,) = rows(path, "SELECT count(*) FROM issued")[0]

    store._connection.execute("PRAGMA max_page_count = 10000")
    store.record(grant("after"))

    assert isinstance(before, int)
    assert [(before + 1,)] == rows(path, "SELECT count(*) FROM issued")


def test_locked_database_is_told_and_forgotten(store: Store, path: Path) -> None:
    """A foreign write lock makes record fail within seconds, leaves check content, and does no lasting harm."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DaemonError, match="database is locked"):
            store.record(grant("a"))
        reason = store.check()
        other.execute("ROLLBACK")
    store.record(grant("b"))

    assert reason == ""
    assert rows(path, "SELECT token_id FROM issued") == [("b",)]


def test_existing_database_opens_under_a_foreign_write_lock(path: Path) -> None:
    """A start writes nothing to a database that is as it should be, so that it need not wait for a writer."""
    Store(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with closing(Store(path)) as store:
            assert store.check() == ""


def test_removed_file_is_noticed_and_made_again(store: Store, path: Path) -> None:
    """Recording never goes on into a file that has no name any more."""
    store.record(grant("a"))
    path.unlink()
    reason = store.check()

    store.record(grant("b"))

    assert reason == "unable to open database file"
    assert store.check() == ""
    assert rows(path, "SELECT token_id FROM issued") == [("b",)]
    assert path.stat().st_mode & 0o777 == 0o600


def test_file_that_comes_back_is_taken_up_again(store: Store, path: Path) -> None:
    """A file moved away, with a folder in its place for a while, is used again when it is back."""
    store.record(grant("a"))
    path.rename(path.with_name("elsewhere.db"))
    path.mkdir()
    with pytest.raises(DaemonError, match="it is not a regular file"):
        store.record(grant("b"))
    path.rmdir()
    path.with_name("elsewhere.db").rename(path)

    store.record(grant("c"))

    assert rows(path, "SELECT token_id FROM issued ORDER BY 1") == [("a",), ("c",)]


def test_newer_schema_is_refused_untouched(path: Path) -> None:
    """A database of a newer release is not opened, and not one byte of it changes."""
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()

    with pytest.raises(StateFileNewer, match="its schema is version 2, this release knows 1"):
        Store(path)

    assert before == path.read_bytes()


def test_database_of_another_program_is_refused_untouched(path: Path) -> None:
    """A database with other tables is left alone."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE accounts (owner TEXT)")
    before = path.read_bytes()

    with pytest.raises(StateFileInvalid, match="it belongs to another program"):
        Store(path)

    assert before == path.read_bytes()


def test_file_that_is_no_database_is_refused_untouched(path: Path) -> None:
    """A text file is not overwritten."""
    path.write_text("not a database, but long enough to have a header" * 100)
    before = path.read_bytes()

    with pytest.raises(StateFileInvalid, match="file is not a database"):
        Store(path)

    assert before == path.read_bytes()


def test_folder_is_refused_untouched(path: Path) -> None:
    """A folder in the place of the file is refused and keeps its mode."""
    path.mkdir(0o755)
    before = path.stat().st_mode

    with pytest.raises(DaemonError, match="it is not a regular file"):
        Store(path)

    assert before == path.stat().st_mode


def test_missing_folder_is_told(path: Path) -> None:
    """Folders are not made on the way: a mistyped path would be kept for ever."""
    with pytest.raises(DaemonError, match="no such file or directory"):
        Store(path / "deeper" / "backend.db")


def test_sqlite_names_with_a_meaning_are_plain_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`:memory:` is a file like any other: nothing is lost at the end."""
    monkeypatch.chdir(tmp_path)
    path = type(tmp_path)(":memory:")
    with closing(Store(path)) as store:
        store.record(grant("a"))

    assert rows(tmp_path / ":memory:", "SELECT token_id FROM issued") == [("a",)]
