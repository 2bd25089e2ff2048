"""The syncer thread: does what waits for the disk.

It makes what is committed survive a power loss, for all who wait for that at once, and copies SQLite's log to
the database before it grows large.
"""

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from runner_agent.model.errors import RunnerError, Unavailable
from runner_agent.store.schema import connect

CHECKPOINT_EVERY = 200
"""Commits. One writes four or five pages of 4 KiB, so the log stays at some 4 MiB."""

Done = Callable[[Exception | None], None]
"""Told that it is safe; or, with an error, that nobody knows."""

Copied = Callable[[bool], None]
"""Told whether all of the log is in the database."""


class Syncer:
    """Syncs SQLite's write-ahead log, which is what SQLite does for a commit with `synchronous=FULL`.

    SQLite writes its log from the start again once it has copied it to the database, and syncs both for that,
    so a commit is safe after a sync of the log wherever it stands then. It holds no locks on the log: opening
    and closing it here does no harm. The log is one file for as long as the database is open.
    """

    def __init__(self, database: Path) -> None:
        """Starts the thread."""
        self._database = database
        self._log = database.with_name(f"{database.name}-wal")
        self._fd = -1
        self._connection: sqlite3.Connection | None = None
        self._inbox: SimpleQueue[Done | None] = SimpleQueue()
        self._copies: list[Copied] = []
        # A daemon thread, so that an agent that fails on its way down is not kept from ending.
        self._thread = threading.Thread(target=self._run, name="store-syncer", daemon=True)
        self._thread.start()

    def submit(self, done: Done) -> None:
        """Make safe what is committed by now; `done` is called on the syncer's thread. Returns at once."""
        self._inbox.put(done)

    def checkpoint(self, done: Copied) -> None:
        """Copy the log to the database; `done` is called on the syncer's thread. Returns at once."""
        self._copies.append(done)
        self._inbox.put(_nobody)

    def close(self) -> None:
        """Sync what was submitted, and end. Waits for it."""
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        going = True
        while going:
            waiting: list[Done] = []
            item = self._inbox.get()
            while item is not None:
                waiting.append(item)
                if self._inbox.empty():  # we are the only taker
                    break
                item = self._inbox.get()
            going = item is not None
            if waiting:
                error = self._sync()
                for done in waiting:
                    done(error)
            while self._copies:
                self._copies.pop(0)(self._copy())
        if self._connection is not None:
            self._connection.close()
        if self._fd >= 0:
            os.close(self._fd)

    def _sync(self) -> Exception | None:
        try:
            if self._fd < 0:
                self._fd = os.open(self._log, os.O_RDONLY | os.O_CLOEXEC)
                self._sync_name()
            os.fdatasync(self._fd)
        except OSError as error:
            return Unavailable(
                f"{self._log} cannot be synced ({error.strerror}): what was asked for is done, but may be"
                " lost with the machine's power; see the kernel's log and ask again"
            )
        return None

    def _sync_name(self) -> None:
        """The log's entry in its directory: a file that cannot be found is not safe."""
        directory = os.open(self._log.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _copy(self) -> bool:
        """False: not all of it. What fails is tried again after as many commits."""
        try:
            if self._connection is None:
                self._connection = connect(self._database)
            _, log, copied = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except (sqlite3.Error, RunnerError):
            return True
        return bool(log == copied)


def _nobody(_: Exception | None) -> None:
    """Nobody waits for it."""
