"""Executions: beginning them with frozen plans, alone or sharing their steps, and asking them to stop."""

from collections.abc import Callable, Sequence

from runner_agent.control.base import (
    Caller,
    Control,
    NewId,
    derived_ids,
    find_execution,
    find_task,
    refuse_dying,
)
from runner_agent.control.joining import Start, new_run
from runner_agent.core import wishes
from runner_agent.core.plan import Definitions, make_plan
from runner_agent.core.sharing import joined
from runner_agent.model.errors import FailedPrecondition
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import BootMark, ExecutionId, FiringId, StepId
from runner_agent.model.phases import Trigger
from runner_agent.model.plans import PlanStep, TaskWork
from runner_agent.model.records import Execution, Service, Step, Task
from runner_agent.model.specs import Cause, Subject
from runner_agent.store.base import Reader, Transaction


class ExecutionControl(Control):
    """Start and stop."""

    __slots__ = ()

    async def start_task(self, task_id: str, caller: Caller) -> Execution:
        """Rule 4.1: a new PENDING execution, its plan and specs frozen.

        Raises NotFound, FailedPrecondition.
        """
        circumstances = Circumstances(
            self.cause(caller), caller.subject, Trigger.MANUAL.value, BootMark(self.clock.boot_mark())
        )
        new_id = derived_ids(self.new_id())

        def change(tx: Transaction) -> Execution:
            begun = begin([find_task(tx, task_id)], tx, circumstances, new_id)
            if begun.refused:
                raise begun.refused[0][1]
            return begun.put(tx).executions[0]

        return await self.store.write(change, durable=True)

    async def stop(self, execution_id: str, caller: Caller) -> Execution:
        """Rule 4.6: idempotent; a finished execution stays as it is. Raises NotFound."""
        cause = self.cause(caller)

        def change(tx: Transaction) -> Execution:
            present = find_execution(tx, execution_id)
            wished = wishes.stop_execution(present, cause)
            return present if wished is present else tx.put(wished)

        return await self.store.write(change, durable=True)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What executions that begin together have in common."""

    cause: Cause
    creator: Subject
    started_by: str
    boot: BootMark
    start: Start | None = None

    @property
    def firing(self) -> FiringId | None:
        """The firing they belong to."""
        return self.start.firing.id if self.start is not None else None


@dataclass(frozen=True, slots=True)
class Begun:
    """New executions, the step records in their plans, and the tasks whose start was refused."""

    executions: tuple[Execution, ...]
    steps: tuple[Step, ...]
    refused: tuple[tuple[Task, FailedPrecondition], ...]

    def put(self, tx: Transaction) -> "Begun":
        """Write them; returns them with their versions."""
        executions = tuple(tx.put(execution) for execution in self.executions)
        return Begun(executions, tuple(tx.put(step) for step in self.steps), self.refused)


def definitions(reader: Reader) -> Definitions:
    """All that a plan may need."""
    everything: tuple[Service | Task, ...] = (*reader.services(), *reader.tasks())
    return {one.id: one for one in everything}


def begin(tasks: Sequence[Task], reader: Reader, circumstances: Circumstances, new_id: NewId) -> Begun:
    """One execution a task. A task that several of them need has one step record, shared (rule 6.2), also
    with executions of earlier firings (rule 6.2a).
    """
    known = definitions(reader)
    start = circumstances.start
    works = start.works(tasks, known, reader, new_id) if start is not None else {}

    def work_for(task: Task) -> TaskWork:
        if task.id not in works:
            works[task.id] = new_run(task, new_id)
        return works[task.id]

    executions: list[Execution] = []
    refused: list[tuple[Task, FailedPrecondition]] = []
    for task in tasks:
        try:
            executions.append(_execution(task, known, circumstances, new_id, work_for))
        except FailedPrecondition as error:
            refused.append((task, error))
    return Begun(tuple(executions), _step_records(executions, circumstances, reader), tuple(refused))


def _execution(
    task: Task,
    known: Definitions,
    circumstances: Circumstances,
    new_id: NewId,
    work_for: Callable[[Task], TaskWork],
) -> Execution:
    refuse_dying(task, "started")
    return Execution(
        id=ExecutionId(new_id()),
        task_id=task.id,
        reference=task.metadata.reference,
        created_at=circumstances.cause.at,
        creator=circumstances.creator,
        started_by=circumstances.started_by,
        plan=make_plan(task, known, new_id, work_for),
        cause=circumstances.cause,
        boot=circumstances.boot,
        firing=circumstances.firing,
    )


def _step_records(
    executions: Sequence[Execution], circumstances: Circumstances, reader: Reader
) -> tuple[Step, ...]:
    """One for each task in the plans; its members are the executions that have it in theirs."""
    places: dict[StepId, tuple[TaskWork, PlanStep, list[Execution]]] = {}
    for execution in executions:
        for step in execution.plan.steps():
            if isinstance(step.work, TaskWork):
                places.setdefault(step.work.step, (step.work, step, []))[2].append(execution)
    records: list[Step] = []
    for work, step, members in places.values():
        ids = tuple(member.id for member in members)
        present = reader.get(Step, work.step) if circumstances.start is not None else None
        if present is not None:
            found = (reader.get(Execution, id_) for id_ in present.members)
            records.append(joined(present, [one for one in found if one is not None], ids))
        else:
            created_at, firing = circumstances.cause.at, circumstances.firing
            records.append(
                Step(work.step, work.task_id, step.label, work.spec, created_at, ids, firing=firing)
            )
    return tuple(records)
