"""The writer: commits what was asked for in one turn of the loop as one transaction, on the loop's thread.

A commit does not wait for the disk: it costs some 40 microseconds, a fraction of what two changes of threads
cost. What waits for the disk, syncing the log and copying it to the database, is the syncer thread's. So
nobody waits for it but who asked to survive a power loss and, where a change may not be seen before it
would, who comes after that.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from runner_agent.store.draft import Delta
from runner_agent.store.schema import BUSY_TIMEOUT, Database
from runner_agent.store.sqlite_archive import SqlArchive
from runner_agent.store.sqlite_errors import as_refusal, has_no_room, is_busy
from runner_agent.store.sqlite_room import Room
from runner_agent.store.sqlite_rows import Rows, write_rows
from runner_agent.store.sqlite_syncer import CHECKPOINT_EVERY, Syncer
from runner_agent.store.sqlite_timeline import TimelineWriter
from runner_agent.store.state import State

_LOOK_AGAIN = 0.02
"""Seconds between attempts while another program, a shell or a backup, holds the database locked."""


class WriterLane:
    """A `live.Lane`. All of it is the loop thread's."""

    def __init__(
        self, database: Database, reader: SqlArchive, state: State[Rows], room: Room | None = None
    ) -> None:
        """Starts the syncer's thread. `room` is given back to the disk when it is full."""
        self.commits = 0
        """Transactions so far, for metrics."""
        self._room = room
        self._never_waits = self._leaves = False
        self._unsaved: list[Delta[Rows]] = []  # shown, and not on disk
        self._database = database
        self._reader = reader
        self._state = state
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Delta[Rows]] = []
        self._held = 0  # reasons for which what is asked for has to wait
        self._locked_since: float | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._timeline = TimelineWriter()
        self._syncer = Syncer(database.path)
        # Commits are not to wait for a lock, nor for the log to be copied.
        for pragma in ("busy_timeout=0", "synchronous=NORMAL", "wal_autocheckpoint=0"):
            database.connection.execute(f"PRAGMA {pragma}")

    def submit(self, delta: Delta[Rows]) -> None:
        """What is submitted in one turn of the loop is committed at its end, as one."""
        self._waiting.append(delta)
        self._idle.clear()
        if len(self._waiting) == 1:
            self._loop.call_soon(self._commit_waiting)

    @property
    def unsaved(self) -> bool:
        """See `live.Lane`, here and below."""
        return bool(self._unsaved)

    def never_wait(self) -> None:
        """The room is given back: there is nothing more to keep it for."""
        self._never_waits = True
        if self._room is not None:
            self._room.give_up()

    def leave(self) -> None:
        """SQLite removes its log with the last connection, so none is closed; they end with the program."""
        self._leaves = True

    async def aclose(self) -> None:
        """Checkpoint, close, let go of the file."""
        await self._idle.wait()
        if self._unsaved:
            with suppress(sqlite3.Error):
                self._commit(self._unsaved)
        await self._loop.run_in_executor(None, self._syncer.close)
        if self._leaves:
            return
        # The reader goes first, so that the last checkpoint finds nobody in its way.
        self._reader.close()
        await self._loop.run_in_executor(None, self._close)

    def _commit_waiting(self) -> None:
        if self._held or not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        if self._room is not None:
            self._room.look()
        try:
            self._commit([*self._unsaved, *batch])
        except Exception as error:  # noqa: BLE001  whatever it is, it is the answer to those who wait
            if is_busy(error) and self._may_wait():
                self._waiting = batch  # nothing came in between: a commit is one call
                self._loop.call_later(_LOOK_AGAIN, self._commit_waiting)
                return
            if has_no_room(error) and self._room is not None and self._room.give_back():
                self._waiting = batch
                self._loop.call_soon(self._commit_waiting)
                return
            if self._never_waits:
                self._unsaved += batch
                self._state.publish(batch, safe=True)
            else:
                self._state.fail(partial(as_refusal, error, self._database.path))
        else:
            self._unsaved = []
            self._tell_of(batch)
        self._locked_since = None
        self._settle()

    def _may_wait(self) -> bool:
        if self._locked_since is None:
            self._locked_since = self._loop.time()
        return self._loop.time() < self._locked_since + BUSY_TIMEOUT

    def _tell_of(self, batch: Sequence[Delta[Rows]]) -> None:
        if any(delta.hidden for delta in batch):
            self._held += 1  # what comes after it is not to be seen before it
            self._sync(partial(self._show, batch))
            return
        self._state.publish(batch, safe=False)
        durable = [delta for delta in batch if delta.durable]
        if durable:
            self._sync(partial(self._state.confirm, durable))

    def _show(self, batch: Sequence[Delta[Rows]], error: Exception | None) -> None:
        """It is safe; or, with `error`, nobody knows, and what this process has written is the truth."""
        self._state.publish(batch, safe=error is None)
        if error is not None:
            self._state.confirm([delta for delta in batch if delta.durable], error)
        self._let_go()

    def _copied(self, whole: bool) -> None:
        """SQLite begins its log anew once all of it is copied. Where commits came in between, they wait while
        the rest is, which is little.
        """
        if not whole:
            self._held += 1
            self._copy(lambda _: self._let_go())

    def _let_go(self) -> None:
        self._held -= 1
        self._commit_waiting()
        self._settle()

    def _settle(self) -> None:
        if not self._waiting and not self._held:
            self._idle.set()

    def _sync(self, done: Callable[[Exception | None], None]) -> None:
        self._syncer.submit(lambda error: self._on_loop(partial(done, error)))

    def _copy(self, done: Callable[[bool], None]) -> None:
        self._syncer.checkpoint(lambda whole: self._on_loop(partial(done, whole)))

    def _on_loop(self, news: Callable[[], None]) -> None:
        """Called on the syncer's thread."""
        try:
            self._loop.call_soon_threadsafe(news)
        except RuntimeError:
            pass  # the loop has closed: nobody is left to be told

    def _commit(self, batch: Sequence[Delta[Rows]]) -> None:
        connection = self._database.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            write_rows(connection, [delta.payload for delta in batch])
            self._timeline.append(connection, (one for delta in batch for one in delta.happened))
            for delta in batch:
                for item in delta.meta.items():
                    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", item)
            reserve = max((delta.reserve for delta in batch if delta.reserve is not None), default=None)
            if reserve is not None:
                connection.execute("UPDATE counter SET reserved = ?", (reserve,))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self.commits += 1
        if self.commits % CHECKPOINT_EVERY == 0 or (self._room is not None and self._room.scarce):
            self._copy(self._copied)

    def _close(self) -> None:
        try:
            self._database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            pass  # the log stays and is read at the next start
        self._database.close()
