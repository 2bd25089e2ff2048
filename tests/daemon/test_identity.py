"""Identity: drawn once, kept, and renewed on another machine (rule 1.1)."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from runner_agent.daemon.identity import Identity, another_machine, establish, machine_marks
from runner_agent.model.errors import InvalidArgument
from runner_agent.store.memory import MemoryStore

HERE = {"machine-id": "a", "instance-id": "i-1"}


async def drawn(
    store: MemoryStore, folder: Path, marks: dict[str, str], environment_id: str = "", token: str = ""
) -> Identity:
    """The identity on a machine with these marks."""
    return await establish(store, folder / "token", environment_id=environment_id, token=token, marks=marks)


async def test_it_is_drawn_once_and_kept(tmp_path: Path) -> None:
    store = MemoryStore()
    first = await drawn(store, tmp_path, HERE)
    assert str(uuid.UUID(first.environment_id)) == first.environment_id
    assert len(first.token) >= 32
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    assert not first.renewed
    assert await drawn(store, tmp_path, HERE) == first


@pytest.mark.parametrize("mark", ["machine-id", "instance-id"])
async def test_another_machine_renews_id_and_token(tmp_path: Path, mark: str) -> None:
    """Images and snapshots never clone them."""
    store = MemoryStore()
    first = await drawn(store, tmp_path, HERE)
    clone = await drawn(store, tmp_path, {**HERE, mark: "other"})
    assert clone.renewed
    assert clone.environment_id != first.environment_id
    assert clone.token != first.token
    assert (tmp_path / "token").read_text().strip() == clone.token
    again = await drawn(store, tmp_path, {**HERE, mark: "other"})
    assert (again.environment_id, again.token, again.renewed) == (clone.environment_id, clone.token, False)


async def test_a_mark_that_can_be_read_only_now_renews_nothing(tmp_path: Path) -> None:
    """cloud-init writes the instance id after the first start; another user may read less."""
    store = MemoryStore()
    first = await drawn(store, tmp_path, {"machine-id": "a"})
    later = await drawn(store, tmp_path, HERE)
    assert (later.environment_id, later.token) == (first.environment_id, first.token)
    less = await drawn(store, tmp_path, {"machine-id": "a"})
    assert less.token == first.token
    assert (await drawn(store, tmp_path, {**HERE, "instance-id": "i-2"})).renewed, (
        "and what was read once counts"
    )


async def test_an_agent_that_dies_while_it_renews_renews_again(tmp_path: Path) -> None:
    """The old token is never taken for the new machine's."""
    store = MemoryStore()
    first = await drawn(store, tmp_path, HERE)
    (tmp_path / "token").unlink()
    (tmp_path / "token").mkdir()  # the renewal fails at the token
    with pytest.raises(Exception, match="token"):
        await drawn(store, tmp_path, {**HERE, "machine-id": "b"})
    (tmp_path / "token").rmdir()
    (tmp_path / "token").write_text(first.token)
    clone = await drawn(store, tmp_path, {**HERE, "machine-id": "b"})
    assert clone.renewed
    assert clone.token != first.token


async def test_settings_win(tmp_path: Path) -> None:
    store, given = MemoryStore(), str(uuid.uuid4())
    identity = await drawn(store, tmp_path, HERE, given, "secret")
    assert (identity.environment_id, identity.token) == (given, "secret")
    assert not (tmp_path / "token").exists()
    with pytest.raises(InvalidArgument, match="us-east"):
        await drawn(store, tmp_path, HERE, "us-east")


def test_marks_are_what_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("x\n")
    (tmp_path / "two").write_bytes(b"\xff")
    places = {name: tmp_path / name for name in ("one", "two", "three")}
    assert machine_marks(places) == {"one": "x"}
    assert not another_machine({}, {"one": "x"})
