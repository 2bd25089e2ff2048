"""Rule 7.4: which files are opened, which are refused with the way out, and that none of those is touched."""

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from runner_agent.model.errors import StoreUnusable, Unavailable
from runner_agent.model.records import Service
from runner_agent.store.schema import APPLICATION_ID, SCHEMA
from runner_agent.store.sqlite import SqliteStore
from tests.support.records import a_service


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of the database."""
    return tmp_path / "runner.db"


async def put(store: SqliteStore, record: Service) -> None:
    """Durably."""
    await store.write(lambda tx: tx.put(record), durable=True)


async def make(path: Path, *, services: int = 1) -> None:
    """A sound database."""
    store = SqliteStore(path)
    for number in range(services):
        await put(store, a_service(f"service-{number}", minute=number))
    await store.aclose()


def refused(path: Path, *words: str) -> None:
    """Opening fails with these words, the file's name and a way out, and changes nothing."""
    before = {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    with pytest.raises(StoreUnusable) as caught:
        SqliteStore(path)
    text = str(caught.value)
    for word in (*words, str(path), "move", "start anew"):
        assert word in text
    after = {file: file.read_bytes() for file in path.parent.iterdir() if not file.name.endswith("-shm")}
    assert {file: data for file, data in after.items() if data or file in before} == before


async def test_a_missing_file_is_a_new_store(path: Path) -> None:
    await make(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    connection.close()


async def test_an_empty_file_is_a_new_store(path: Path) -> None:
    path.touch(0o666)
    await make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_torn_creation_is_a_new_store(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")  # a page, and nothing in it
    connection.close()
    assert path.stat().st_size > 0
    await make(path)


def test_text_is_refused(path: Path) -> None:
    path.write_text("services:\n  web:\n")
    refused(path, "is no database")


def test_another_program_s_database_is_refused(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url)")
    connection.close()
    refused(path, "belongs to another program")


async def test_a_newer_schema_is_refused(path: Path) -> None:
    await make(path)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version={SCHEMA + 1}")
    connection.close()
    refused(path, "newer runner-agent", f"schema {SCHEMA + 1}", "run that version")


async def test_a_field_from_a_newer_version_is_refused_by_name(path: Path) -> None:
    await make(path)
    connection = sqlite3.connect(path)
    connection.execute("""UPDATE service SET wish = replace(wish, '{"id"', '{"colour":"red","id"')""")
    connection.commit()
    connection.close()
    refused(path, "Service service-0", 'no field "colour"', "newer runner-agent")


async def test_a_truncated_file_is_refused(path: Path) -> None:
    await make(path, services=50)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 8192 - 100)
    refused(path, "is damaged")


async def test_an_overwritten_page_is_refused(path: Path) -> None:
    await make(path, services=50)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xaa" * 8192)
    refused(path, "is damaged")


async def test_a_lost_data_file_is_refused_while_its_log_is_there(path: Path) -> None:
    """SQLite itself would throw the log away."""
    path.touch()
    path.with_name("runner.db-wal").write_bytes(b"committed, not yet copied over")
    refused(path, "is empty, yet its log", "was lost")


async def test_a_torn_log_loses_only_what_was_never_synced(path: Path) -> None:
    store = SqliteStore(path)
    await store.write(lambda tx: tx.put(a_service()), durable=True)
    image = path.read_bytes(), path.with_name("runner.db-wal").read_bytes()
    await store.aclose()
    path.write_bytes(image[0])
    path.with_name("runner.db-wal").write_bytes(image[1] + b"\0half a frame" * 50)
    store = SqliteStore(path)
    assert [service.id for service in store.services()] == [a_service().id]
    await store.aclose()


async def test_a_second_agent_is_kept_out(path: Path) -> None:
    store = SqliteStore(path)
    with pytest.raises(Unavailable, match=r"another runner-agent uses it; stop that one"):
        SqliteStore(path)
    await store.write(lambda tx: tx.put(a_service()), durable=True)
    await store.aclose()
    await SqliteStore(path).aclose()


async def test_a_file_locked_by_a_shell_is_told_apart(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await make(path)
    monkeypatch.setattr("runner_agent.store.schema.BUSY_TIMEOUT", 0.05)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(Unavailable, match="another program holds it locked"):
            SqliteStore(path)
    finally:
        connection.close()
    await SqliteStore(path).aclose()


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "runner.db"
    with pytest.raises(
        StoreUnusable, match=r"runner\.db cannot be opened: No such file or directory; .*writable"
    ):
        SqliteStore(path)


def test_an_unwritable_directory_is_named() -> None:
    program = """if True:
        import os
        from pathlib import Path
        from runner_agent.model.errors import StoreUnusable
        from runner_agent.store.sqlite import SqliteStore
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)  # root may write anywhere
        try:
            SqliteStore(Path("/runner.db"))
        except StoreUnusable as error:
            print(error)
    """
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert run.stdout.startswith("the database /runner.db cannot be opened: Permission denied; make it and ")
    assert "writable for user" in run.stdout
