"""One write while it is being drafted: the transaction handed to a change, and what came of it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Generic, TypeVar

from runner_agent.core.halves import spec_half, status_half
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import StepId, Version
from runner_agent.model.records import Key, Kind, Record
from runner_agent.store.base import Change, Happening, R
from runner_agent.store.layout import run_moved, wish_moved
from runner_agent.store.tables import Tables, is_live, planned_steps
from runner_agent.store.view import View

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Edit:
    """What one write does to one record; `version` is the newest it has then, or had when it went."""

    before: Record | None
    after: Record | None
    change: Change
    version: Version


@dataclass(frozen=True, slots=True)
class Delta(Generic[P]):
    """One write on its way to disk.

    `durable`: it must survive a power loss before it is acknowledged; `hidden`: before it is published.
    `revision` is the newest it gave out. `reserve`: revisions up to here must be spoken for on disk before
    any of them is published. `payload`: what the lane made of the edits. `happened`: what they are to people.
    """

    durable: bool
    hidden: bool
    revision: Version
    acknowledged: "asyncio.Future[None]"
    payload: P
    edits: Mapping[Key, Edit] = field(default_factory=dict[Key, Edit])
    meta: Mapping[str, str] = field(default_factory=dict[str, str])
    reserve: Version | None = None
    happened: Sequence[Happening] = ()


class Draft(View):
    """The `base.Transaction`: works on the latest state itself, and remembers what was there."""

    def __init__(self, latest: Tables, revision: Version) -> None:
        """`revision`: the newest given out so far."""
        super().__init__(latest)
        self.revision = revision
        self._befores: dict[Key, Record | None] = {}
        self._stamps: dict[Key, Version] = {}
        self._over = False

    def put(self, record: R) -> R:
        """See `base.Transaction`."""
        key = record.key
        before = self._before(key)
        if before is None:
            born = spec_version = status_version = self._stamp(key)
        else:
            born = before.born
            spec_moved = spec_half(before) != spec_half(record)
            status_moved = status_half(before) != status_half(record)
            spec_version = self._stamp(key) if spec_moved else before.spec_version
            status_version = self._stamp(key) if status_moved else before.status_version
        if (record.born, record.spec_version, record.status_version) != (born, spec_version, status_version):
            record = replace(record, born=born, spec_version=spec_version, status_version=status_version)
        if is_live(record) and not is_live(self._tables.peek(key)):
            self._warm(planned_steps(record))
        self._tables.set(key, record)
        return record

    def delete(self, key: Key) -> None:
        """See `base.Transaction`. It moves the revision too, so that no later change hides behind it."""
        if self._before(key) is not None:
            self._stamp(key)
        self._tables.set(key, None)

    def edits(self) -> dict[Key, Edit]:
        """What has really changed."""
        found: dict[Key, Edit] = {}
        for key, before in self._befores.items():
            after = self._tables.look(key)
            change = _change(key, before, after)
            if change is not None:
                found[key] = Edit(before, after, change, self._version(key, after))
        return found

    def finish(self) -> Mapping[Key, Record | None]:
        """No more changes through this draft; returns what was there before them."""
        self._over = True
        return self._befores

    def _warm(self, steps: Iterable[StepId]) -> None:
        # These are live from now on, and live steps are looked for in memory alone.
        for step in steps:
            key = Key(Kind.STEP, step)
            if not self._tables.holds(key) and (record := self._before(key)) is not None:
                self._tables.set(key, record)

    def _before(self, key: Key) -> Record | None:
        if self._over:
            raise RuntimeError(
                f"{key} cannot be changed: this transaction is over; ask the store for another write"
            )
        if key not in self._befores:
            self._befores[key] = self._tables.look(key)
        return self._befores[key]

    def _version(self, key: Key, after: Record | None) -> Version:
        if after is None:
            return self._stamps[key]
        return max(after.spec_version, after.status_version)

    def _stamp(self, key: Key) -> Version:
        # One a record and write, so that sorting by version puts all that was ever published in one order.
        if key not in self._stamps:
            self.revision = Version(self.revision + 1)
            self._stamps[key] = self.revision
        return self._stamps[key]


def _change(key: Key, before: Record | None, after: Record | None) -> Change | None:
    if before is None:
        if after is None:
            return None
        return Change(created=True, spec_moved=True, status_moved=True, wish_moved=True, run_moved=True)
    if after is None:
        return Change(deleted=True)
    wish = wish_moved(key.kind, before, after)
    run = run_moved(key.kind, before, after)
    if not wish and not run:
        return None
    return Change(
        spec_moved=before.spec_version != after.spec_version,
        status_moved=before.status_version != after.status_version,
        wish_moved=wish,
        run_moved=run,
    )
