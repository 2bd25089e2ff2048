"""One process of the scripted world: interprets its script in a task of its own, and heeds signals."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner_agent.executors.scripted_language import Command, Statement, Subshell, expand, parse
from runner_agent.model.runs import Ending, Exited, Signaled

if TYPE_CHECKING:
    from runner_agent.executors.scripted_world import Run


class _Exit(Exception):
    """The shell's exit."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True)
class _Habits:
    """What a process does about SIGTERM: "" ignores it, None dies of it, else a script that is run."""

    on_term: str | None = None
    due: bool = False
    rung: asyncio.Event = field(default_factory=asyncio.Event)


class Process:
    """One process, interpreting its script in a task of its own."""

    def __init__(self, run: Run, command: str, group: int, on_term: str | None = None) -> None:
        """Exists from now on. `group` 0: leads its own. Inherited is only that TERM is ignored."""
        self.run, self.command = run, command
        self.pid = run.world.new_pid()
        self.group = group or self.pid
        self.alive = True
        self._habits = _Habits("" if on_term == "" else None)
        self._children: list[Process] = []
        self.gone = asyncio.Event()
        self._doomed = False
        self._task: asyncio.Task[None] | None = None
        run.fork(self)

    def begin(self, body: tuple[Statement, ...]) -> None:
        """Interpret."""
        self._task = asyncio.get_running_loop().create_task(self._live(body), name=f"process {self.pid}")

    def terminate(self) -> None:
        """SIGTERM."""
        match self._habits.on_term:
            case None:
                self._die(Signaled(signal.SIGTERM.value))
            case "":
                pass
            case _:
                self._habits.due = True
                self._habits.rung.set()

    def kill(self) -> None:
        """SIGKILL. What is unkillable dies of it late, and does nothing more meanwhile."""
        if self._doomed:
            return
        self._doomed = True
        if self._task is not None:
            self._task.cancel()
        delay = self.run.script.unkillable
        if delay:
            asyncio.get_running_loop().call_later(delay, self._die, Signaled(signal.SIGKILL.value))
        else:
            self._die(Signaled(signal.SIGKILL.value))

    def vanish(self) -> None:
        """Stop to exist, untold."""
        self.alive = False
        if self._task is not None:
            self._task.cancel()

    def _die(self, ending: Ending) -> None:
        if not self.alive:
            return
        self.vanish()
        self.gone.set()
        self.run.died(self, ending)

    # --- the interpreter

    async def _live(self, body: tuple[Statement, ...]) -> None:
        try:
            code = await self._run(body)
        except _Exit as exit_:
            code = exit_.code
        self._die(Exited(code))

    async def _run(self, body: tuple[Statement, ...]) -> int:
        code = 0
        for statement in body:
            code = await self._do(statement)
            await self._heed()
        return code

    async def _heed(self) -> None:
        """Run the trap for a SIGTERM that came meanwhile."""
        if self._habits.due:
            self._habits.due = False
            self._habits.rung.clear()
            await self._run(parse(self._habits.on_term or "").body)

    async def _do(self, statement: Statement) -> int:
        if isinstance(statement, Subshell):
            child = self._fork("subshell", self.group)
            child.begin(statement.body)
            return 0 if statement.background else await self._wait_for(child)
        env = self.run.request.env
        words = [expand(word, env, self.pid) for word in statement.words]
        match words:
            case ["setsid", *options, "-c", script] if options[-1:] in (["sh"], ["bash"]):
                child = self._fork("setsid", 0)
                child.begin(parse(script).body)
                return 0 if statement.background else await self._wait_for(child)
            case [*_] if statement.background:
                child = self._fork(words[0], self.group)
                child.begin((Command(statement.words, statement.into),))
                return 0
            case ["echo", *texts]:
                self.run.write(" ".join(texts) + "\n", expand(statement.into, env, self.pid))
            case ["printf", text]:
                self.run.write(text.replace("\\n", "\n"), expand(statement.into, env, self.pid))
            case _:
                return await self._builtin(words)
        return 0

    async def _builtin(self, words: list[str]) -> int:
        flags = self.run.world.flags
        match words:
            case ["true" | ":"]:
                return 0
            case ["false"]:
                return 1
            case ["exit", code]:
                raise _Exit(int(code))
            case ["sleep", seconds]:
                await self._rest(None if seconds == "infinity" else float(seconds))
            case ["wait"]:
                for child in self._children:
                    await self._wait_for(child)
            case ["trap", text, "TERM"]:
                self._habits.on_term = text
            case ["kill", name, pid] if int(pid) == self.pid:
                self._die(Signaled(signal.Signals[f"SIG{name.removeprefix('-')}"].value))
                await asyncio.Event().wait()
            case ["touch", name]:
                flags.add(name)
            case ["rm", name]:
                flags.discard(name)
            case ["test", "-e", name]:
                return 0 if name in flags else 1
            case _:
                self.run.write(f"{words[0]}: command not found\n", "")
                return 127
        return 0

    def _fork(self, command: str, group: int) -> Process:
        child = Process(self.run, command, group, self._habits.on_term)
        self._children.append(child)
        return child

    async def _wait_for(self, child: Process) -> int:
        await self._either(child.gone.wait())
        return 0

    async def _rest(self, seconds: float | None) -> None:
        await self._either(asyncio.sleep(seconds) if seconds is not None else asyncio.Event().wait())

    async def _either(self, wait: Coroutine[object, object, object]) -> None:
        """Wait, or until a signal wants its trap run."""
        tasks = {asyncio.ensure_future(wait), asyncio.ensure_future(self._habits.rung.wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
