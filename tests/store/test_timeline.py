"""The timeline of a store: written with the change itself, newest first, and never more than enough of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from runner_agent.model.errors import ResourceExhausted
from runner_agent.model.phases import ServicePhase
from runner_agent.model.records import Key, Service, ServiceStatus
from runner_agent.store import memory, sqlite_timeline
from runner_agent.store.memory import MemoryStore
from runner_agent.store.sqlite import SqliteStore
from tests.store.conftest import KINDS, breaking, open_store
from tests.support.records import NOON, a_running_service, a_service, a_task, an_execution, minutes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner_agent.model.records import Record
    from runner_agent.store.base import Store, Transaction


def put(*records: Record) -> Callable[[Transaction], None]:
    def change(tx: Transaction) -> None:
        for record in records:
            tx.put(record)

    return change


def delete(*keys: Key) -> Callable[[Transaction], None]:
    def change(tx: Transaction) -> None:
        for key in keys:
            tx.delete(key)

    return change


async def move(store: Store, number: int) -> None:
    """A move of the one service's status."""
    status = ServiceStatus(ServicePhase.FAILED, f"failure {number}")
    await store.write(put(replace(a_service(), status=status)), durable=False)


def texts(store: Store, *, id_: str = "", reference: str = "") -> list[str]:
    return [one.entry.text for one in store.timeline(id_=id_, reference=reference, limit=100)]


async def test_a_change_is_told_with_its_version_and_time(store: Store) -> None:
    await store.write(put(a_service()), durable=True)
    await move(store, 1)
    service = store.get(Service, a_service().id)
    assert service is not None
    failed, created = store.timeline(limit=10)
    assert (created.entry.text, created.version) == ("created", service.spec_version)
    assert (failed.entry.phase, failed.version, failed.at) == ("FAILED", service.status_version, NOON)
    assert failed.place > created.place


async def test_notes_that_nobody_sees_are_not_told(store: Store) -> None:
    """As most writes of a run are."""
    running = a_running_service()
    await store.write(put(running), durable=True)
    known = len(store.timeline(limit=100))
    assert running.run is not None
    await store.write(put(replace(running, run=replace(running.run, attempts=9))), durable=False)
    assert len(store.timeline(limit=100)) == known


async def test_a_deletion_is_told_with_the_revision_it_was_given(store: Store) -> None:
    await store.write(put(a_service()), durable=True)
    await store.write(delete(a_service().key), durable=True)
    newest = store.timeline(limit=1)[0]
    assert (newest.entry.text, newest.entry.phase, newest.version) == ("deleted", "DELETED", store.revision)


async def test_the_timeline_of_one_thing(store: Store) -> None:
    """A task's executions go by its reference."""
    await store.write(put(a_service(), a_task(), an_execution()), durable=True)
    assert texts(store, reference="web") == ["created"]
    assert texts(store, reference="build") == ["created by manual", "created"]
    assert texts(store, id_="execution-1") == ["created by manual"]
    assert texts(store, id_="nothing") == []


async def test_it_comes_in_pages_that_stay_as_they_are(store: Store) -> None:
    await store.write(put(a_service()), durable=True)
    for number in range(5):
        await move(store, number)
    first = store.timeline(limit=2)
    await move(store, 5)
    rest = store.timeline(after=first[-1].place, limit=100)
    assert [one.entry.text for one in (*first, *rest)] == [
        *(f"failure {number}" for number in (4, 3, 2, 1)),
        "STOPPED -> FAILED: failure 0",
        "created",
    ]


async def test_what_was_refused_has_not_happened(store: Store) -> None:
    """Rule 7.4: the entry and the change are one transaction."""
    with breaking(store), pytest.raises(ResourceExhausted):
        await store.write(put(a_service()), durable=True)
    assert store.timeline(limit=10) == []
    await store.write(put(a_task()), durable=True)
    assert texts(store) == ["created"]


async def test_the_oldest_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between KEPT and KEPT + SPARE of them are there, once there were so many."""
    monkeypatch.setattr(sqlite_timeline, "KEPT", 20)
    monkeypatch.setattr(sqlite_timeline, "SPARE", 5)
    monkeypatch.setattr(memory, "KEPT", 20)
    for kind in KINDS:
        store = open_store(kind, tmp_path)
        await store.write(put(a_service()), durable=True)
        for number in range(60):
            await move(store, number)
            assert len(store.timeline(limit=100)) <= 25
        found = texts(store)
        assert len(found) >= 20
        assert found[0] == "failure 59"
        await store.aclose()


async def test_it_survives_a_restart(tmp_path: Path) -> None:
    store = open_store("sqlite", tmp_path)
    await store.write(put(a_service()), durable=True)
    await move(store, 1)
    before = store.timeline(limit=10)
    await store.aclose()
    store = open_store("sqlite", tmp_path)
    assert store.timeline(limit=10) == before
    await move(store, 2)
    newest = store.timeline(limit=1)[0]
    assert (newest.entry.text, newest.place) == ("failure 2", before[0].place + 1)
    await store.aclose()


async def test_without_a_clock_there_is_none(tmp_path: Path) -> None:
    for store in (MemoryStore(), SqliteStore(tmp_path / "runner.db")):
        await store.write(put(a_service()), durable=True)
        assert store.timeline(limit=10) == []
        await store.aclose()


async def test_a_wall_clock_that_jumps_back_changes_no_order(tmp_path: Path) -> None:
    """Times are for display only; the place says what came first."""
    times = [minutes(5), minutes(1)]
    for store in (
        MemoryStore(iter(times).__next__),
        SqliteStore(tmp_path / "runner.db", iter(times).__next__),
    ):
        await store.write(put(a_service()), durable=True)
        await move(store, 1)
        assert [one.at for one in store.timeline(limit=10)] == times[::-1]
        await store.aclose()
