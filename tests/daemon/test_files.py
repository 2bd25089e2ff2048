"""The state directory: one agent each, and files nobody reads half of."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runner_agent.daemon.files import (
    StateLock,
    make_state_dir,
    remove_agent_file,
    write_agent_file,
    write_atomically,
)
from runner_agent.model.errors import StoreUnusable


def test_one_agent_a_directory(tmp_path: Path) -> None:
    first, second = StateLock(tmp_path), StateLock(tmp_path)
    first.acquire()
    with pytest.raises(StoreUnusable, match=f"already running on .*, pid {os.getpid()}"):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    second.release()


def test_it_is_made_and_others_may_only_pass(tmp_path: Path) -> None:
    path = tmp_path / "a/b"
    make_state_dir(path)
    assert path.stat().st_mode & 0o777 & ~0o711 == 0
    assert list(path.iterdir()) == []


def test_a_place_that_cannot_be_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(StoreUnusable, match=r"cannot be written \(.*[Nn]o.* directory"):
            make_state_dir(path)


def test_a_lock_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "agent.lock").mkdir()
    with pytest.raises(StoreUnusable, match=r"agent\.lock cannot be opened"):
        StateLock(tmp_path).acquire()


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "token"
    write_atomically(path, "one\n", mode=0o600)
    (tmp_path / f".token.{os.getpid()}").write_text("left over by a crash")
    write_atomically(path, "two\n", mode=0o600)
    assert path.read_text() == "two\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_agent_json(tmp_path: Path) -> None:
    """Interface: pid, addresses, environmentId, version."""
    write_agent_file(tmp_path, ["unix:/s"], "e", "1")
    told = json.loads((tmp_path / "agent.json").read_text())
    assert told == {"pid": os.getpid(), "addresses": ["unix:/s"], "environmentId": "e", "version": "1"}
    remove_agent_file(tmp_path)
    remove_agent_file(tmp_path)
    assert list(tmp_path.iterdir()) == []
