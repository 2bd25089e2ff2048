"""The writer thread: commits whatever is waiting as one transaction and tells the loop thread, in order.

Commits are safe from the death of this process. What must survive a power loss is handed on to another thread
that syncs the log, so that nobody but who asked for that waits for the disk; what nobody may see before is
synced by the commit itself.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue

from runner_agent.store.draft import Delta
from runner_agent.store.schema import Database
from runner_agent.store.sqlite_archive import SqlArchive
from runner_agent.store.sqlite_errors import as_refusal
from runner_agent.store.sqlite_rows import Rows, write_rows
from runner_agent.store.sqlite_syncer import Syncer
from runner_agent.store.sqlite_timeline import TimelineWriter
from runner_agent.store.state import State


class WriterLane:
    """A `live.Lane`.

    Built on the loop thread; `database` is the writer thread's from then on, `reader` the loop's.
    """

    def __init__(self, database: Database, reader: SqlArchive, state: State[Rows]) -> None:
        """Starts the thread."""
        self.commits = 0
        """Transactions so far, for metrics."""
        self._database = database
        self._reader = reader
        self._state = state
        self._loop = asyncio.get_running_loop()
        self._turn: list[Delta[Rows]] = []
        self._inbox: SimpleQueue[list[Delta[Rows]] | None] = SimpleQueue()
        self._timeline = TimelineWriter()
        self._broken = -1
        self._synced: bool | None = None
        self._syncer: Syncer[Delta[Rows]] = Syncer(
            database.path, lambda deltas, error: self._tell(partial(state.confirm, deltas, error))
        )
        self._ended = self._loop.create_future()
        # A daemon thread, so that an agent that fails on its way down is not kept from ending.
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, delta: Delta[Rows]) -> None:
        """What is submitted in one turn of the loop is handed over at its end, and so committed as one."""
        self._turn.append(delta)
        if len(self._turn) == 1:
            self._loop.call_soon(self._hand_over)

    async def aclose(self) -> None:
        """Checkpoint, close, let go of the file."""
        self._hand_over()
        self._inbox.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()
        # The reader goes first, so that the last checkpoint finds nobody in its way.
        self._reader.close()
        await self._loop.run_in_executor(None, self._close)

    def _hand_over(self) -> None:
        if self._turn:
            turn, self._turn = self._turn, []
            self._inbox.put(turn)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    # ---------------------------------------------------------------- on the writer thread

    def _run(self) -> None:
        going = True
        while going:
            batch, going = self._take()
            batch = [delta for delta in batch if delta.epoch > self._broken]
            if not batch:
                continue
            try:
                self._commit(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer to those who wait
                # What else comes from this epoch rests on what has just failed. The loop undoes it all.
                self._broken = batch[-1].epoch
                refusal = partial(as_refusal, error, self._database.path)
                self._tell(partial(self._state.fail, self._broken, refusal))
            else:
                self._tell(partial(self._state.publish, batch, safe=bool(self._synced)))
                if not self._synced:
                    self._syncer.submit([delta for delta in batch if delta.durable])
        self._syncer.close()
        self._tell(self._end)

    def _take(self) -> tuple[list[Delta[Rows]], bool]:
        batch: list[Delta[Rows]] = []
        item = self._inbox.get()
        while item is not None:
            batch += item
            if self._inbox.empty():  # we are the only taker
                return batch, True
            item = self._inbox.get()
        return batch, False

    def _commit(self, batch: Sequence[Delta[Rows]]) -> None:
        self._sync_commits(any(delta.hidden for delta in batch))
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
            self.commits += 1
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _sync_commits(self, sync: bool) -> None:
        # FULL syncs the log at each commit, with all that earlier commits left unsynced. NORMAL does not.
        if sync is not self._synced:
            self._database.connection.execute(f"PRAGMA synchronous={'FULL' if sync else 'NORMAL'}")
            self._synced = sync

    def _close(self) -> None:
        try:
            self._database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            pass  # the log stays and is read at the next start
        self._database.close()

    def _tell(self, news: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(news)
        except RuntimeError:
            pass  # the loop has closed: nobody is left to be told
