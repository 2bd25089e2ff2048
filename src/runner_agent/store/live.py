"""The Store, but for its lane: the stores differ only in where and how a delta is committed."""

from collections.abc import Callable, Sequence
from typing import Generic, Protocol

from runner_agent.model.errors import Unavailable
from runner_agent.model.ids import Version
from runner_agent.store.base import Happening, T, Transaction, Watch
from runner_agent.store.draft import Delta, P
from runner_agent.store.state import State
from runner_agent.store.view import View


class Lane(Protocol[P]):
    """Commits deltas in order, then calls `State.publish` or `State.fail` on the loop thread."""

    def submit(self, delta: Delta[P]) -> None:
        """Take it and return."""
        ...

    @property
    def unsaved(self) -> bool:
        """Something is published that is not on disk."""
        ...

    def never_wait(self) -> None:
        """From now on what cannot be committed is published all the same, and committed if that can be."""
        ...

    def leave(self) -> None:
        """Closing is to leave all files as they are."""
        ...

    async def aclose(self) -> None:
        """Commit what was submitted, then let go of the disk."""
        ...


class LiveStore(View, Generic[P]):
    """A `base.Store`."""

    def __init__(self, state: State[P], lane: Lane[P]) -> None:
        """Open."""
        super().__init__(state.shown)
        self._state = state
        self._lane = lane
        self._closed = False

    def __repr__(self) -> str:
        """Evidence."""
        closed = " closed" if self._closed else ""
        return f"<{type(self).__name__} at {self._state.revision}, {self._state.waiting} waiting{closed}>"

    @property
    def revision(self) -> Version:
        """See `base.Store`, here and below."""
        return self._state.revision

    async def write(self, change: Callable[[Transaction], T], *, durable: bool, hidden: bool = False) -> T:
        """Draft at once, commit in the lane."""
        self._must_be_open()
        result, delta = self._state.draft(change, durable=durable, hidden=hidden)
        if delta is not None:
            await self._commit(delta)
        return result

    def watch(self) -> Watch:
        """Coalescing."""
        self._must_be_open()
        return self._state.watchers.add()

    def timeline(
        self, *, id_: str = "", reference: str = "", after: int | None = None, limit: int
    ) -> Sequence[Happening]:
        """From the archive alone: what is not committed has not happened."""
        return self._tables.archive.timeline(id_=id_, reference=reference, after=after, limit=limit)

    def get_meta(self, name: str) -> str | None:
        """From memory."""
        return self._state.meta.get(name)

    async def set_meta(self, name: str, value: str) -> None:
        """By the same lane."""
        self._must_be_open()
        await self._commit(self._state.draft_meta({name: value}))

    async def pulse(self) -> None:
        """Through the lane, as durable as a wish."""
        self._must_be_open()
        await self._commit(self._state.draft_meta({}))

    @property
    def unsaved(self) -> bool:
        """From the lane."""
        return self._lane.unsaved

    def never_wait(self) -> None:
        """It is the lane that would."""
        self._lane.never_wait()

    def leave(self) -> None:
        """The lane has the files."""
        self._lane.leave()

    async def aclose(self) -> None:
        """What was asked for before is committed first, or fails for those who asked."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._lane.aclose()
        finally:
            self._state.watchers.close()

    async def _commit(self, delta: Delta[P]) -> None:
        self._lane.submit(delta)
        await delta.acknowledged

    def _must_be_open(self) -> None:
        if self._closed:
            raise Unavailable("the store cannot be used: it is closed, since the agent is stopping")
