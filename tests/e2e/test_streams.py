"""The command line where a stream is closed, full or narrow, or the working directory is gone.

The work asked for is done once, the exit code is the one that docs/cli.md has for it, and no traceback.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml

from tests.e2e.stage import Answer, Stage, automations, no_traceback, service_yaml, task_yaml
from tests.support.daemon import PROGRAM
from tests.support.processes import wait_until

FILE = automations(
    services=(service_yaml("db", "exec sleep 600").replace("name: db", 'name: "数据库 é"'),),
    tasks=(task_yaml("t", "echo x >> ran"), task_yaml("fails", "exit 3")),
)
CLOSED = {"stdout": ">&-", "stderr": "2>&-", "all": "<&- >&- 2>&-"}


def shell(stage: Stage, redirection: str, *command: str, cwd: Path | None = None, **extra: str) -> Answer:
    """A command whose streams a shell has redirected so."""
    answer = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *PROGRAM, *command],
        cwd=cwd or stage.workspace,
        env=stage.daemon._environ() | extra,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=90,
        check=False,
    )
    no_traceback(answer.stdout + answer.stderr)
    assert "Exception ignored" not in answer.stderr
    return answer


@pytest.fixture(scope="module")
def there(shared: Stage) -> Stage:
    shared.apply(FILE)
    return shared


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("service", "list"), 0),
        (("service", "list", "-o", "json"), 0),
        (("status",), 0),
        (("automations", "schema"), 0),
        (("completion", "bash"), 0),
        (("--help",), 0),
        (("events", "--no-follow"), 0),
        (("task", "logs", "ghost", "--no-follow"), 2),
        (("task", "start", "fails"), 1),
        (("service", "get", "ghost"), 2),
        (("no-such-command",), 2),
        (("status", "--address", "unix:/nonexistent"), 4),
    ],
    ids=str,
)
def test_a_closed_stream_changes_no_exit_code(
    there: Stage, closed: str, command: tuple[str, ...], code: int
) -> None:
    assert shell(there, CLOSED[closed], *command).returncode == code


@pytest.mark.parametrize("redirection", [*CLOSED.values(), ">/dev/full", "2>/dev/full", ">/dev/full 2>&1"])
def test_the_task_runs_once(there: Stage, redirection: str) -> None:
    """1 where its id could not be told to whoever wants to read it."""
    ran = there.workspace / "ran"
    ran.unlink(missing_ok=True)
    answer = shell(there, redirection, "task", "start", "t")
    lost = redirection.startswith(">/dev/full")
    assert answer.returncode == (1 if lost else 0)
    if redirection == ">/dev/full":
        assert answer.stderr.endswith("Error: Standard output: no space left on device.\n")
    wait_until(ran.exists, 20)
    assert ran.read_text() == "x\n"


@pytest.mark.parametrize(
    "command", [("service", "list"), ("status",), ("--help",), ("completion", "bash")], ids=" ".join
)
def test_a_full_standard_output_is_told(there: Stage, command: tuple[str, ...]) -> None:
    answer = shell(there, ">/dev/full", *command)
    assert answer.returncode == 1
    assert answer.stderr == "Error: Standard output: no space left on device.\n"


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp437"])
def test_a_narrow_encoding(there: Stage, encoding: str) -> None:
    """People see escapes for what it does not have; what programs read is right all the same."""
    told = shell(there, "", "service", "list", PYTHONIOENCODING=encoding)
    assert told.returncode == 0
    assert "\\346\\225\\260" in told.stdout
    for output, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        answer = shell(there, "", "service", "get", "db", "-o", output, PYTHONIOENCODING=encoding)
        assert answer.returncode == 0
        assert read(answer.stdout)["metadata"]["name"] == "数据库 é"
    for command in (("status",), ("why", "db"), ("events", "--no-follow"), ("service", "get", "db")):
        assert shell(there, "", *command, PYTHONIOENCODING=encoding).returncode == 0
    assert shell(there, "", "status", LC_ALL="C").returncode == 0


@pytest.fixture
def nowhere() -> str:
    """A shell's beginning that is in a directory which is no more."""
    return 'd=$(mktemp -d); cd "$d"; rmdir "$d"'


@pytest.mark.parametrize(
    "command",
    [("automations", "validate"), ("up",), ("serve",), ("prebuild",), ("doctor",)],
    ids=" ".join,
)
def test_a_working_directory_that_is_gone(there: Stage, nowhere: str, command: tuple[str, ...]) -> None:
    """Told, with what to do; where no directory is needed, none is missed."""
    text = f'{nowhere}; exec "$@"'
    with tempfile.TemporaryDirectory() as state:
        argv = ["/bin/sh", "-c", text, "sh", *PROGRAM, *command]
        if command[0] != "automations":
            argv += ["--state-dir", state]
        answer = subprocess.run(
            argv, env=there.daemon._environ(), capture_output=True, text=True, timeout=90, check=False
        )
    no_traceback(answer.stderr)
    assert answer.returncode == 2, answer
    assert "working directory does not exist" in answer.stderr
    asked = subprocess.run(
        ["/bin/sh", "-c", text, "sh", *PROGRAM, "service", "list"],
        env=there.daemon._environ(),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert asked.returncode == 0


@pytest.mark.parametrize("closed", CLOSED)
def test_an_agent_with_closed_streams(stage: Stage, closed: str) -> None:
    """No socket or database of it gets the number of a standard stream, and what it runs has its streams."""
    stage.write_file(
        automations(
            services=(
                service_yaml(
                    "s",
                    "echo out; echo err >&2; ls -l /proc/$$/fd > fds; exec sleep 600",
                    more="triggeredBy: [postMachineStart]",
                ),
            )
        )
    )
    argv = [*PROGRAM, "serve", "--state-dir", str(stage.state), "--workspace", str(stage.workspace)]
    agent = subprocess.Popen(
        ["/bin/sh", "-c", f'exec "$@" {CLOSED[closed]}', "sh", *argv],
        cwd=stage.workspace,
        env=stage.daemon._environ(),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until((stage.state / "agent.json").exists, 60)
        wait_until(lambda: stage.phase("s") == "RUNNING", 20)
        for number in range(3):
            assert Path(f"/proc/{agent.pid}/fd/{number}").readlink() == Path("/dev/null")
        wait_until(lambda: "err" in stage.ok("service", "logs", "s", "--no-follow"), 20)
    finally:
        agent.terminate()
        assert agent.wait(60) == 0
