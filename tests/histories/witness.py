"""A scripted machine that tells a witness of every command begun, signalled and ended; and its faults."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from runner_agent.executors.base import RunRequest
from runner_agent.executors.scripted_process import Process
from runner_agent.executors.scripted_world import Run, World
from runner_agent.model.errors import Unavailable
from runner_agent.model.runs import Ending
from tests.support.strikes import Life, Strikes

BY_LAUNCHER = frozenset(
    f"before {verb}" for verb in ("start", "find", "survey", "terminate", "kill", "linger")
)


@dataclass(eq=False, slots=True)
class Seen:
    """One run as the machine knows it; times are the machine's.

    `terminated`: the agent's first SIGTERM. `killed`: the first SIGKILL, `struck`: the agent's last one.
    `emptied`: nothing was left. `lost`: its holder was, and `untold`, before its command had ended.
    """

    run: Run
    at: float
    terminated: float | None = None
    killed: float | None = None
    struck: float | None = None
    lost: bool = False
    lost_at: float | None = None
    untold: bool = False
    ended: float | None = None
    emptied: float | None = None

    @property
    def request(self) -> RunRequest:
        return self.run.request

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def alive(self) -> bool:
        """Any process of it exists."""
        return bool(self.run.survivors())

    @property
    def known(self) -> float | None:
        """When its command could be known to have ended: without its holder, with its last process."""
        return self.emptied if self.untold else self.ended

    @property
    def ending(self) -> Ending | None:
        return self.run.ending

    @property
    def version(self) -> int:
        """Of the spec it was begun with: the scripts carry it as a comment."""
        return int(self.request.script.rpartition("# v")[2])


class Witness(Protocol):
    """Who is told."""

    def begins(self, request: RunRequest) -> None: ...

    def begun(self, seen: Seen) -> None: ...

    def terminated(self, seen: Seen) -> None: ...

    def killed(self, seen: Seen) -> None: ...

    def ended(self, seen: Seen) -> None: ...


class WitnessedWorld(World):
    """Signals of holders, which clear up after commands, are not told: they are the machine's own."""

    def __init__(self, witness: Witness) -> None:
        super().__init__()
        self._witness = witness
        self.seen: list[Seen] = []

    def begin(self, request: RunRequest) -> Run:
        self._witness.begins(request)
        run = super().begin(request)
        seen = Seen(run, self.now())
        self.seen.append(seen)
        self._tap(run, seen)
        self._witness.begun(seen)
        return run

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def _tap(self, run: Run, seen: Seen) -> None:
        terminate, kill, died = run.terminate, run.kill, run.died

        def tapped_terminate() -> None:
            self._witness.terminated(seen)
            seen.terminated = self.now() if seen.terminated is None else seen.terminated
            terminate()

        def tapped_kill() -> None:
            if self.transcript[-1].what == f"kill {run.name}":  # else it is the holder's
                self._witness.killed(seen)
                seen.struck = self.now()
            seen.killed = self.now() if seen.killed is None else seen.killed
            kill()

        def tapped_died(process: Process, ending: Ending) -> None:
            if process is run.leader:
                seen.ended = self.now()
            died(process, ending)
            seen.emptied = None if seen.alive else self.now()
            self._witness.ended(seen)

        run.terminate, run.kill, run.died = tapped_terminate, tapped_kill, tapped_died  # type: ignore[method-assign]


class Faults(Strikes):
    """With a launcher that nobody can reach for a while; waiting needs none."""

    unreachable = False

    async def point(self, life: Life, what: str) -> None:
        if self.unreachable and what in BY_LAUNCHER and not life.fallen.is_set():
            raise Unavailable("the launcher cannot be reached; it is tried again")
        await super().point(life, what)
