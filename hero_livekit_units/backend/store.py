"""What the backend has issued, in SQLite: when, for which room and person, until when, under which id.

Owns the file, its schema and its upkeep. Never sees a token or a secret. Every method may be called from any thread;
none waits for longer than a few seconds, whatever another process does with the file.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from hero_livekit_units.errors import DaemonError, StateFileInvalid, StateFileNewer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hero_livekit_units.backend.tokens import Grant

SCHEMA_VERSION = 1
KEPT_AFTER_EXPIRY_S = 30 * 24 * 60 * 60
# One insert removes at most this many old rows: a backlog goes away quickly, yet nobody waits for it.
PRUNED_AT_ONCE = 100

_APPLICATION_ID = 0x686C7562  # "hlub", in the file's header: tells our files from those of other programs
# Two values that no file has and that differ: nothing is open, nothing is there.
_NO_FILE = (-1, -1)
_NOT_FOUND = (-2, -2)
_BUSY_TIMEOUT_S = 1.0
_HEALTH_TIMEOUT_S = 0.25
_SCHEMA = (
    """
    CREATE TABLE issued (
        token_id   TEXT PRIMARY KEY NOT NULL,
        room       TEXT NOT NULL,
        identity   TEXT NOT NULL,
        name       TEXT NOT NULL,
        issued_at  INTEGER NOT NULL,
        expires_at INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX issued_by_expiry ON issued (expires_at)",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


class Store:
    """The database of one backend process.

    The file is opened at once, so that a wrong one is refused before the service listens. Should it be removed or
    replaced while the service runs, the next `record` opens what is there then.

    Raises:
        StateFileNewer: a newer version of this package wrote the file.
        StateFileInvalid: the file is no database, or not one of this service.
        DaemonError: the file cannot be opened or created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()  # so that no name has a meaning of its own to SQLite, as `:memory:` has
        self._lock = threading.Lock()
        self._connection = _open(self.path)
        self._identity = _file_identity(self.path)

    def record(self, grant: Grant) -> None:
        """Keep one grant, and drop a bounded number of those that expired long ago.

        Committed means safe from the death of this process. A loss of power may cost the last rows: each commit would
        otherwise wait for the disk, and a join must not.

        Raises:
            DaemonError: the database is locked, full or broken; nothing was kept, and the same call may succeed later.
        """
        if not self._lock.acquire(timeout=_BUSY_TIMEOUT_S):
            raise DaemonError("cannot record a token: the database is busy", hint="try again")
        try:
            self._follow_file()
            with _transaction(self._connection):
                self._connection.execute(
                    "INSERT INTO issued VALUES (?, ?, ?, ?, ?, ?)",
                    (grant.token_id, grant.room, grant.identity, grant.name, grant.issued_at_s, grant.expires_at_s),
                )
                self._connection.execute(
                    "DELETE FROM issued WHERE token_id IN "
                    "(SELECT token_id FROM issued WHERE expires_at < ? ORDER BY expires_at LIMIT ?)",
                    (grant.issued_at_s - KEPT_AFTER_EXPIRY_S, PRUNED_AT_ONCE),
                )
        except sqlite3.Error as error:
            raise DaemonError(f"cannot record a token: {error}", hint="try again") from error
        finally:
            self._lock.release()

    def check(self) -> str:
        """Ask the file on the disk a question; return "" when it answers, else the reason why not.

        A connection of its own, because an open one still answers when its file was removed, and because this must not
        wait behind a writer.
        """
        try:
            location = f"{self.path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(location, uri=True, timeout=_HEALTH_TIMEOUT_S)) as connection:
                connection.execute("SELECT 1 FROM issued LIMIT 1").fetchall()
        except sqlite3.Error as error:
            return str(error)
        return ""

    def close(self) -> None:
        """Close the file; what was recorded stays. Safe to repeat."""
        with self._lock:
            self._connection.close()

    def _follow_file(self) -> None:
        if _file_identity(self.path) != self._identity:
            self._connection.close()
            self._identity = _NO_FILE  # should the next line fail, the next call tries it again
            self._connection = _open(self.path)
            self._identity = _file_identity(self.path)


def _open(path: Path) -> sqlite3.Connection:
    try:
        _create_private(path)
        # Autocommit: transactions are begun and ended where they are written. The lock of Store serialises threads.
        connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise _cannot_open(path, error) from error
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        if isinstance(error, sqlite3.OperationalError):
            raise _cannot_open(path, error) from error
        raise StateFileInvalid(
            f"cannot open database {path}: {error}", hint="move the file away, or set SQLITE_PATH to another"
        ) from error
    except DaemonError:
        connection.close()
        raise
    return connection


def _cannot_open(path: Path, error: Exception) -> DaemonError:
    cause = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
    return DaemonError(
        f"cannot open database {path}: {cause}",
        hint="SQLITE_PATH must be a file in a folder that this user can write to",
    )


def _create_private(path: Path) -> None:
    """Make sure that nobody else can read the file; SQLite gives its side files the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise DaemonError(
                f"cannot open database {path}: it is not a regular file", hint="set SQLITE_PATH to a file"
            ) from None
        # Only where needed, and by path: closing a descriptor of our own would drop SQLite's locks on the file.
        if mode & 0o077:
            path.chmod(0o600)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    # Refuse before anything is written: the file of another program, or of a newer release, stays as it is.
    current = _is_current(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if current:
        return
    with _transaction(connection):
        # Asked again, because another process may have created the tables in the meantime.
        if not _is_current(connection, path):
            for statement in _SCHEMA:
                connection.execute(statement)


def _is_current(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the schema is there; False for an empty file.

    Raises:
        StateFileNewer: a newer version of this package wrote the file.
        StateFileInvalid: the file belongs to another program.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application, version, tables) == (0, 0, 0):
        return False
    if application != _APPLICATION_ID or version < 1:
        raise StateFileInvalid(
            f"cannot open database {path}: it belongs to another program", hint="set SQLITE_PATH to a file of its own"
        )
    if version > SCHEMA_VERSION:
        raise StateFileNewer(
            f"cannot open database {path}: its schema is version {version}, this release knows {SCHEMA_VERSION}",
            hint="run the newer release, or set SQLITE_PATH to another file",
        )
    return True


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A write transaction that is over when the block is, whatever fails in between."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        # SQLite ends the transaction itself after some errors, such as a full disk, and not after others.
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")


def _file_identity(path: Path) -> tuple[int, int]:
    """Device and inode of the file. While the old one is open, no new one can have its number."""
    try:
        status = path.stat()
    except OSError:
        return _NOT_FOUND
    return (status.st_dev, status.st_ino)
