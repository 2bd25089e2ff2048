"""The conductor of a prebuild: looks at its record, does what comes next, and notes how far it came (rule
6.5). A daemon that was killed in the middle takes it up where it was.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import assert_never

import structlog

from runner_agent.control.prebuild import PrebuildControl
from runner_agent.core.prebuild import (
    Cleaning,
    End,
    Ending,
    Fire,
    Over,
    Prebuild,
    Report,
    TearingDown,
    UnderWay,
    Wait,
)
from runner_agent.daemon import identity
from runner_agent.daemon.files import SIGNED_OUT, TOKEN
from runner_agent.kit.bell import Listener
from runner_agent.kit.clock import Clock
from runner_agent.model.errors import RunnerError
from runner_agent.model.ids import Instant
from runner_agent.reconcile.loop import Reconciler
from runner_agent.store.base import Store, Watch

log = structlog.get_logger("prebuild")

PAUSE = 1.0
"""Seconds before what failed (a full disk, say) is tried again."""
WHY = {Ending.DONE: "the prebuild's end", Ending.TIMED_OUT: "the prebuild's time limit"}
SEALING = {
    Ending.DONE: True,
    Ending.TIMED_OUT: True,
    Ending.CANCELLED: False,
}
"""Whether the state is made ready to be copied. Who cancels goes on working here."""


class Conductor:
    """Works for as long as the agent does."""

    def __init__(
        self, control: PrebuildControl, store: Store, clock: Clock, reconciler: Reconciler, state_dir: Path
    ) -> None:
        self._control, self._store, self._clock = control, store, clock
        self._reconciler, self._state_dir = reconciler, state_dir
        self._at_work: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until cancelled, or until the agent goes down."""
        self._at_work = asyncio.create_task(self._work(), name="prebuild at work")
        try:
            await asyncio.wait({self._at_work})
        finally:
            self._at_work.cancel()
            await asyncio.gather(self._at_work, return_exceptions=True)
        if not self._at_work.cancelled():
            self._at_work.result()

    async def give_up(self) -> None:
        """The agent is told to stop: so ends what is under way, and nothing is remembered of one that has
        ended (rule 7.1).
        """
        if self._at_work is not None:
            self._at_work.cancel()
            await asyncio.gather(self._at_work, return_exceptions=True)
        if self._control.under_way() is not None:
            log.warning("the prebuild under way ends with the agent")
        try:
            await self._control.forget()
        except RunnerError as error:  # a full disk, say: it does not keep the agent from stopping
            log.warning("the prebuild is still on record", error=str(error))

    @property
    def sealed(self) -> bool:
        """The state was made ready to be copied, by a prebuild that ended well or ill."""
        latest = self._control.latest()
        return latest is not None and isinstance(latest.stage, Over) and SEALING[latest.stage.report.ending]

    async def _work(self) -> None:
        ear = self._control.bell.listen()
        await self._reconciler.recovered()
        await self._persist(self._forget_old)
        watch = self._store.watch()
        try:
            while True:
                prebuild = self._control.under_way()
                if prebuild is None:
                    await ear.wait()
                    continue
                try:
                    await self._next(prebuild, watch, ear)
                except Exception as error:
                    defect = None if isinstance(error, (RunnerError, OSError)) else error
                    log.warning("the prebuild cannot go on; trying again", error=str(error), exc_info=defect)
                    await asyncio.sleep(PAUSE)
        finally:
            watch.close()

    async def _forget_old(self) -> None:
        """One of another boot is no more: a machine that restarted, or one that was made from the image."""
        if self._control.latest() is None:
            await self._control.forget()

    async def _next(self, prebuild: Prebuild, watch: Watch, ear: Listener) -> None:
        match prebuild.stage:
            case UnderWay():
                await self._go_on(prebuild, watch, ear)
            case TearingDown() as stage:
                await self._tear_down(prebuild, stage, watch)
            case Cleaning(report=report):
                await self._finish(prebuild, report)
            case Over():
                pass
            case _:
                assert_never(prebuild.stage)

    async def _go_on(self, prebuild: Prebuild, watch: Watch, ear: Listener) -> None:
        match self._control.decide(prebuild):
            case Fire() as fire:
                log.info("prebuild fires", trigger=fire.event.value)
                await self._control.fire(prebuild, fire)
            case Wait(until=until):
                await self._first_of(until, watch.changes, ear.wait)
            case End(ending=ending):
                await self._control.end(prebuild, ending, WHY[ending])

    async def _tear_down(self, prebuild: Prebuild, stage: TearingDown, watch: Watch) -> None:
        """In order, and from a moment on by force. A new wish to be quick rings the bell; what somebody
        starts meanwhile is stopped too.
        """
        ear = self._control.bell.listen()
        going = asyncio.create_task(self._reconciler.bring_down(now=False), name="prebuild tear-down")
        try:
            while not going.done():
                self._control.see(prebuild)
                latest = self._control.under_way()
                quickly = (
                    latest is not None and isinstance(latest.stage, TearingDown) and latest.stage.quickly
                )
                if quickly or self._clock.now() >= prebuild.kill_at(stage.at):
                    await self._reconciler.bring_down(now=True)
                    break
                await self._control.stop_all(stage.by)
                await self._first_of(
                    prebuild.kill_at(stage.at), lambda: asyncio.wait({going}), ear.wait, watch.changes
                )
            await going
        finally:
            going.cancel()
        await self._control.move(prebuild, Cleaning(self._control.report(prebuild, stage)))

    async def _finish(self, prebuild: Prebuild, report: Report) -> None:
        """It is told to be over once that, too, stands in one file."""
        sealing = SEALING[report.ending]
        if sealing:
            await self._clean()
        self._control.settling = True
        try:
            await self._control.move(prebuild, Over(report))
            if sealing:
                await self._store.seal()
            log.info("prebuild has ended", ending=report.ending.value, exit_code=report.exit_code)
        finally:
            self._control.settling = False
            self._reconciler.go_on()

    async def _clean(self) -> None:
        """What an image must not take along (rule 1.1), and all that remains, on disk."""
        await self._control.forget_runs()
        await identity.forget(self._store, self._state_dir / TOKEN)
        (self._state_dir / SIGNED_OUT).unlink(missing_ok=True)
        await self._store.seal()
        folder = os.open(self._state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    async def _first_of(self, until: Instant, *waits: Callable[[], Awaitable[object]]) -> None:
        """Return when one of these does, or the instant has come."""
        tasks = [asyncio.ensure_future(wait()) for wait in waits]
        try:
            left = max(until - self._clock.now(), 0.0)
            await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    @staticmethod
    async def _persist(write: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await write()
            except RunnerError as error:
                log.warning("cannot write; trying again", error=str(error))
                await asyncio.sleep(PAUSE)
            else:
                return
