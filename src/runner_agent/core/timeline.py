"""What happened between two versions of one record, in words: each move of its public view, and each wish."""

from collections.abc import Iterator, Mapping

from runner_agent.core.wishes import standing
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import PlanStepId, Reference
from runner_agent.model.phases import ExecutionPhase, ServicePhase
from runner_agent.model.records import Execution, Firing, Key, Record, Service, StepProgress, Task


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to a record.

    `phase` is the one it came into, "" for other news; `cause` is who did it, "" where it happened by itself.
    """

    key: Key
    reference: Reference
    text: str
    phase: str = ""
    cause: str = ""


def entries(before: Record | None, after: Record | None) -> tuple[Entry, ...]:
    """In the order they are to be told. Steps tell nothing: the executions that show them do."""
    match before, after:
        case ((Service() | None), Service()):
            return tuple(_service(before, after))
        case ((Task() | None), Task()):
            return tuple(_task(before, after))
        case ((Execution() | None), Execution()):
            return tuple(_execution(before, after))
        case _, Firing():
            return (_fired(after),) if before is None else ()
        case Service(), None:
            phase = ServicePhase.DELETED.value
            return (Entry(before.key, before.metadata.reference, "deleted", phase, _who_deleted(before)),)
        case Task(), None:
            return (Entry(before.key, before.metadata.reference, "deleted", cause=_who_deleted(before)),)
        case Execution(), None:
            return (Entry(before.key, before.reference, "forgotten"),)
        case _:
            return ()


# --- services and tasks


def _service(before: Service | None, after: Service) -> Iterator[Entry]:
    key, reference, status = after.key, after.metadata.reference, after.status
    if before is None:
        yield Entry(key, reference, "created", status.phase.value, after.cause.by)
    elif before.metadata != after.metadata:
        yield Entry(key, reference, "metadata changed")
    if before is not None and before.spec.launch != after.spec.launch:
        yield Entry(key, reference, "spec changed")
    yield from _service_wish(before, after)
    yield from _deletion(before, after)
    if before is None:
        return
    was = before.status
    if was.session != status.session:
        yield Entry(key, reference, f"session {status.session} begun" if status.session else "no session")
    if was.phase is not status.phase:
        change = _with_message(f"{was.phase.value} -> {status.phase.value}", status.failure_message)
        yield Entry(key, reference, change, status.phase.value)
    elif was.failure_message != status.failure_message:
        yield Entry(key, reference, status.failure_message or "that is over")
    if was.output != status.output:
        yield Entry(key, reference, _output(was.output, status.output))


def _service_wish(before: Service | None, after: Service) -> Iterator[Entry]:
    wish = after.spec
    had = (ServicePhase.STOPPED, "") if before is None else (before.spec.desired_phase, before.spec.session)
    if had == (wish.desired_phase, wish.session):
        return
    text = "start asked for" if wish.desired_phase is ServicePhase.RUNNING else "stop asked for"
    if before is not None and wish.desired_phase is ServicePhase.RUNNING and standing(before):
        text = "restart asked for"
    if had[1] != wish.session:
        text += f", session {wish.session}"
    yield Entry(after.key, after.metadata.reference, text, cause=after.cause.by)


def _task(before: Task | None, after: Task) -> Iterator[Entry]:
    key, reference = after.key, after.metadata.reference
    if before is None:
        yield Entry(key, reference, "created")
    elif before.metadata != after.metadata:
        yield Entry(key, reference, "metadata changed")
    if before is not None and before.spec != after.spec:
        yield Entry(key, reference, "spec changed")
    if before is not None and before.depends_on != after.depends_on:
        yield Entry(key, reference, "dependencies changed")
    yield from _deletion(before, after)


def _deletion(before: Service | Task | None, after: Service | Task) -> Iterator[Entry]:
    deletion = after.deletion
    if deletion is None or (before is not None and before.deletion == deletion):
        return
    text = "deletion by force asked for" if deletion.force else "deletion asked for"
    yield Entry(after.key, after.metadata.reference, text, cause=deletion.cause.by)


def _who_deleted(one: Service | Task) -> str:
    return one.deletion.cause.by if one.deletion is not None else ""


# --- executions and firings


def _execution(before: Execution | None, after: Execution) -> Iterator[Entry]:
    key, reference, status = after.key, after.reference, after.status
    if before is None:
        yield Entry(
            key, reference, f"created by {after.started_by}", ExecutionPhase.PENDING.value, after.cause.by
        )
    if after.desired_phase is not (ExecutionPhase.RUNNING if before is None else before.desired_phase):
        text = "stop asked for" if after.desired_phase is ExecutionPhase.STOPPED else "start asked for"
        yield Entry(key, reference, text, cause=after.cause.by)
    steps = list(_steps({} if before is None else before.steps, after))
    for text in steps:
        yield Entry(key, reference, text)
    was = ExecutionPhase.PENDING if before is None else before.status.phase
    if was is not status.phase:
        change = _with_message(f"{was.value} -> {status.phase.value}", status.failure_message)
        yield Entry(key, reference, change, status.phase.value)
    elif before is not None and before.status.failure_message != status.failure_message:
        yield Entry(key, reference, status.failure_message or "that is over")
    elif before is not None and not steps and _times(before) != _times(after):
        yield Entry(key, reference, "times changed")


def _times(execution: Execution) -> tuple[object, object]:
    return execution.started_at, execution.completed_at


def _steps(before: Mapping[PlanStepId, StepProgress], after: Execution) -> Iterator[str]:
    """What happened to the steps that are shown (rule 4.3); of a large plan most are the same objects."""
    changed = [id_ for id_, one in after.steps.items() if before.get(id_) is not one]
    changed += [id_ for id_ in before if id_ not in after.steps]
    if not changed:
        return
    labels: dict[PlanStepId, str] = {step.id: step.label for step in after.plan.steps()}
    for id_ in changed:
        yield from _step(f'step "{labels.get(id_, id_)}"', before.get(id_), after.steps.get(id_))


def _step(name: str, before: StepProgress | None, after: StepProgress | None) -> Iterator[str]:
    unseen = ExecutionPhase.PENDING
    was = before.status if before is not None and before.status.phase is not unseen else None
    now = after.status if after is not None and after.status.phase is not unseen else None
    if now is None:
        if was is not None:
            yield f"{name}: no longer begun"
        return
    if was is None or was.phase is not now.phase:
        came_from = f"{was.phase.value} -> " if was is not None else ""
        yield _with_message(f"{name}: {came_from}{now.phase.value}", now.failure_message)
    elif was.failure_message != now.failure_message:
        yield f"{name}: {now.failure_message or 'that is over'}"
    known: Mapping[str, str] = was.output if was is not None else {}
    if known != now.output:
        yield f"{name}: {_output(known, now.output)}"


def _fired(firing: Firing) -> Entry:
    services, executions = len(firing.services), len(firing.executions)
    text = f"{firing.event.value} fired: {_count(services, 'service')}, {_count(executions, 'execution')}"
    return Entry(firing.key, Reference(""), text, cause=firing.cause.by)


# --- words


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _with_message(text: str, message: str) -> str:
    return f"{text}: {message}" if message else text


def _output(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """The names only: values may be long, and are in the status."""
    changed = [name for name in after if before.get(name) != after[name]]
    changed += [name for name in before if name not in after]
    return f"output changed: {', '.join(changed)}"
