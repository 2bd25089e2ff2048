"""The questions of `base.Reader`, answered from one state: memory's part merged with the archive's."""

from collections.abc import Sequence
from operator import attrgetter

from runner_agent.model.ids import BootMark, Reference, TaskId, Version
from runner_agent.model.phases import Trigger
from runner_agent.model.records import Execution, Firing, Key, Kind, Service, Step, Task
from runner_agent.store.base import Finished, R
from runner_agent.store.tables import KINDS, Tables, is_live

BORN = attrgetter("born")
"""The order of all listings: that of the store's counter (rule 4.9)."""


class View:
    """A Reader over one state. Its docstrings say only what `base.Reader` does not."""

    def __init__(self, tables: Tables) -> None:
        """Shows `tables` as they are when asked."""
        self._tables = tables

    def get(self, kind: type[R], id_: str) -> R | None:
        """By slot, else from the archive."""
        record = self._tables.look(Key(KINDS[kind], id_))
        return record if isinstance(record, kind) else None

    def services(self) -> Sequence[Service]:
        """From memory alone."""
        return sorted(self._tables.all(Service), key=BORN)

    def tasks(self) -> Sequence[Task]:
        """From memory alone."""
        return sorted(self._tables.all(Task), key=BORN)

    def by_reference(self, reference: Reference) -> Service | Task | None:
        """By index."""
        return self._tables.holder(reference)

    def live_executions(self) -> Sequence[Execution]:
        """From memory alone."""
        live = (record for record in self._tables.all(Execution) if is_live(record))
        return sorted(live, key=BORN)

    def executions(
        self, *, task: str | None = None, after: Version | None = None, limit: int | None = None
    ) -> Sequence[Execution]:
        """Merged."""
        found = [
            record
            for record in self._tables.all(Execution)
            if (task is None or record.task_id == task) and (after is None or record.born < after)
        ]
        skip = self._tables.ids(Kind.EXECUTION)
        found += self._tables.archive.executions(task=task, after=after, limit=limit, skip=skip)
        found.sort(key=BORN, reverse=True)
        return found[:limit]

    def finished_executions(self, *, task: str | None = None) -> Sequence[Finished]:
        """Merged; memory holds a finished execution only until it is committed."""
        found = [
            Finished.of(record)
            for record in self._tables.all(Execution)
            if not is_live(record) and (task is None or record.task_id == task)
        ]
        skip = self._tables.ids(Kind.EXECUTION)
        found += self._tables.archive.finished_executions(task=task, skip=skip)
        found.sort(key=lambda entry: entry.ended)
        return found

    def live_steps(self) -> Sequence[Step]:
        """From memory alone."""
        live = (step for step in self._tables.all(Step) if self._tables.is_live_step(step))
        return sorted(live, key=BORN)

    def steps_of(self, task: TaskId) -> Sequence[Step]:
        """By index."""
        live = (step for step in self._tables.steps_of(task) if self._tables.is_live_step(step))
        return sorted(live, key=BORN)

    def firings(self, *, limit: int) -> Sequence[Firing]:
        """Merged."""
        found = self._tables.all(Firing)
        found += self._tables.archive.firings(limit=limit, skip=self._tables.ids(Kind.FIRING))
        found.sort(key=BORN, reverse=True)
        return found[:limit]

    def firing_once(self, *, boot: BootMark, event: Trigger, once_key: str) -> Firing | None:
        """Memory first: it holds what is not yet committed."""
        for firing in self._tables.all(Firing):
            if (firing.boot, firing.event, firing.once_key) == (boot, event, once_key):
                return firing
        skip = self._tables.ids(Kind.FIRING)
        return self._tables.archive.firing_once(boot=boot, event=event, once_key=once_key, skip=skip)
