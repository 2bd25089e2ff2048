"""Which runs of tasks go by an earlier definition than the present one (rules 2.10, 4.1)."""

from collections.abc import Callable, Iterator

from runner_agent.model.ids import Reference, StepId, TaskId
from runner_agent.model.phases import ExecutionPhase
from runner_agent.model.plans import TaskWork
from runner_agent.model.records import Execution, Step, Task
from runner_agent.model.runs import Idle, Live, Starting, Up


def is_earlier(step: Step, task: Task | None) -> bool:
    """It runs, or is about to, with another spec than its task has now."""
    if task is None or step.spec == task.spec or step.stopped_by is not None:
        return False
    run = step.run
    return run is None or (isinstance(run.course, Up) and isinstance(run.proc, (Idle, Starting, Live)))


def earlier_steps(
    execution: Execution,
    step_of: Callable[[StepId], Step | None],
    task_of: Callable[[TaskId], Task | None],
) -> Iterator[Reference]:
    """The labels of such steps of an execution, unless it has ended or is being stopped."""
    if execution.status.phase.terminal or execution.desired_phase is ExecutionPhase.STOPPED:
        return
    for one in execution.plan.steps():
        if isinstance(one.work, TaskWork):
            step = step_of(one.work.step)
            if step is not None and is_earlier(step, task_of(one.work.task_id)):
                yield one.label
