"""The folder of cgroups: found, made ready, and limits as the kernel takes them. A plain folder is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner_agent.executors import delegated
from runner_agent.executors.delegated import SCOPE, RunLimits, find_home, make_ready, not_in_force
from runner_agent.launcher import cgroup


def test_auto_is_the_scope_beside_the_agent_or_beside_one_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "system.slice/runner-agent.service"
    monkeypatch.setattr(
        delegated, "_own_cgroup", lambda: (tmp_path, Path("/system.slice/runner-agent.service"))
    )
    own.mkdir(parents=True)
    assert find_home("auto") == ""
    scope = tmp_path / "system.slice" / SCOPE
    scope.mkdir()
    assert find_home("auto") == "", "no cgroup"
    (scope / "cgroup.procs").write_text("")
    assert find_home("auto") == str(scope)


def test_none_is_none_and_a_path_is_itself() -> None:
    assert find_home("none") == ""
    assert find_home("/sys/fs/cgroup/mine") == "/sys/fs/cgroup/mine"


def test_who_holds_the_scope_open_goes_to_a_leaf_and_nobody_elsewhere(tmp_path: Path) -> None:
    for name, moved in ((SCOPE, "42"), ("mine", None)):
        home = tmp_path / name
        home.mkdir()
        (home / "cgroup.procs").write_text("42\n")
        (home / "cgroup.subtree_control").write_text("")
        assert make_ready(str(home)) == {"+pids"}, "the last one that was written: a file, not a kernel"
        anchor = home / "anchor/cgroup.procs"
        assert (anchor.read_text() if anchor.exists() else None) == moved


def test_limits_as_the_kernel_takes_them() -> None:
    limits = RunLimits(memory_max=512 << 20, cpu_max=1.5, cpu_weight=50, pids_max=400, oom_group=True)
    assert limits.files() == {
        "memory.max": "536870912",
        "memory.oom.group": "1",
        "cpu.max": "150000 100000",
        "cpu.weight": "50",
        "pids.max": "400",
    }
    assert RunLimits().files() == {}


def test_limits_that_nobody_enforces_are_named() -> None:
    limits = RunLimits(memory_max=1 << 30, pids_max=100)
    assert not_in_force(limits, "/cg", frozenset({"memory", "pids"})) == ""
    told = not_in_force(limits, "/cg", frozenset({"memory"}))
    assert "pids.max" in told
    assert "memory.max" not in told
    assert "runs have no cgroups" in not_in_force(limits, "", frozenset())
    assert not_in_force(RunLimits(), "", frozenset()) == ""


@pytest.mark.parametrize(
    ("events", "limit", "verdict"),
    [
        ("oom 0\noom_kill 0\n", "536870912", ""),
        ("oom 1\noom_kill 1\n", "536870912", "out of memory, limit 512 MiB"),
        ("oom 1\noom_kill 1\n", "2147483648", "out of memory, limit 2 GiB"),
        ("oom 1\noom_kill 1\n", "500000000", "out of memory, limit 500000000 bytes"),
        ("oom 0\noom_kill 1\n", "536870912", "out of memory"),  # not its own limit: the machine's
        ("oom 0\noom_kill 1\n", "max", "out of memory"),
    ],
)
def test_the_kernel_s_verdict_in_words(tmp_path: Path, events: str, limit: str, verdict: str) -> None:
    (tmp_path / "memory.events").write_text(events)
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    assert cgroup.verdict(str(tmp_path)) == verdict


def test_too_many_processes_in_words(tmp_path: Path) -> None:
    (tmp_path / "pids.events").write_text("max 3\n")
    (tmp_path / "pids.max").write_text("60\n")
    assert cgroup.verdict(str(tmp_path)) == "more processes than its limit of 60"
    assert cgroup.verdict(str(tmp_path / "nowhere")) == ""
