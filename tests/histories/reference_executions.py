"""The reference model of executions: what rules 4.1 to 4.7 and 6.2 allow, by plans and what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runner_agent.model.ids import PlanStepId
from runner_agent.model.phases import ExecutionPhase
from runner_agent.model.plans import Plan, PlanStep, TaskWork
from runner_agent.model.records import Execution
from runner_agent.model.runs import Exited
from tests.histories.witness import Seen

P = ExecutionPhase
RANK = {P.PENDING: 0, P.RUNNING: 1, P.SUCCEEDED: 2, P.FAILED: 2, P.STOPPED: 2}
Phases = Mapping[PlanStepId, ExecutionPhase]


@dataclass(slots=True)
class TaskModel:
    """A task as it is defined now."""

    reference: str
    version: int
    command: str
    needs: tuple[str, ...]
    deleting: bool = False


@dataclass(slots=True)
class ExecutionModel:
    """One execution: its plan as it was at the start, who wants it to stop since when, and what was shown."""

    id: str
    task: str
    plan: Plan
    versions: dict[str, int]
    asked: float
    boot: str = ""
    """Of the firing it belongs to; "" if a person started it."""
    stopped_before: frozenset[str] = frozenset()
    """Executions that had been asked to stop when it was made: their end is none of its business."""
    stopped: float | None = None
    rebooted: bool = False
    shown: Execution | None = None
    steps: dict[PlanStepId, ExecutionPhase] = field(default_factory=dict[PlanStepId, ExecutionPhase])

    @property
    def phase(self) -> ExecutionPhase:
        return self.shown.status.phase if self.shown is not None else P.PENDING

    @property
    def failed(self) -> bool:
        return any(phase in (P.FAILED, P.STOPPED) for phase in self.steps.values())

    def reached(self) -> tuple[PlanStep, ...]:
        """The steps of the groups that may have begun, going by those that have succeeded."""
        found: list[PlanStep] = []
        for group in self.plan.groups:
            found += group.steps
            if not all(self.steps.get(step.id) is P.SUCCEEDED for step in group.steps):
                break
        return tuple(found)

    def holds(self, record: str) -> bool:
        """It has reached this run of a task and wants it."""
        wants = self.stopped is None and not self.phase.terminal
        return wants and any(
            isinstance(step.work, TaskWork) and step.work.step == record for step in self.reached()
        )

    def task_of(self, record: str) -> str | None:
        """The id of the task that this run in its plan is a run of."""
        step = in_plan(self, record)
        return step.work.task_id if step is not None and isinstance(step.work, TaskWork) else None

    def wrong_with(self, shown: Execution) -> list[str]:
        """What it must never show, whenever it is looked at."""
        steps: dict[PlanStepId, ExecutionPhase] = {
            id_: one.status.phase for id_, one in shown.steps.items() if one.status.phase is not P.PENDING
        }
        phase = shown.status.phase
        wrong = [
            f"step {id_} went from {self.steps[id_].value} to {steps[id_].value if id_ in steps else 'none'}"
            for id_ in self.steps
            if id_ not in steps
            or RANK[steps[id_]] < RANK[self.steps[id_]]
            or _changed(self.steps[id_], steps[id_])
        ]
        if shown.plan != self.plan:
            wrong.append("its plan has changed")
        if RANK[phase] < RANK[self.phase] or _changed(self.phase, phase):
            wrong.append(f"went from {self.phase.value} to {phase.value}")
        held = any(one.status.phase is P.PENDING for one in shown.steps.values())  # and about to begin
        unseen = self.stopped is not None and phase in (P.PENDING, P.RUNNING)  # the wish, so far
        said = P.RUNNING if held and steps else self._aggregate(steps)
        if said != phase and not self.rebooted and not unseen:
            wrong.append(f"shows {phase.value} where its steps say {said.value}")
        done = True
        for group in shown.plan.groups:
            begun = [step for step in group.steps if step.id in steps]
            if begun and not done:
                wrong.append(f"began {begun[0].label} before the group below had succeeded")
            done = done and all(steps.get(step.id) is P.SUCCEEDED for step in group.steps)
        wrong += [
            f"fails for the stop of {other}, asked for before it was made (rule 6.2a)"
            for other in self.stopped_before
            if f"stopped by execution {other}" in shown.status.failure_message
        ]
        self.shown, self.steps = shown, steps
        return [f"execution {self.id}: {one}" for one in wrong]

    def _aggregate(self, steps: Phases) -> ExecutionPhase:
        """Rules 4.3, 4.4, 4.6."""
        every = [step.id for group in self.plan.groups for step in group.steps]
        if all(steps.get(id_) is P.SUCCEEDED for id_ in every):
            return P.SUCCEEDED
        running = any(not phase.terminal for phase in steps.values())
        if running:
            return P.RUNNING
        if self.stopped is not None:
            return P.STOPPED
        if any(phase in (P.FAILED, P.STOPPED) for phase in steps.values()):
            return P.FAILED
        return P.RUNNING if steps else P.PENDING


def in_plan(one: ExecutionModel, record: str) -> PlanStep | None:
    """The step that is this run of a task."""
    for step in one.plan.steps():
        if isinstance(step.work, TaskWork) and step.work.step == record:
            return step
    return None


def _changed(before: ExecutionPhase, after: ExecutionPhase) -> bool:
    return before.terminal and before is not after


def step_allowed(one: ExecutionModel, seen: Seen | None, script: str) -> frozenset[ExecutionPhase]:
    """What an attentive agent shows of a task step that `one` has reached; PENDING stands for none."""
    let_go = {P.STOPPED, P.FAILED}  # or condemned by the execution whose main task it is
    ended_well = seen is not None and seen.ending == Exited(0)
    allowed: set[ExecutionPhase] = set()
    if seen is None:
        allowed |= {P.PENDING, P.RUNNING} if "#: prepare" in script else set()
        allowed |= {P.STOPPED} if "#: prepare" in script and one.stopped is not None else set()
        allowed |= {P.FAILED} if "#: cannot" in script else set()
    elif seen.alive:
        allowed |= {P.RUNNING}
        allowed |= let_go if seen.terminated is not None or one.stopped is not None else set()
    elif one.stopped is not None or seen.terminated is not None:
        allowed |= let_go | ({P.SUCCEEDED} if ended_well else set())
    else:
        allowed |= {P.SUCCEEDED if ended_well else P.FAILED}
    return frozenset(allowed)
