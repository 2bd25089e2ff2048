"""What an agent inherits from its starter changes nothing of what it does and runs get (rules 5.1, 7.6)."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import staged
from tests.e2e.stage import Stage, automations, execution_path, phase_of, service_yaml, task_yaml
from tests.support.daemon import PROGRAM
from tests.support.processes import wait_until

EVERY = "signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, 32, 33}"
STARTERS = {
    "masked": f"signal.pthread_sigmask(signal.SIG_SETMASK, {EVERY})",
    "ignoring": f"[signal.signal(number, signal.SIG_IGN) for number in {EVERY}]",
    "masked and ignoring": (
        f"signal.pthread_sigmask(signal.SIG_SETMASK, {EVERY})\n"
        f"[signal.signal(number, signal.SIG_IGN) for number in {EVERY}]"
    ),
    "without streams": "os.closerange(0, 3)",
    "without output": "os.closerange(1, 3)",
    "with strays": (
        "import socket\n"
        "[os.dup2(os.open(path, os.O_RDWR), number) for number, path in ((7, '/dev/null'), (42, 'stray'))]\n"
        "[os.set_inheritable(one, True) for one in (*os.pipe(), socket.socketpair()[0].detach())]\n"
        "os.environ['LISTEN_FDS'] = '2'; os.environ['LISTEN_PID'] = '1'"
    ),
    "umask": "os.umask(0o777)",
}
SIGNALS = [signal.SIGTERM, signal.SIGINT]
LOOK = r"""
grep -E '^(SigBlk|SigIgn):' /proc/self/status
umask
ls -l /proc/$$/fd > look.all
awk '/->/ {print "fd", $9}' look.all
echo key=value >> "$GITPOD_OUTPUT"
yes | head -1; echo "${PIPESTATUS[0]}"
"""


def _look(stage: Stage) -> None:
    """Rule 5.1, as seen by a command."""
    execution = stage.run("look")
    said = stage.log(execution_path(execution))
    lines = [line for line in said.splitlines() if not line.startswith("runner-agent: ")]
    assert phase_of(execution) == "SUCCEEDED", said
    status = dict(line.split(":\t") for line in lines[:2])
    assert int(status["SigBlk"], 16) == 0
    assert int(status["SigIgn"], 16) & ~(0b11 << 31) == 0
    assert lines[2] == "0022"
    assert {line for line in lines if line.startswith("fd ")} <= {"fd 0", "fd 1", "fd 2", "fd 255"}
    assert lines[-1] == str(128 + signal.SIGPIPE)
    assert execution.get("status", {}).get("steps", [])[0].get("output", {}) == {"key": "value"}


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("starter", STARTERS)
def test_stops_reloads_and_runs_are_as_ever(starter: str, number: signal.Signals) -> None:
    with staged() as stage:
        (stage.workspace / "stray").touch()
        code = f"import os, signal, sys\n{STARTERS[starter]}\nos.execv(sys.argv[1], sys.argv[1:])"
        stage.daemon.program = (sys.executable, "-c", code, *PROGRAM)
        stage.start(
            file=automations(
                services=(service_yaml("held", "trap 'exit 0' TERM; while :; do sleep 0.1; done"),),
                tasks=(task_yaml("look", LOOK),),
            )
        )
        _look(stage)
        stage.ok("service", "start", "held", "--wait=60")
        told = stage.state / "agent.json"
        before = told.stat().st_mtime_ns
        stage.daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: told.stat().st_mtime_ns != before, what="it is back")
        stage.daemon.wait_ready()
        _look(stage)
        assert stage.phase("held") == "RUNNING"
        assert (stage.workspace / "stray").read_bytes() == b"", "nothing was written to what is not ours"
        assert stage.daemon.interrupt(number=number) == 0
        assert not stage.daemon.survivors()


def test_a_starter_whose_folder_has_gone_is_told(scratch: Path) -> None:
    code = "import os, sys\nos.rmdir(os.getcwd())\nos.execv(sys.argv[1], sys.argv[1:])"
    (scratch / "gone").mkdir()
    answer = subprocess.run(
        [sys.executable, "-c", code, *PROGRAM, "serve", "--state-dir", str(scratch / "state")],
        cwd=scratch / "gone",
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert answer.returncode == 2
    assert "workspace: the working directory does not exist any more" in answer.stderr
    assert "Traceback" not in answer.stderr
