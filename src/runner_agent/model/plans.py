"""A plan: what one execution will run, in groups, frozen when it was created (rules 4.1, 4.2)."""

from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import PlanStepId, Reference, ServiceId, SessionId, StepId, TaskId
from runner_agent.model.specs import TaskSpec


@dataclass(frozen=True, slots=True)
class TaskWork:
    """Run a task. `step` is the record of that run, which executions share (rules 6.2, 6.2a).

    `after` is an earlier run of the task that cannot be joined: this one begins when nothing is left of that.
    """

    task_id: TaskId
    spec: TaskSpec
    step: StepId
    after: StepId | None = None


@dataclass(frozen=True, slots=True)
class ServiceWork:
    """Have a service RUNNING (rule 4.5). `session` is the one it asks for if none is live or pending."""

    service_id: ServiceId
    session: SessionId


Work = TaskWork | ServiceWork


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step. `depends_on` are the steps it waits for; all of them are in earlier groups."""

    id: PlanStepId
    label: Reference
    work: Work
    depends_on: tuple[PlanStepId, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Steps that run concurrently."""

    steps: tuple[PlanStep, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Groups, run one after the other."""

    groups: tuple[Group, ...]

    def steps(self) -> tuple[PlanStep, ...]:
        """All steps, in order."""
        return tuple(step for group in self.groups for step in group.steps)
