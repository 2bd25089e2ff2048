"""How a script is handed to its shell (rule 5.1): what needs standard input, and what must not take it."""

from __future__ import annotations

import subprocess
import time

import pytest

from runner_agent.executors.scripts import EVALUATED, LONGEST_ARGUMENT, READ, from_file, way
from runner_agent.launcher import handing
from runner_agent.model.phases import RunRole

BASH, DASH, FISH = "/bin/bash", "/bin/dash", "/usr/bin/fish"


@pytest.mark.parametrize(
    "script",
    [
        "pkill -f vite-preview",
        "pkill -f 'node.*catalog|vite'\n",
        'exec pkill -f "$PATTERN" --signal ${SIGNAL}',
        "sudo pkill -f node.*catalog",
        "./stop.sh node",
        "npm run dev",
    ],
)
@pytest.mark.parametrize("role", RunRole)
def test_a_simple_command_costs_no_process_more(script: str, role: RunRole) -> None:
    assert way(script, BASH, role) == ""


@pytest.mark.parametrize(
    "script",
    [
        '# stop\npkill -f "node.*catalog" || true\necho stopped\n',
        "pkill -f catalog; true",
        "pkill -f catalog >/dev/null",
        "pgrep -f catalog | xargs kill",
        "kill $(pgrep -f catalog)",
        "kill `pgrep -f catalog`",
        "! pgrep -f catalog",
        "eval 'pkill -f catalog; true'",
        "trap 'pkill -f catalog' EXIT",
        ". ./pkill.sh",
        "if pgrep -f catalog; then true; fi",
        "ps aux | grep catalog | awk '{print $2}' | xargs kill",
        "cd /proc; grep -l catalog [0-9]*/cmdline; cat /proc/stat",
        'pkill -f "$(cat pattern)"',
        "pkill -f catalog &\nwait",
        "X=1 pkill -f catalog",
    ],
)
@pytest.mark.parametrize("role", RunRole)
@pytest.mark.parametrize("shell", [BASH, DASH, "/bin/sh", "/usr/bin/zsh"])
def test_what_looks_at_processes_does_not_see_its_own_text(script: str, role: RunRole, shell: str) -> None:
    assert way(script, shell, role) == EVALUATED


def test_a_shell_that_stays_is_never_told_what_to_look_for() -> None:
    assert way("pkill -f vite", DASH, RunRole.TASK) == EVALUATED


def test_what_looks_at_nothing_stays_as_it_is() -> None:
    """Bash becomes the last command of an argument, and of nothing else."""
    for script in (
        "cd web && npm start",
        "cd web\nnpm start\n",
        "npm ci; npm start",
        "for i in 1; do x; done",
    ):
        assert way(script, BASH, RunRole.START) == ""


def test_a_stop_command_may_look_by_programs_of_its_own() -> None:
    assert way("cd web\n./stop.sh 'node.*web'\n", BASH, RunRole.STOP) == EVALUATED


def test_a_long_script_is_no_argument_whatever_the_shell() -> None:
    script = "#" + "ü" * (LONGEST_ARGUMENT // 2)
    assert way(script, BASH, RunRole.TASK) == EVALUATED
    assert way(script, FISH, RunRole.TASK) == READ
    assert way(script[:-10], BASH, RunRole.TASK) == ""
    assert way("pkill -f x; true", FISH, RunRole.TASK) == "", "which may be no shell at all"


def test_to_judge_a_long_script_takes_no_time() -> None:
    began = time.process_time()
    for script in ("a " + "b " * 30_000, "." * 60_000, "a '" + "b" * 60_000, "a" + " " * 60_000 + ";"):
        way(script + "pkill", BASH, RunRole.STOP)
    assert time.process_time() - began < 2


def test_both_sides_name_the_ways_alike() -> None:
    assert (EVALUATED, READ) == (handing.EVALUATED, handing.READ)


@pytest.mark.parametrize("shell", ["/bin/bash", "sh"])
def test_a_file_is_run_as_if_it_were_the_argument(
    tmp_path_factory: pytest.TempPathFactory, shell: str
) -> None:
    path = tmp_path_factory.mktemp("scripts") / "command"
    path.write_text("echo \"$0 $# '$1' ${BASH_SOURCE-}\" \"\\$x\"\n\ncat <<'E'\n  $y\nE\nfalse; (exit 9)")
    ended = [
        subprocess.run([shell, "-c", text], capture_output=True, check=False)
        for text in (path.read_text(), from_file(str(path), shell))
    ]
    assert ended[0].returncode == ended[1].returncode == 9
    assert ended[0].stdout == ended[1].stdout
