"""Which run each task of a firing gets: one that an earlier firing began and that goes on, or a new one
(rules 6.2, 6.2a).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from runner_agent.core import step as step_rules
from runner_agent.core.plan import Definitions, levels
from runner_agent.model.errors import FailedPrecondition
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import DefinitionId, ExecutionId, StepId, TaskId
from runner_agent.model.phases import ExecutionPhase
from runner_agent.model.plans import TaskWork
from runner_agent.model.records import Execution, Step, Task
from runner_agent.model.runs import Up


@dataclass(frozen=True, slots=True)
class Earlier:
    """A run of a task that an earlier firing of this boot began, and the executions that show it. `own`: it
    may be joined also when it has begun.
    """

    record: Step
    members: tuple[Execution, ...]
    own: bool = True

    def joinable(self) -> bool:
        """It is pending or running, and no wish there is will end it before its time."""
        run, holders = self.record.run, set(self.record.holders)
        stopping = _stopping(self.members)
        mains = {one.id for one in self.members if one.task_id == self.record.task_id}
        ended_by_main = bool(stopping & mains & holders)
        if self.record.stopped_by is not None:
            return False
        if run is None:  # who stops and holds it alone lets go of it, and it is left for others
            return not ended_by_main or len(holders) == 1
        going_on = isinstance(run.course, Up) and not step_rules.over(run)
        return self.own and going_on and bool(holders - stopping) and not ended_by_main


def joined(record: Step, members: Sequence[Execution], by: Sequence[ExecutionId]) -> Step:
    """A run that more executions show. Those of before that are to stop let go of one that has not begun, as
    they are about to do: else it would begin and end with them.
    """
    gone = _stopping(members) if record.run is None else set[ExecutionId]()
    holders = tuple(id_ for id_ in record.holders if id_ not in gone)
    return replace(record, members=(*record.members, *by), holders=holders)


def in_the_way(record: Step | None) -> bool:
    """Something of this run is there, or is about to be."""
    if record is None:
        return False
    return step_rules.wanted(record) if record.run is None else not step_rules.over(record.run)


def _stopping(members: Sequence[Execution]) -> set[ExecutionId]:
    return {one.id for one in members if one.desired_phase is ExecutionPhase.STOPPED}


Runs = Callable[[TaskId], Sequence[Earlier]]
Records = Callable[[StepId], Step | None]
Works = Mapping[TaskId, TaskWork]


def share(
    mains: Sequence[Task], known: Definitions, runs: Runs, record: Records, new_step: Callable[[], StepId]
) -> dict[TaskId, TaskWork]:
    """The run that each of these tasks, and each task that they need, gets.

    `runs` are those of a task that may be joined or that a new one must not meet. What a joined run rests on
    is not run again beside it: of that, what has succeeded counts as it is.
    """
    works: dict[TaskId, TaskWork] = {}
    rests: dict[DefinitionId, dict[ExecutionId, Works]] = {}
    plans: dict[ExecutionId, Works] = {}
    for task in _dependants_first(mains, known):
        found = runs(task.id)
        going_on = next((one for one in found if one.joinable()), None)
        beneath = rests.get(task.id, {})
        if going_on is not None:
            shown_by = {one.id: _works_of(one, plans) for one in going_on.members}
            work = next((shown[task.id] for shown in shown_by.values()), None)
            beneath = beneath | shown_by
        else:
            work = _succeeded(task.id, beneath, record)
        if work is None:
            after = next((one.record.id for one in found if in_the_way(one.record)), None)
            work = TaskWork(task.id, task.spec, new_step(), after)
        else:
            for dependency in task.depends_on:
                rests.setdefault(dependency, {}).update(beneath)
        works[task.id] = work
    return works


def _dependants_first(mains: Sequence[Task], known: Definitions) -> Iterator[Task]:
    """All that they need, each once. A task's level is the same in every plan."""
    by_level: dict[int, dict[TaskId, Task]] = {}
    for main in mains:
        try:
            groups = levels(main, known)
        except FailedPrecondition:
            continue  # it is not started, which is told when its plan is made
        for level, group in enumerate(groups):
            tasks = {one.id: one for one in group if isinstance(one, Task)}
            by_level.setdefault(level, {}).update(tasks)
    for level in sorted(by_level, reverse=True):
        yield from by_level[level].values()


def _works_of(execution: Execution, plans: dict[ExecutionId, Works]) -> Works:
    if execution.id not in plans:
        works = (step.work for step in execution.plan.steps())
        plans[execution.id] = {work.task_id: work for work in works if isinstance(work, TaskWork)}
    return plans[execution.id]


def _succeeded(task: TaskId, beneath: Mapping[ExecutionId, Works], record: Records) -> TaskWork | None:
    for work in dict.fromkeys(works[task] for works in beneath.values() if task in works):
        found = record(work.step)
        status = step_rules.view(found.run) if found is not None else None
        if status is not None and status.phase is ExecutionPhase.SUCCEEDED:
            return work
    return None
