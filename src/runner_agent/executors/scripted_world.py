"""A machine of the mind: its runs with their holders, its clock the event loop's, and a transcript of it all.

It stands for all that outlives the agent, so it outlives every executor made for it: an agent that is killed
and started again is a new executor over the same world. It runs on any loop; on a virtual one hours pass at
once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from itertools import count
from pathlib import Path

from runner_agent.core.endings import SUPERVISOR_LOST, signal_name
from runner_agent.executors.base import RunRequest
from runner_agent.executors.scripted_language import Script, parse
from runner_agent.executors.scripted_process import Process
from runner_agent.launcher.redactor import redact
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import Instant, RunId
from runner_agent.model.runs import Ending, Exited, Lost, Signaled

MARK = "runner-agent: "
LEFTOVER_GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL for what a command left behind, as on the real machine."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the transcript: seconds since the world began, and what happened to what."""

    at: float
    what: str

    def __str__(self) -> str:
        """`t=3.000 terminate web/start`."""
        return f"t={self.at:.3f} {self.what}"


class World:
    """The machine: its runs, its processes, its flags, and what happened on it."""

    def __init__(self) -> None:
        """Empty."""
        self.transcript: list[Entry] = []
        self.runs: dict[RunId, Run] = {}
        self.tombstones: set[RunId] = set()
        self.flags: set[str] = set()
        self.on_begin: Callable[[RunRequest], None] | None = None
        self.start_takes = 0.0
        """Seconds that a start request lies in a buffer, where it stays when the agent that sent it dies."""
        self.boots = 1
        """How often the machine has started; what lies in a buffer is gone with its boot."""
        self.began: float | None = None
        """When the transcript's time begins, by the loop's clock; unless told, at its first entry."""
        self._pids = count(100)

    def say(self, what: str) -> None:
        """Add to the transcript."""
        now = asyncio.get_running_loop().time()
        self.began = now if self.began is None else self.began
        self.transcript.append(Entry(now - self.began, what))

    def lines(self, *, of: str = "") -> list[str]:
        """The transcript as text, or the part that has `of` in it."""
        return [str(entry) for entry in self.transcript if of in entry.what]

    def begin(self, request: RunRequest) -> Run:
        """Run a command. The caller has seen to it that there is none of this id."""
        if self.on_begin is not None:
            self.on_begin(request)
        run = Run(self, request, parse(request.script))
        self.runs[request.run_id] = run
        return run

    def new_pid(self) -> int:
        """Never used before."""
        return next(self._pids)

    def lose(self, run_id: RunId) -> None:
        """Kill a run's holder: nobody learns how its command ends; what it held is killed as orphans."""
        self.runs[run_id].lose()

    def reboot(self) -> None:
        """End everything without a trace, as a machine does that restarts."""
        self.boots += 1
        for run in self.runs.values():
            run.vanish()
        self.runs.clear()
        self.tombstones.clear()
        self.flags.clear()


class Run:
    """One run: its processes and its holder."""

    def __init__(self, world: World, request: RunRequest, script: Script) -> None:
        """The command runs at once."""
        self.world, self.request, self.script = world, request, script
        self.name = f"{request.reference}/{request.role.value}"
        self.ending: Ending | None = None
        self.ended_at: Instant | None = None
        self.ended = asyncio.Event()
        self.empty = asyncio.Event()
        self.processes: list[Process] = []
        self._lingering = self._killing = self._lost = self._overdue = False
        self._ladder: asyncio.TimerHandle | None = None
        self.began_ns = math.ceil(asyncio.get_running_loop().time() * 1e9)
        if request.note:
            self._note(request.note)
        self.leader = Process(self, f"{request.reference} {request.role.value}", 0)
        self.leader.begin(script.body)

    # --- what the executor asks for

    def terminate(self) -> None:
        """SIGTERM to the leader's group."""
        for process in self._alive():
            if process.group == self.leader.pid:
                process.terminate()

    def kill(self) -> None:
        """SIGKILL to all, and to whatever is forked from now on."""
        self._killing = True
        for process in self._alive():
            process.kill()

    def linger(self, *, on: bool) -> None:
        """Hold back the leftover ladder."""
        self._lingering = on
        self._clear()

    def lose(self) -> None:
        """The holder dies."""
        self._lost = True
        self.world.say(f"lost {self.name}")
        self.kill()
        self._clear()

    def vanish(self) -> None:
        """Everything stops at once and nobody is told."""
        for process in self._alive():
            process.vanish()

    def survivors(self) -> list[Process]:
        """The processes that exist now."""
        return self._alive()

    # --- what its processes tell

    def fork(self, process: Process) -> None:
        """A new process of the run."""
        self.processes.append(process)

    def died(self, process: Process, ending: Ending) -> None:
        """Reap."""
        if process is self.leader and not self._lost:
            self.ending, self.ended_at = ending, Instant(asyncio.get_running_loop().time())
            self.world.say(f"{self.name} {_told(ending)}")
            self._note(f"{self.name} {_told(ending)}")
            self.ended.set()
        self._clear()

    def write(self, text: str, into: str) -> None:
        """Append to the log, without the run's secrets, or to the file named."""
        if self.request.secrets and not into:
            text = redact(text, self.request.secrets)
        with Path(into or self.request.log).open("a", encoding="utf-8") as file:
            file.write(text)

    def _note(self, text: str) -> None:
        """A line of its own in the log, whatever the command left unfinished."""
        log = self.request.log
        begun = log.exists() and not log.read_bytes().endswith(b"\n") and log.stat().st_size > 0
        self.write(("\n" if begun else "") + f"{MARK}{text}\n", "")

    # --- the holder

    def _clear(self) -> None:
        """End what the leader left behind (rules 3.5, 4.7), and leave when nothing is left."""
        if self._alive():
            leftovers = self.ended.is_set() and not self._lingering and not self._killing
            if leftovers and self._ladder is None:
                self._ladder = asyncio.get_running_loop().call_later(LEFTOVER_GRACE, self._out_of_patience)
                self.world.say(f"{self.name} left {len(self._alive())} behind")
                for process in self._alive():
                    process.terminate()
            elif leftovers and self._overdue:
                self._out_of_patience()
            return
        if self.empty.is_set():
            return
        if self._ladder is not None:
            self._ladder.cancel()
        if self._lost and self.ending is None:
            self.ending = Lost(SUPERVISOR_LOST)
        self.world.say(f"{self.name} gone")
        self.ended.set()
        self.empty.set()

    def _out_of_patience(self) -> None:
        self._overdue = self._lingering
        if self._overdue:
            return
        self.world.say(f"{self.name} leftovers killed")
        self.kill()

    def _alive(self) -> list[Process]:
        return [process for process in self.processes if process.alive]


def _told(ending: Ending) -> str:
    match ending:
        case Exited(code=code):
            return f"exited with code {code}"
        case Signaled(signal=number):
            return f"was killed by {signal_name(number)}"
        case _:
            return repr(ending)
