"""Where logs live, who may read them, and the agent's own lines (rules 5.4, 5.5)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner_agent.logs.files import MARK, LogFiles, append_note
from runner_agent.model.ids import ExecutionId, ServiceId, StepId
from runner_agent.model.phases import RunRole

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE, STEP, EXECUTION = ServiceId("6f3c"), StepId("77aa"), ExecutionId("e0e0")


def test_rule_5_4_each_role_of_a_service_and_each_run_has_one_file(files: LogFiles) -> None:
    root = files.root
    assert files.service(SERVICE, RunRole.START) == root / "services/6f3c/start.log"
    assert files.service(SERVICE, RunRole.READY) == root / "services/6f3c/ready.log"
    assert files.run(STEP) == root / "runs/77aa.log"
    assert files.order(EXECUTION) == root / "executions/e0e0.order"


def test_only_the_owner_may_look(files: LogFiles) -> None:
    path = files.service(SERVICE, RunRole.START)
    before = os.umask(0)
    try:
        files.prepare(path)
    finally:
        os.umask(before)
    modes = {place: place.stat().st_mode & 0o777 for place in (files.root, *path.parents[:2], path)}
    assert modes.pop(path) == 0o600
    assert set(modes.values()) == {0o700}


def test_preparing_again_keeps_what_is_there(files: LogFiles) -> None:
    path = files.run(STEP)
    files.prepare(path)
    path.write_text("output\n")
    files.prepare(path)
    assert path.read_text() == "output\n"


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", "a\0b"])
def test_an_id_cannot_lead_out_of_the_folder(files: LogFiles, name: str) -> None:
    with pytest.raises(ValueError, match="cannot make a log path"):
        files.run(StepId(name))
    with pytest.raises(ValueError, match="cannot make a log path"):
        files.forget_service(ServiceId(name))


def test_deletion_takes_the_object_s_logs_and_no_others(files: LogFiles) -> None:
    kept = [files.service(ServiceId("other"), RunRole.START), files.run(StepId("other"))]
    doomed = [files.service(SERVICE, role) for role in (RunRole.START, RunRole.READY, RunRole.STOP)]
    doomed += [files.run(STEP), files.order(EXECUTION)]
    for path in kept + doomed:
        files.prepare(path)
    for _ in range(2):  # what is gone already is no error
        files.forget_service(SERVICE)
        files.forget_run(STEP)
        files.forget_execution(EXECUTION)
    assert [path.exists() for path in kept] == [True, True]
    assert not any(path.exists() for path in doomed)


def test_what_cannot_be_removed_fails_nobody(files: LogFiles, caplog: pytest.LogCaptureFixture) -> None:
    """Rule 7.6. Whatever the error is (here: it is a folder), it is told, and the rest is removed."""
    files.run(STEP).mkdir(parents=True)
    files.prepare(files.order(EXECUTION))
    files.forget_run(STEP)
    files.forget_execution(EXECUTION)
    assert f"cannot remove {files.run(STEP)}" in caplog.text
    assert not files.order(EXECUTION).exists()


@pytest.mark.parametrize(
    ("there", "then"),
    [
        (b"", b""),
        (b"done\n", b"done\n"),
        (b"50 %", b"50 %\n"),
        (b"caf\xc3", b"caf\xc3\n"),
    ],
)
def test_rule_5_5_a_note_is_a_line_of_its_own(tmp_path: Path, there: bytes, then: bytes) -> None:
    path = tmp_path / "run.log"
    path.write_bytes(there)
    assert append_note(path, "start exited with code 1\nafter 3.2 s")
    assert path.read_bytes() == then + f"{MARK}start exited with code 1 after 3.2 s\n".encode()


def test_a_note_makes_the_file_if_need_be(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    assert append_note(path, "cannot start")
    assert path.read_text() == f"{MARK}cannot start\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_note_among_a_writer_s_lines_loses_none_of_them(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    script = "import os\nfor i in range(20000): os.write(1, b'line %d\\n' % i)"
    with path.open("ab") as log, subprocess.Popen([sys.executable, "-c", script], stdout=log) as child:
        notes = 0
        while child.poll() is None:
            notes += append_note(path, "note")
    lines = path.read_text().splitlines()
    assert notes > 0
    assert lines.count(f"{MARK}note") == notes
    # A write that spans two pages can be seen half done, so now and then a note puts an empty line before it.
    written = [line for line in lines if line not in {f"{MARK}note", ""}]
    assert written == [f"line {number}" for number in range(20000)]


def test_a_full_disk_costs_the_note_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "run.log"
    path.symlink_to("/dev/full")
    assert not append_note(path, "exited")
    assert "No space left" in caplog.text


def test_a_note_to_a_folder_that_is_gone_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert not append_note(tmp_path / "gone" / "run.log", "exited")
    assert "exited" in caplog.text


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 64 KiB. Needs root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.faults
def test_on_a_small_full_disk_the_next_note_after_it_has_room_is_whole(small_disk: Path) -> None:
    path, ballast = small_disk / "run.log", small_disk / "ballast"
    assert append_note(path, "first")
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(bytes(65536))
    assert not append_note(path, "too much" * 2000)
    ballast.unlink()
    assert append_note(path, "last")
    assert path.read_text().splitlines()[-1] == f"{MARK}last"
