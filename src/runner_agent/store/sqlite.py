"""The store on disk: the shared state machine over one SQLite file."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

from runner_agent.store.happened import Wall
from runner_agent.store.live import LiveStore
from runner_agent.store.schema import open_database
from runner_agent.store.sqlite_archive import SqlArchive
from runner_agent.store.sqlite_rows import Rows, rows
from runner_agent.store.sqlite_seal import seal
from runner_agent.store.sqlite_writer import WriterLane
from runner_agent.store.state import State


class SqliteStore(LiveStore[Rows]):
    """A `base.Store` in one file, which this process has for itself while it is open."""

    def __init__(self, path: Path, wall: Wall | None = None) -> None:
        """Open or create, on the running loop. Raises StoreUnusable or Unavailable (rule 7.4).

        `wall`: the time of day, if it is to keep a timeline.
        """
        with ExitStack() as undo:
            database = open_database(path)
            undo.callback(database.close)
            reader = SqlArchive(path)
            undo.callback(reader.close)
            state = State(
                reader,
                rows,
                reserved=reader.reserved(),
                meta=reader.meta(),
                hot=reader.hot(),
                wall=wall,
            )
            self._writer = WriterLane(database, reader, state)
            undo.pop_all()
        self._path = path
        super().__init__(state, self._writer)

    async def seal(self) -> None:
        """See `base.Store`."""
        await asyncio.get_running_loop().run_in_executor(None, seal, self._path)

    @property
    def commits(self) -> int:
        """Transactions committed so far."""
        return self._writer.commits
