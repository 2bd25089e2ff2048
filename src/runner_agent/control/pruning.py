"""Pruning: finished executions are kept for a while, and go with their step records and logs (rule 4.9)."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import ExecutionId, StepId
from runner_agent.model.plans import TaskWork
from runner_agent.model.records import Execution, Key, Kind, Step
from runner_agent.store.base import Reader, Store, Transaction

KEEP = 200
"""Per task."""
AGE = timedelta(days=30)

_BATCH = 50
"""Executions a transaction: each is read whole, and others wait meanwhile."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, and whose logs are to go."""

    executions: tuple[ExecutionId, ...] = ()
    steps: tuple[StepId, ...] = ()


async def prune(store: Store, now: datetime, keep: int = KEEP, age: timedelta = AGE) -> Pruned:
    """Remove finished executions that are not among the newest `keep` of their task, or ended longer than
    `age` ago.

    A step record goes with the last execution that shows it. Logs are removed by the caller, afterwards: what
    has no record any more is never read. `now` is wall time.
    """
    doomed = _doomed(store, now, keep, age)
    executions: list[ExecutionId] = []
    steps: list[StepId] = []
    for start in range(0, len(doomed), _BATCH):
        batch = doomed[start : start + _BATCH]
        gone = await store.write(partial(_remove, ids=batch), durable=False)
        executions += gone.executions
        steps += gone.steps
    return Pruned(tuple(executions), tuple(steps))


def _doomed(reader: Reader, now: datetime, keep: int, age: timedelta) -> list[ExecutionId]:
    newer: Counter[str] = Counter()
    doomed: list[ExecutionId] = []
    for one in reversed(reader.finished_executions()):
        if newer[one.task_id] >= keep or now - one.completed_at > age:
            doomed.append(one.id)
        newer[one.task_id] += 1
    return doomed


def _remove(tx: Transaction, ids: Sequence[ExecutionId]) -> Pruned:
    steps: dict[StepId, Step] = {}
    for id_ in ids:
        execution = tx.get(Execution, id_)
        if execution is not None:
            steps |= _steps_of(tx, execution)
            tx.delete(execution.key)
    orphans = [step.id for step in steps.values() if not any(tx.get(Execution, id_) for id_ in step.members)]
    for step in orphans:
        tx.delete(Key(Kind.STEP, step))
    return Pruned(tuple(ids), tuple(orphans))


def _steps_of(tx: Transaction, execution: Execution) -> dict[StepId, Step]:
    works = (step.work for step in execution.plan.steps())
    found = (tx.get(Step, work.step) for work in works if isinstance(work, TaskWork))
    return {step.id: step for step in found if step is not None}
