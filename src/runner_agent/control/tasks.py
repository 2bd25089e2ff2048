"""Commands on tasks as definitions: create, update, delete. Running them is for `executions`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from runner_agent.control.base import Caller, Control, find_task, refuse_dying
from runner_agent.control.checks import check_task, require
from runner_agent.control.dependencies import cycles, name_cycle
from runner_agent.control.drafts import TaskDraft, TaskPatch, chosen
from runner_agent.control.services import refuse_taken
from runner_agent.core import wishes
from runner_agent.model.errors import FailedPrecondition, Violation
from runner_agent.model.ids import DefinitionId, TaskId
from runner_agent.model.records import Deletion, Service, Task
from runner_agent.model.specs import Cause, TaskMetadata, TaskSpec
from runner_agent.store.base import Reader, Transaction


class TaskControl(Control):
    """Every command returns at once."""

    __slots__ = ()

    async def create(self, draft: TaskDraft, caller: Caller) -> Task:
        """Rule 1.6. Raises InvalidArgument, AlreadyExists, FailedPrecondition."""
        metadata = TaskMetadata(
            draft.reference,
            draft.name,
            self.clock.wall(),
            caller.subject,
            draft.description,
            draft.triggered_by,
        )
        task = Task(TaskId(self.new_id()), metadata, draft.spec, _once(draft.depends_on))
        require(check_task(metadata, draft.spec))

        def change(tx: Transaction) -> Task:
            refuse_taken(tx, draft.reference)
            _check_dependencies(tx, task)
            return tx.put(task)

        return await self.store.write(change, durable=True)

    async def update(self, task_id: str, patch: TaskPatch) -> Task:
        """Running executions keep the specs they began with (rule 4.1). Raises NotFound, InvalidArgument,
        FailedPrecondition.
        """

        def change(tx: Transaction) -> Task:
            present = find_task(tx, task_id)
            refuse_dying(present, "updated")
            task = _patched(present, patch)
            require(check_task(task.metadata, task.spec))
            if task.depends_on != present.depends_on:
                _check_dependencies(tx, task)
            return present if task == present else tx.put(task)

        return await self.store.write(change, durable=True)

    async def delete(self, task_id: str, caller: Caller) -> None:
        """Rule 1.6: stops its executions; gone at once if there is none, else once they have ended.

        Raises NotFound, and FailedPrecondition while another task depends on it.
        """
        cause = self.cause(caller)

        def change(tx: Transaction) -> None:
            task = find_task(tx, task_id)
            if task.deletion is not None:
                return
            _refuse_needed(tx, task)
            delete_task(tx, task, cause)

        await self.store.write(change, durable=True)


def delete_task(tx: Transaction, task: Task, cause: Cause) -> None:
    """Its executions are stopped. It is gone at once if there is none, else once they have ended."""
    if _stop_executions(tx, task, cause):
        tx.put(replace(task, deletion=Deletion(cause)))
    else:
        tx.delete(task.key)


def _patched(task: Task, patch: TaskPatch) -> Task:
    metadata, spec = task.metadata, task.spec
    return replace(
        task,
        metadata=replace(
            metadata,
            name=chosen(patch.name, metadata.name),
            description=chosen(patch.description, metadata.description),
            triggered_by=chosen(patch.triggered_by, metadata.triggered_by),
        ),
        spec=TaskSpec(
            chosen(patch.command, spec.command),
            chosen(patch.runs_on, spec.runs_on),
            patch.env or spec.env,
            chosen(patch.prebuild_requires_success, spec.prebuild_requires_success),
        ),
        depends_on=_once(patch.depends_on) or task.depends_on,
    )


def _once(ids: Sequence[DefinitionId]) -> tuple[DefinitionId, ...]:
    return tuple(dict.fromkeys(ids))


def _check_dependencies(reader: Reader, task: Task) -> None:
    """Rules 1.6, 2.6."""
    require(_bad_dependencies(reader, task))
    for dependency in task.depends_on:
        needed = _definition(reader, dependency)
        if needed is not None and needed.deletion is not None:
            raise FailedPrecondition(
                f'task "{task.metadata.reference}" cannot depend on "{needed.metadata.reference}": '
                "that is being deleted; create it anew once it is gone"
            )


def _bad_dependencies(reader: Reader, task: Task) -> Iterator[Violation]:
    for index, dependency in enumerate(task.depends_on):
        if dependency != task.id and _definition(reader, dependency) is None:
            yield Violation(f"depends_on[{index}]", f"no service or task has the id {dependency}")
    tasks = {one.id: one for one in reader.tasks()} | {task.id: task}
    for cycle in cycles({id_: one.depends_on for id_, one in tasks.items()}):
        if task.id in cycle:
            names = [tasks[TaskId(id_)].metadata.reference for id_ in cycle]
            yield Violation("depends_on", name_cycle(names))


def _definition(reader: Reader, id_: DefinitionId) -> Service | Task | None:
    return reader.get(Task, id_) or reader.get(Service, id_)


def _refuse_needed(reader: Reader, task: Task) -> None:
    dependants = [
        one.metadata.reference for one in reader.tasks() if task.id in one.depends_on and one.deletion is None
    ]
    if dependants:
        raise FailedPrecondition(
            f'task "{task.metadata.reference}" cannot be deleted: {", ".join(dependants)} '
            f"{'depends' if len(dependants) == 1 else 'depend'} on it; update or delete that first"
        )


def _stop_executions(tx: Transaction, task: Task, cause: Cause) -> bool:
    """True if any has not ended."""
    live = [execution for execution in tx.live_executions() if execution.task_id == task.id]
    for execution in live:
        stopped = wishes.stop_execution(execution, cause)
        if stopped is not execution:
            tx.put(stopped)
    return bool(live)
