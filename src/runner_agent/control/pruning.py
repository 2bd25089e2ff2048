"""Pruning: finished executions are kept for a while, and go with their step records and logs (rule 4.9).

What is newest is told by the store's counter, and what is old by `core.ages`: the time of day is not asked.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from runner_agent.core.ages import Count, count_on, older_than, worth_writing
from runner_agent.kit.clock import Clock
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import BootMark, ExecutionId, Instant, StepId, Version
from runner_agent.model.plans import TaskWork
from runner_agent.model.records import Execution, Key, Kind, Step
from runner_agent.store.base import Reader, Store, Transaction
from runner_agent.store.codec import decoder, encoder
from runner_agent.store.scalars import Unreadable

KEEP = 200
"""Per task."""
AGE = timedelta(days=30)

_META = "ages"
_BATCH = 50
"""Executions a transaction: each is read whole, and others wait meanwhile."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, and whose logs are to go."""

    executions: tuple[ExecutionId, ...] = ()
    steps: tuple[StepId, ...] = ()


async def prune(store: Store, clock: Clock, keep: int = KEEP, age: timedelta = AGE) -> Pruned:
    """Remove finished executions that are not among those of their task that ended last, `keep` of them, or
    that ended longer than `age` ago.

    A step record goes with the last execution that shows it. Logs are removed by the caller, afterwards: what
    has no record any more is never read.
    """
    count = await _count_on(store, clock, age.total_seconds())
    doomed = _doomed(store, older_than(age.total_seconds(), count), keep)
    executions: list[ExecutionId] = []
    steps: list[StepId] = []
    for start in range(0, len(doomed), _BATCH):
        batch = doomed[start : start + _BATCH]
        gone = await store.write(partial(_remove, ids=batch), durable=False)
        executions += gone.executions
        steps += gone.steps
    return Pruned(tuple(executions), tuple(steps))


async def _count_on(store: Store, clock: Clock, age: float) -> Count:
    """The count goes on, and is kept where it has come far enough."""
    before = _counted(store)
    boot, now = BootMark(clock.boot_mark()), Instant(clock.now())
    count = count_on(before, store.revision, boot, now, age)
    if worth_writing(before, count, age):
        await store.set_meta(_META, encoder(Count)(count))
    return count


def _counted(store: Store) -> Count | None:
    text = store.get_meta(_META)
    try:
        return decoder(Count)(text) if text else None
    except Unreadable:
        return None  # another version's: it begins anew, and everything is kept a while longer


def _doomed(reader: Reader, old: Version, keep: int) -> list[ExecutionId]:
    newer: Counter[str] = Counter()
    doomed: list[ExecutionId] = []
    for one in reversed(reader.finished_executions()):
        if newer[one.task_id] >= keep or one.ended <= old:
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
