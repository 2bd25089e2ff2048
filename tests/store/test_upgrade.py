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
        assert replace(found, born=Version(0), spec_version=Version(0), status_version=Version(0)) == record
        assert 0 < found.born <= found.spec_version
        assert found.spec_version > FIRST_REVISION
    assert [step.id for step in store.live_steps()] == ["step-1", "step-2"]
    assert [execution.id for execution in store.executions()] == ["execution-2", "execution-1"]
    assert store.get_meta("environment") == "3f1c6f0e-5a0e-4c57-9a57-0c3c1f9d2b11"
    assert bool(store.timeline(limit=1)) == (fixture.name > "schema-1.sql")
    made = await store.write(lambda tx: tx.put(a_task("task-2", reference="test")), durable=True)
    await store.aclose()

    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    connection.close()
    store = SqliteStore(path)
    assert store.tasks()[-1] == made, "what comes now is newer than all there was"
    assert store.timeline(limit=1)[0].entry.text == "created"
    await store.aclose()


async def test_schema_4_orders_what_there_was_by_its_times_and_forgets_whose_main_task_a_step_is(
    tmp_path: Path,
) -> None:
    """Rule 4.9. The last guess by the time of day."""
    path = tmp_path / "runner.db"
    connection = sqlite3.connect(path)
    connection.executescript((Path(__file__).parent / "fixtures/schema-3.sql").read_text())
    connection.execute("UPDATE step SET wish = json_set(wish, '$.main_of', 'execution-1')")
    connection.execute("UPDATE execution SET created_at = '2020' WHERE id = 'execution-2'")
    connection.commit()
    connection.close()
    store = SqliteStore(path, lambda: NOON)
    assert [execution.id for execution in store.executions()] == ["execution-1", "execution-2"]
    assert [step.reference for step in store.live_steps()] == ["build", "build"]
    assert [entry.id for entry in store.finished_executions()] == ["execution-2"]
    await store.aclose()
