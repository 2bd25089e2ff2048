"""The store without a disk, for tests and trials: the same state machine over a dict."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from itertools import count, islice

from runner_agent.model.errors import RunnerError
from runner_agent.model.ids import BootMark, Version
from runner_agent.model.phases import Trigger
from runner_agent.model.records import Execution, Firing, Key, Record
from runner_agent.store.base import Finished, Happening
from runner_agent.store.draft import Delta
from runner_agent.store.happened import KEPT, Wall
from runner_agent.store.live import LiveStore
from runner_agent.store.state import State
from runner_agent.store.tables import is_live
from runner_agent.store.view import BORN


class DictArchive:
    """An `archive.Archive`."""

    def __init__(self) -> None:
        """Empty."""
        self._records: dict[Key, Record] = {}
        self._timeline: deque[Happening] = deque(maxlen=KEPT)
        self._places = count(1)

    def commit(self, delta: Delta[None]) -> None:
        """Take over what it says."""
        for key, edit in delta.edits.items():
            if edit.after is None:
                self._records.pop(key, None)
            else:
                self._records[key] = edit.after
        self._timeline.extend(one._replace(place=next(self._places)) for one in delta.happened)

    def forget_timeline(self) -> None:
        """All of it."""
        self._timeline.clear()

    def get(self, key: Key) -> Record | None:
        """See `archive.Archive`, here and below."""
        return self._records.get(key)

    def learn(self, key: Key, record: Record | None) -> None:
        """It is known here."""

    def executions(
        self, *, task: str | None, after: Version | None, limit: int | None, skip: Collection[str]
    ) -> Sequence[Execution]:
        """By looking at all of them."""
        found = [
            record
            for record in self._records.values()
            if isinstance(record, Execution)
            and record.id not in skip
            and (task is None or record.task_id == task)
            and (after is None or record.born < after)
        ]
        return sorted(found, key=BORN, reverse=True)[:limit]

    def finished_executions(self, *, task: str | None, skip: Collection[str]) -> Sequence[Finished]:
        """By looking at all of them."""
        return [
            Finished.of(record)
            for record in self._records.values()
            if isinstance(record, Execution)
            and not is_live(record)
            and record.id not in skip
            and (task is None or record.task_id == task)
        ]

    def firings(self, *, limit: int, skip: Collection[str]) -> Sequence[Firing]:
        """By looking at all of them."""
        found = (record for record in self._records.values() if isinstance(record, Firing))
        kept = [firing for firing in found if firing.id not in skip]
        return sorted(kept, key=BORN, reverse=True)[:limit]

    def firing_once(
        self, *, boot: BootMark, event: Trigger, once_key: str, skip: Collection[str]
    ) -> Firing | None:
        """By looking at all of them."""
        for record in self._records.values():
            if not isinstance(record, Firing) or record.id in skip:
                continue
            if (record.boot, record.event, record.once_key) == (boot, event, once_key):
                return record
        return None

    def timeline(self, *, id_: str, reference: str, after: int | None, limit: int) -> Sequence[Happening]:
        """By looking at all of them."""
        found = (
            one
            for one in reversed(self._timeline)
            if (not id_ or one.entry.key.id == id_)
            and (not reference or one.entry.reference == reference)
            and (after is None or one.place < after)
        )
        return list(islice(found, limit))


class MemoryLane:
    """Commits what was asked for in one turn of the loop at the next turn, as the lane with a disk would."""

    def __init__(self, archive: DictArchive, state: State[None]) -> None:
        """Nothing waits."""
        self.refusal: Callable[[], RunnerError] | None = None
        self._archive = archive
        self._state = state
        self._batch: list[Delta[None]] = []

    def submit(self, delta: Delta[None]) -> None:
        """See `live.Lane`."""
        self._batch.append(delta)
        if len(self._batch) == 1:
            asyncio.get_running_loop().call_soon(self._commit)

    @property
    def unsaved(self) -> bool:
        """Nothing is ever on disk, and nobody expects it there."""
        return False

    def never_wait(self) -> None:
        """It never does."""

    def leave(self) -> None:
        """There is nothing to leave."""

    async def aclose(self) -> None:
        """There is nothing to let go of."""
        self._commit()

    def _commit(self) -> None:
        batch, self._batch = self._batch, []
        if not batch:
            return
        if self.refusal is not None:
            self._state.fail(self.refusal)
            return
        for delta in batch:
            self._archive.commit(delta)
        self._state.publish(batch, safe=True)


class MemoryStore(LiveStore[None]):
    """A `base.Store` that forgets everything with the process."""

    def __init__(self, wall: Wall | None = None) -> None:
        """Empty and open; needs no running loop yet. `wall`: the time of day, if it is to keep a timeline."""
        self._archive = archive = DictArchive()
        state = State(archive, lambda _: None, wall=wall)
        self._memory_lane = MemoryLane(archive, state)
        super().__init__(state, self._memory_lane)

    async def seal(self) -> None:
        """See `base.Store`."""
        self._archive.forget_timeline()

    def refuse(self, error: Callable[[], RunnerError] | None) -> None:
        """Fail every commit with this from now on, as a full disk would; None: commit again. For tests."""
        self._memory_lane.refusal = error
