"""The database file: opened, verified, upgraded; or refused, where it must not be touched (rule 7.4)."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from runner_agent.model.errors import StoreUnusable, Unavailable
from runner_agent.store.base import FIRST_REVISION
from runner_agent.store.sqlite_errors import as_unusable, way_out

APPLICATION_ID = 0x52554E41  # "RUNA"
MAGIC = b"SQLite format 3\0"

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another program, a shell or a backup, to let go."""

CHECKED_SIZE = 16 * 2**20
"""Bytes.

A database not shut down cleanly is checked for damage at once if it is no larger (about 2 ms a MiB).
"""

Step = Callable[[sqlite3.Connection], None]


def _first(connection: sqlite3.Connection) -> None:
    """The two halves of a record stand apart, so that a note need not rewrite the wish.

    `wish` and `run` are JSON by `codec`. The other columns are copies of what is searched, but for the
    versions.
    """
    for statement in (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        # One row. Revisions up to `reserved` may have been published.
        "CREATE TABLE counter (reserved INTEGER NOT NULL)",
        """CREATE TABLE service (
            id TEXT PRIMARY KEY, wish TEXT, run TEXT, spec_version INTEGER, status_version INTEGER)""",
        "CREATE TABLE task (id TEXT PRIMARY KEY, wish TEXT, spec_version INTEGER, status_version INTEGER)",
        # `ended_at` is NULL while it lives. Times are text in UTC that sorts as the time does.
        """CREATE TABLE execution (
            id TEXT PRIMARY KEY, task_id TEXT, created_at TEXT, ended_at TEXT,
            wish TEXT, run TEXT, spec_version INTEGER, status_version INTEGER)""",
        "CREATE INDEX execution_by_age ON execution (created_at, id)",
        "CREATE INDEX execution_of_task ON execution (task_id, created_at, id)",
        "CREATE INDEX execution_ended ON execution (ended_at, id, task_id) WHERE ended_at IS NOT NULL",
        "CREATE INDEX execution_live ON execution (id) WHERE ended_at IS NULL",
        "CREATE TABLE plan (execution_id TEXT PRIMARY KEY, plan TEXT)",
        # In the order the steps started, by rowid.
        """CREATE TABLE progress (
            execution_id TEXT, step_id TEXT, progress TEXT, PRIMARY KEY (execution_id, step_id))""",
        """CREATE TABLE step (
            id TEXT PRIMARY KEY, has_process INTEGER,
            wish TEXT, run TEXT, spec_version INTEGER, status_version INTEGER)""",
        "CREATE INDEX step_with_process ON step (id) WHERE has_process",
        # `once_key` is a JSON string: whatever a client sent is ASCII here.
        """CREATE TABLE firing (
            id TEXT PRIMARY KEY, at TEXT, boot TEXT, event TEXT, once_key TEXT,
            wish TEXT, spec_version INTEGER, status_version INTEGER)""",
        "CREATE INDEX firing_by_age ON firing (at, id)",
        "CREATE INDEX firing_once ON firing (boot, event, once_key)",
    ):
        connection.execute(statement)
    connection.execute("INSERT INTO counter VALUES (?)", (FIRST_REVISION,))


def _timeline(connection: sqlite3.Connection) -> None:
    """What has happened, for people. Kept short enough that what is asked for by id is found by looking at
    all: an index would be one more page to write for every change.
    """
    connection.execute(
        """CREATE TABLE timeline (
            place INTEGER PRIMARY KEY, at TEXT, version INTEGER, id TEXT, reference TEXT, entry TEXT)"""
    )


def _unreached(connection: sqlite3.Connection) -> None:
    """A step no longer says whether it was ever held: whoever looked asked who holds it."""
    connection.execute(
        "UPDATE step SET wish = json_remove(wish, '$.reached') WHERE json_type(wish, '$.reached') IS NOT NULL"
    )


def _born(connection: sqlite3.Connection) -> None:
    """What came first is told by the counter, not by the time of day: of what there is by the best guess,
    with numbers that are less than any revision.

    A service notes with the time of day the instant at which it came into its phase. And a step no longer
    says whose main task it is: since firings join runs, it may be that of several.
    """
    for table, when in _WHEN.items():
        connection.execute(f"ALTER TABLE {table} ADD COLUMN born INTEGER")
        connection.execute(
            f"""UPDATE {table} SET born = guess.place FROM (
                SELECT id, row_number() OVER (ORDER BY {when}, id) AS place FROM {table}) AS guess
                WHERE guess.id = {table}.id"""  # noqa: S608
        )
    for index in ("execution_by_age", "execution_of_task", "execution_ended", "firing_by_age"):
        connection.execute(f"DROP INDEX {index}")
    for statement in (
        "ALTER TABLE execution DROP COLUMN created_at",
        "ALTER TABLE firing DROP COLUMN at",
        "CREATE INDEX execution_by_age ON execution (born)",
        "CREATE INDEX execution_of_task ON execution (task_id, born)",
        "CREATE INDEX execution_ended ON execution (status_version, id, task_id) WHERE ended_at IS NOT NULL",
        "CREATE INDEX firing_by_age ON firing (born)",
    ):
        connection.execute(statement)
    connection.execute(
        """UPDATE service SET run = json_set(run, '$.phase_since',
            json_object('wall', run ->> '$.phase_since', 'boot', '', 'at', 0.0))
            WHERE json_type(run, '$.phase_since') = 'text'"""
    )
    connection.execute(
        "UPDATE step SET wish = json_remove(wish, '$.main_of') WHERE json_type(wish, '$.main_of') IS NOT NULL"
    )


_WHEN = {
    "service": "json_extract(wish, '$.metadata.created_at')",
    "task": "json_extract(wish, '$.metadata.created_at')",
    "execution": "created_at",
    "step": "json_extract(wish, '$.created_at')",
    "firing": "at",
}


STEPS: Mapping[int, Step] = {1: _first, 2: _timeline, 3: _unreached, 4: _born}
"""What leads from one schema to the next, by number; never edited once released.

A step runs in the transaction of all.
"""

SCHEMA = max(STEPS)


class Database(NamedTuple):
    """An open database that belongs to us alone. `close` lets go of it, last of all."""

    path: Path
    connection: sqlite3.Connection
    close: Callable[[], None]


def open_database(path: Path) -> Database:
    """Open or create; verify; upgrade. Raises StoreUnusable or Unavailable, and then has changed nothing."""
    with ExitStack() as undo:
        lock = _open_and_lock(path)
        undo.callback(os.close, lock)
        clean = _look_before_touching(path, lock)
        connection = connect(path)
        undo.callback(connection.close)
        try:
            _verify(path, connection, clean=clean)
            _upgrade(connection)
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.Error as error:
            raise as_unusable(error, path) from error
        if mode != ("wal",):
            raise StoreUnusable(
                f"the database {path} cannot be used: its filesystem offers no write-ahead log;"
                " keep the state directory on a local filesystem"
            )
        return Database(path, connection, undo.pop_all().close)
    raise AssertionError("an ExitStack of plain callbacks swallows nothing")


def connect(path: Path) -> sqlite3.Connection:
    """A connection for one thread at a time, in autocommit mode."""
    connection = None
    try:
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA cache_size=-1024")  # KiB; hot records are in memory as they are
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise as_unusable(error, path) from error
    return connection


def _open_and_lock(path: Path) -> int:
    # This descriptor is ours for as long as the database is open: closing it earlier would drop SQLite's own
    # locks, which belong to the process. It carries another kind of lock, which keeps a second agent out.
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnusable(
            f"the database {path} cannot be opened: {error.strerror};"
            f" make it and its directory writable for user {os.geteuid()}, or choose another state directory"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_mode & 0o077:
            os.fchmod(
                lock, 0o600
            )  # what is stored may be private; SQLite gives its other files the same mode
    except BlockingIOError:
        os.close(lock)
        raise Unavailable(
            f"the database {path} cannot be opened: another runner-agent uses it;"
            " stop that one, or choose another state directory"
        ) from None
    except OSError as error:
        os.close(lock)
        raise StoreUnusable(
            f"the database {path} cannot be locked: {error.strerror};"
            " keep the state directory on a local filesystem"
        ) from error
    return lock


def _look_before_touching(path: Path, lock: int) -> bool:
    """Refuse what SQLite would destroy or not recognise; tell whether the last shutdown was clean."""
    log = _size(path.with_name(path.name + "-wal"))
    journal = _size(path.with_name(path.name + "-journal"))
    if os.fstat(lock).st_size == 0:
        if log:
            raise StoreUnusable(
                f"the database {path} is empty, yet its log {path.name}-wal is not: the data file was lost."
                f" {way_out(path)}"
            )
    elif not journal and os.pread(lock, len(MAGIC), 0) != MAGIC:
        raise StoreUnusable(f"the file {path} is no database. {way_out(path)}")
    return not log and not journal


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _verify(path: Path, connection: sqlite3.Connection, *, clean: bool) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application, version, tables) != (0, 0, 0):
        raise StoreUnusable(f"the database {path} belongs to another program. {way_out(path)}")
    if version > SCHEMA:
        raise StoreUnusable(
            f"the database {path} was written by a newer runner-agent (schema {version}, this one reads up to"
            f" {SCHEMA}): run that version or a later one. {way_out(path)}"
        )
    if not clean and _size(path) <= CHECKED_SIZE:
        findings = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
        if findings != ["ok"]:
            raise StoreUnusable(f"the database {path} is damaged: {findings[0]}. {way_out(path)}")


def _upgrade(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == SCHEMA:
        connection.execute("ROLLBACK")
        return
    try:
        for number in range(version + 1, SCHEMA + 1):
            STEPS[number](connection)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
