"""Making the database fit to be copied into an image: one file, on disk, without the timeline."""

import sqlite3
from contextlib import closing
from pathlib import Path

from runner_agent.model.errors import Unavailable
from runner_agent.store.schema import connect
from runner_agent.store.sqlite_errors import as_refusal


def seal(path: Path) -> None:
    """Forget the timeline; bring what the log holds into the database and empty the log. The database is
    open elsewhere in this process, and stays so. Blocks; belongs on a thread of its own.

    Raises ResourceExhausted, Unavailable.
    """
    with closing(connect(path)) as connection:
        try:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("DELETE FROM timeline")
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            raise as_refusal(error, path) from error
    if busy:
        raise Unavailable(
            f"{path} cannot be made one file: another program reads it; let that end and try again"
        )
