"""One state of the store, less what the archive can answer: slots by key, and three indexes.

A slot says what memory knows of a key: a record, or None for "known to be absent". A key without a slot is
the archive's to answer. Services and tasks are always hot; executions while they live; steps while a live
execution's plan names them or they have a process. Whatever is not yet committed is hot too, and so is what
it replaces.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import TypeGuard, cast

from runner_agent.model.ids import Reference, StepId, TaskId
from runner_agent.model.plans import TaskWork
from runner_agent.model.records import Execution, Firing, Key, Kind, Record, Service, Step, Task
from runner_agent.model.runs import Ended, Live, Starting
from runner_agent.store.archive import Archive
from runner_agent.store.base import R

KINDS: Mapping[type[object], Kind] = {
    Service: Kind.SERVICE,
    Task: Kind.TASK,
    Execution: Kind.EXECUTION,
    Step: Kind.STEP,
    Firing: Kind.FIRING,
}


def is_live(record: Record | None) -> TypeGuard[Execution]:
    """An execution that has not ended."""
    return isinstance(record, Execution) and not record.status.phase.terminal


def has_process(step: Step) -> bool:
    """Something of this step may still run."""
    return step.run is not None and isinstance(step.run.proc, Starting | Live | Ended)


def planned_steps(execution: Execution) -> Iterator[StepId]:
    """The step records a plan names."""
    for step in execution.plan.steps():
        if isinstance(step.work, TaskWork):
            yield step.work.step


class Tables:
    """Slots by kind."""

    def __init__(self, archive: Archive) -> None:
        """Empty: the archive answers everything."""
        self.archive = archive
        self._slots: dict[Kind, dict[str, Record | None]] = {kind: {} for kind in Kind}
        self._references: dict[Reference, dict[Key, Service | Task]] = {}
        self._wanted: Counter[StepId] = Counter()
        self._runs: dict[TaskId, dict[str, Step]] = {}

    def holds(self, key: Key) -> bool:
        """Memory answers for this key."""
        return key.id in self._slots[key.kind]

    def peek(self, key: Key) -> Record | None:
        """What memory holds."""
        return self._slots[key.kind].get(key.id)

    def look(self, key: Key) -> Record | None:
        """The record, from wherever it is."""
        try:
            return self._slots[key.kind][key.id]
        except KeyError:
            return self.archive.get(key)

    def all(self, kind: type[R]) -> list[R]:
        """All that memory holds of this kind, in no order."""
        # A slot of one kind holds records of that kind only: `set` is called with record.key.
        return [cast("R", record) for record in self._slots[KINDS[kind]].values() if record is not None]

    def ids(self, kind: Kind) -> Collection[str]:
        """The ids memory answers for."""
        return self._slots[kind].keys()

    def holder(self, reference: Reference) -> Service | Task | None:
        """What goes by this reference."""
        return next(iter(self._references.get(reference, {}).values()), None)

    def steps_of(self, task: TaskId) -> Collection[Step]:
        """All that memory holds of the runs of this task."""
        return self._runs.get(task, {}).values()

    def is_live_step(self, step: Step) -> bool:
        """As `base.Reader.live_steps` says."""
        return step.id in self._wanted or has_process(step)

    def is_hot(self, key: Key) -> bool:
        """Whether this slot is worth keeping once it is committed."""
        match self._slots[key.kind].get(key.id):
            case Service() | Task():
                return True
            case Execution() as execution:
                return is_live(execution)
            case Step() as step:
                return self.is_live_step(step)
            case Firing() | None:
                return False

    def set(self, key: Key, record: Record | None) -> None:
        """Memory answers for this key from now on."""
        slots = self._slots[key.kind]
        before = slots.get(key.id)
        slots[key.id] = record
        if is_live(before) and is_live(record) and before.plan is record.plan:
            return  # a large plan is walked when its execution comes and goes, not at every note in between
        self._unindex(key, before)
        self._index(key, record)

    def drop(self, key: Key) -> None:
        """The archive answers for this key from now on."""
        self._unindex(key, self._slots[key.kind].pop(key.id, None))

    def _index(self, key: Key, record: Record | None) -> None:
        if isinstance(record, Service | Task):
            self._references.setdefault(record.metadata.reference, {})[key] = record
        elif isinstance(record, Step):
            self._runs.setdefault(record.task_id, {})[key.id] = record
        elif is_live(record):
            self._wanted.update(planned_steps(record))

    def _unindex(self, key: Key, record: Record | None) -> None:
        if isinstance(record, Service | Task):
            holders = self._references[record.metadata.reference]
            del holders[key]
            if not holders:
                del self._references[record.metadata.reference]
        elif isinstance(record, Step):
            runs = self._runs[record.task_id]
            del runs[key.id]
            if not runs:
                del self._runs[record.task_id]
        elif is_live(record):
            for step in planned_steps(record):
                self._wanted[step] -= 1
                if not self._wanted[step]:
                    del self._wanted[step]
