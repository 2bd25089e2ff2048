"""The executor protocol: how the reconciler has commands run and learns how they ended.

A run has two endings: its command ended (`wait_ended`), and nothing of it is left (`wait_empty`). Waiting
changes nothing and may be
cancelled and begun again at any time, also by the next daemon: handles are plain data. Signals are harmless
twice.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import field
from pathlib import Path
from typing import Protocol

from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import Instant, Reference, RunId
from runner_agent.model.phases import RunRole
from runner_agent.model.runs import Ending, Handle, Survivor
from runner_agent.model.specs import RunsOn

BEGAN = "began_ns"
"""The entry of a handle that says when its command began, in ns of CLOCK_MONOTONIC, where that is known."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """All an executor needs to start one run.

    `env` comes on top of the base environment of the user the command runs as (rule 5.2). `log` is the file
    that stdout and
    stderr go to, appended; `output` the file named by GITPOD_OUTPUT, whose folder exists. `note` opens the
    run in its log. `secrets` are values that must not reach the log in any usual disguise (rule 5.6); neither
    they nor `env`, which holds them, show in a repr. What keeps it from being started is told by `waits`,
    in words, "" once that is over.
    """

    run_id: RunId
    role: RunRole
    reference: Reference
    script: str
    runs_on: RunsOn
    env: Mapping[str, str] = field(repr=False)
    log: Path
    output: Path
    note: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    waits: Callable[[str], None] = field(default=lambda _: None, repr=False, compare=False)


class Executor(Protocol):
    """Seven questions and three signals; one conformance suite over every implementation."""

    @property
    def name(self) -> str:
        """What handles carry in `executor`."""
        ...

    async def prepare(self, request: RunRequest) -> None:
        """Do what is slow (pull an image). May be cancelled. Raises CannotStart."""
        ...

    async def start(self, request: RunRequest) -> Handle:
        """Start the command; quick. The same run_id twice gives the same handle. Raises CannotStart, leaving
        nothing behind.
        """
        ...

    async def wait_ended(self, handle: Handle) -> Ending:
        """Return when the command itself has ended."""
        ...

    async def wait_empty(self, handle: Handle) -> None:
        """Return when no process of the run is left. Never before `wait_ended` could return."""
        ...

    async def ended_at(self, handle: Handle) -> Instant | None:
        """When the command ended, if that was written down where it ran."""
        ...

    async def terminate(self, handle: Handle) -> None:
        """SIGTERM to the command's whole process group; nothing if it is gone."""
        ...

    async def kill(self, handle: Handle) -> None:
        """SIGKILL to every process of the run, however it was spawned; nothing if it is gone."""
        ...

    async def linger(self, handle: Handle, *, on: bool) -> None:
        """While on, what the command leaves behind when it ends is left alone until `kill` or off (rule
        3.8).
        """
        ...

    async def survivors(self, handle: Handle) -> tuple[Survivor, ...]:
        """The processes of the run that exist now."""
        ...

    async def find(self, run_id: RunId) -> Handle | None:
        """The run's handle, or None, and then no start request for it that is still under way can ever
        succeed.
        """
        ...

    async def survey(self) -> tuple[Handle, ...]:
        """Every run that is not gone, whoever started it."""
        ...

    async def traces(self) -> Collection[RunId]:
        """Runs of which anything is kept, the cleaned ones not; whoever started them."""
        ...

    async def clean(self, run_id: RunId) -> None:
        """Forget a run that is gone: remove its records (not its log)."""
        ...

    async def aclose(self) -> None:
        """Let go of connections. Runs go on."""
        ...
