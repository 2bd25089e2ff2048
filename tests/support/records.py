"""Records for tests: short factories with sensible fields, and Hypothesis strategies of any model type."""

import dataclasses
import types
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from runner_agent.model.ids import (
    BootMark,
    ExecutionId,
    FiringId,
    Instant,
    PlanStepId,
    Reference,
    RunId,
    ServiceId,
    SessionId,
    StepId,
    TaskId,
)
from runner_agent.model.phases import ExecutionPhase, ServicePhase, Trigger
from runner_agent.model.plans import Group, Plan, PlanStep, TaskWork
from runner_agent.model.records import (
    Execution,
    ExecutionStatus,
    Firing,
    Service,
    ServiceStatus,
    Step,
    StepProgress,
    StepStatus,
    Task,
)
from runner_agent.model.runs import Handle, Live, Moment, ServiceRun, StepRun
from runner_agent.model.specs import (
    Cause,
    EnvVar,
    Launch,
    SecretRef,
    ServiceCommands,
    ServiceMetadata,
    ServiceSpec,
    Subject,
    TaskMetadata,
    TaskSpec,
)

T = TypeVar("T")

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
BOOT = BootMark("boot-1")
CAUSE = Cause("uid 1000", NOON)
RUN = RunId("run-1")


def minutes(count: int) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=count)


def a_service(id_: str = "service-1", *, reference: str = "web", minute: int = 0) -> Service:
    """Never started."""
    return Service(
        id=ServiceId(id_),
        metadata=ServiceMetadata(Reference(reference), reference.title(), minutes(minute)),
        spec=ServiceSpec(Launch(ServiceCommands("serve"))),
        cause=CAUSE,
    )


def a_running_service(id_: str = "service-1", *, reference: str = "web") -> Service:
    """With a run and most fields in use, as a service is most of its life."""
    session = SessionId("session-1")
    env = (EnvVar("PORT", "8080"), EnvVar("TOKEN", SecretRef("secret-1")))
    launch = Launch(ServiceCommands("serve --port 8080", "curl -f localhost:8080", "serve --stop"), env=env)
    handle = Handle("machine", RUN, {"holder": 4711, "start_time": 123456, "directory": "/run/x"})
    return Service(
        id=ServiceId(id_),
        metadata=ServiceMetadata(
            Reference(reference),
            reference.title(),
            NOON,
            Subject("user-1"),
            "The web server",
            (Trigger.MANUAL,),
        ),
        spec=ServiceSpec(launch, ServicePhase.RUNNING, session),
        cause=CAUSE,
        run=ServiceRun(
            session, BOOT, launch, start=Live(RUN, Instant(12.5), handle), attempts=3, is_ready=True
        ),
        status=ServiceStatus(ServicePhase.RUNNING, "", session, {"url": "http://localhost:8080"}),
        phase_since=Moment(NOON, BootMark(""), Instant(0.0)),
    )


def a_task(id_: str = "task-1", *, reference: str = "build", minute: int = 0) -> Task:
    """Without dependencies."""
    return Task(
        id=TaskId(id_),
        metadata=TaskMetadata(Reference(reference), reference.title(), minutes(minute)),
        spec=TaskSpec("make"),
    )


def a_plan(steps: Iterable[str]) -> Plan:
    """One group; each of `steps` is the id of a step record, and `plan-<id>` shows it."""
    return Plan(
        (
            Group(
                tuple(
                    PlanStep(
                        PlanStepId(f"plan-{step}"),
                        Reference("build"),
                        TaskWork(TaskId("task-1"), TaskSpec("make"), StepId(step)),
                    )
                    for step in steps
                )
            ),
        )
    )


def an_execution(
    id_: str = "execution-1",
    *,
    task: str = "task-1",
    minute: int = 0,
    phase: ExecutionPhase = ExecutionPhase.PENDING,
    steps: Iterable[str] = ("step-1",),
) -> Execution:
    """Its steps show the phase of the whole."""
    plan = a_plan(steps)
    shown = StepStatus(phase)
    started = phase is not ExecutionPhase.PENDING
    return Execution(
        id=ExecutionId(id_),
        task_id=TaskId(task),
        reference=Reference("build"),
        created_at=minutes(minute),
        creator=Subject("user-1"),
        started_by="manual",
        plan=plan,
        cause=CAUSE,
        boot=BOOT,
        steps={step.id: StepProgress(shown, None) for step in plan.steps()} if started else {},
        status=ExecutionStatus(phase),
        started_at=minutes(minute) if started else None,
        completed_at=minutes(minute + 1) if phase.terminal else None,
    )


def a_step(id_: str = "step-1", *, members: Iterable[str] = ("execution-1",), minute: int = 0) -> Step:
    """Not begun."""
    return Step(
        id=StepId(id_),
        task_id=TaskId("task-1"),
        reference=Reference("build"),
        spec=TaskSpec("make"),
        created_at=minutes(minute),
        members=tuple(ExecutionId(member) for member in members),
    )


def a_running_step(id_: str = "step-1", *, members: Iterable[str] = ("execution-1",)) -> Step:
    """With a process."""
    run = StepRun(BOOT, proc=Live(RUN, Instant(3.0), Handle("machine", RUN, {"holder": 4712})))
    return dataclasses.replace(a_step(id_, members=members), run=run)


def a_firing(
    id_: str = "firing-1", *, minute: int = 0, event: Trigger = Trigger.POST_MACHINE_START, once_key: str = ""
) -> Firing:
    """That started nothing."""
    return Firing(FiringId(id_), event, minutes(minute), BOOT, CAUSE, once_key)


def values(of: type[T]) -> st.SearchStrategy[T]:
    """Any value of a model type, by its type hints. Times are UTC, floats finite."""
    return _values(of)


def _values(of: Any) -> st.SearchStrategy[Any]:
    if isinstance(of, NewType):
        return _values(of.__supertype__)
    origin = get_origin(of)
    if origin in {types.UnionType, Union}:
        return st.one_of([_values(one) for one in get_args(of)])
    if origin is tuple:
        match get_args(of):
            case (item, rest) if rest is Ellipsis:
                return st.lists(_values(item), max_size=3).map(tuple)
            case items:
                return st.tuples(*(_values(item) for item in items))
    if origin is not None and issubclass(origin, Mapping):
        key, value = get_args(of)
        return st.dictionaries(_values(key), _values(value), max_size=3)
    if dataclasses.is_dataclass(of) and isinstance(of, type):
        hints = get_type_hints(of)
        return st.builds(of, **{field.name: _values(hints[field.name]) for field in dataclasses.fields(of)})
    if isinstance(of, type) and issubclass(of, Enum):
        return st.sampled_from(list(of))
    scalars: dict[Any, st.SearchStrategy[Any]] = {
        str: st.text(max_size=12),
        int: st.integers(),
        float: st.floats(allow_nan=False, allow_infinity=False),
        bool: st.booleans(),
        datetime: st.datetimes(timezones=st.just(UTC)),
        types.NoneType: st.none(),
    }
    return scalars[of]
