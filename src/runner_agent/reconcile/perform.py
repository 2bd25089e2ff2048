"""Doing what was decided. What is harmless twice is done first and noted after; what is not is noted first (a
spawn).
"""

from collections.abc import Callable
from typing import Generic, assert_never

from runner_agent.core.decisions import Action, Begin, Kill, Linger, Note, Remove, Spawn, Terminate
from runner_agent.core.facts import Began, Killed, Promised, ServiceFact, SurvivorsSeen, Terminated
from runner_agent.model.ids import Instant, RunId
from runner_agent.model.phases import RunRole
from runner_agent.model.runs import Ended, Handle, Live
from runner_agent.reconcile.lives import Lives
from runner_agent.reconcile.machines import Machine, R
from runner_agent.reconcile.means import Means
from runner_agent.store.base import Transaction

NewId = Callable[[], str]


class Performer(Generic[R]):
    """Performs decisions about one kind of record."""

    def __init__(self, machine: Machine[R], means: Means, lives: Lives, new_id: NewId) -> None:
        self._machine: Machine[R] = machine
        self._lives, self._new_id = lives, new_id
        self._store, self._notes, self._executors = means.store, means.notes, means.executors
        self._evidence, self._clock = means.evidence, means.clock

    async def perform(self, record: R, action: Action) -> None:
        """Do one action. Quick: what takes long goes on in the life of its run."""
        match action:
            case Begin():
                await self._spawn(record, RunRole.START, action, (self._machine.began(record),))
            case Spawn(role=role):
                await self._spawn(record, role, action, ())
            case Terminate(role=role):
                if handle := self._handle(record, role):
                    await self._executors.holding(handle).terminate(handle)
                    await self._note(record, Terminated(self._now()))
            case Kill(role=role):
                await self._kill(record, role)
            case Linger(role=role, on=on):
                if handle := self._handle(record, role):
                    await self._executors.holding(handle).linger(handle, on=on)
            case Note(fact=fact):
                await self._notes.write(self._machine, record.key, fact, asked=action)
            case Remove():
                await self._remove(record, action)
            case _:
                assert_never(action)

    async def _spawn(self, record: R, role: RunRole, action: Action, before: tuple[Began, ...]) -> None:
        """The id is on disk before anything runs under it; a daemon that dies in between finds out with
        `find`.
        """
        promised = Promised(role, RunId(self._new_id()), self._now())
        if await self._notes.write(self._machine, record.key, *before, promised, asked=action):
            self._lives.begin(self._machine, record, promised)

    async def _kill(self, record: R, role: RunRole) -> None:
        handle = self._handle(record, role)
        if handle is None:
            return
        executor = self._executors.holding(handle)
        await executor.kill(handle)
        await self._note(record, Killed(role, self._now()))
        if self._machine.kills(
            record, role
        ).count:  # the last one did not do: say who is still there (rule 3.9)
            await self._note(record, SurvivorsSeen(await executor.survivors(handle)))

    async def _remove(self, record: R, action: Action) -> None:
        """Drop the record if it may still go; what hangs off it (logs) is cleared away after."""
        now = self._now()

        def change(tx: Transaction) -> bool:
            latest = tx.get(self._machine.kind, record.id)
            if latest is None or action not in self._machine.decide(latest, now).actions:
                return False
            tx.delete(record.key)
            return True

        if await self._store.write(change, durable=True):
            self._evidence.forget(record.key)

    async def _note(self, record: R, fact: ServiceFact) -> None:
        await self._notes.write(self._machine, record.key, fact)

    def _handle(self, record: R, role: RunRole) -> Handle | None:
        match self._machine.procs(record).get(role):
            case Live(handle=handle) | Ended(handle=handle):
                return handle
            case _:
                return None

    def _now(self) -> Instant:
        return Instant(self._clock.now())
