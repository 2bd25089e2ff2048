"""Blows against an agent, at every point where it meets the world: it dies there, or the disk is full there.

A point is passed before and after each write to the store and each call of an executor. An agent that dies
at a point does nothing any more: its calls never return and have no effect, whatever its `finally` blocks
try.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar, cast

from runner_agent.executors.base import Executor
from runner_agent.model.errors import ResourceExhausted
from runner_agent.store.base import Store, Transaction

P = ParamSpec("P")
T = TypeVar("T")


class Life:
    """One agent's, until it falls."""

    def __init__(self) -> None:
        self.fallen = asyncio.Event()


class Strikes:
    """Counts the points that agents pass, and strikes at the chosen ones."""

    def __init__(self) -> None:
        """Strikes nobody."""
        self.kill_at = -1
        self.refuse: Callable[[int], bool] = lambda number: False
        self.trail: list[str] = []
        self.writes = 0
        self.blows = 0

    async def point(self, life: Life, what: str) -> None:
        """Pass, or stay for ever."""
        if not life.fallen.is_set():
            self.trail.append(what)
            if len(self.trail) - 1 != self.kill_at:
                return
            life.fallen.set()
            self.blows += 1
        await asyncio.Event().wait()

    def refuse_write(self) -> None:
        """Raise ResourceExhausted for the chosen writes."""
        self.writes += 1
        if self.refuse(self.writes - 1):
            self.blows += 1
            raise ResourceExhausted("cannot write to the state directory: no space left on device")


class _StruckStore:
    def __init__(self, store: Store, strikes: Strikes, life: Life) -> None:
        self._store, self._strikes, self._life = store, strikes, life

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def write(self, change: Callable[[Transaction], T], *, durable: bool, hidden: bool = False) -> T:
        await self._strikes.point(self._life, "before write")
        self._strikes.refuse_write()
        result = await self._store.write(change, durable=durable, hidden=hidden)
        await self._strikes.point(self._life, "after write")
        return result


class _StruckExecutor:
    def __init__(self, executor: Executor, strikes: Strikes, life: Life) -> None:
        self._executor, self._strikes, self._life = executor, strikes, life

    def __getattr__(self, name: str) -> object:
        found = getattr(self._executor, name)
        if name == "name":
            return found
        return self._guarded(name, found)

    def _guarded(self, name: str, call: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            await self._strikes.point(self._life, f"before {name}")
            result = await call(*args, **kwargs)
            await self._strikes.point(self._life, f"after {name}")
            return result

        return guarded


def struck(store: Store, executor: Executor, strikes: Strikes, life: Life) -> tuple[Store, Executor]:
    """What an agent is to work with."""
    return (
        cast("Store", _StruckStore(store, strikes, life)),
        cast("Executor", _StruckExecutor(executor, strikes, life)),
    )
