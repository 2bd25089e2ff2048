"""Applying an automations file: entries are created or updated by reference, all others stay (2.7, 2.10)."""

import asyncio
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime, timedelta

from runner_agent.control.base import Caller, Control, NewId, derived_ids
from runner_agent.control.checks import check_service, check_task, in_file, require
from runner_agent.control.dependencies import cycles, name_cycle
from runner_agent.control.left_out import delete, left_out, previous, previous_runs, prunable, refuse_needed
from runner_agent.model.errors import FailedPrecondition, InvalidArgument, Violation
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import DefinitionId, Reference, ServiceId, TaskId
from runner_agent.model.records import Service, Task
from runner_agent.model.specs import (
    AutomationsFile,
    Cause,
    ServiceEntry,
    ServiceMetadata,
    ServiceSpec,
    Subject,
    TaskEntry,
    TaskMetadata,
)
from runner_agent.store.base import Reader, Transaction

PATIENCE = 180.0
"""Seconds to wait for what is being deleted to be gone: a stop may take two minutes, and a little more."""

_FILE = "automations_file"


@dataclass(frozen=True, slots=True)
class UpsertResult:
    """What an upsert did, or would do. Only created and changed entries have their ids listed (rule 2.7).

    `pruned` is what it deleted, `left_out` what it does not name and stays. `previous` are the services that
    run with an earlier definition, `previous_runs` the tasks, each with that of the execution (rule 2.10).
    """

    service_ids: tuple[ServiceId, ...] = ()
    task_ids: tuple[TaskId, ...] = ()
    created: tuple[Reference, ...] = ()
    changed: tuple[Reference, ...] = ()
    unchanged: tuple[Reference, ...] = ()
    pruned: tuple[Service | Task, ...] = ()
    left_out: tuple[Reference, ...] = ()
    previous: tuple[Reference, ...] = ()
    previous_runs: tuple[tuple[Reference, Reference], ...] = ()


class UpsertControl(Control):
    """Applies files."""

    __slots__ = ()

    async def apply(
        self,
        file: AutomationsFile,
        caller: Caller,
        *,
        path: str = "",
        prune: bool = False,
        dry_run: bool = False,
        patience: float = PATIENCE,
    ) -> UpsertResult:
        """All of the file or nothing. What is being deleted under a reference of it is waited for, `patience`
        seconds, and created anew (rule 1.6). `path` is where it was read from, if from a file; with `prune`
        what that path created and does not name any more is deleted (rule 2.10).

        Raises InvalidArgument, and FailedPrecondition for what is still being deleted, or is needed and would
        be pruned.
        """
        if dry_run:
            return self.would(file, caller, path=path, prune=prune)
        await self._wait_until_gone(file, patience)
        cause, new_id = self.cause(caller), derived_ids(self.new_id())

        def change(tx: Transaction) -> UpsertResult:
            if dying := _dying(tx, file):
                raise FailedPrecondition(
                    f"the file cannot be applied while {', '.join(dying)} is being deleted; try again later"
                )
            drawing = _Drawing(tx, file, cause, caller.subject, new_id, path, prune=prune)
            for record in drawing.records:
                tx.put(record)
            for one in drawing.pruned:
                delete(tx, one, cause)
            return drawing.result()

        return await self.store.write(change, durable=True)

    def would(
        self, file: AutomationsFile, caller: Caller, *, path: str = "", prune: bool = False
    ) -> UpsertResult:
        """What `apply` would do now, where what is being deleted is gone. Raises as it does."""
        cause, new_id = self.cause(caller), derived_ids(self.new_id())
        return _Drawing(self.store, file, cause, caller.subject, new_id, path, prune=prune).result()

    async def _wait_until_gone(self, file: AutomationsFile, patience: float) -> None:
        if patience <= 0 or not _dying(self.store, file):
            return
        with closing(self.store.watch()) as watch, suppress(TimeoutError):  # the change says what is there
            async with asyncio.timeout(patience):
                while _dying(self.store, file) and await watch.changes():
                    pass


def _entries(file: AutomationsFile) -> tuple[ServiceEntry | TaskEntry, ...]:
    return (*file.services, *file.tasks)


def _dying(reader: Reader, file: AutomationsFile) -> list[Reference]:
    holders = (reader.by_reference(entry.reference) for entry in _entries(file))
    return [one.metadata.reference for one in holders if one is not None and one.deletion is not None]


class _Drawing:
    """The records a file asks for, drawn up against one state. `records` are those to be written."""

    def __init__(
        self,
        reader: Reader,
        file: AutomationsFile,
        cause: Cause,
        creator: Subject,
        new_id: NewId,
        path: str,
        *,
        prune: bool,
    ) -> None:
        self._reader = reader
        self._path = path
        self._cause = cause
        self._creator = creator
        self._new_id = new_id
        self._created = 0
        if prune and not path:
            raise InvalidArgument(Violation("prune", "only a file with a path can prune; give its path"))
        self._order = [entry.reference for entry in _entries(file)]
        self._before = {reference: self._present(reference) for reference in self._order}
        require(self._clashes(file))
        services = [self._service(entry) for entry in file.services]
        self._ids: dict[Reference, DefinitionId] = {one.metadata.reference: one.id for one in services}
        self._ids |= {entry.reference: self._task_id(entry) for entry in file.tasks}
        require(self._unknown(file))
        tasks = [self._task(entry) for entry in file.tasks]
        drawn: tuple[Service | Task, ...] = (*services, *tasks)
        self.records = [one for one in drawn if one != self._before[one.metadata.reference]]
        require(self._faults(services, tasks))
        self.pruned = prunable(reader, self._order, path) if prune else ()
        self._left_out = [one for one in left_out(reader, self._order) if one not in self.pruned]
        refuse_needed(self.pruned, [*tasks, *(one for one in self._left_out if isinstance(one, Task))])

    def result(self) -> UpsertResult:
        created = [ref for ref in self._order if self._before[ref] is None]
        moved = [one for one in self.records if self._is_news(one)]
        changed = {one.metadata.reference for one in moved} - set(created)
        return UpsertResult(
            tuple(one.id for one in moved if isinstance(one, Service)),
            tuple(one.id for one in moved if isinstance(one, Task)),
            tuple(created),
            tuple(ref for ref in self._order if ref in changed),
            tuple(ref for ref in self._order if ref not in changed and self._before[ref] is not None),
            self.pruned,
            tuple(one.metadata.reference for one in self._left_out),
            previous(self._reader.services(), self.records, self.pruned),
            previous_runs(self._reader, self.records, self.pruned),
        )

    def _is_news(self, one: Service | Task) -> bool:
        """More than the name of its file is another."""
        before = self._before[one.metadata.reference]
        return before is None or replace(one, file=before.file) != before

    def _file_of(self, present: Service | Task) -> str:
        """What two files have stated is neither's to delete."""
        return present.file if self._path in {"", present.file} else ""

    def _present(self, reference: Reference) -> Service | Task | None:
        """What is being deleted counts as gone: only a dry run meets it."""
        one = self._reader.by_reference(reference)
        return None if one is None or one.deletion is not None else one

    def _birth(self) -> datetime:
        """A microsecond apart, so that listings by age keep the order of the file."""
        self._created += 1
        return self._cause.at + timedelta(microseconds=self._created)

    def _service(self, entry: ServiceEntry) -> Service:
        """A live run keeps the launch it began with; the variables of a spec are none of the file's business
        (rule 2.7).
        """
        present = self._before[entry.reference]
        if not isinstance(present, Service):
            metadata = ServiceMetadata(
                entry.reference,
                entry.name,
                self._birth(),
                self._creator,
                entry.description,
                entry.triggered_by,
                entry.role,
            )
            spec = ServiceSpec(entry.launch)
            return Service(ServiceId(self._new_id()), metadata, spec, self._cause, file=self._path)
        return replace(
            present,
            file=self._file_of(present),
            metadata=replace(
                present.metadata,
                name=entry.name,
                description=entry.description,
                triggered_by=entry.triggered_by,
                role=entry.role,
            ),
            spec=replace(
                present.spec, launch=replace(entry.launch, env=entry.launch.env or present.spec.launch.env)
            ),
        )

    def _task_id(self, entry: TaskEntry) -> TaskId:
        present = self._before[entry.reference]
        return present.id if isinstance(present, Task) else TaskId(self._new_id())

    def _task(self, entry: TaskEntry) -> Task:
        present = self._before[entry.reference]
        needs = (self._resolve(reference) for reference in entry.depends_on)
        depends_on = tuple(dict.fromkeys(need for need in needs if need is not None))
        if not isinstance(present, Task):
            metadata = TaskMetadata(
                entry.reference,
                entry.name,
                self._birth(),
                self._creator,
                entry.description,
                entry.triggered_by,
            )
            id_ = TaskId(self._ids[entry.reference])
            return Task(id_, metadata, entry.spec, depends_on, file=self._path)
        return replace(
            present,
            file=self._file_of(present),
            metadata=replace(
                present.metadata,
                name=entry.name,
                description=entry.description,
                triggered_by=entry.triggered_by,
            ),
            spec=replace(entry.spec, env=entry.spec.env or present.spec.env),
            depends_on=depends_on,
        )

    def _resolve(self, reference: Reference) -> DefinitionId | None:
        """Of the file, else of the environment."""
        if reference in self._ids:
            return self._ids[reference]
        one = self._present(reference)
        return None if one is None else one.id

    def _clashes(self, file: AutomationsFile) -> Iterator[Violation]:
        """Rules 1.2, 2.7: one thing a reference, and it never changes kind."""
        services = {entry.reference for entry in file.services}
        for entry in _entries(file):
            is_service = isinstance(entry, ServiceEntry)
            path = f"{_FILE}.{'services' if is_service else 'tasks'}.{entry.reference}"
            present = self._before[entry.reference]
            if present is not None and isinstance(present, Service) is not is_service:
                kind = "task" if is_service else "service"
                yield Violation(
                    path, f"is a {kind} in this environment; delete that first or choose another reference"
                )
            if not is_service and entry.reference in services:
                yield Violation(
                    path, "is a service of the same file too; choose another reference for one of them"
                )

    def _unknown(self, file: AutomationsFile) -> Iterator[Violation]:
        """Rule 2.6."""
        for entry in file.tasks:
            for index, reference in enumerate(entry.depends_on):
                if self._resolve(reference) is None:
                    path = f"{_FILE}.tasks.{entry.reference}.depends_on[{index}]"
                    yield Violation(path, f'no service or task goes by "{reference}"; define it or remove it')

    def _faults(self, services: list[Service], tasks: list[Task]) -> Iterator[Violation]:
        for service in services:
            found = check_service(service.metadata, service.spec.launch)
            yield from in_file(found, f"{_FILE}.services.{service.metadata.reference}")
        for task in tasks:
            found = check_task(task.metadata, task.spec)
            yield from in_file(found, f"{_FILE}.tasks.{task.metadata.reference}")
        everything = {one.id: one for one in (*self._reader.tasks(), *tasks)}
        touched = {one.id for one in tasks}
        for cycle in cycles({id_: one.depends_on for id_, one in everything.items()}):
            if not touched.isdisjoint(cycle):
                names = [everything[TaskId(id_)].metadata.reference for id_ in cycle]
                yield Violation(f"{_FILE}.tasks.{names[0]}.depends_on", name_cycle(names))
