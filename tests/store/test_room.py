"""Room kept on the disk for ends and stops, and a store that never waits for a disk (rules 7.4, 7.6)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from runner_agent.model.errors import ResourceExhausted, RunnerError
from runner_agent.model.ids import SessionId, Version
from runner_agent.model.phases import ServicePhase
from runner_agent.model.records import Record, ServiceStatus
from runner_agent.store.base import Change, Transaction
from runner_agent.store.draft import Edit
from runner_agent.store.sqlite import SqliteStore
from runner_agent.store.sqlite_room import FILES, MOST, Room
from runner_agent.store.state import begins
from tests.support.records import a_running_service, a_service, a_task, an_execution

FIRST, SECOND = SessionId(str(UUID(int=1))), SessionId(str(UUID(int=2)))


def put(*records: Record) -> Callable[[Transaction], None]:
    """A change that puts these."""

    def change(tx: Transaction) -> None:
        for record in records:
            tx.put(record)

    return change


class Disk:
    """What statvfs tells of the disk: as much as a test wants it to have."""

    def __init__(self) -> None:
        self.total = self.free = 1 << 36
        self.files, self.files_left = 1 << 20, 1 << 19

    def statvfs(self, _path: object) -> os.statvfs_result:
        """4 KiB a block."""
        blocks, free = self.total >> 12, self.free >> 12
        return os.statvfs_result(
            (4096, 4096, blocks, free, free, self.files, self.files_left, self.files_left, 0, 255)
        )


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Its size and its room are told as the test says; a disk of the test's own needs root."""
    one = Disk()
    monkeypatch.setattr(os, "statvfs", one.statvfs)
    return one


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of the database, which has a log."""
    path = tmp_path / "agent.db"
    path.with_name("agent.db-wal").touch()
    return path


def kept(path: Path) -> int:
    """Bytes that the reserve's file takes from the disk."""
    return _blocks(path.with_name("agent.db-reserve"))


def kept_for_the_log(path: Path) -> int:
    """Bytes that it can grow by without asking the disk."""
    log = path.with_name("agent.db-wal")
    return _blocks(log) - log.stat().st_size


def _blocks(path: Path) -> int:
    return path.stat().st_blocks * 512 if path.exists() else 0


def scarce(room: Room) -> bool:
    """As it is now."""
    return room.scarce


def test_it_is_real_room_and_no_more_than_an_eighth(path: Path, disk: Disk) -> None:
    room = Room(path)
    assert kept(path) >= MOST // 2
    assert kept(path) + kept_for_the_log(path) >= MOST
    assert not room.scarce
    room.give_up()
    os.truncate(path.with_name("agent.db-wal"), 0)
    disk.total = 8 << 20
    Room(path)
    assert 1 << 20 <= kept(path) + kept_for_the_log(path) <= (1 << 20) + 65536


def test_it_is_given_back_when_the_disk_is_nearly_full_and_made_again(path: Path, disk: Disk) -> None:
    """With room for it twice: else it would come and go."""
    room = Room(path)
    disk.free = MOST // 4
    room.look()
    assert kept(path)
    disk.free = MOST // 4 - 4096
    room.look()
    assert not kept(path)
    assert scarce(room)
    disk.free = 2 * MOST - 4096
    room.look()
    assert scarce(room)
    disk.free = 2 * MOST
    room.look()
    assert not scarce(room)
    assert kept(path) >= MOST // 2


def test_the_next_agent_takes_it_over(path: Path, disk: Disk) -> None:
    """Full or not: it is what it has to work with."""
    Room(path)
    disk.free = MOST
    assert not Room(path).scarce
    assert kept(path)
    disk.free = 0
    assert Room(path).scarce
    assert not kept(path)


def test_a_copy_without_blocks_is_none(path: Path, disk: Disk) -> None:
    reserve = path.with_name("agent.db-reserve")
    with reserve.open("wb") as file:
        file.truncate(MOST)
    disk.free = MOST
    assert Room(path).scarce
    disk.free = 1 << 30
    assert not Room(path).scarce
    assert kept(path) >= MOST // 2


def test_half_of_it_is_the_log_s_own_before_it_is_needed(path: Path, disk: Disk) -> None:
    """And stays so, however the log grows or is cut off; what the log's size says is left alone."""
    room = Room(path)
    log = path.with_name("agent.db-wal")
    assert log.stat().st_size == 0
    assert kept_for_the_log(path) >= MOST // 2
    for size in (3 * MOST // 8, 3 * MOST, 0):
        log.write_bytes(b"x" * size)
        room.look()
        assert log.stat().st_size == size
        assert kept_for_the_log(path) >= MOST // 4, size
    disk.free = 0
    assert room.give_back()
    assert kept_for_the_log(path) >= MOST // 2
    assert not room.give_back()


def test_the_log_has_its_half_as_soon_as_there_is_one(path: Path, disk: Disk) -> None:
    log = path.with_name("agent.db-wal")
    log.unlink()
    room = Room(path)
    assert not log.exists(), "SQLite makes it"
    log.touch()
    room.look()
    assert kept_for_the_log(path) >= MOST // 2


def test_where_files_cannot_have_blocks_ahead_it_is_asked_once(
    path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ZFS, NFS before 4.2: the file's half is all there is."""
    asked = list[int]()

    def refuses(_file: int, _mode: int, _offset: int, size: int) -> None:
        asked.append(size)
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr("runner_agent.store.sqlite_room.fallocate", lambda: refuses)
    room = Room(path)
    room.look()
    assert asked == [MOST // 2]
    assert kept(path) >= MOST // 2
    assert not room.scarce


def test_files_may_be_few_as_well(path: Path, disk: Disk) -> None:
    """Some filesystems do not limit them, and tell of none at all."""
    room = Room(path)
    told: list[tuple[int, bool]] = []
    for disk.files_left in (1 << 19, FILES, FILES - 1, 0):
        told.append((disk.files_left, room.few_files))
    assert told == [(1 << 19, False), (FILES, False), (FILES - 1, True), (0, True)]
    assert not room.scarce
    disk.files = 0
    assert not room.few_files


def test_where_none_can_be_made_nothing_is_refused(path: Path, disk: Disk) -> None:
    """But for want of room: then there is too little to begin anything."""
    path.with_name("agent.db-reserve").mkdir()
    assert not Room(path).scarce


def _edit(before: Record | None, after: Record | None) -> Edit:
    return Edit(before, after, Change(), Version(1))


def test_what_begins_something() -> None:
    """Rule 7.4: new records and new sessions; not stops, deletions and what is noted of runs."""
    service, up = a_service(), a_running_service()
    wished = replace(
        service,
        spec=replace(service.spec, desired_phase=ServicePhase.RUNNING, session=FIRST),
    )
    assert begins(_edit(None, service))
    assert begins(_edit(None, a_task()))
    assert begins(_edit(None, an_execution()))
    assert begins(_edit(service, wished))
    assert begins(_edit(wished, replace(wished, spec=replace(wished.spec, session=SECOND))))
    stopped = replace(wished.spec, desired_phase=ServicePhase.STOPPED)
    assert not begins(_edit(wished, replace(wished, spec=stopped)))
    assert not begins(_edit(up, replace(up, status=ServiceStatus(ServicePhase.FAILED))))
    assert not begins(_edit(service, None))
    assert not begins(_edit(an_execution(), an_execution()))


@pytest.mark.parametrize(
    ("left", "cure"), [("free", "free some space"), ("files_left", "remove some")], ids=["room", "files"]
)
async def test_nothing_new_where_room_is_scarce(path: Path, disk: Disk, left: str, cure: str) -> None:
    store = SqliteStore(path, keep_room=True)
    await store.write(put(a_service()), durable=True)
    before = getattr(disk, left)
    setattr(disk, left, 0)
    with pytest.raises(ResourceExhausted, match=cure):
        await store.write(put(a_task()), durable=True)
    failed = replace(a_service(), status=ServiceStatus(ServicePhase.FAILED, "exit 3"))
    await store.write(put(failed), durable=True)
    assert store.services()[0].status.failure_message == "exit 3"
    assert store.tasks() == []
    await store.write(lambda tx: tx.delete(failed.key), durable=True)
    setattr(disk, left, before)
    await store.write(put(a_task()), durable=True)
    await store.aclose()


async def test_a_store_that_never_waits(path: Path) -> None:
    """It goes on in memory, and writes it all down, in order, as soon as that can be."""
    store = SqliteStore(path, keep_room=True)
    await store.write(put(a_service("a", reference="a")), durable=True)
    connection = store._writer._database.connection
    connection.execute("PRAGMA query_only=1")
    with pytest.raises(RunnerError):
        await store.write(put(a_service("b", reference="b")), durable=False)
    store.never_wait()
    for message in ("one", "two"):
        changed = replace(a_service("a", reference="a"), status=ServiceStatus(ServicePhase.FAILED, message))
        await store.write(put(changed), durable=True, hidden=True)
        assert store.unsaved
    await store.write(put(a_task()), durable=True)
    assert _messages(store) == ["two"]
    connection.execute("PRAGMA query_only=0")
    await store.aclose()
    again = SqliteStore(path)
    assert _messages(again) == ["two"]
    assert len(again.tasks()) == 1
    assert again.revision >= store.revision
    await again.aclose()


async def test_what_is_never_taken_is_not_there_later(path: Path) -> None:
    """And closing does not wait for it either."""
    store = SqliteStore(path, keep_room=True)
    await store.write(put(a_service("a", reference="a")), durable=True)
    store._writer._database.connection.execute("PRAGMA query_only=1")
    store.never_wait()
    await store.write(put(a_service("b", reference="b")), durable=True)
    assert len(store.services()) == 2
    await store.aclose()
    again = SqliteStore(path)
    assert len(again.services()) == 1
    await again.aclose()


def _messages(store: SqliteStore) -> list[str]:
    return [one.status.failure_message for one in store.services()]
