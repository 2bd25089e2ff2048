"""What only the store on disk does: group commit, reserved revisions, cold records, full disks."""

import asyncio
import errno
import os
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from runner_agent.model.errors import ResourceExhausted, Unavailable
from runner_agent.model.phases import ExecutionPhase, ServicePhase
from runner_agent.model.records import Execution, Record, Service, ServiceStatus, StepProgress, StepStatus
from runner_agent.store.base import FIRST_REVISION, Transaction
from runner_agent.store.sqlite import SqliteStore
from runner_agent.store.state import BLOCK
from tests.support.records import (
    a_running_service,
    a_running_step,
    a_service,
    a_step,
    a_task,
    an_execution,
)


def put(*records: Record) -> Callable[[Transaction], None]:
    """A change that puts these."""

    def change(tx: Transaction) -> None:
        for record in records:
            tx.put(record)

    return change


@contextmanager
def looking(path: Path) -> Generator[sqlite3.Connection]:
    """At the file, from outside."""
    connection = sqlite3.connect(path)
    try:
        yield connection
    finally:
        connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of the database."""
    return tmp_path / "runner.db"


# ---------------------------------------------------------------- commits


async def test_concurrent_durable_writes_share_their_commits(path: Path) -> None:
    store = SqliteStore(path)
    before = store.commits
    writes = (store.write(put(a_service(f"s{n}", minute=n)), durable=True) for n in range(200))
    await asyncio.gather(*writes)
    assert len(store.services()) == 200
    assert store.commits - before <= 3
    await store.aclose()


class HeldSyncs:
    """A disk that confirms nothing until it is let go, or refuses to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.let_go = threading.Event()
        self.error: OSError | None = None
        self.syncs = 0
        monkeypatch.setattr("runner_agent.store.sqlite_syncer.os.fdatasync", self._sync)

    def _sync(self, _: int) -> None:
        assert self.let_go.wait(10)
        self.syncs += 1
        if self.error is not None:
            raise self.error


async def test_what_must_not_be_seen_before_it_is_safe_is_held_until_it_is_synced(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 1.5. What is asked for meanwhile comes after it."""
    store, disk = SqliteStore(path), HeldSyncs(monkeypatch)
    first = asyncio.ensure_future(store.write(put(a_service("a")), durable=False))  # it reserves revisions
    later = asyncio.ensure_future(store.write(put(a_service("b")), durable=False))
    await asyncio.sleep(0)
    watch = store.watch()
    third = asyncio.ensure_future(store.write(put(a_service("c")), durable=False))
    news = asyncio.ensure_future(watch.changes())
    await asyncio.wait([first, later, third, news], timeout=0.05)
    assert not any(one.done() for one in (first, later, third, news))
    assert store.services() == []
    disk.let_go.set()
    await asyncio.gather(first, later, third, news)
    disk.let_go.clear()
    end = asyncio.ensure_future(store.write(put(a_service("d")), durable=True, hidden=True))
    await asyncio.wait([end], timeout=0.05)
    assert store.get(Service, "d") is None
    disk.let_go.set()
    await end
    assert store.get(Service, "d") is not None
    await store.aclose()


async def test_a_durable_write_is_seen_before_it_is_acknowledged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 7.4: only who asked for it waits for the disk, with everybody who builds a promise on it."""
    store = SqliteStore(path)
    await store.write(put(a_service("first")), durable=False)  # reserves revisions, and waits for that
    disk = HeldSyncs(monkeypatch)
    wish = asyncio.ensure_future(store.write(put(a_service("a")), durable=True))
    await store.write(put(a_task()), durable=False)
    assert store.get(Service, "a") is not None
    no_op = asyncio.ensure_future(store.write(lambda tx: tx.get(Service, "a"), durable=True))
    await store.write(lambda _: None, durable=False)
    assert not wish.done()
    assert not no_op.done(), "it has seen what may still be lost"
    disk.let_go.set()
    await wish
    assert (await no_op) is not None
    assert 1 <= disk.syncs <= 2
    await store.write(lambda tx: tx.get(Service, "a"), durable=True)
    assert disk.syncs <= 2, "there is nothing left to wait for"
    await store.aclose()


async def test_a_disk_that_does_not_confirm_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, disk = SqliteStore(path), HeldSyncs(monkeypatch)
    disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
    disk.let_go.set()
    await store.write(put(a_task()), durable=False)
    with pytest.raises(Unavailable, match=r"runner\.db-wal cannot be synced .*may be lost"):
        await store.write(put(a_service("a")), durable=True)
    disk.error = None
    await store.write(put(a_service("b")), durable=True)
    assert [service.id for service in store.services()] == ["a", "b"]
    await store.aclose()


async def test_a_hidden_write_that_the_disk_does_not_confirm_is_told_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is done all the same, as the file says."""
    store, disk = SqliteStore(path), HeldSyncs(monkeypatch)
    disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
    disk.let_go.set()
    with pytest.raises(Unavailable, match=r"cannot be synced .*may be lost"):
        await store.write(put(a_service("a")), durable=True, hidden=True)
    with looking(path) as connection:
        assert connection.execute("SELECT id FROM service").fetchall() == [("a",)]
    assert [service.id for service in store.services()] == ["a"]
    await store.aclose()


async def test_a_database_held_by_another_program_is_waited_for(path: Path) -> None:
    """While it is, everything else goes on: a commit never waits for a lock."""
    store = SqliteStore(path)
    await store.write(put(a_service("a")), durable=True)
    with looking(path) as other:
        other.execute("BEGIN IMMEDIATE")
        write = asyncio.ensure_future(store.write(put(a_service("b")), durable=True))
        await asyncio.wait([write], timeout=0.05)
        assert not write.done()
        assert [service.id for service in store.services()] == ["a"]
        other.execute("ROLLBACK")
        await write
    assert [service.id for service in store.services()] == ["a", "b"]
    await store.aclose()


async def test_a_database_held_for_too_long_refuses_writes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(path)
    await store.write(put(a_service("a")), durable=True)
    monkeypatch.setattr("runner_agent.store.sqlite_writer.BUSY_TIMEOUT", 0.05)
    with looking(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="no other program holds it locked"):
            await store.write(put(a_service("b")), durable=True)
        other.execute("ROLLBACK")
    await store.write(put(a_service("c")), durable=True)
    assert [service.id for service in store.services()] == ["a", "c"]
    await store.aclose()


async def test_the_log_begins_anew_also_where_commits_never_rest(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is copied on another thread, and a commit that comes meanwhile is not among what is copied."""
    monkeypatch.setattr("runner_agent.store.sqlite_writer.CHECKPOINT_EVERY", 20)
    store = SqliteStore(path)

    log = path.with_name("runner.db-wal")
    end = asyncio.ensure_future(asyncio.sleep(30))

    async def write_on(id_: str) -> None:
        for number in count():
            await store.write(put(a_service(id_, reference=f"r{number}")), durable=False)
            if int.from_bytes(log.read_bytes()[12:16], "big") >= 2 or end.done():
                return

    await asyncio.gather(write_on("a"), write_on("b"))
    assert not end.done()
    end.cancel()
    await store.aclose()


async def test_only_the_half_that_moved_is_written(path: Path) -> None:
    store = SqliteStore(path)
    statements: list[str] = []
    running = an_execution(phase=ExecutionPhase.RUNNING, steps=("a", "b"))
    await store.write(put(a_running_service(), running), durable=False)
    store._writer._database.connection.set_trace_callback(statements.append)
    await store.write(
        put(replace(a_running_service(), status=ServiceStatus(ServicePhase.FAILED))), durable=False
    )
    assert "serve --port 8080" not in "".join(statements).split('"run"')[0]
    assert "The web server" not in "".join(statements)
    statements.clear()
    first = next(iter(running.steps))
    progress = {**running.steps, first: StepProgress(StepStatus(ExecutionPhase.SUCCEEDED), None)}
    await store.write(put(replace(running, steps=progress)), durable=False)
    text = "".join(statements)
    assert "plan-a" in text
    assert "plan-b" not in text
    await store.aclose()


async def test_a_record_that_could_not_be_read_again_is_refused_alone(path: Path) -> None:
    store = SqliteStore(path)
    wrong = replace(a_service("wrong"), metadata=replace(a_service().metadata, name=7))  # type: ignore[arg-type]
    outcomes = await asyncio.gather(
        store.write(put(a_service("before")), durable=True),
        store.write(put(wrong), durable=True),
        store.write(put(a_service("after")), durable=True),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), TypeError, type(None)]
    assert {service.id for service in store.services()} == {"before", "after"}
    await store.aclose()


# ---------------------------------------------------------------- over a restart


async def test_everything_is_there_after_reopening(path: Path) -> None:
    store = SqliteStore(path)
    running = an_execution(phase=ExecutionPhase.RUNNING, steps=("a", "b"))
    ended = an_execution("ended", minute=1, phase=ExecutionPhase.FAILED, steps=("c",))
    records = a_running_service(), a_task(), running, ended, a_step("a"), a_step("c"), a_running_step("d")
    made = await store.write(lambda tx: [tx.put(record) for record in records], durable=True)
    await store.set_meta("boot", "one")
    await store.aclose()

    store = SqliteStore(path)
    for record in made:
        assert store.get(type(record), record.id) == record
    assert [step.id for step in store.live_steps()] == ["a", "d"]
    assert [execution.id for execution in store.live_executions()] == [running.id]
    assert [execution.id for execution in store.executions()] == ["ended", running.id]
    assert store.get_meta("boot") == "one"
    await store.aclose()


async def test_steps_are_read_in_the_order_they_started(path: Path) -> None:
    store = SqliteStore(path)
    running = an_execution(phase=ExecutionPhase.RUNNING, steps=("a", "b", "c"))
    backwards = dict(reversed(list(running.steps.items())))
    await store.write(put(replace(running, steps=backwards)), durable=False)
    await store.aclose()
    store = SqliteStore(path)
    assert [list(execution.steps) for execution in store.live_executions()] == [list(backwards)]
    await store.aclose()


async def test_revisions_are_reserved_ahead_and_none_is_used_twice(path: Path) -> None:
    """Rule 1.5: even if all that was not reserved durably were lost."""
    store = SqliteStore(path)
    assert store.revision == FIRST_REVISION
    for number in range(3):
        await store.write(put(*(a_service(f"s{number}-{n}") for n in range(BLOCK // 2))), durable=False)
    used = store.revision
    await store.aclose()
    with looking(path) as connection:
        ((reserved,),) = connection.execute("SELECT reserved FROM counter")
    assert used <= reserved <= used + 2 * BLOCK
    store = SqliteStore(path)
    made = await store.write(lambda tx: tx.put(a_task()), durable=False)
    assert made.spec_version > reserved
    await store.aclose()


async def test_a_clean_shutdown_leaves_one_file_for_the_owner_alone(path: Path) -> None:
    store = SqliteStore(path)
    await store.write(put(a_service()), durable=True)
    files = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert files == {"runner.db": 0o600, "runner.db-wal": 0o600, "runner.db-shm": 0o600}
    await store.aclose()
    assert [file.name for file in path.parent.iterdir()] == ["runner.db"]


async def test_finished_executions_are_not_held_in_memory(path: Path) -> None:
    store = SqliteStore(path)
    for start in range(0, 2_000, 500):
        batch = (
            an_execution(f"e{n}", task=f"t{n % 50}", minute=n, phase=ExecutionPhase.SUCCEEDED)
            for n in range(start, start + 500)
        )
        await store.write(put(*batch), durable=False)
    held = store._state.shown.all(Execution) + store._state.latest.all(Execution)
    assert held == []
    assert [execution.id for execution in store.executions(limit=2)] == ["e1999", "e1998"]
    assert len(store.finished_executions(task="t7")) == 40
    await store.aclose()


async def test_reading_a_closed_store_says_so(path: Path) -> None:
    store = SqliteStore(path)
    await store.aclose()
    with pytest.raises(Unavailable, match="closed"):
        store.executions()


# ---------------------------------------------------------------- full disks (rule 7.4)


async def fill_and_recover(store: SqliteStore, give_room: Callable[[], object]) -> None:
    """Writes until nothing fits; then one after there is room again."""
    big = ServiceStatus(failure_message="x" * 20_000)

    async def fill() -> None:
        for number in range(1_000):
            record = replace(a_service(f"s{number:03}", minute=number), status=big)
            await store.write(put(record), durable=number % 2 == 0)
            acknowledged.append(record.id)

    acknowledged: list[str] = []
    with pytest.raises(ResourceExhausted, match=r"cannot save to .*runner\.db: .*free some space"):
        await fill()
    assert acknowledged
    assert [service.id for service in store.services()] == acknowledged
    more = replace(a_service("more"), status=big)
    with pytest.raises(ResourceExhausted):
        await store.write(lambda tx: tx.put(more), durable=True)
    assert [service.id for service in store.services()] == acknowledged
    give_room()
    later = replace(a_service("later", minute=9_999), status=big)
    made = await store.write(lambda tx: tx.put(later), durable=True)
    assert made.status_version == store.revision
    assert [service.id for service in store.services()] == [*acknowledged, made.id]


async def test_a_full_database_refuses_writes_until_there_is_room(path: Path) -> None:
    store = SqliteStore(path)
    connection = store._writer._database.connection
    await store.write(put(a_task()), durable=True)
    connection.execute("PRAGMA max_page_count=200")
    await fill_and_recover(store, lambda: connection.execute("PRAGMA max_page_count=100000"))
    services = store.services()
    await store.aclose()
    store = SqliteStore(path)
    assert store.services() == services
    await store.aclose()


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """Two MiB. Mounting it takes root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.faults
async def test_a_full_disk_refuses_writes_until_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 2**20)
    store = SqliteStore(small_disk / "runner.db")
    await fill_and_recover(store, ballast.unlink)
    services = store.services()
    await store.aclose()
    store = SqliteStore(small_disk / "runner.db")
    assert store.services() == services
    await store.aclose()


@pytest.mark.faults
async def test_a_full_disk_is_named_at_the_start(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        ballast.write_bytes(b"x" * 2**22)
    with pytest.raises(ResourceExhausted, match=r"runner\.db cannot be used: .*free some space"):
        SqliteStore(small_disk / "runner.db")
    ballast.unlink()
    await SqliteStore(small_disk / "runner.db").aclose()


async def test_the_file_that_created_a_definition_is_kept_and_moves_no_version(path: Path) -> None:
    """Rules 2.10, 1.5: of what the API shows nothing has changed."""
    service, task = replace(a_service(), file="/w/a.yaml"), replace(a_task(), file="/w/a.yaml")
    store = SqliteStore(path)
    await store.write(put(service, task), durable=True)
    first = store.get(Service, service.id)
    assert first is not None
    await store.write(put(replace(service, file="")), durable=True)
    await store.aclose()
    store = SqliteStore(path)
    found = store.get(Service, service.id)
    assert found is not None
    assert (found.file, found.spec_version) == ("", first.spec_version)
    assert [one.file for one in store.tasks()] == ["/w/a.yaml"]
    await store.aclose()
