"""The syncer thread: makes what is committed survive a power loss, for all who wait for that at once."""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Generic, TypeVar

from runner_agent.model.errors import Unavailable

T = TypeVar("T")


class Syncer(Generic[T]):
    """Syncs SQLite's write-ahead log, which is what SQLite does for a commit with `synchronous=FULL`.

    SQLite writes its log from the start again once it has copied it to the database, and syncs both for that,
    so a commit is safe after a sync of the log wherever it stands then. It holds no locks on the log: opening
    and closing it here does no harm. The log is one file for as long as the database is open.
    """

    def __init__(self, database: Path, done: Callable[[Sequence[T], Exception | None], None]) -> None:
        """Starts the thread, which calls `done`: with what is safe, or with an error and what may not be."""
        self._log = database.with_name(f"{database.name}-wal")
        self._done = done
        self._fd = -1
        self._inbox: SimpleQueue[Sequence[T] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-syncer", daemon=True)
        self._thread.start()

    def submit(self, committed: Sequence[T]) -> None:
        """These are committed. Returns at once."""
        if committed:
            self._inbox.put(committed)

    def close(self) -> None:
        """Sync what was submitted, and end."""
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        going = True
        while going:
            waiting: list[T] = []
            item = self._inbox.get()
            while item is not None:
                waiting += item
                if self._inbox.empty():  # we are the only taker
                    break
                item = self._inbox.get()
            going = item is not None
            if waiting:
                self._done(waiting, self._sync())
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
