"""The database of the daemon: what must outlive its crash.

Owns: the SQLite file, its schema, the mapping of records to rows. Must not know what the records mean.

One connection, used by the event loop alone, each write one short transaction. With the write-ahead log, a `kill -9`
loses nothing that was written. What a caller was promised (specs, wanted state, secrets) is synced to the disk as well;
the comings and goings of processes are not, as no process outlives what that would be for.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from attrs import astuple, fields

from hero_livekit_units.embedded.deaths import parse_tally
from hero_livekit_units.embedded.lifecycle import JobState
from hero_livekit_units.embedded.records import Job, Run, Service
from hero_livekit_units.embedded.spec import ActionSpec, parse_action, parse_service
from hero_livekit_units.embedded.strict import SpecInvalid
from hero_livekit_units.errors import StateFileInvalid, StateFileNewer
from hero_livekit_units.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hero_livekit_units.embedded.deaths import Tally
    from hero_livekit_units.embedded.records import Everything, Life

SCHEMA = 1
LOGS_KEPT = 10_000
LOGS_KEPT_MS = 30 * 86_400_000
# Came later than the others. What does not know it can do without, so it is no new schema.
_TALLIES = """
CREATE TABLE IF NOT EXISTS tallies (service TEXT, action TEXT, deaths TEXT NOT NULL, PRIMARY KEY (service, action))
    WITHOUT ROWID
"""
# Where in its log file each attempt of a job begins. Came later, as well.
_LIVES = """
CREATE TABLE IF NOT EXISTS lives (log_file TEXT, start INTEGER, job_id INTEGER NOT NULL, attempt INTEGER NOT NULL,
    PRIMARY KEY (log_file, start)) WITHOUT ROWID
"""
LIVES_KEPT = 100  # of each log file
_JOB_COLUMNS = tuple(column.name for column in fields(Job))
_TABLES = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE actions (context TEXT, name TEXT, spec TEXT NOT NULL, PRIMARY KEY (context, name)) WITHOUT ROWID;
CREATE TABLE services (name TEXT PRIMARY KEY, context TEXT NOT NULL, spec TEXT NOT NULL, wanted INTEGER NOT NULL,
    held TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (id INTEGER PRIMARY KEY AUTOINCREMENT, service TEXT NOT NULL, name TEXT NOT NULL,
    created_ms INTEGER NOT NULL);
CREATE TABLE jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, {", ".join(_JOB_COLUMNS[1:])});
CREATE INDEX jobs_by_run ON jobs (run_id);
CREATE TABLE secrets (context TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (context, key)) WITHOUT ROWID;
CREATE TABLE logs (id INTEGER PRIMARY KEY AUTOINCREMENT, context_name TEXT NOT NULL, src TEXT NOT NULL,
    epoch_ms INTEGER NOT NULL, loglevel INTEGER NOT NULL, tags TEXT NOT NULL, content TEXT NOT NULL);
"""
# Came later, and an earlier version does not mind it: no new schema.
_NOTES = """CREATE TABLE IF NOT EXISTS notes (revision INTEGER PRIMARY KEY AUTOINCREMENT, context TEXT NOT NULL,
    key TEXT NOT NULL, value TEXT NOT NULL, by TEXT NOT NULL, changed_ms INTEGER NOT NULL, UNIQUE (context, key))"""


class Store:
    """The open database. Every method may raise sqlite3.Error, and then has changed nothing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._synced = False

    @classmethod
    def open(cls, path: str) -> Store:
        """Open or make the database, 0600.

        Raises:
            StateFileInvalid: the file is not a database of ours, or it is damaged.
            StateFileNewer: a newer version of the package wrote it.
        """
        hint = "move the file away to start with an empty one"
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = sqlite3.connect(path, isolation_level=None, timeout=1.0)
        except (OSError, sqlite3.Error) as error:
            raise StateFileInvalid(f"cannot open {path}: {error}") from error
        try:
            _prepare(connection, path)
        except sqlite3.Error as error:
            connection.close()
            if isinstance(error, sqlite3.OperationalError):
                hint = "is the disk full, or the file another user's?"
            raise StateFileInvalid(f"cannot read {path}: {error}", hint=hint) from error
        except (StateFileInvalid, StateFileNewer):
            connection.close()
            raise
        return cls(connection)

    @classmethod
    def rehearse(cls, path: str) -> None:
        """Do with a copy in memory what the start of the daemon does with the database, which is only read.

        Raises:
            StateFileInvalid, StateFileNewer: as for `open` and `load`.
        """
        from urllib.parse import quote  # noqa: PLC0415  no daemon that serves needs it

        try:
            with (
                closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=1.0)) as there,
                closing(sqlite3.connect(":memory:", isolation_level=None)) as copy,
            ):
                there.backup(copy)
                _prepare(copy, path)
                cls(copy).load()
        except sqlite3.Error as error:
            raise StateFileInvalid(f"cannot read {path}: {error}") from error

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @property
    def uuid(self) -> str:
        """Identity of this database, part of the mark of every process."""
        return str(self._db.execute("SELECT value FROM meta WHERE key = 'uuid'").fetchone()[0])

    # -- everything at once, for the start

    def load(self, *, check: bool = True) -> Everything:
        """All that is kept. Thousands of actions may lie there that nobody asks for: they are read when they are.

        check: whether to see now that each could be read.

        Raises:
            StateFileInvalid: a row cannot be understood.
        """
        try:
            actions = {row[:2]: row[2] for row in self._db.execute("SELECT context, name, spec FROM actions")}
            for spec in actions.values() if check else ():
                parse_action(json.loads(spec))
            services = {
                row[0]: Service(parse_service(json.loads(row[2])), row[1], bool(row[3]), frozenset(json.loads(row[4])))
                for row in self._db.execute("SELECT name, context, spec, wanted, held FROM services")
            }
            runs = {row[0]: Run(*row) for row in self._db.execute("SELECT id, service, name, created_ms FROM runs")}
            columns = ", ".join(_JOB_COLUMNS)
            jobs = {row[0]: _job(row) for row in self._db.execute(f"SELECT {columns} FROM jobs ORDER BY id")}  # noqa: S608
        except (sqlite3.Error, SpecInvalid, ValueError, TypeError) as error:
            raise StateFileInvalid(f"cannot read the state of the daemon: {error}") from error
        return actions, services, runs, jobs

    # -- specs and wanted state

    def save_action(self, context: str, spec: ActionSpec) -> None:
        """Insert or replace an action."""
        row = (context, spec.name, json.dumps(spec.as_json()))
        with self._transaction(synced=True):
            self._db.execute("INSERT OR REPLACE INTO actions VALUES (?, ?, ?)", row)

    def delete_action(self, context: str, name: str) -> None:
        """Delete an action."""
        with self._transaction(synced=True):
            self._db.execute("DELETE FROM actions WHERE context = ? AND name = ?", (context, name))

    def save_service(self, service: Service) -> None:
        """Insert or replace a service."""
        spec = json.dumps(service.spec.as_json())
        row = (service.spec.name, service.context, spec, service.wanted, json.dumps(sorted(service.held)))
        with self._transaction(synced=True):
            self._db.execute("INSERT OR REPLACE INTO services VALUES (?, ?, ?, ?, ?)", row)

    def delete_service(self, name: str) -> None:
        """Delete a service with its runs and their jobs."""
        with self._transaction(synced=True):
            self._db.execute("DELETE FROM lives WHERE job_id IN (SELECT id FROM jobs WHERE service = ?)", (name,))
            self._db.execute("DELETE FROM jobs WHERE service = ?", (name,))
            self._db.execute("DELETE FROM runs WHERE service = ?", (name,))
            self._db.execute("DELETE FROM tallies WHERE service = ?", (name,))
            self._db.execute("DELETE FROM services WHERE name = ?", (name,))

    # -- runs and jobs

    def add_run(self, service: str, name: str, created_ms: int) -> Run:
        """A new run."""
        row = (service, name, created_ms)
        with self._transaction():
            id_ = self._db.execute("INSERT INTO runs (service, name, created_ms) VALUES (?, ?, ?)", row).lastrowid
        return Run(int(id_ or 0), service, name, created_ms)

    def next_job_id(self) -> int:
        """The id that the next new job will have."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
        return int(row[0]) + 1 if row else 1

    def tallies(self) -> dict[tuple[str, str], Tally]:
        """The deaths of actions, by service and action.

        Raises:
            StateFileInvalid: a row cannot be understood.
        """
        try:
            rows = self._db.execute("SELECT service, action, deaths FROM tallies")
            return {(service, action): parse_tally(json.loads(deaths)) for service, action, deaths in rows}
        except (sqlite3.Error, ValueError, LookupError, TypeError) as error:
            raise StateFileInvalid(f"cannot read the state of the daemon: {error}") from error

    def save_jobs(
        self,
        jobs: Sequence[Job],
        tallies: Mapping[tuple[str, str], Tally] | None = None,
        life: Life | None = None,
    ) -> None:
        """Insert or replace jobs, tallies by service and action, and where in its log a life begins, all or none."""
        marks = ", ".join("?" * len(_JOB_COLUMNS))
        statement = f"INSERT OR REPLACE INTO jobs ({', '.join(_JOB_COLUMNS)}) VALUES ({marks})"  # noqa: S608
        with self._transaction():
            self._db.executemany(statement, [_row(job) for job in jobs])
            rows = [(*key, json.dumps(tally.as_json())) for key, tally in (tallies or {}).items()]
            self._db.executemany("INSERT OR REPLACE INTO tallies VALUES (?, ?, ?)", rows)
            if life:
                self._save_life(life)

    def _save_life(self, life: Life) -> None:
        # What is not before it belongs to a file that was moved away.
        self._db.execute("DELETE FROM lives WHERE log_file = ? AND start >= ?", (life.log_file, life.start))
        self._db.execute("INSERT INTO lives VALUES (?, ?, ?, ?)", astuple(life))
        eldest = "SELECT start FROM lives WHERE log_file = ? ORDER BY start DESC LIMIT 1 OFFSET ?"
        gone = f"DELETE FROM lives WHERE log_file = ? AND start <= ({eldest})"  # noqa: S608
        self._db.execute(gone, (life.log_file, life.log_file, LIVES_KEPT))

    def span(self, job_id: int, attempt: int) -> tuple[int, int | None] | None:
        """From which byte of its log file to which an attempt wrote, None for its end; None when that is not known."""
        query = "SELECT log_file, start FROM lives WHERE job_id = ? AND attempt = ?"
        row = self._db.execute(query, (job_id, attempt)).fetchone()
        if row is None:
            return None
        after = self._db.execute("SELECT min(start) FROM lives WHERE log_file = ? AND start > ?", row).fetchone()
        return int(row[1]), after[0]

    def delete_runs(self, ids: Sequence[int]) -> None:
        """Delete runs and their jobs."""
        with self._transaction():
            for id_ in ids:
                self._db.execute("DELETE FROM lives WHERE job_id IN (SELECT id FROM jobs WHERE run_id = ?)", (id_,))
            self._db.executemany("DELETE FROM jobs WHERE run_id = ?", [(id_,) for id_ in ids])
            self._db.executemany("DELETE FROM runs WHERE id = ?", [(id_,) for id_ in ids])

    # -- secrets

    def save_secret(self, context: str, key: str, value: str, *, if_absent: bool) -> bool:
        """Store a secret; with `if_absent` an existing one stays. Returns whether it is new."""
        with self._transaction(synced=True):
            known = self.secret(context, key) is not None
            if not (known and if_absent):
                self._db.execute("INSERT OR REPLACE INTO secrets VALUES (?, ?, ?)", (context, key, value))
        if known and not if_absent:
            self._scrub()
        return not known

    def secret(self, context: str, key: str) -> str | None:
        """The value of a secret."""
        query = "SELECT value FROM secrets WHERE context = ? AND key = ?"
        row = self._db.execute(query, (context, key)).fetchone()
        return str(row[0]) if row else None

    def secret_keys(self, context: str) -> list[str]:
        """Keys of all secrets of a context, sorted."""
        rows = self._db.execute("SELECT key FROM secrets WHERE context = ? ORDER BY key", (context,))
        return [str(row[0]) for row in rows]

    def delete_secret(self, context: str, key: str) -> bool:
        """Delete a secret; whether there was one."""
        with self._transaction(synced=True):
            query = "DELETE FROM secrets WHERE context = ? AND key = ?"
            existed = self._db.execute(query, (context, key)).rowcount > 0
        self._scrub()
        return existed

    def _scrub(self) -> None:
        """Leave nothing of a secret that is gone: its row is overwritten, but the log still has it as it was."""
        # A full disk, or somebody else who reads, may be in the way: what was asked for is done all the same, and the
        # next checkpoint takes it along.
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    # -- notes

    def note(self, context: str, key: str) -> dict[str, Any] | None:
        """A note: key, value, revision, by, changed_ms."""
        query = "SELECT key, value, revision, by, changed_ms FROM notes WHERE context = ? AND key = ?"
        row = self._db.execute(query, (context, key)).fetchone()
        return dict(zip(("key", "value", "revision", "by", "changed_ms"), row, strict=True)) if row else None

    def notes(self, context: str, prefix: str) -> list[dict[str, Any]]:
        """Keys that begin so, sorted, each with its revision."""
        query = "SELECT key, revision FROM notes WHERE context = ? AND substr(key, 1, ?) = ? ORDER BY key"
        rows = self._db.execute(query, (context, len(prefix), prefix))
        return [{"key": str(key), "revision": int(revision)} for key, revision in rows]

    def save_note(self, context: str, key: str, value: str, by: str, changed_ms: int) -> int:
        """Insert or replace a note; its revision, which is larger than any before, deleted notes' too."""
        statement = "INSERT OR REPLACE INTO notes (context, key, value, by, changed_ms) VALUES (?, ?, ?, ?, ?)"
        with self._transaction(synced=True):
            return int(self._db.execute(statement, (context, key, value, by, changed_ms)).lastrowid or 0)

    def delete_note(self, context: str, key: str) -> None:
        """Delete a note."""
        with self._transaction(synced=True):
            self._db.execute("DELETE FROM notes WHERE context = ? AND key = ?", (context, key))

    # -- log lines that clients hand in

    def add_log(self, context: str, src: str, epoch_ms: int, loglevel: int, tags: Sequence[str], content: str) -> None:
        """Add a line; the oldest of all are dropped when there are more than LOGS_KEPT, or after LOGS_KEPT_MS."""
        row = (context, src, epoch_ms, loglevel, json.dumps(list(tags)), content)
        with self._transaction():
            insert = "INSERT INTO logs (context_name, src, epoch_ms, loglevel, tags, content) VALUES (?, ?, ?, ?, ?, ?)"
            id_ = self._db.execute(insert, row).lastrowid or 0
            # The first that is young enough is found from the eldest on, so this reads no more than it deletes.
            young = "SELECT id FROM logs WHERE epoch_ms >= ? ORDER BY id LIMIT 1"
            gone = f"DELETE FROM logs WHERE id <= ? OR id < ({young})"  # noqa: S608
            self._db.execute(gone, (id_ - LOGS_KEPT, epoch_ms - LOGS_KEPT_MS))

    def logs(self, src_prefix: str, lines: int, from_ms: int, to_ms: int) -> list[dict[str, Any]]:
        """The newest lines whose source begins so, the eldest first."""
        query = (
            "SELECT id, context_name, src, epoch_ms, loglevel, tags, content FROM logs"
            " WHERE substr(src, 1, ?) = ? AND epoch_ms BETWEEN ? AND ? ORDER BY id DESC LIMIT ?"
        )
        rows = self._db.execute(query, (len(src_prefix), src_prefix, from_ms, to_ms, lines)).fetchall()
        names = ("id", "context_name", "src", "epoch_ms", "loglevel", "tags", "content")
        found = [dict(zip(names, row, strict=True)) for row in reversed(rows)]
        return [row | {"tags": json.loads(row["tags"])} for row in found]

    @contextmanager
    def _transaction(self, *, synced: bool = False) -> Iterator[None]:
        if synced is not self._synced:
            self._db.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            self._synced = synced
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # A full disk may have rolled back already.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def _prepare(db: sqlite3.Connection, path: str) -> None:
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and "meta" not in tables:
        raise StateFileInvalid(f"cannot use {path}: it is the database of another program", hint="move it away")
    if tables:
        row = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
        version = int(row[0]) if row and str(row[0]).isdecimal() else 0
        if version > SCHEMA:
            writer = db.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
            wrote = f"version {writer[0]}" if writer else "a newer version"
            raise StateFileNewer(
                f"cannot use {path}: it has schema {version} of {wrote}, version {VERSION} knows {SCHEMA}",
                hint=f"start hero_proc with {wrote} of hero_livekit_units, or one after it",
            )
        if version < SCHEMA:
            raise StateFileInvalid(f"cannot use {path}: it does not say which schema it has", hint="move it away")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA secure_delete = ON")  # a secret that was replaced is not to be found in a free page
    db.execute("PRAGMA cache_size = -512")  # KiB; all that is hot is held by the supervisor
    db.execute("PRAGMA journal_size_limit = 1048576")
    if not tables:
        db.execute("BEGIN IMMEDIATE")
        for statement in _TABLES.split(";\n"):
            if statement.strip():
                db.execute(statement)
        values = [("schema", str(SCHEMA)), ("uuid", os.urandom(16).hex())]
        db.executemany("INSERT INTO meta VALUES (?, ?)", values)
        db.execute("COMMIT")
    for table in (_NOTES, _TALLIES, _LIVES):
        db.execute(table)
    # Who comes with an older version is told this one. Written only where it changes: most starts write nothing.
    if db.execute("SELECT 1 FROM meta WHERE key = 'version' AND value = ?", (VERSION,)).fetchone() is None:
        db.execute("INSERT OR REPLACE INTO meta VALUES ('version', ?)", (VERSION,))


def _row(job: Job) -> tuple[Any, ...]:
    texts = {"spec": json.dumps(job.spec.as_json()), "state": job.state.value}
    return tuple(({name: getattr(job, name) for name in _JOB_COLUMNS} | texts).values())


def _job(row: Sequence[Any]) -> Job:
    values = dict(zip(_JOB_COLUMNS, row, strict=True))
    flags = {name: bool(values[name]) for name in ("spawning", "adopted", "stop_sent", "followed")}
    parsed = {"spec": parse_action(json.loads(values["spec"])), "state": JobState(values["state"])}
    return Job(**(values | flags | parsed))
