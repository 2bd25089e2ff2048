"""The timeline on disk: appended to with each commit that tells something, cut at its far end at times."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from runner_agent.core.timeline import Entry
from runner_agent.store.base import Happening, timestamp
from runner_agent.store.codec import encoder
from runner_agent.store.happened import KEPT, SPARE

_COLUMNS = ("at", "version", "id", "reference", "entry")
_APPEND = f"INSERT INTO timeline ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_CUT = "DELETE FROM timeline WHERE place <= (SELECT max(place) FROM timeline) - ?"

SELECT = "SELECT place, at, version, entry FROM timeline"


class TimelineWriter:
    """Keeps the newest."""

    def __init__(self) -> None:
        """How many there are is not known, so the first append cuts."""
        self._spare = SPARE

    def append(self, connection: sqlite3.Connection, happened: Iterable[Happening]) -> None:
        """Inside the caller's transaction."""
        rows = [_row(one) for one in happened]
        if not rows:
            return
        connection.executemany(_APPEND, rows)
        self._spare += len(rows)
        if self._spare >= SPARE:
            connection.execute(_CUT, (KEPT,))
            self._spare = 0


def question(id_: str, reference: str, after: int | None, limit: int) -> tuple[str, Sequence[str | int]]:
    """The statement that asks, newest first, and its values."""
    where: dict[str, str | int] = {}
    if id_:
        where["id = ?"] = id_
    if reference:
        where["reference = ?"] = reference
    if after is not None:
        where["place < ?"] = after
    asked = f" WHERE {' AND '.join(where)}" if where else ""
    return f"{SELECT}{asked} ORDER BY place DESC LIMIT {limit}", list(where.values())


def _row(one: Happening) -> tuple[str, int, str, str, str]:
    return timestamp(one.at), one.version, one.entry.key.id, one.entry.reference, _encode()(one.entry)


@cache
def _encode() -> Callable[[Entry], str]:
    return encoder(Entry)
