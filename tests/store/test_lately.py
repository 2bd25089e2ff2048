"""Finished executions stay at hand for a while, and what is at hand is what the disk has."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner_agent.model.phases import ExecutionPhase
from runner_agent.model.records import Execution, ExecutionStatus
from runner_agent.store import lately
from runner_agent.store.lately import Lately
from runner_agent.store.sqlite import SqliteStore
from runner_agent.store.sqlite_archive import SqlArchive
from tests.support.records import NOON, an_execution


def finished(number: int) -> Execution:
    return replace(
        an_execution(f"execution-{number}"),
        status=ExecutionStatus(ExecutionPhase.SUCCEEDED),
        completed_at=NOON,
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "runner.db", lambda: NOON)
    yield opened
    await opened.aclose()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of executions that are read from the disk."""
    ids: list[str] = []
    really = SqlArchive._execution

    def noted(self: SqlArchive, row: tuple[str, ...]) -> Execution:
        ids.append(row[0])
        return really(self, row)

    monkeypatch.setattr(SqlArchive, "_execution", noted)
    return ids


async def put(store: SqliteStore, *records: Execution) -> None:
    await store.write(lambda tx: [tx.put(record) for record in records], durable=True)


async def test_what_has_just_ended_is_not_read_again(store: SqliteStore, read: list[str]) -> None:
    live = replace(finished(1), status=ExecutionStatus(ExecutionPhase.RUNNING), completed_at=None)
    await put(store, live)
    await put(store, finished(1))
    (listed,) = store.executions()
    assert listed.status.phase is ExecutionPhase.SUCCEEDED
    assert store.get(Execution, listed.id) is listed
    assert read == []


async def test_what_was_read_is_not_read_again(tmp_path: Path, read: list[str]) -> None:
    first = SqliteStore(tmp_path / "agent.db", lambda: NOON)
    await put(first, finished(1), finished(2))
    before = first.executions()
    await first.aclose()
    again = SqliteStore(tmp_path / "agent.db", lambda: NOON)
    assert again.executions() == before
    assert again.executions() == before
    assert len(read) == 2
    await again.aclose()


async def test_what_was_deleted_or_changed_is_not_shown_as_it_was(store: SqliteStore) -> None:
    await put(store, finished(1), finished(2))
    one, other = store.executions()
    await store.write(lambda tx: tx.delete(one.key), durable=True)
    assert store.get(Execution, one.id) is None
    assert [each.id for each in store.executions()] == [other.id]
    await put(store, replace(other, status=ExecutionStatus(ExecutionPhase.FAILED, "because")))
    assert [each.status.failure_message for each in store.executions()] == ["because"]


async def test_a_change_that_was_refused_leaves_it_as_it_was(store: SqliteStore) -> None:
    await put(store, finished(1))
    (before,) = store.executions()

    def change(tx: object) -> None:
        tx.delete(before.key)  # type: ignore[attr-defined]
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(change, durable=True)
    assert store.executions() == [before]


def test_only_so_many_are_kept_and_the_one_not_asked_for_longest_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some = [finished(number) for number in range(4)]
    monkeypatch.setattr(lately, "MOST", 3 * (1 + len(some[0].plan.steps())))
    kept = Lately()
    for one in some[:3]:
        kept.learn(one.id, one)
    assert kept.get(some[0].id) is some[0]
    kept.learn(some[3].id, some[3])
    assert [kept.get(one.id) is one for one in some] == [True, False, True, True]
    kept.learn(some[0].id, None)
    kept.learn(
        some[2].id, replace(some[2], status=ExecutionStatus(ExecutionPhase.RUNNING), completed_at=None)
    )
    assert [kept.get(one.id) for one in some[:3]] == [None, None, None]
