"""Where a task ran last: as an execution of its own, or as a step of another task's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner_agent.client.agent import Agent
from runner_agent.client.references import NotThere

if TYPE_CHECKING:
    from runner_agent.client.messages import Execution, PlanStep, Task


@dataclass(frozen=True, slots=True)
class Run:
    """`step` is None for an execution of the task itself."""

    execution: Execution
    step: PlanStep | None = None


def newest_run(agent: Agent, task: Task) -> Run | NotThere:
    """A step counts once it has begun."""
    for execution in agent.executions():  # the newest first
        if execution.get("metadata", {}).get("taskId") == task["id"]:
            return Run(execution)
        if step := _step_of(execution, task):
            return Run(execution, step)
    return NotThere()


def _step_of(execution: Execution, task: Task) -> PlanStep | None:
    begun = {step["id"] for step in execution.get("status", {}).get("steps", [])}
    for group in execution.get("spec", {}).get("plan", []):
        for step in group.get("steps", []):
            if step["id"] in begun and step.get("task", {}).get("id") == task["id"]:
                return step
    return None
