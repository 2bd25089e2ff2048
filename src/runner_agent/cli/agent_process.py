"""The agent that `up` runs: in a session of its own, so that Ctrl-C reaches only `up`, and bound to it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from runner_agent.cli.exits import FAILED, Quit
from runner_agent.client.addresses import Endpoint, read_agent_file

PORTS = "7780-8779"
"""Where the page is: the first of these that is free."""
READY_WITHIN = 60.0
"""Seconds. The agent is ready within a quarter of one, unless it has thousands of runs to adopt."""
LOOK_EVERY = 0.02


class NotStarted(Quit):
    """The agent has ended before it was ready."""


class AgentProcess:
    """`runner-agent serve`. What it says goes to a file without a name, so that no reader can hold it up."""

    def __init__(
        self, arguments: Sequence[str], state_dir: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        """Starts it; `settings` are further ones, as the environment has them."""
        self._state_dir = state_dir
        self._told = 0
        self._told_to_stop = False
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the agent is
        # -P: a `click.py` where `up` was called must not be imported from.
        program = [sys.executable, "-P", "-m", "runner_agent"]
        argv = [*program, "serve", "--stop-with", str(os.getpid()), *arguments]
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=self._words,
            stderr=self._words,
            start_new_session=True,
            env={**_environ(), **(settings or {})},
        )

    def wait_ready(self) -> None:
        """Until its agent.json is there. Raises NotStarted with its own words if it ends instead."""
        deadline = time.monotonic() + READY_WITHIN
        while True:
            found = read_agent_file(self._state_dir)
            if found is not None and found.pid == self._process.pid:
                return
            if self.ended():
                code = self._process.returncode
                said = self.words().strip().removeprefix("Error: ")
                raise NotStarted(
                    code if code > 0 else FAILED, said or f"The agent ended with {code} before it was ready."
                )
            if time.monotonic() > deadline:
                raise Quit(
                    FAILED, f"The agent was not ready within {READY_WITHIN:.0f} s. {self.words().strip()}"
                )
            time.sleep(LOOK_EVERY)

    def ended(self) -> bool:
        """Whether it has."""
        return self._process.poll() is not None

    def ends_within(self, seconds: float) -> bool:
        """Whether it has ended, now or so many seconds later."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        """Bring everything down in order, then end. Told a second time: kill everything, then end.

        SIGTERM first: a shell's background job begins with SIGINT ignored, until the agent listens to it.
        """
        self._process.send_signal(signal.SIGINT if self._told_to_stop else signal.SIGTERM)
        self._told_to_stop = True

    def wait(self) -> int:
        """Its exit code; it is told to stop first if it still runs and was not."""
        return self._process.wait()

    def words(self) -> str:
        """What it has said on standard output and error since this was asked last."""
        said = os.pread(self._words.fileno(), 1 << 20, self._told)
        self._told += len(said)
        return said.decode(errors="replace")


def quicker(state_dir: Path, live: Callable[[Path], Endpoint | None]) -> Endpoint | None:
    """The agent that somebody else began at the same moment, once `live` finds that it answers; None if
    nobody did, or it has ended.
    """
    deadline = time.monotonic() + READY_WITHIN
    while _holder_lives(state_dir) and time.monotonic() < deadline:
        if (endpoint := live(state_dir)) is not None:
            return endpoint
        time.sleep(LOOK_EVERY)
    return None


def _holder_lives(state_dir: Path) -> bool:
    """Whether the process that wrote itself into the state directory's lock is still there."""
    try:
        pid = int((state_dir / "agent.lock").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False
    return Path(f"/proc/{pid}").exists()


def of_the_caller() -> Mapping[str, str]:
    """The environment that `up` was called with."""
    return os.environ


def _environ() -> dict[str, str]:
    """Of the agent's own log only warnings are shown here, and it fires nothing by itself."""
    return {"RUNNER_AGENT_LOG_LEVEL": "warning", **os.environ, "RUNNER_AGENT_POST_MACHINE_START": "false"}
