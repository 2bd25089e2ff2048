"""Edits as rows: what a write changes in which table, merged over a batch."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from runner_agent.model.ids import PlanStepId
from runner_agent.model.plans import Plan
from runner_agent.model.records import Execution, Firing, Key, Kind, Record, Service, Step, StepProgress, Task
from runner_agent.store.base import timestamp
from runner_agent.store.codec import encoder
from runner_agent.store.draft import Edit
from runner_agent.store.layout import RUN_FIELDS, WISH_FIELDS, run_half_moved
from runner_agent.store.tables import has_process, is_live

Value = str | int | None


class Table(NamedTuple):
    """`kept` columns keep what they hold where a row says None; `given` columns are always said."""

    keys: tuple[str, ...]
    kept: tuple[str, ...]
    given: tuple[str, ...] = ()


_VERSIONS = ("born", "spec_version", "status_version")

TABLES: Mapping[str, Table] = {
    "service": Table(("id",), ("wish", "run"), _VERSIONS),
    "task": Table(("id",), ("wish",), _VERSIONS),
    "execution": Table(("id",), ("task_id", "wish", "run"), ("ended_at", *_VERSIONS)),
    "plan": Table(("execution_id",), ("plan",)),
    "progress": Table(("execution_id", "step_id"), ("progress",)),
    "step": Table(("id",), ("wish", "run"), ("has_process", *_VERSIONS)),
    "firing": Table(("id",), ("boot", "event", "once_key", "wish"), _VERSIONS),
}


class Put(NamedTuple):
    """Insert, or change what is not None."""

    table: str
    row: Sequence[Value]


class Drop(NamedTuple):
    """Delete all rows of a record: those whose first key column is `id`."""

    table: str
    id: str


Rows = Sequence[Put | Drop]


# ---------------------------------------------------------------- from edits

_TABLES_OF: Mapping[Kind, tuple[str, ...]] = {
    Kind.SERVICE: ("service",),
    Kind.TASK: ("task",),
    Kind.EXECUTION: ("execution", "plan", "progress"),
    Kind.STEP: ("step",),
    Kind.FIRING: ("firing",),
}


def rows(edits: Mapping[Key, Edit]) -> Rows:
    """What these edits change on disk. Raises TypeError for a record that could not be read again."""
    return [row for key, edit in edits.items() for row in _rows(key, edit)]


def _rows(key: Key, edit: Edit) -> Iterator[Put | Drop]:
    before, after = edit.before, edit.after
    if after is None:
        for table in _TABLES_OF[key.kind]:
            yield Drop(table, key.id)
        return
    new = before is None
    wish = _wish(key.kind)(after) if new or edit.change.wish_moved else None
    run = _run(key.kind)(after) if before is None or run_half_moved(key.kind, before, after) else None
    versions = after.born, after.spec_version, after.status_version
    match after:
        case Service():
            yield Put("service", (after.id, wish, run, *versions))
        case Task():
            yield Put("task", (after.id, wish, *versions))
        case Execution():
            ended_at = None if is_live(after) else timestamp(after.completed_at or after.created_at)
            yield Put("execution", (after.id, after.task_id, wish, run, ended_at, *versions))
            yield from _parts(before if isinstance(before, Execution) else None, after)
        case Step():
            yield Put("step", (after.id, wish, run, int(has_process(after)), *versions))
        case Firing():
            found_by = after.boot, after.event.value, once_text(after.once_key)
            yield Put("firing", (after.id, *found_by, wish, *versions))


def _parts(before: Execution | None, after: Execution) -> Iterator[Put | Drop]:
    known: Mapping[PlanStepId, StepProgress] = before.steps if before is not None else {}
    if before is None or before.plan != after.plan:
        yield Put("plan", (after.id, _plan()(after.plan)))
    if not known.keys() <= after.steps.keys():
        yield Drop("progress", after.id)
        known = {}
    for step_id, progress in after.steps.items():
        if (was := known.get(step_id)) is not progress and was != progress:
            yield Put("progress", (after.id, step_id, _progress()(progress)))


def once_text(once_key: str) -> str:
    """As the column has it: ASCII whatever a client sent."""
    return json.dumps(once_key)


# Encoders are compiled when first needed: a start with nothing to write should not wait for them.

_TYPES: Mapping[Kind, type[Record]] = {
    Kind.SERVICE: Service,
    Kind.TASK: Task,
    Kind.EXECUTION: Execution,
    Kind.STEP: Step,
    Kind.FIRING: Firing,
}


@cache
def _wish(kind: Kind) -> Callable[[Record], str]:
    return encoder(_TYPES[kind], WISH_FIELDS[kind])


@cache
def _run(kind: Kind) -> Callable[[Record], str]:
    return encoder(_TYPES[kind], RUN_FIELDS[kind])


@cache
def _plan() -> Callable[[Plan], str]:
    return encoder(Plan)


@cache
def _progress() -> Callable[[StepProgress], str]:
    return encoder(StepProgress)


# ---------------------------------------------------------------- to disk


def write_rows(connection: sqlite3.Connection, batch: Iterable[Rows]) -> None:
    """All of these, in order. Inside the caller's transaction."""
    puts: dict[str, dict[tuple[Value, ...], Sequence[Value]]] = {}
    drops: dict[str, dict[str, None]] = {}
    for change in batch:
        for op in change:
            of_table = puts.setdefault(op.table, {})
            if isinstance(op, Drop):
                # What was put before goes with it; what is put later comes after all drops.
                drops.setdefault(op.table, {})[op.id] = None
                for key in [key for key in of_table if key[0] == op.id]:
                    del of_table[key]
            else:
                key = tuple(op.row[: len(TABLES[op.table].keys)])
                known = of_table.get(key)
                of_table[key] = op.row if known is None else _merge(op.table, known, op.row)
    for table, ids in drops.items():
        connection.executemany(_drop_statement(table), [(id_,) for id_ in ids])
    for table, of_table in puts.items():
        if of_table:
            connection.executemany(_put_statement(table), of_table.values())


def _merge(table: str, known: Sequence[Value], row: Sequence[Value]) -> Sequence[Value]:
    keys, kept, _ = TABLES[table]
    end = len(keys) + len(kept)
    return [
        *(old if new is None else new for old, new in zip(known[:end], row[:end], strict=True)),
        *row[end:],
    ]


@cache
def _put_statement(table: str) -> str:
    keys, kept, given = TABLES[table]
    columns = (*keys, *kept, *given)
    changes = [f"{name} = coalesce(excluded.{name}, {name})" for name in kept]
    changes += [f"{name} = excluded.{name}" for name in given]
    values = ", ".join("?" * len(columns))
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"  # noqa: S608
        f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {', '.join(changes)}"
    )


@cache
def _drop_statement(table: str) -> str:
    return f"DELETE FROM {table} WHERE {TABLES[table].keys[0]} = ?"  # noqa: S608
