"""The database: what it refuses, what it keeps, and what happens when it cannot be written."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.embedded.records import Service
from hero_livekit_units.embedded.spec import parse_action, parse_service
from hero_livekit_units.embedded.specs import Specs
from hero_livekit_units.embedded.store import LOGS_KEPT, LOGS_KEPT_MS, Store
from hero_livekit_units.errors import StateFileInvalid, StateFileNewer
from hero_livekit_units.version import VERSION
from tests.embedded.running import lives, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.embedded.running import Daemon


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """Specs, wanted state and secrets survive closing and opening."""
    path = str(tmp_path / "db")
    action = parse_action({"name": "a", "script": "x y", "env": {"K": "v"}, "depends_on": ["b"]})
    service = Service(parse_service({"name": "s", "actions": ["a"]}), "core", wanted=True, held=frozenset({"a"}))
    with closing(Store.open(path)) as store:
        store.save_action("core", action)
        store.save_service(service)
        store.save_secret("core", "k", "v", if_absent=False)
        uuid = store.uuid
    with closing(Store.open(path)) as store:
        actions, services, runs, jobs = store.load()
        assert (list(actions), services, runs, jobs) == ([("core", "a")], {"s": service}, {}, {})
        assert Specs(store, actions, services).action("core", "a") == action
        assert (store.uuid, store.secret("core", "k")) == (uuid, "v")


def test_the_files_are_private(tmp_path: Path) -> None:
    """The database and its companions are 0600: secrets are in them."""
    with closing(Store.open(str(tmp_path / "db"))) as store:
        store.save_secret("core", "k", "v", if_absent=False)
        assert {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {
            "db": 0o600,
            "db-wal": 0o600,
            "db-shm": 0o600,
        }


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """It is refused and left as it is."""
    path = tmp_path / "db"
    path.write_bytes(b"not a database, but long enough to be taken for a header" * 50)
    before = path.read_bytes()
    with pytest.raises(StateFileInvalid, match="file is not a database"):
        Store.open(str(path))
    assert path.read_bytes() == before


def test_the_database_of_another_program(tmp_path: Path) -> None:
    """A database without our tables is refused and left as it is."""
    path = tmp_path / "db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StateFileInvalid, match="another program"):
        Store.open(str(path))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_a_newer_schema(tmp_path: Path) -> None:
    """A database that a newer version wrote is refused: going on would lose what this one does not know."""
    path = str(tmp_path / "db")
    Store.open(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value = '2' WHERE key = 'schema'")
        db.execute("UPDATE meta SET value = '9.8.7' WHERE key = 'version'")
    says = f"it has schema 2 of version 9.8.7, version {VERSION} knows 1"
    for look in (Store.open, Store.rehearse):
        with pytest.raises(StateFileNewer, match=says) as refused:
            look(path)
        assert refused.value.hint == "start hero_proc with version 9.8.7 of hero_livekit_units, or one after it"


def test_a_damaged_row(tmp_path: Path) -> None:
    """A row that cannot be understood is an error, and not silently left out."""
    path = str(tmp_path / "db")
    with closing(Store.open(path)) as store:
        store.save_action("core", parse_action({"name": "a", "script": "x"}))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE actions SET spec = '{\"name\": 5}'")
    with closing(Store.open(path)) as store, pytest.raises(StateFileInvalid, match="name must be a string"):
        store.load()


def test_a_full_database_takes_nothing_by_half(tmp_path: Path) -> None:
    """When the database can grow no more, a write raises, nothing of it remains, and what was there is intact."""
    with closing(Store.open(str(tmp_path / "db"))) as store:
        store.save_secret("core", "old", "v", if_absent=False)
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            store.save_secret("core", "new", "x" * 100_000, if_absent=False)
        assert (store.secret_keys("core"), store.secret("core", "old")) == (["old"], "v")
        store.save_secret("core", "old", "w", if_absent=False)
        assert store.secret("core", "old") == "w"


def test_an_existing_secret_is_kept_when_asked(tmp_path: Path) -> None:
    """`if_absent` never overwrites, and says whether the secret is new."""
    with closing(Store.open(str(tmp_path / "db"))) as store:
        created = [store.save_secret("core", "k", value, if_absent=True) for value in ("first", "second")]
        assert (created, store.secret("core", "k"), store.secret("other", "k")) == ([True, False], "first", None)


def test_the_log_is_bounded(tmp_path: Path) -> None:
    """The oldest lines are dropped when there are too many."""
    with closing(Store.open(str(tmp_path / "db"))) as store:
        store._db.execute("INSERT INTO sqlite_sequence VALUES ('logs', ?)", (LOGS_KEPT,))
        for at in range(3):
            store._db.execute("INSERT INTO logs VALUES (?, 'core', 's', 0, 3, '[]', 'old')", (at + 1,))
        store.add_log("core", "s", 5, 3, [], "new")
        assert [row["content"] for row in store.logs("s", 10, 0, 10)] == ["old", "old", "new"]


def test_the_log_forgets_with_time(tmp_path: Path) -> None:
    """A line goes when it is older than the limit, and not before."""
    with closing(Store.open(str(tmp_path / "db"))) as store:
        for at, content in ((0, "first"), (5, "second"), (LOGS_KEPT_MS + 5, "third"), (LOGS_KEPT_MS + 6, "fourth")):
            store.add_log("core", "s", at, 3, [], content)
            if content == "third":
                assert [row["content"] for row in store.logs("s", 10, 0, 2 * LOGS_KEPT_MS)] == ["second", "third"]
        assert [row["content"] for row in store.logs("s", 10, 0, 2 * LOGS_KEPT_MS)] == ["third", "fourth"]


@pytest.mark.servers
def test_the_daemon_lives_through_a_full_disk(daemon: Daemon) -> None:
    """Calls that have to write are answered with -32010, children live, and all goes on when there is room again."""
    daemon.keep("s", "sleep 1000")
    pid = daemon.job("s")["pid"]
    # A limit on the size of its files is the disk that is full for this process alone.
    before = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (4096, before[1]))
    refused = [
        daemon.refusal("action.set", action={"name": "new", "script": "x"}),
        daemon.refusal("secret.set", key="k", value="v"),
        daemon.refusal("service.stop", name="s"),
    ]
    assert [(error.code, error.data["code_name"], error.data["retryable"]) for error in refused] == [
        (-32010, "Storage", True)
    ] * 3
    assert (daemon.state_of("s"), daemon.job("s")["pid"], lives(pid)) == ("running", pid, True)
    os.kill(pid, signal.SIGKILL)
    until(lambda: daemon.job("s")["pid"] is None, "the death is seen")
    until(lambda: "the state cannot be written" in (daemon.job("s")["last_error"] or ""), "the start waits")
    assert daemon.copies() == []
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, before)
    daemon.until_state("s", "running")
    assert daemon.copies() == [daemon.job("s")["pid"]]
    assert daemon.call("action.list") == ["s"]
    assert daemon.call("action.set", action={"name": "new", "script": "x"})["changed"]
    daemon.restart()
    assert (daemon.call("action.list"), daemon.state_of("s")) == (["new", "s"], "running")


@pytest.mark.servers
def test_a_daemon_with_a_state_it_cannot_read(resting: Daemon) -> None:
    """It says why and ends; the file is left alone."""
    resting.state.mkdir()
    (resting.state / "hero_proc.db").write_bytes(b"x" * 4096)
    assert resting.launch().wait(20) == 1
    assert "file is not a database" in resting.log.read_text()
    assert (resting.state / "hero_proc.db").read_bytes() == b"x" * 4096


@pytest.mark.parametrize("how", ["replaced", "deleted"])
def test_nothing_is_left_of_a_secret_that_is_gone(how: str, tmp_path: Path) -> None:
    """Neither in a free page nor in the log, while the daemon still runs: a key that was retired must not be found."""
    with closing(Store.open(str(tmp_path / "db"))) as store:
        for at in range(50):
            store.save_secret("core", f"k{at}", f"other-{at}-" + "x" * 100, if_absent=False)
        store.save_secret("core", "k", "retired-" + "0123456789" * 10, if_absent=False)
        if how == "replaced":
            store.save_secret("core", "k", "new", if_absent=False)
        else:
            store.delete_secret("core", "k")
        assert not any(b"retired-" in path.read_bytes() for path in tmp_path.iterdir())
        assert store.secret("core", "k0") is not None
