"""The agent's own log stream may break, fill up or be forgotten: stop and reload do what they say (7.6)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, automations, service_yaml
from tests.support.processes import wait_until

STARTED = "triggeredBy: [postMachineStart]"


class Unread:
    """A FIFO as the agent's standard output and error. `reader` is our end."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def leave(self) -> None:
        """EPIPE from now on."""
        os.close(self.reader)

    def fill(self, pid: int) -> None:
        """Take all its room: a write waits for ever."""
        end = os.open(f"/proc/{pid}/fd/2", os.O_WRONLY | os.O_NONBLOCK)
        try:
            while True:
                os.write(end, b"x")
        except BlockingIOError:
            os.close(end)


def end_log(stage: Stage, how: str, start: str = "echo $$ > pid; exec sleep 600") -> None:
    """Start an agent whose log stream then becomes what `how` says."""
    path = stage.daemon.base / "stderr"
    stream = Unread(path)
    stage.write_file(automations(services=(service_yaml("s", start, more=STARTED),)))
    stage.daemon.spawn()
    path.unlink()  # the stage reads a file of that name
    stage.daemon.wait_ready()
    wait_until((stage.workspace / "pid").exists, 20)
    if how == "no reader":
        stream.leave()
    else:
        stream.fill(stage.daemon.process.pid)


@pytest.mark.parametrize("how", ["no reader", "never read"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_stop_is_stop(stage: Stage, how: str, number: signal.Signals) -> None:
    """Rule 7.1."""
    end_log(stage, how)
    assert stage.daemon.interrupt(number=number) == 0
    assert stage.daemon.survivors() == []


@pytest.mark.parametrize("how", ["no reader", "never read"])
def test_a_second_interrupt_kills(stage: Stage, how: str) -> None:
    end_log(stage, how, "trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done")
    stage.daemon.process.send_signal(signal.SIGINT)
    wait_until(lambda: stage.phase("s") == "STOPPING", 20)
    assert stage.daemon.interrupt() == 0
    assert stage.daemon.survivors() == []


@pytest.mark.parametrize("how", ["no reader", "never read"])
def test_reload_goes_on(stage: Stage, how: str) -> None:
    """Rule 7.2: the same process, executed anew; the run is the same too."""
    end_log(stage, how)
    before = (stage.workspace / "pid").read_text()
    written = (stage.state / "agent.json").stat().st_mtime_ns
    stage.daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: (stage.state / "agent.json").stat().st_mtime_ns != written, 40)
    assert stage.phase("s") == "RUNNING"
    assert (stage.workspace / "pid").read_text() == before
    assert stage.daemon.terminate() == 0
