"""A history: wishes and faults in the order they come, an agent that lives through them, and the laws.

The agent is the real one, commands and reconciler, in virtual time over a scripted machine. Whatever it does
or shows is judged by the reference model as it happens, and `wrong` says what no rule allows.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

from structlog.testing import capture_logs

from runner_agent.control.base import Caller
from runner_agent.control.commands import Commands
from runner_agent.core.timing import Timing
from runner_agent.kit.virtual import VirtualLoop, running_clock
from runner_agent.model.errors import ResourceExhausted, RunnerError
from runner_agent.model.runs import Exited, Signaled
from tests.histories.book import Book
from tests.histories.reference import SOON
from tests.histories.witness import Faults, Seen, WitnessedWorld
from tests.support.world import Scene

T = TypeVar("T")
ALICE = Caller("uid 1000")
CALM = 70.0
"""Seconds after an outage when nothing is being retried any more: the longest rest is half of it."""
FAST = Path("/dev/shm")
"""Where there is one: a history makes and removes hundreds of files."""
ROUNDS = 10_000
"""Of the loop, at one moment: a hundred times what a firing takes."""
AGAIN = 2.0
"""Seconds that a new agent takes at most to take up what there is."""


def disk_full() -> RunnerError:
    return ResourceExhausted("no space left on device")


class PatientLoop(VirtualLoop):
    """One that sees when nothing rests any more: its time would stand still for ever."""

    _at, _rounds = 0.0, 0

    def _run_once(self) -> None:
        self._rounds = self._rounds + 1 if self.time() == self._at else 0
        self._at = self.time()
        if self._rounds > ROUNDS:
            self._rounds = 0
            raise AssertionError(f"there is no rest at t={self._at}")
        super()._run_once()  # type: ignore[misc]


class History:
    """Its methods are its steps, to be called from outside of any loop. `close` at the end."""

    def __init__(self, timing: Timing | None = None) -> None:
        self.timing = timing or Timing()
        self.loop = PatientLoop()
        self.folder = Path(tempfile.mkdtemp(prefix="history-", dir=FAST if FAST.is_dir() else None))
        self.faults = Faults()
        self._outages: dict[str, float] = {}
        self._series: dict[str, float] = {}
        self.book = Book(self.loop.time)
        self._logs = capture_logs()
        self.log = self._logs.__enter__()
        self.loop.set_exception_handler(
            lambda _, context: self.book.wrong.append(f"left unhandled: {context}")
        )
        self.do(self._begin())

    async def _begin(self) -> None:
        self.world = WitnessedWorld(self.book)
        self.scene = Scene(
            self.folder, running_clock(), world=self.world, timing=self.timing, strikes=self.faults
        )
        self.world.on_begin = None
        self.store = self.scene.store
        self.book.look_at(self.store, self.world)
        self.commands = Commands(self.store, self.scene.clock, self.scene.new_id)
        self._watching = self.loop.create_task(self._watch())
        await self.scene.agent()

    def do(self, work: Coroutine[object, object, T]) -> T:
        return self.loop.run_until_complete(work)

    async def _watch(self) -> None:
        watch = self.store.watch()
        while changed := await watch.changes():
            for key, change in changed.items():
                self.book.changed(key, gone=change.deleted)

    # --- time, and the judgement

    def passes(self, seconds: float) -> None:
        """Time passes; then what is shown is judged."""
        self.do(asyncio.sleep(seconds))
        self.judge()

    def judge(self) -> None:
        """AssertionError for whatever was against the rules so far."""
        if self.attentive:
            self.book.judge()
        defects = [entry for entry in self.log if entry.get("exc_info")]
        assert not self.book.wrong, f"{self.book.wrong}\n{self.told()}"
        assert not defects, f"a defect is logged: {defects}\n{self.told()}"
        self.log.clear()

    def told(self) -> str:
        return "\n".join(self.world.lines()[-60:])

    @property
    def attentive(self) -> bool:
        """The agent lives, nothing hinders it, and it has had time to see what happened last."""
        return (
            self.alive
            and not self.faults.unreachable
            and self.store_works
            and self.loop.time() - max(self.book.hindered, self.book.last_event + SOON) >= 0
        )

    @property
    def alive(self) -> bool:
        return bool(self.scene.agents) and not self.scene.agents[-1].life.fallen.is_set()

    store_works = True

    def hinder(self, seconds: float = AGAIN) -> None:
        """Something has happened that the agent may need a while to get over."""
        self.book.hinder(self.loop.time() + seconds)

    def _outage(self, name: str, *, begins: bool) -> None:
        """The rests between attempts double, so getting over it takes no longer than it lasted, twice.

        One that comes before the last has been got over goes on with its rests.
        """
        now = self.loop.time()
        if begins and name not in self._outages:
            earlier = self._series.get(name, now)
            self._series[name] = self._outages[name] = earlier if now <= self.book.hindered else now
        began = self._outages.get(name) if begins else self._outages.pop(name, None)
        self.hinder(AGAIN if began is None else min(CALM, AGAIN + 2 * (self.loop.time() - began)))

    # --- wishes

    def wish(self, work: Coroutine[object, object, T]) -> T | RunnerError:
        """What the API answers."""
        self.book.wishing = True
        try:
            return self.do(work)
        except RunnerError as error:
            return error
        finally:
            self.book.wishing = False
            self.book.stir()

    # --- faults

    def dies(self, after: int = 0) -> None:
        """SIGKILL, now or when it has met the world so many times more."""
        if not self.alive:
            return
        self.hinder()
        if after:
            self.faults.kill_at = len(self.faults.trail) + after - 1
        else:
            self.do(self.scene.agents[-1].dies())

    def returns(self) -> None:
        """Another agent, where none lives."""
        if self.alive:
            return
        self.faults.kill_at = -1
        self.do(self._return())
        self.hinder()

    async def _return(self) -> None:
        await self.scene.agents[-1].dies()
        await self.scene.agent()

    def launcher(self, *, reachable: bool) -> None:
        self.faults.unreachable = not reachable
        self._outage("launcher", begins=not reachable)

    def disk(self, *, full: bool) -> None:
        self.store_works = not full
        self.book.unwritable = full
        self.store.refuse(disk_full if full else None)
        self._outage("disk", begins=full)

    def late(self, seconds: float) -> None:
        """From now on start requests lie in a buffer for so long."""
        self.world.start_takes = seconds
        self.book.lag = SOON + seconds

    def live_runs(self) -> list[Seen]:
        return [seen for seen in self.world.seen if seen.alive]

    def loses_holder(self, index: int) -> None:
        """Of one of the runs that live."""
        if runs := self.live_runs():
            seen = runs[index % len(runs)]
            self.book.lost(seen)
            self.do(self._soon(lambda: self.world.lose(seen.request.run_id)))

    def command_ends(self, index: int, code: int) -> None:
        """One of the commands that live exits, or, by a negative code, dies of a signal."""
        if runs := [seen for seen in self.live_runs() if seen.ended is None]:
            ending = Exited(code) if code >= 0 else Signaled(-code)
            self.do(self._soon(lambda: runs[index % len(runs)].run.leader._die(ending)))

    async def _soon(self, deed: object) -> None:
        assert callable(deed)
        deed()

    def reboots(self) -> None:
        """The machine restarts, and the agent with it."""
        self.disk(full=False)
        self.launcher(reachable=True)
        if self.scene.agents:
            self.do(self.scene.agents[-1].dies())
        self.book.rebooted()
        self.world.reboot()
        self.scene.clock.reboot(self.loop.time())
        self.faults.kill_at = -1
        self.do(self.scene.agent())
        self.hinder()

    def goes_down(self, *, now: bool = False) -> None:
        """An orderly stop of the agent and all it runs (rule 7.1), and a new agent after."""
        self.recovers()
        self.book.going_down(now=now)
        self.book.wishing = True
        self.do(self._go_down(now=now))
        self.book.wishing = self.book.forced = self.book.down = False
        self.hinder()

    async def _go_down(self, *, now: bool) -> None:
        agent = self.scene.agents[-1]
        try:
            async with asyncio.timeout(400):
                await agent.reconciler.bring_down(now=now)
        except TimeoutError:
            self.book.wrong.append("it does not go down")
        if left := [seen.name for seen in self.live_runs()]:
            self.book.wrong.append(f"left behind by an orderly stop: {left}")
        await agent.dies()
        await self.scene.agent()

    def recovers(self) -> None:
        """All faults are over."""
        self.disk(full=False)
        self.launcher(reachable=True)
        self.returns()
        self.faults.kill_at = -1

    def close(self) -> None:
        try:
            self.do(self._end())
        finally:
            self._logs.__exit__(None, None, None)
            self.loop.close()
            shutil.rmtree(self.folder)

    async def _end(self) -> None:
        for agent in self.scene.agents:
            await agent.dies()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
