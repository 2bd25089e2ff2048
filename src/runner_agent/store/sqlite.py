"""The store on disk: the shared state machine over one SQLite file."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from runner_agent.model.records import Key
from runner_agent.store.draft import Edit
from runner_agent.store.happened import Wall
from runner_agent.store.live import LiveStore
from runner_agent.store.schema import open_database
from runner_agent.store.sqlite_archive import SqlArchive
from runner_agent.store.sqlite_errors import no_room_to_begin
from runner_agent.store.sqlite_room import Room
from runner_agent.store.sqlite_rows import Rows, rows
from runner_agent.store.sqlite_seal import seal
from runner_agent.store.sqlite_writer import WriterLane
from runner_agent.store.state import State, begins


class SqliteStore(LiveStore[Rows]):
    """A `base.Store` in one file, which this process has for itself while it is open."""

    def __init__(self, path: Path, wall: Wall | None = None, *, keep_room: bool = False) -> None:
        """Open or create, on the running loop. Raises StoreUnusable or Unavailable (rule 7.4).

        `wall`: the time of day, if it is to keep a timeline. `keep_room`: on the disk, for ends and stops
        (rule 7.6); where that is scarce, nothing is begun.
        """
        room = Room(path) if keep_room else None
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
                admit=partial(_admit, room, path) if room is not None else None,
            )
            self._writer = WriterLane(database, reader, state, room)
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


def _admit(room: Room, path: Path, edits: Mapping[Key, Edit]) -> None:
    """What room there is, is for ends and stops. Raises ResourceExhausted."""
    if any(begins(edit) for edit in edits.values()):
        room.look()
        if room.scarce or room.few_files:
            raise no_room_to_begin(path, files=not room.scarce)
