"""Where a task ran last: as an execution of its own, or as a step of another task's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner_agent.client.agent import Agent
from runner_agent.client.logs import execution_log, log_head
from runner_agent.client.references import NotThere

if TYPE_CHECKING:
    from runner_agent.client.messages import Execution, PlanStep, Task


@dataclass(frozen=True, slots=True)
class Run:
    """`step` is None for an execution of the task itself."""

    execution: Execution
    step: PlanStep | None = None


def newest_run(agent: Agent, task: Task) -> Run | NotThere:
    """A step counts once it has begun; one that shares the run of the task's own newest execution is that."""
    for execution in agent.executions():  # the newest first
        if execution.get("metadata", {}).get("taskId") == task["id"]:
            return Run(execution)
        if step := _step_of(execution, task):
            own = next(agent.executions({"taskIds": [task["id"]]}), None)
            mine = _step_of(own, task) if own else None
            if own and mine and _log_of(agent, own, mine) == _log_of(agent, execution, step):
                return Run(own)
            return Run(execution, step)
    return NotThere()


def _log_of(agent: Agent, execution: Execution, step: PlanStep) -> str:
    """The same for steps that share a run (rule 6.2)."""
    return log_head(agent.transport, execution_log(execution["id"]), step["id"]).id


def _step_of(execution: Execution, task: Task) -> PlanStep | None:
    begun = {step["id"] for step in execution.get("status", {}).get("steps", [])}
    for group in execution.get("spec", {}).get("plan", []):
        for step in group.get("steps", []):
            if step["id"] in begun and step.get("task", {}).get("id") == task["id"]:
                return step
    return None
