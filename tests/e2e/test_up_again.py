"""A second `up`, `up` after a crash, and `attach`: what is fired again, what is shown, and what ends it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.stage import automations, no_traceback, service_yaml, task_yaml, unreachable
from tests.e2e.test_up import lines_until, nothing_left
from tests.support.daemon import PROGRAM
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from tests.e2e.stage import Stage

EVENT = "triggeredBy: [postEnvironmentStart]"
COUNTED = "echo ran >> $RUNNER_AGENT_REFERENCE.runs"
TICKS = service_yaml("web", "while sleep 0.05; do echo serving; done")
WEB = service_yaml("web", f"{COUNTED}; echo serving; exec sleep 600", more=EVENT)


def runs(stage: Stage, name: str) -> int:
    path = stage.workspace / f"{name}.runs"
    return path.read_text().count("ran") if path.exists() else 0


def end(up: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> tuple[str, str]:
    up.send_signal(number)
    said = up.communicate(timeout=60)
    no_traceback("".join(said))
    return said


def test_a_second_up_fires_only_what_has_not_succeeded(stage: Stage) -> None:
    """Interface: unless `--fire` names it. What is new in the file, and what failed, is fired."""
    good = task_yaml("good", COUNTED, more=EVENT)
    bad = task_yaml("bad", f"{COUNTED}; exit 3", more=EVENT)
    stage.start()
    stage.write_file(automations(services=(WEB,), tasks=(good, bad)))
    assert stage.cli("up", "--until-done").returncode == 1
    stage.write_file(automations(services=(WEB,), tasks=(good, bad, task_yaml("new", COUNTED, more=EVENT))))
    again = stage.cli("up", "--until-done")
    assert "not fired again: good, web (up, running, or succeeded in this boot)" in again.stdout
    assert "--fire postEnvironmentStart" in again.stdout
    assert [runs(stage, name) for name in ("web", "good", "bad", "new")] == [1, 1, 2, 1]
    assert (again.returncode, "Not succeeded: bad." in again.stderr) == (1, True)
    asked = stage.cli("up", "--fire", "postEnvironmentStart", "--until-done")
    assert "not fired again" not in asked.stdout
    assert [runs(stage, name) for name in ("web", "good", "bad", "new")] == [1, 2, 3, 2]


def test_after_a_crash_nothing_is_fired_twice_and_ages_are_real(stage: Stage) -> None:
    """Since the run began or the phase was entered, not since it was adopted."""
    slow = task_yaml("slow", f"{COUNTED}; until [ -e go ]; do sleep 0.05; done; echo went on", more=EVENT)
    stage.write_file(automations(services=(WEB,), tasks=(slow, task_yaml("good", COUNTED, more=EVENT))))
    stage.start()
    assert stage.ok("trigger", "postEnvironmentStart")
    wait_until(lambda: runs(stage, "slow") and runs(stage, "web"), what="both run")
    wait_until(lambda: stage.phase("web") == "RUNNING", what="the agent has noted it")
    began = time.monotonic()
    stage.daemon.sigkill()
    wait_until(lambda: time.monotonic() - began > 3, what="they have an age")
    up = stage.spawn("up", "--until-done")
    seen = lines_until(up, "task slow: RUNNING")
    assert "not fired again: good, slow, web" in "".join(seen)
    assert re.search(r"service web: RUNNING for ([3-9]|\d\d)", "".join(seen)), seen
    assert re.search(r"task slow: RUNNING for ([3-9]|\d\d)", "".join(seen)), seen
    (stage.workspace / "go").touch()
    said, errors = up.communicate(timeout=60)
    no_traceback(said + errors)
    assert up.returncode == 0, (seen, said, errors)
    assert "| went on" in said
    assert [runs(stage, name) for name in ("web", "slow", "good")] == [1, 1, 1]
    nothing_left(stage)


def test_attach_follows_fires_nothing_and_detaches(stage: Stage) -> None:
    assert stage.cli("attach").returncode == 4
    stage.start(file=automations(services=(TICKS,), tasks=(task_yaml("t", COUNTED, more=EVENT),)))
    stage.ok("service", "start", "web")
    attached = stage.spawn("attach")
    assert "service web: RUNNING" in "".join(lines_until(attached, "serving"))
    stage.ok("service", "stop", "web")
    lines_until(attached, "service web: STOPPED")
    stage.ok("service", "start", "web")
    lines_until(attached, "serving")
    _, errors = end(attached)
    assert (attached.returncode, "Detached" in errors) == (130, True)
    assert runs(stage, "t") == 0
    assert not unreachable(stage.agent)
    assert stage.phase("web") == "RUNNING"


def test_who_is_attached_hears_of_a_stop_and_not_of_a_crash(stage: Stage) -> None:
    """No alarm when the agent goes down because it was told to."""
    stage.start(file=automations(services=(TICKS,)))
    stage.ok("service", "start", "web")
    attached = stage.spawn("attach")
    lines_until(attached, "serving")
    assert stage.daemon.terminate() == 0
    said, errors = attached.communicate(timeout=60)
    assert attached.returncode == 0
    assert "The agent was stopped" in errors
    assert "does not answer" not in said + errors


def test_who_is_attached_is_not_alarmed_by_a_restart(stage: Stage) -> None:
    """SIGUSR2 is what `systemctl restart` sends: it leaves, and what runs goes on."""
    stage.start(file=automations(services=(TICKS,)))
    stage.ok("service", "start", "web")
    attached = stage.spawn("attach")
    lines_until(attached, "serving")
    assert stage.daemon.interrupt(number=signal.SIGUSR2) == 0
    seen = lines_until(attached, "the agent is being restarted")
    stage.start()
    seen += lines_until(attached, "the agent is back")
    assert "does not answer" not in "".join(seen)
    end(attached)


def test_own_up_ends_without_an_alarm(stage: Stage) -> None:
    """Told by Ctrl-C, by SIGTERM or by SIGHUP, or the agent told by somebody else; the exit code is 0."""
    stage.write_file(automations(services=(WEB,)))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, None):
        up = stage.spawn("up")
        lines_until(up, "serving")
        if number is None:
            os.kill(stage.daemon.info().pid, signal.SIGTERM)
            said, errors = up.communicate(timeout=60)
            assert "told to stop by somebody else" in errors
        else:
            said, errors = end(up, number)
        assert up.returncode == 0, (number, said, errors)
        assert "does not answer" not in said + errors, number
        nothing_left(stage)


def test_own_up_outlives_its_reader(stage: Stage) -> None:
    """`up | head -3` stops nobody's services; what is left to do is to stop them when told to."""
    stage.write_file(automations(services=(service_yaml("web", COUNTED + "; exec sleep 600", more=EVENT),)))
    up = stage.spawn("up")
    assert up.stdout is not None
    assert up.stderr is not None
    lines_until(up, "ready: pid")
    up.stdout.close()
    wait_until(lambda: runs(stage, "web"), what="it was fired though nobody reads")
    up.terminate()
    assert up.wait(60) == 0
    no_traceback(up.stderr.read())
    up.stderr.close()
    nothing_left(stage)


def filled(screen: int) -> bool:
    """Nobody reads there, and hardly anything more fits."""
    (waiting,) = struct.unpack("i", fcntl.ioctl(screen, termios.FIONREAD, b"\0" * 4))
    return bool(waiting >= (4000 if os.isatty(screen) else 60_000))


LOUD = service_yaml("loud", "while :; do echo 0123456789012345678901234567890123456789; done", more=EVENT)
DEAF = service_yaml("deaf", "trap '' TERM; touch on; while :; do sleep 0.05; done", more=EVENT)


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
@pytest.mark.parametrize("kill", [False, True], ids=["stop", "kill"])
def test_own_up_that_nobody_reads_can_be_ended(stage: Stage, *, kill: bool, terminal: bool) -> None:
    """Rules 7.1, 7.6: it waits for the reader with what it shows, not with what it is told."""
    stage.write_file(automations(services=(LOUD, *([DEAF] if kill else []))))
    screen, ours = pty.openpty() if terminal else os.pipe()
    with subprocess.Popen(
        [*PROGRAM, "up"],
        cwd=stage.workspace,
        env=stage.daemon._environ(),
        stdin=subprocess.DEVNULL,
        stdout=ours,
        stderr=subprocess.DEVNULL,
    ) as up:
        os.close(ours)
        wait_until(lambda: filled(screen), what="nobody reads")
        if kill:
            wait_until((stage.workspace / "on").exists, what="it is deaf")
            up.send_signal(signal.SIGINT)
            wait_until(lambda: stage.phase("loud") != "RUNNING", what="it was heard")
        up.send_signal(signal.SIGINT if kill else signal.SIGTERM)
        assert up.wait(30) == 0
    os.close(screen)
    nothing_left(stage)


def test_attached_up_that_nobody_reads_can_be_ended(stage: Stage) -> None:
    stage.start(file=automations(services=(LOUD,)))
    stage.ok("service", "start", "loud")
    up = stage.spawn("attach")
    assert up.stdout is not None
    assert up.stderr is not None
    screen = up.stdout.fileno()
    wait_until(lambda: filled(screen), what="nobody reads")
    up.terminate()
    assert up.wait(30) == 0
    for stream in (up.stdout, up.stderr):
        stream.close()
    assert stage.phase("loud") == "RUNNING"


def test_own_up_tells_of_a_crash_of_its_agent(stage: Stage) -> None:
    stage.write_file(automations(services=(WEB,)))
    up = stage.spawn("up")
    lines_until(up, "serving")
    os.kill(stage.daemon.info().pid, signal.SIGKILL)
    _, errors = up.communicate(timeout=60)
    assert up.returncode == 1
    assert "SIGKILL" in errors
    assert "run `up` again" in errors
    again = stage.spawn("up")
    lines_until(again, "not fired again")
    end(again)
    assert runs(stage, "web") == 1
    nothing_left(stage)


def test_told_to_stop_before_it_is_ready(stage: Stage) -> None:
    """Also where SIGINT is ignored, as in a shell's background job; the exit code is 0, and nothing stays."""
    stage.write_file(automations(services=(WEB,)))
    command = f"trap '' INT; exec {sys.executable} -m runner_agent up"
    environ = stage.daemon._environ()
    with subprocess.Popen(
        ["sh", "-c", command], cwd=stage.workspace, env=environ, stderr=subprocess.PIPE, text=True
    ) as up:
        wait_until((stage.state / "agent.lock").exists, what="the agent begins")
        up.send_signal(signal.SIGTERM)
        _, errors = up.communicate(timeout=60)
    no_traceback(errors)
    assert up.returncode == 0, errors
    nothing_left(stage)


class Shell:
    """An interactive shell on a terminal of its own, as a user has it."""

    def __init__(self, stage: Stage) -> None:
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.chdir(stage.workspace)
            os.execve("/bin/bash", ["bash", "--norc", "-i"], {**stage.daemon._environ(), "TERM": "xterm"})
        termios.tcsetwinsize(self.screen, (24, 80))
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def read_until(self, text: str) -> str:
        """What the terminal was told since the last look."""
        while text not in self.seen:
            assert select.select([self.screen], [], [], 60)[0], f"{text!r} was not said: {self.seen!r}"
            self.seen += os.read(self.screen, 65536).decode(errors="replace")
        told, self.seen = self.seen, ""
        return told

    def close(self) -> None:
        """As closing the window does."""
        os.close(self.screen)
        os.waitpid(self.pid, 0)


def test_on_a_terminal_it_can_be_suspended_and_ends_with_the_terminal(stage: Stage) -> None:
    stage.write_file(automations(services=(TICKS.replace("  web:", "  web:\n    " + EVENT),)))
    shell = Shell(stage)
    shell.type(f"{sys.executable} -m runner_agent up\n")
    shell.read_until("serving")
    shell.type("\x1a")
    assert "\x1b[?25h" in shell.read_until("Stopped"), "the cursor is shown again"
    shell.type("stty -a | grep -o -- '.echo ' ; echo $((6*7))\n")
    assert "-echo" not in shell.read_until("42"), "and what is typed"
    assert stage.phase("web") == "RUNNING", "the agent knows nothing of it"
    shell.type("fg\n")
    shell.read_until("Ctrl-C stops everything in order.")
    shell.read_until("serving")
    shell.close()
    wait_until(lambda: not stage.daemon.family(), 30, "everything is down")
