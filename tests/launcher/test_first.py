"""The first process of a container, played by one that is handed all orphans below it, as process 1 is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner_agent.launcher import first
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

# What prctl says (PR_SET_CHILD_SUBREAPER) stays in force when another program is executed.
AS_REAPER = "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1); os.execv(sys.argv[1], sys.argv[1:])"
SECONDS = 60.0


class Container:
    """A first process with `sh -c SCRIPT` as its command; `sh -c SCRIPT serve` is taken for an agent."""

    def __init__(self, base: Path, script: str, *arguments: str) -> None:
        self.base = base
        program = [sys.executable, "-I", "-S", str(first.__file__), "/bin/sh", "-c", script, *arguments]
        with (base / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", AS_REAPER, *program],
                cwd=base,
                stderr=log,
                start_new_session=True,
            )

    def children(self) -> list[int]:
        pid = self.process.pid
        return [
            int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        ]

    def wait_file(self, name: str) -> str:
        """The content of a file that the script writes, once it is there."""
        path = self.base / name
        wait_until(lambda: path.exists() and path.read_text() != "", SECONDS, f"{name} is written")
        return path.read_text()

    def ended(self) -> int:
        return self.process.wait(SECONDS)


@pytest.fixture
def containers(scratch: Path) -> Iterator[list[Container]]:
    """Those that a test made; what is left of them is killed, with its session."""
    made: list[Container] = []
    yield made
    for one in made:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait(SECONDS)


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137)])
def test_exit_code_is_that_of_the_command(
    scratch: Path, containers: list[Container], script: str, code: int
) -> None:
    containers.append(one := Container(scratch, script))
    assert one.ended() == code


def test_orphans_are_reaped(scratch: Path, containers: list[Container]) -> None:
    """Each subshell leaves a child behind that ends after it: nobody else's to wait for."""
    script = "for i in 1 2 3 4 5; do (sh -c 'exec sleep 0.01' &) ; done; echo on > on; exec sleep 1000"
    containers.append(one := Container(scratch, script))
    one.wait_file("on")
    wait_until(lambda: len(one.children()) == 1, SECONDS, "only the command is left below")
    one.process.terminate()
    assert one.ended() == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_reach_the_command(
    scratch: Path, containers: list[Container], number: signal.Signals
) -> None:
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo told > told; exit 9' {name}; echo on > on; while :; do sleep 0.05; done"
    containers.append(one := Container(scratch, script))
    one.wait_file("on")
    one.process.send_signal(number)
    assert one.ended() == 9
    assert one.wait_file("told") == "told\n"


def test_an_agent_that_is_killed_is_started_again_and_the_rest_goes_on(
    scratch: Path, containers: list[Container]
) -> None:
    """Rule 7.2 in a container: the end of process 1 would be the end of every run."""
    script = (
        'if [ -e run ]; then echo "$$" > again; else (sleep 1000 & echo "$!" > run); echo "$$" > on; fi; '
        "exec sleep 1000"
    )
    containers.append(one := Container(scratch, script, "serve"))
    agent, run = int(one.wait_file("on")), int(one.wait_file("run"))
    os.kill(agent, signal.SIGKILL)
    again = int(one.wait_file("again"))
    assert again != agent
    assert set(one.children()) == {again, run}
    assert "starting it again" in (scratch / "log").read_text()
    one.process.terminate()
    assert one.ended() == 128 + signal.SIGTERM


def test_an_agent_that_cannot_start_ends_the_container(scratch: Path, containers: list[Container]) -> None:
    """A wrong setting shows, instead of being tried for ever."""
    containers.append(one := Container(scratch, "exit 2", "serve"))
    assert one.ended() == 2


@pytest.mark.parametrize(
    ("command", "code", "lived", "again"),
    [
        (["serve"], -9, 0.1, True),
        (["serve"], 1, first.SETTLED + 1, True),
        (["serve"], 1, 1.0, False),
        (["serve"], 0, first.SETTLED + 1, False),
        (["task"], -9, 1.0, False),
    ],
)
def test_what_counts_as_a_crash(command: list[str], code: int, lived: float, *, again: bool) -> None:
    assert first.crashed(command, code, lived) is again
