"""A town: executions over step records and services in one simulated world, for the machine of executions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runner_agent.core import wishes
from runner_agent.core.execution import World, advance, hangs_on, shown_steps
from runner_agent.core.plan import make_plan
from runner_agent.model.ids import BootMark, DefinitionId, ExecutionId, Instant, StepId, TaskId
from runner_agent.model.phases import ExecutionPhase, RunRole
from runner_agent.model.plans import PlanStep, TaskWork
from runner_agent.model.records import Execution, Service, Step, Task
from runner_agent.model.runs import Ending, Moment
from runner_agent.model.specs import Cause, Launch, Subject
from tests.support.histories import NOON, ServiceStage, State, StepStage, a_task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Town:
    """Executions over step records and services, all in one world."""

    def __init__(
        self, tasks: Mapping[str, Sequence[str]], services: Mapping[str, Launch] | None = None
    ) -> None:
        self.tasks = {TaskId(name): a_task(name, needs, tasks) for name, needs in tasks.items()}
        self.services = {name: ServiceStage(launch, id_=name) for name, launch in (services or {}).items()}
        self.steps: dict[str, StepStage] = {}
        self.executions: dict[ExecutionId, Execution] = {}
        self.wall = NOON
        self._ids = 0

    @property
    def moment(self) -> Moment:
        """By the clock that is furthest on."""
        stages: list[StepStage | ServiceStage] = [*self.steps.values(), *self.services.values()]
        now = max((stage.now for stage in stages), default=0.0)
        return Moment(self.wall, BootMark("boot-1"), Instant(now))

    def new_id(self) -> str:
        self._ids += 1
        return f"id-{self._ids}"

    def execute(self, task: str, *, firing: str) -> ExecutionId:
        """Start a task. Executions of one firing share their step records (rule 6.2)."""
        main = self.tasks[TaskId(task)]
        known: dict[DefinitionId, Service | Task] = {one.id: one for one in self.tasks.values()}
        known |= {one.service.id: one.service for one in self.services.values() if not one.removed()}
        plan = make_plan(main, known, self.new_id, lambda one: self._work(one, firing))
        id_ = ExecutionId(f"e{len(self.executions) + 1}")
        for work in (step.work for step in plan.steps()):
            if isinstance(work, TaskWork):
                self._member(work, id_)
        self.executions[id_] = Execution(
            id=id_,
            task_id=main.id,
            reference=main.metadata.reference,
            created_at=self.wall,
            creator=Subject(),
            started_by="manual",
            plan=plan,
            cause=Cause("uid 1000", self.wall),
            boot=BootMark("boot-1"),
        )
        return id_

    @staticmethod
    def _work(task: Task, firing: str) -> TaskWork:
        return TaskWork(task.id, task.spec, StepId(f"{task.id}@{firing}"))

    def _member(self, work: TaskWork, execution: ExecutionId) -> None:
        if work.step not in self.steps:
            stage = StepStage(id_=work.step)
            reference = self.tasks[work.task_id].metadata.reference
            stage.record = replace(stage.step, task_id=work.task_id, reference=reference)
            self.steps[work.step] = stage
        stage = self.steps[work.step]
        stage.record = replace(stage.step, members=(*stage.step.members, execution))

    def waits(self, execution: ExecutionId, label: str, *, after: str) -> None:
        """This execution's run of a task is to meet no earlier one (rule 6.2a)."""
        one = self.executions[execution]
        groups = tuple(
            replace(group, steps=tuple(self._after(step, label, after) for step in group.steps))
            for group in one.plan.groups
        )
        self.executions[execution] = replace(one, plan=replace(one.plan, groups=groups))

    @staticmethod
    def _after(step: PlanStep, label: str, after: str) -> PlanStep:
        if step.label != label or not isinstance(step.work, TaskWork):
            return step
        return replace(step, work=replace(step.work, after=StepId(after)))

    def execution(self, id_: str) -> Execution:
        return self.executions[ExecutionId(id_)]

    def world(self, execution: str) -> World:
        """All that the execution hangs on and that is still there."""
        named = hangs_on(self.execution(execution))
        services = [one.service for one in self.services.values() if not one.removed()]
        return World(
            {StepId(id_): stage.step for id_, stage in self.steps.items() if id_ in named},
            {one.id: one for one in services if one.id in named},
        )

    def advance(self, execution: str) -> bool:
        """One look at an execution. True if anything moved."""
        before, world = self.execution(execution), self.world(execution)
        after, moved = advance(before, world, self.moment)
        self.executions[ExecutionId(execution)] = after
        for one in moved:
            if isinstance(one, Step):
                self.steps[one.id].record = one
            else:
                self.services[one.id].record = one
        return after != before or bool(moved)

    def stages(self) -> list[StepStage | ServiceStage]:
        """Steps and services that are still there."""
        every: list[StepStage | ServiceStage] = [*self.steps.values(), *self.services.values()]
        return [stage for stage in every if not stage.removed()]

    def settle(self) -> None:
        """Everybody looks until nothing moves; what is promised is spawned."""
        for _ in range(200):
            moved = False
            for execution in self.executions:
                moved |= self.advance(execution)
            for stage in self.stages():
                moved |= not stage.removed() and bool(stage.look())
                for program in stage.programs:
                    if program.state is State.PROMISED and program.role is not RunRole.READY:
                        program.spawn()
                        stage.tell(program)
                        moved = True
            if not moved:
                return
        raise AssertionError("the town does not come to rest")

    # --- for tests that tell a story

    def ends(self, task: str, ending: Ending, *, firing: str = "f1", last_line: str = "") -> None:
        """The run of a task ends whole."""
        self.steps[f"{task}@{firing}"].gone(ending, last_line=last_line)
        self.settle()

    def stop(self, execution: str) -> None:
        self.executions[ExecutionId(execution)] = wishes.stop_execution(
            self.executions[ExecutionId(execution)], Cause("bob", self.wall)
        )
        self.settle()

    def shown(self, execution: str) -> dict[str, ExecutionPhase]:
        """The phases of the steps the API shows, by label."""
        one = self.execution(execution)
        shown = shown_steps(one)
        return {str(step.label): shown[step.id].status.phase for step in one.plan.steps() if step.id in shown}

    def output(self, execution: str, label: str) -> Mapping[str, str]:
        one = self.execution(execution)
        step = next(step for step in one.plan.steps() if step.label == label)
        return one.steps[step.id].status.output
