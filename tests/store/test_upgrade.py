"""Databases of every released schema are read as they were written (fixtures/schema-N.sql)."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from runner_agent.model.ids import Version
from runner_agent.model.phases import ExecutionPhase
from runner_agent.model.records import Record
from runner_agent.store.base import FIRST_REVISION
from runner_agent.store.schema import SCHEMA
from runner_agent.store.sqlite import SqliteStore
from tests.support.records import (
    NOON,
    a_firing,
    a_running_service,
    a_running_step,
    a_service,
    a_step,
    a_task,
    an_execution,
)

FIXTURES = sorted(Path(__file__).with_name("fixtures").glob("schema-*.sql"))

RECORDS: tuple[Record, ...] = (
    a_service("service-2", reference="api"),
    a_running_service(),
    a_task(),
    an_execution(phase=ExecutionPhase.RUNNING, steps=("step-1", "step-2")),
    an_execution("execution-2", minute=5, phase=ExecutionPhase.FAILED, steps=("step-2",)),
    a_running_step(),
    a_step("step-2", members=("execution-1", "execution-2")),
    a_firing(once_key="start-1"),
)
"""What the fixtures hold."""


def test_every_schema_has_its_fixture() -> None:
    assert [path.name for path in FIXTURES] == [f"schema-{number}.sql" for number in range(1, SCHEMA + 1)]


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)
async def test_an_older_database_is_read_and_written(fixture: Path, tmp_path: Path) -> None:
    path = tmp_path / "runner.db"
    connection = sqlite3.connect(path)
    connection.executescript(fixture.read_text())
    connection.close()

    store = SqliteStore(path, lambda: NOON)
    for record in RECORDS:
        found = store.get(type(record), record.id)
        assert found is not None
        assert replace(found, spec_version=Version(0), status_version=Version(0)) == record
        assert found.spec_version > FIRST_REVISION
    assert [step.id for step in store.live_steps()] == ["step-1", "step-2"]
    assert store.get_meta("environment") == "3f1c6f0e-5a0e-4c57-9a57-0c3c1f9d2b11"
    assert bool(store.timeline(limit=1)) == (fixture.name > "schema-1.sql")
    made = await store.write(lambda tx: tx.put(a_task("task-2", reference="test")), durable=True)
    await store.aclose()

    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    connection.close()
    store = SqliteStore(path)
    assert made in store.tasks()
    assert store.timeline(limit=1)[0].entry.text == "created"
    await store.aclose()
