"""Rule 1.5: the public halves of a record move when, and only when, the API would show something else."""

from dataclasses import replace

import pytest

from runner_agent.core.halves import spec_half, status_half
from runner_agent.model.ids import DefinitionId, TaskId, Version
from runner_agent.model.phases import ExecutionPhase, ServicePhase
from runner_agent.model.records import (
    Deletion,
    Execution,
    ExecutionStatus,
    Grip,
    Held,
    Record,
    StepProgress,
    StepStatus,
)
from tests.support.records import (
    CAUSE,
    a_firing,
    a_running_service,
    a_running_step,
    a_service,
    a_step,
    a_task,
    an_execution,
    minutes,
)

SERVICE = a_service()
TASK = a_task()
EXECUTION = an_execution(phase=ExecutionPhase.RUNNING)
PLAN_STEP = next(iter(EXECUTION.steps))
DEPENDENCY: DefinitionId = TaskId("task-2")


def showing(phase: ExecutionPhase, grip: Grip | None) -> Execution:
    """With its only step so."""
    return replace(EXECUTION, steps={PLAN_STEP: StepProgress(StepStatus(phase), grip)})


NAMED = replace(SERVICE, metadata=replace(SERVICE.metadata, name="New"))
WANTED = replace(SERVICE, spec=replace(SERVICE.spec, desired_phase=ServicePhase.RUNNING))
FAILED = replace(SERVICE, status=replace(SERVICE.status, phase=ServicePhase.FAILED))
SPOKEN = replace(SERVICE, status=replace(SERVICE.status, output={"a": "b"}))
STAMPED = replace(SERVICE, spec_version=Version(7), status_version=Version(8))

MOVES: dict[str, tuple[Record, Record, bool, bool]] = {
    "metadata": (SERVICE, NAMED, True, False),
    "wish": (SERVICE, WANTED, True, False),
    "phase": (SERVICE, FAILED, False, True),
    "output": (SERVICE, SPOKEN, False, True),
    "private run": (SERVICE, replace(SERVICE, run=a_running_service().run), False, False),
    "deletion": (SERVICE, replace(SERVICE, deletion=Deletion(CAUSE)), False, False),
    "versions": (SERVICE, STAMPED, False, False),
    "dependency": (TASK, replace(TASK, depends_on=(DEPENDENCY,)), True, False),
    "stop": (EXECUTION, replace(EXECUTION, desired_phase=ExecutionPhase.STOPPED), True, False),
    "failure": (EXECUTION, replace(EXECUTION, status=ExecutionStatus(ExecutionPhase.FAILED)), False, True),
    "end": (EXECUTION, replace(EXECUTION, completed_at=minutes(9)), False, True),
    "step shown": (EXECUTION, showing(ExecutionPhase.FAILED, None), False, True),
    "grip of a step": (EXECUTION, showing(ExecutionPhase.RUNNING, Held()), False, False),
    "step": (a_step(), a_running_step(), False, False),
    "firing": (a_firing(), a_firing(once_key="k"), False, False),
}


@pytest.mark.parametrize(("before", "after", "spec", "status"), MOVES.values(), ids=MOVES.keys())
def test_a_half_moves_with_the_public_view_alone(
    before: Record, after: Record, spec: bool, status: bool
) -> None:
    assert (spec_half(before) != spec_half(after)) is spec
    assert (status_half(before) != status_half(after)) is status


def test_equal_records_have_equal_halves() -> None:
    assert spec_half(a_running_service()) == spec_half(a_running_service())
    assert status_half(an_execution()) == status_half(an_execution())
