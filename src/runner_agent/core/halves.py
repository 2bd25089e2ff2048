"""The two public halves of a record, comparable: a version moves only when its half differs (rule 1.5)."""

from typing import assert_never

from runner_agent.core.execution import shown_steps
from runner_agent.model.records import Execution, Firing, Record, Service, Step, Task


def spec_half(record: Record) -> tuple[object, ...]:
    """What the API shows of the wish. Two records of one key are compared by this to move `spec_version`."""
    match record:
        case Service():
            return record.metadata, record.spec
        case Task():
            return record.metadata, record.spec, record.depends_on
        case Execution():
            return (record.desired_phase,)
        case Step() | Firing():
            return ()
        case _:
            assert_never(record)


def status_half(record: Record) -> tuple[object, ...]:
    """What the API shows of what is. Two records of one key are compared by this to move `status_version`."""
    match record:
        case Service():
            return (record.status,)
        case Execution():
            steps = {step_id: progress.status for step_id, progress in shown_steps(record).items()}
            return record.status, steps, record.started_at, record.completed_at
        case Task() | Step() | Firing():
            return ()
        case _:
            assert_never(record)
