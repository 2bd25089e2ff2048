"""`run_limits`: as people write them, and what is told of those that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner_agent.daemon.settings import ServeOptions, load
from runner_agent.executors.delegated import NO_LIMITS, RunLimits
from runner_agent.model.errors import InvalidArgument


def loaded(tmp_path: Path, text: str, **environ: str) -> RunLimits:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    return load(ServeOptions(workspace=tmp_path, config=config), {"HOME": "/h", **environ}, 1000).run_limits


def test_a_map_in_the_file(tmp_path: Path) -> None:
    text = "run_limits: {memory_max: 512M, cpu_max: 1.5, cpu_weight: 50, pids_max: 400, oom_group: true}"
    assert loaded(tmp_path, text) == RunLimits(512 << 20, 1.5, 50, 400, oom_group=True)
    assert loaded(tmp_path, "{}") == NO_LIMITS


def test_a_list_in_the_environment_wins(tmp_path: Path) -> None:
    found = loaded(
        tmp_path, "run_limits: {pids_max: 400}", RUNNER_AGENT_RUN_LIMITS="memory_max=2GiB, cpu_max=2"
    )
    assert found == RunLimits(memory_max=2 << 30, cpu_max=2.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{memory: 512M}", "'memory' is not a limit; limits are cpu_max, cpu_weight"),
        ("{memory_max: lots}", "memory_max must be a size of at least 4M"),
        ("{memory_max: 1M}", "memory_max must be a size of at least 4M"),
        ("{memory_max: -1}", "memory_max must be a size"),
        ("{cpu_max: 0}", "cpu_max must be a number of processors"),
        ("{cpu_max: nan}", "cpu_max must be a number of processors"),
        ("{cpu_weight: 20000}", "cpu_weight must be a whole number from 1 to 10000"),
        (f"{{pids_max: {'9' * 5_000}}}", "pids_max must be a whole number from 8 to 4194304, not '9999"),
        ("{pids_max: 2}", "pids_max must be a whole number from 8"),
        ("{oom_group: maybe}", "oom_group must be true or false"),
        ("512M", "must be NAME=VALUE"),
        ("[512M]", "must be a map, not a list"),
    ],
)
def test_what_is_none_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InvalidArgument, match="run_limits") as error:
        loaded(tmp_path, f"run_limits: {text}")
    assert told in str(error.value)


def test_a_limit_given_twice(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidArgument, match=r"RUNNER_AGENT_RUN_LIMITS: run_limits: 'memory_max' is given twice"
    ):
        loaded(tmp_path, "", RUNNER_AGENT_RUN_LIMITS="memory_max=512M,memory_max=1G")


def test_a_cgroup_is_auto_none_or_a_path(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="must be auto, none or an absolute path"):
        loaded(tmp_path, "cgroup: mine")
    assert loaded(tmp_path, "cgroup: /sys/fs/cgroup/mine") == NO_LIMITS
