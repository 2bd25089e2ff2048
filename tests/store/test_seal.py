"""Sealing: a store that may be copied while it is open (rule 6.5)."""

from __future__ import annotations

import shutil
from pathlib import Path

from runner_agent.model.records import Firing, Service
from runner_agent.store.base import Store
from runner_agent.store.sqlite import SqliteStore
from tests.store.conftest import open_store
from tests.support.records import a_firing, a_service


async def test_rule_6_5_the_timeline_goes_and_the_records_stay(store: Store) -> None:
    service = await store.write(lambda tx: tx.put(a_service()), durable=True)
    assert list(store.timeline(limit=9))
    await store.seal()
    assert list(store.timeline(limit=9)) == []
    assert store.get(Service, service.id) == service
    await store.write(lambda tx: tx.put(a_firing()), durable=True)
    assert [one.entry.key.id for one in store.timeline(limit=9)] == [a_firing().id], "it goes on"
    await store.seal()
    await store.seal()


async def test_rule_6_5_the_file_alone_holds_everything(tmp_path: Path) -> None:
    """A copy of it, without its log, taken while the store is open."""
    store = open_store("sqlite", tmp_path)
    try:
        service = await store.write(lambda tx: tx.put(a_service()), durable=True)
        firing = await store.write(lambda tx: tx.put(a_firing()), durable=False)
        await store.set_meta("name", "value")
        await store.seal()
        assert (tmp_path / "runner.db-wal").stat().st_size == 0
        copy = tmp_path / "copy"
        copy.mkdir()
        shutil.copy(tmp_path / "runner.db", copy / "runner.db")
    finally:
        await store.aclose()
    other = SqliteStore(copy / "runner.db")
    try:
        assert other.get(Service, service.id) == service
        assert other.get(Firing, firing.id) == firing
        assert other.get_meta("name") == "value"
    finally:
        await other.aclose()
