"""What an automations file leaves out, and what runs as an earlier one had it (rule 2.10)."""

from collections.abc import Collection, Iterable, Iterator
from functools import partial

from runner_agent.control.tasks import delete_task
from runner_agent.core import view, wishes
from runner_agent.core.earlier import earlier_steps
from runner_agent.model.errors import FailedPrecondition
from runner_agent.model.ids import Reference
from runner_agent.model.records import Deletion, Service, Step, Task
from runner_agent.model.specs import Cause
from runner_agent.store.base import Reader, Transaction

Definition = Service | Task


def left_out(reader: Reader, named: Collection[Reference]) -> Iterator[Definition]:
    """What is defined and not `named`, less what is being deleted."""
    everything: tuple[Definition, ...] = (*reader.services(), *reader.tasks())
    for one in everything:
        if one.deletion is None and one.metadata.reference not in named:
            yield one


def prunable(reader: Reader, named: Collection[Reference], path: str) -> tuple[Definition, ...]:
    """What the file at `path` created, and no other file has stated since."""
    return tuple(one for one in left_out(reader, named) if path and one.file == path)


def refuse_needed(pruned: Collection[Definition], staying: Collection[Task]) -> None:
    """Raises FailedPrecondition where something that stays depends on what is to go."""
    going = {one.id: one.metadata.reference for one in pruned}
    for task in staying:
        needs = [going[need] for need in task.depends_on if need in going]
        if task.id not in going and task.deletion is None and needs:
            raise FailedPrecondition(
                f'{", ".join(needs)} cannot be deleted: task "{task.metadata.reference}" depends on'
                f" {'it' if len(needs) == 1 else 'them'}; delete or update that task first, or do not prune"
            )


def previous(
    services: Iterable[Service], drawn: Iterable[Definition], pruned: Collection[Definition]
) -> tuple[Reference, ...]:
    """The services that run with an earlier definition, once `drawn` is in force and `pruned` is gone."""
    after = {one.id: one for one in (*services, *drawn) if isinstance(one, Service)}
    return tuple(
        one.metadata.reference
        for one in after.values()
        if one not in pruned and view.previous_definition(one)
    )


def previous_runs(
    reader: Reader, drawn: Iterable[Definition], pruned: Collection[Definition]
) -> tuple[tuple[Reference, Reference], ...]:
    """The same of tasks that run, each with the task whose execution it is a step of."""
    after = {one.id: one for one in (*reader.tasks(), *drawn) if isinstance(one, Task) and one not in pruned}
    pairs = (
        (label, execution.reference)
        for execution in reader.live_executions()
        for label in earlier_steps(execution, partial(reader.get, Step), after.get)
    )
    return tuple(dict.fromkeys(pairs))


def delete(tx: Transaction, one: Definition, cause: Cause) -> None:
    """As the API's own deletion: what runs is stopped first."""
    match one:
        case Service():
            tx.put(wishes.delete_service(one, Deletion(cause)))
        case Task():
            delete_task(tx, one, cause)
