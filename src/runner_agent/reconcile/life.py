"""One run from promise to nothing left: it starts what was promised or finds what became of it, waits,
and writes down what it saw. It decides nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Generic, TypeVar

from anyio import CancelScope

from runner_agent.core.endings import told_by_shell
from runner_agent.core.facts import (
    NeverStarted,
    OutputSeen,
    RunEnded,
    RunGone,
    ServiceFact,
    Spawned,
    Waits,
)
from runner_agent.executors.base import BEGAN, Executor
from runner_agent.model.errors import CannotStart, Unavailable
from runner_agent.model.ids import Instant, RunId
from runner_agent.model.phases import RunRole
from runner_agent.model.records import Key
from runner_agent.model.runs import (
    Ended,
    Ending,
    Handle,
    Live,
    NotStarted,
    OutputMark,
    Outputs,
    Starting,
)
from runner_agent.reconcile.machines import Machine, R
from runner_agent.reconcile.means import Means
from runner_agent.reconcile.waiting import Waiting
from runner_agent.secrets.known import Redaction

SETTLE = 0.005
"""Seconds in which an ended command's run is mostly empty too, so that one note tells both."""

FIRST_WORD = 0.05
"""Seconds an adopted run has to tell that it ended while nobody followed it; it then tells at once."""

T = TypeVar("T")


class Life(Generic[R]):
    """One run's life: what can be known of it, each written down as soon as it is."""

    def __init__(self, means: Means, machine: Machine[R], record: R, role: RunRole, run_id: RunId) -> None:
        self._machine: Machine[R] = machine
        self._means = means
        self._reference = machine.reference(record)
        self.key: Key = record.key
        self.role, self.run_id = role, run_id
        self.task: asyncio.Task[None] | None = None
        self.known = asyncio.Event()
        self._tell: Callable[[Key], None] = _nobody
        self._start_told: Callable[[Key], Awaitable[None]] = _at_once
        self._preparing = CancelScope()
        self._ours = self._asked = False
        self._redaction = means.requests.secrets.redaction()

    async def run(
        self,
        proc: Starting | Live | Ended,
        *,
        fresh: bool,
        tell: Callable[[Key], None],
        start_told: Callable[[Key], Awaitable[None]],
    ) -> None:
        """To the end. `tell` whose record it is once it is known what became of a run that is not `fresh`.

        `start_told` returns once the record says whether `start` lives, or raises Unavailable.
        """
        self._ours = fresh
        self._tell, self._start_told = tell, start_told
        match proc:
            case Starting():
                handle = await (self._start() if fresh else self._find())
                if handle is not None:
                    await self._follow(handle, None, OutputMark())
            case Live(handle=handle, read=read):
                await self._follow(handle, None, read)
            case Ended(handle=handle, ending=ending, read=read):
                await self._follow(handle, ending, read)
        self._is_known()

    def give_up(self) -> None:
        """Nobody wants it started any more. What was only being prepared is not started."""
        self._preparing.cancel()

    async def _start(self) -> Handle | None:
        """Keep the promise. A run that cannot be started has ended, with the reason in its log too (rule
        5.7).
        """
        record = self._means.store.get(self._machine.kind, self.key.id)
        if record is None:
            return None
        try:
            async with Waiting(self._note_waiting) as waiting:
                handle = None
                with self._preparing:
                    handle = await self._started(record, waiting)
            if handle is None and self._asked:
                return await self._find()
            if handle is None:
                await self._never()
                return None
        except CannotStart as error:
            said = f"{self.role.value} could not be started: {error}"
            self._means.evidence.note_once(self.key, self.role, said)
            await self._note(RunGone(self.role, self.run_id, self._now(), NotStarted(str(error))))
            await self._clean(*self._means.executors.all())
            return None
        await self._note(Spawned(self.role, self.run_id, self._began(handle), handle))
        return handle

    async def _started(self, record: R, waiting: Waiting) -> Handle:
        """Started, as soon as that can be. May be given up while it waits, and not in between."""
        request = await self._means.requests.build(self._machine, record, self.role, self.run_id, waiting.say)
        executor = self._means.executors.placed(request.runs_on)
        while True:
            try:
                await executor.prepare(request)
                self._asked = True
                with CancelScope(shield=True):
                    return await executor.start(request)
            except Unavailable as error:
                await waiting.once_more(error)

    async def _note_waiting(self, text: str) -> None:
        await self._note(Waits(self.role, self.run_id, text))

    async def _find(self) -> Handle | None:
        """What became of a promise made before this life began: it was kept, or it never can be (rule
        7.2).
        """
        for executor in self._means.executors.all():
            handle = await executor.find(self.run_id)
            if handle is not None:
                await self._note(Spawned(self.role, self.run_id, self._began(handle), handle))
                return handle
        await self._never()
        return None

    def _began(self, handle: Handle) -> Instant:
        """As its holder says: deadlines count from there, whoever was away meanwhile (rules 3.4, 3.8)."""
        now, told = self._now(), handle.data.get(BEGAN)
        return Instant(min(now, told / 1e9)) if isinstance(told, int) else now

    async def _never(self) -> None:
        await self._note(NeverStarted(self.role, self.run_id))
        await self._clean(*self._means.executors.all())

    async def _follow(self, handle: Handle, ending: Ending | None, read: OutputMark) -> None:
        executor = self._means.executors.holding(handle)
        evidence = self._means.evidence
        reference = self._reference
        if not self._ours:
            self._redaction = await self._in_time(self._recall(executor, handle))
        async with evidence.following(
            self.key, self.role, self.run_id, reference, self._on_output, read
        ) as outputs:
            empty, at = False, None
            if ending is None:
                ending = await self._in_time(executor.wait_ended(handle))
                at = await self._ended_at(executor, handle)
                if self.role is RunRole.READY:  # of a service whose `start` has ended it says nothing
                    await self._start_told(self.key)
                empty = await self._empty_soon(executor, handle)
                if not empty:
                    await outputs.complete()
                    ending = told_by_shell(ending, self._last_line())
                    await self._note(RunEnded(self.role, self.run_id, at or self._now(), ending))
            elif empty := await self._empty_soon(executor, handle):
                at = await self._ended_at(executor, handle)
            if not empty:
                await self._in_time(executor.wait_empty(handle))
                at = None  # what was left of it lasted longer than the command
            await outputs.finish()
            last_line = self._last_line()
            ending = told_by_shell(ending, last_line)
            await self._note(RunGone(self.role, self.run_id, at or self._now(), ending, last_line))
        await self._clean(executor)

    async def _ended_at(self, executor: Executor, handle: Handle) -> Instant | None:
        """When the command ended, if it may have while nobody followed it; None is now (rule 4.8)."""
        told = None if self._ours else await executor.ended_at(handle)
        return None if told is None else max(self._began(handle), min(told, self._now()))

    def _last_line(self) -> str:
        return self._redaction.text(self._means.evidence.last_line(self.key, self.role))

    async def _recall(self, executor: Executor, handle: Handle) -> Redaction:
        """What hides the secrets of a run that an agent before this one started."""
        record = self._means.store.get(self._machine.kind, self.key.id)
        if record is None:
            return self._redaction
        return await self._means.requests.recalled(
            self._machine,
            record,
            self.role,
            self.run_id,
            self._means.store,
            lambda: executor.survivors(handle),
        )

    async def _clean(self, *executors: Executor) -> None:
        """Over and written down. By its output file, which goes last, others see what is left to do."""
        if self._means.store.unsaved:  # it is not: whoever comes next needs what the run has left
            return
        for executor in reversed(executors):  # the machine's last: its folder may hold that file
            await executor.clean(self.run_id)
        self._means.evidence.clean(self.run_id)

    async def _in_time(self, wait: Coroutine[object, object, T]) -> T:
        """Wait, however long; a run that has not told its end by then is known to go on."""
        if self.known.is_set():
            return await wait
        first_word = asyncio.get_running_loop().call_later(FIRST_WORD, self._is_known)
        try:
            return await wait
        finally:
            first_word.cancel()

    def _is_known(self) -> None:
        if not self.known.is_set():
            self.known.set()
            self._tell(self.key)

    async def _empty_soon(self, executor: Executor, handle: Handle) -> bool:
        try:
            async with asyncio.timeout(SETTLE):
                await executor.wait_empty(handle)
        except TimeoutError:
            return False
        return True

    async def _on_output(self, entries: Outputs, read: OutputMark) -> None:
        await self._note(OutputSeen(self._redaction.outputs(entries), self.run_id, read))

    async def _note(self, fact: ServiceFact) -> None:
        await self._means.notes.write(self._machine, self.key, fact)

    def _now(self) -> Instant:
        return Instant(self._means.clock.now())


def _nobody(_: Key) -> None:
    """Nobody needs to be told."""


async def _at_once(_: Key) -> None:
    """There is nothing to wait for."""
