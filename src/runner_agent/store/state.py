"""The state machine all stores share: what is asked for, what is committed, and the way between.

A write is applied to `latest` at once and queued. When the lane below has committed it, it is applied to
`shown`, told to the watches and acknowledged, in the order of asking. A durable one is acknowledged once the
lane says that it is safe. When the lane fails, all that is queued is undone, newest first, since each write
may rest on those before it.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic

from runner_agent.model.ids import Version
from runner_agent.model.phases import ServicePhase
from runner_agent.model.records import Key, Kind, Record, Service
from runner_agent.store.archive import Archive
from runner_agent.store.base import FIRST_REVISION, Change, Happening, T, Transaction
from runner_agent.store.draft import Delta, Draft, Edit, P
from runner_agent.store.happened import Wall, happened
from runner_agent.store.tables import Tables, is_live, planned_steps
from runner_agent.store.watches import Watchers, merge

BLOCK = 1_000
"""Revisions are reserved on disk this many ahead (rule 1.5)."""


class State(Generic[P]):
    """Belongs to the loop thread."""

    def __init__(
        self,
        archive: Archive,
        prepare: Callable[[Mapping[Key, Edit]], P],
        *,
        reserved: Version = FIRST_REVISION,
        meta: Mapping[str, str] | None = None,
        hot: Iterable[Record] = (),
        wall: Wall | None = None,
        admit: Callable[[Mapping[Key, Edit]], None] | None = None,
    ) -> None:
        """`prepare` makes what the lane will need of a write's edits, and raises if they cannot be stored.

        `reserved`: revisions up to here may have been given out before. `hot`: what memory is to hold from
        the start. `wall`: the time of day for the timeline; without it none is kept. `admit` raises for
        edits that are not to be stored now.
        """
        self.latest = Tables(archive)
        self.shown = Tables(archive)
        self.watchers = Watchers()
        self.meta = dict(meta or {})
        self.revision = reserved
        self._prepare = prepare
        self._wall = wall
        self._admit = admit
        self._drafted = reserved
        self._reserved = reserved
        self._reserved_on_disk = reserved
        self._queue: deque[Delta[P]] = deque()
        self._unsafe = 0  # durable writes that are published, and would not survive a power loss yet
        self._queued: Counter[Key] = Counter()
        for record in hot:
            self.latest.set(record.key, record)
            self.shown.set(record.key, record)

    @property
    def waiting(self) -> int:
        """How many writes are asked for and not yet committed."""
        return len(self._queue)

    # ---------------------------------------------------------------- asking

    def draft(
        self, change: Callable[[Transaction], T], *, durable: bool, hidden: bool = False
    ) -> tuple[T, Delta[P] | None]:
        """Run `change` on the latest state. No delta: there is nothing to commit and nothing to wait for."""
        draft = Draft(self.latest, self._drafted)
        try:
            result = change(draft)
            edits = draft.edits()
            if self._admit is not None:
                self._admit(edits)
            payload = self._prepare(edits)
            told = happened(edits, self._wall)
        except BaseException:
            self._undo(draft.finish())
            raise
        self._undo({key: before for key, before in draft.finish().items() if key not in edits})
        for key, edit in edits.items():
            self._queued[key] += 1
            if not self.shown.holds(key):
                self.shown.set(key, edit.before)
        if edits:
            self._drafted = draft.revision
        elif not self._queue and not (durable and self._unsafe):
            return result, None
        return result, self._enqueue(edits, {}, payload, durable=durable, hidden=hidden, told=told)

    def draft_meta(self, meta: Mapping[str, str]) -> Delta[P]:
        """As `draft`, for facts about the store."""
        return self._enqueue({}, meta, self._prepare({}), durable=True)

    def _enqueue(
        self,
        edits: Mapping[Key, Edit],
        meta: Mapping[str, str],
        payload: P,
        *,
        durable: bool,
        hidden: bool = False,
        told: Sequence[Happening] = (),
    ) -> Delta[P]:
        reserve = None
        if self._drafted > self._reserved:
            reserve = self._reserved = Version(self._drafted + BLOCK)
        delta = Delta(
            durable=durable,
            hidden=hidden or reserve is not None,
            revision=self._drafted,
            acknowledged=asyncio.get_running_loop().create_future(),
            payload=payload,
            edits=edits,
            meta=meta,
            reserve=reserve,
            happened=told,
        )
        self._queue.append(delta)
        return delta

    # ---------------------------------------------------------------- the lane's answer

    def publish(self, deltas: Sequence[Delta[P]], *, safe: bool) -> None:
        """These, the oldest of the queue, are committed; `safe`: so that they would survive a power loss."""
        news: dict[Key, Change] = {}
        for delta in deltas:
            oldest = self._queue.popleft()
            assert oldest is delta, "deltas are committed in the order they were asked for"
            self.revision = delta.revision
            self.meta.update(delta.meta)
            if delta.reserve is not None:
                self._reserved_on_disk = delta.reserve
            for key, edit in delta.edits.items():
                self._queued[key] -= 1
                self.shown.set(key, edit.after)
            merge(news, ((key, edit.change) for key, edit in delta.edits.items()))
        for delta in deltas:
            self._settle(delta.edits)
        self.watchers.notice(news)
        for delta in deltas:
            if delta.durable and not safe:
                self._unsafe += 1
            elif not delta.acknowledged.done():
                delta.acknowledged.set_result(None)

    def confirm(self, deltas: Sequence[Delta[P]], error: Exception | None) -> None:
        """These, published before, would survive a power loss now; or, with `error`, nobody knows."""
        for delta in deltas:
            self._unsafe -= 1
            if delta.acknowledged.done():
                continue
            if error is None:
                delta.acknowledged.set_result(None)
            else:
                delta.acknowledged.set_exception(error)

    def fail(self, error: Callable[[], Exception]) -> None:
        """The lane could not commit what is queued, and will commit none of it."""
        undone = list(reversed(self._queue))
        self._queue.clear()
        self._queued.clear()
        # Revisions drafted in vain are not given out again: the disk may hold them after all, after a crash.
        self._reserved = self._reserved_on_disk
        for delta in undone:
            for key, edit in delta.edits.items():
                self.latest.set(key, edit.before)
        for delta in undone:
            self._settle(delta.edits)
        for delta in reversed(undone):
            if not delta.acknowledged.done():
                delta.acknowledged.set_exception(error())

    # ---------------------------------------------------------------- hot and cold

    def _undo(self, befores: Mapping[Key, Record | None]) -> None:
        for key, before in befores.items():
            self.latest.set(key, before)
        for key in befores:
            self._settle_key(key)

    def _settle(self, edits: Mapping[Key, Edit]) -> None:
        """Leave to the archive what memory need not hold any longer."""
        for key, edit in edits.items():
            self._settle_key(key)
            for execution, other in ((edit.before, edit.after), (edit.after, edit.before)):
                if is_live(execution) and not is_live(other):
                    for step in planned_steps(execution):
                        self._settle_key(Key(Kind.STEP, step))

    def _settle_key(self, key: Key) -> None:
        if self._queued.get(key):
            return
        self._queued.pop(key, None)
        if not self.latest.is_hot(key) and not self.shown.is_hot(key):
            self.latest.archive.learn(key, self.latest.peek(key))
            self.latest.drop(key)
            self.shown.drop(key)
        elif not self.shown.holds(key):  # a draft has warmed it
            self.shown.set(key, self.latest.peek(key))


def begins(edit: Edit) -> bool:
    """Whether it asks for something to be run that was not asked for before, or makes something new."""
    before, after = edit.before, edit.after
    if before is None or not isinstance(before, Service) or not isinstance(after, Service):
        return before is None and after is not None
    return after.spec.session != before.spec.session and after.spec.desired_phase is ServicePhase.RUNNING
