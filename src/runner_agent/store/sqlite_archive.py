"""Reading the database: the archive's questions, and what memory is to hold from the start."""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from runner_agent.core.timeline import Entry
from runner_agent.model.errors import StoreUnusable, Unavailable
from runner_agent.model.ids import BootMark, ExecutionId, TaskId, Version
from runner_agent.model.phases import Trigger
from runner_agent.model.plans import Plan
from runner_agent.model.records import Execution, Firing, Key, Kind, Record, Service, Step, StepProgress, Task
from runner_agent.store.base import Finished, Happening, R
from runner_agent.store.codec import decoder
from runner_agent.store.lately import Lately
from runner_agent.store.scalars import Unreadable
from runner_agent.store.schema import connect
from runner_agent.store.sqlite_errors import as_unusable, way_out
from runner_agent.store.sqlite_rows import once_text
from runner_agent.store.sqlite_timeline import question
from runner_agent.store.tables import planned_steps

T = TypeVar("T")

_COLUMNS = {
    Kind.SERVICE: "wish, run",
    Kind.TASK: "wish",
    Kind.EXECUTION: "wish, run",
    Kind.STEP: "wish, run",
    Kind.FIRING: "wish",
}
_ROW = {
    kind: f"SELECT id, born, spec_version, status_version, {columns} FROM {kind.value}"  # noqa: S608
    for kind, columns in _COLUMNS.items()
}


class SqlArchive:
    """An `archive.Archive` on a connection of its own, for the loop thread."""

    def __init__(self, path: Path) -> None:
        """The database exists and is verified."""
        self._path = path
        self._closed = False
        self._lately = Lately()
        self._connection = connect(path)
        self._connection.execute("PRAGMA query_only=ON")

    def close(self) -> None:
        """No more questions. A second time does nothing."""
        self._closed = True
        self._connection.close()

    # ---------------------------------------------------------------- at the start

    def reserved(self) -> Version:
        """Revisions up to here may have been published."""
        ((reserved,),) = self._rows("SELECT reserved FROM counter")
        return Version(reserved)

    def meta(self) -> dict[str, str]:
        """All facts about the store."""
        return dict(self._rows("SELECT name, value FROM meta"))

    def hot(self) -> Iterator[Record]:
        """What `tables.Tables.is_hot` keeps."""
        for row in self._rows(_ROW[Kind.SERVICE]):
            yield self._decode(Service, row)
        for row in self._rows(_ROW[Kind.TASK]):
            yield self._decode(Task, row)
        wanted: dict[str, None] = {}
        for row in self._rows(_ROW[Kind.EXECUTION] + " WHERE ended_at IS NULL"):
            execution = self._execution(row)
            wanted.update(dict.fromkeys(planned_steps(execution)))
            yield execution
        for row in self._rows(_ROW[Kind.STEP] + " WHERE has_process"):
            wanted.pop(row[0], None)
            yield self._decode(Step, row)
        for id_ in wanted:
            step = self.get(Key(Kind.STEP, id_))
            if step is not None:
                yield step

    # ---------------------------------------------------------------- Archive

    def learn(self, key: Key, record: Record | None) -> None:
        """See `archive.Archive`, here and below."""
        if key.kind is Kind.EXECUTION:
            self._lately.learn(key.id, record)

    def get(self, key: Key) -> Record | None:
        """From what was read lately, else from the disk."""
        if key.kind is not Kind.EXECUTION:
            return self._read_one(key)
        record: Record | None = self._lately.get(key.id)
        if record is None:
            record = self._read_one(key)
            self._lately.learn(key.id, record)
        return record

    def _read_one(self, key: Key) -> Record | None:
        for row in self._rows(_ROW[key.kind] + " WHERE id = ?", (key.id,)):
            match key.kind:
                case Kind.SERVICE:
                    return self._decode(Service, row)
                case Kind.TASK:
                    return self._decode(Task, row)
                case Kind.EXECUTION:
                    return self._execution(row)
                case Kind.STEP:
                    return self._decode(Step, row)
                case Kind.FIRING:
                    return self._decode(Firing, row)
        return None

    def executions(
        self, *, task: str | None, after: Version | None, limit: int | None, skip: Collection[str]
    ) -> Sequence[Execution]:
        """Ids first, from an index; then only the records asked for."""
        where = ["true"]
        values: list[str | int] = []
        if task is not None:
            where.append("task_id = ?")
            values.append(task)
        if after is not None:
            where.append("born < ?")
            values.append(after)
        ids = self._ids(
            f"SELECT id FROM execution WHERE {' AND '.join(where)} ORDER BY born DESC",  # noqa: S608
            values,
            limit=limit,
            skip=skip,
        )
        found = (self.get(Key(Kind.EXECUTION, id_)) for id_ in ids)
        return [record for record in found if isinstance(record, Execution)]

    def finished_executions(self, *, task: str | None, skip: Collection[str]) -> Sequence[Finished]:
        """From an index alone."""
        ended = "SELECT id, task_id, status_version FROM execution WHERE ended_at IS NOT NULL"
        rows = self._rows(ended) if task is None else self._rows(ended + " AND task_id = ?", (task,))
        return [
            Finished(ExecutionId(id_), TaskId(task_id), Version(ended))
            for id_, task_id, ended in rows
            if id_ not in skip
        ]

    def firings(self, *, limit: int, skip: Collection[str]) -> Sequence[Firing]:
        """By an index."""
        ids = self._ids("SELECT id FROM firing ORDER BY born DESC", (), limit=limit, skip=skip)
        found = (self.get(Key(Kind.FIRING, id_)) for id_ in ids)
        return [record for record in found if isinstance(record, Firing)]

    def firing_once(
        self, *, boot: BootMark, event: Trigger, once_key: str, skip: Collection[str]
    ) -> Firing | None:
        """By an index."""
        where = " WHERE boot = ? AND event = ? AND once_key = ?"
        for row in self._rows(_ROW[Kind.FIRING] + where, (boot, event.value, once_text(once_key))):
            if row[0] not in skip:
                return self._decode(Firing, row)
        return None

    def timeline(self, *, id_: str, reference: str, after: int | None, limit: int) -> Sequence[Happening]:
        """By looking at all of them, newest first, until there are enough."""
        return [
            Happening(
                datetime.fromisoformat(at), Version(version), self._read(Entry, str(place), text), place
            )
            for place, at, version, text in self._rows(*question(id_, reference, after, limit))
        ]

    # ---------------------------------------------------------------- rows

    def _rows(self, statement: str, values: Sequence[str | int] = ()) -> list[Any]:
        if self._closed:
            raise Unavailable("the store cannot be read: it is closed, since the agent is stopping")
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise as_unusable(error, self._path) from error

    def _ids(
        self, statement: str, values: Sequence[str | int], *, limit: int | None, skip: Collection[str]
    ) -> list[str]:
        # So many rows at most can be left out that this many are enough.
        bound = "" if limit is None else f" LIMIT {limit + len(skip)}"
        return [id_ for (id_,) in self._rows(statement + bound, values) if id_ not in skip][:limit]

    def _decode(self, kind: type[R], row: Any, **ready: object) -> R:
        id_, born, spec_version, status_version, *texts = row
        versions = {"born": born, "spec_version": spec_version, "status_version": status_version}
        return self._read(kind, id_, *texts, **versions, **ready)

    def _execution(self, row: Any) -> Execution:
        id_ = row[0]
        progress = "SELECT step_id, progress FROM progress WHERE execution_id = ? ORDER BY rowid"
        steps = {step: self._read(StepProgress, id_, text) for step, text in self._rows(progress, (id_,))}
        for (text,) in self._rows("SELECT plan FROM plan WHERE execution_id = ?", (id_,)):
            return self._decode(Execution, row, plan=self._read(Plan, id_, text), steps=steps)
        raise StoreUnusable(
            f"the database {self._path} is damaged: execution {id_} has no plan. {way_out(self._path)}"
        )

    def _read(self, kind: type[T], id_: str, *texts: str, **ready: object) -> T:
        try:
            return decoder(kind)(*texts, **ready)
        except Unreadable as error:
            raise StoreUnusable(
                f"the database {self._path} cannot be read: {kind.__name__} {id_}: {error};"
                f" it may come from a newer runner-agent: run that version or a later one."
                f" {way_out(self._path)}"
            ) from error
