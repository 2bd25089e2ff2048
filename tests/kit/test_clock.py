"""The system's clock names the boot as rule 6.3 wants it."""

from __future__ import annotations

import time
from datetime import UTC
from typing import TYPE_CHECKING

import pytest

from runner_agent.kit.clock import Clock, SystemClock

if TYPE_CHECKING:
    from pathlib import Path


def make_proc(root: Path, stat: str | None) -> Path:
    (root / "sys/kernel/random").mkdir(parents=True)
    (root / "sys/kernel/random/boot_id").write_text("7f0c\n")
    (root / "1").mkdir()
    if stat is not None:
        (root / "1/stat").write_text(stat)
    return root


def test_now_is_the_clock_that_the_event_loop_uses() -> None:
    clock: Clock = SystemClock()
    before = time.monotonic()
    assert before <= clock.now() <= time.monotonic()


def test_wall_is_aware_and_in_utc() -> None:
    assert SystemClock().wall().tzinfo is UTC


def test_this_machine_has_a_stable_mark() -> None:
    assert SystemClock().boot_mark() == SystemClock().boot_mark()
    assert SystemClock().boot_mark().startswith(SystemClock().boot_id() + ":")


@pytest.mark.parametrize("name", ["systemd", "tini (v0.19)", "a b) c"])
def test_rule_6_3_mark_is_boot_id_and_start_of_pid_1(tmp_path: Path, name: str) -> None:
    fields = " ".join(str(number) for number in range(4, 53))
    proc = make_proc(tmp_path, f"1 ({name}) S {fields}\n")
    assert SystemClock(proc).boot_mark() == "7f0c:22"


def test_rule_6_3_hidden_pid_1_leaves_the_boot_id(tmp_path: Path) -> None:
    assert SystemClock(make_proc(tmp_path, None)).boot_mark() == "7f0c:?"
