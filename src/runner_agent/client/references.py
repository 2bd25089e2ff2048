"""From what a user types to the thing meant: a reference, an id, or the beginning of an id."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from runner_agent.client.agent import Agent
from runner_agent.client.errors import ApiError, NoSuchAutomation

if TYPE_CHECKING:
    from runner_agent.client.agent_messages import Explanation
    from runner_agent.client.messages import Execution, Service, Task

SHOWN = 20
"""Things in a message."""
SHORT_ID = 8
"""Characters of an id that are shown where room is scarce."""
_LEAST = 4
"""Characters of the id of a service or a task: these have references, and a mistyped one must not hit
another. An execution has nothing but its id.
"""
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_BEGINNING = re.compile(r"[0-9a-fA-F][0-9a-fA-F-]{0,34}")


@dataclass(frozen=True, slots=True)
class NotThere:
    """Nothing goes by that name."""


@dataclass(frozen=True, slots=True)
class NamedService:
    """A service is meant."""

    service: Service


@dataclass(frozen=True, slots=True)
class NamedTask:
    """A task is meant."""

    task: Task


@dataclass(frozen=True, slots=True)
class NamedExecution:
    """One execution is meant."""

    execution: Execution


Named = NamedService | NamedTask | NamedExecution
Kind = type[NamedService] | type[NamedTask] | type[NamedExecution]
ALL: Sequence[Kind] = (NamedService, NamedTask, NamedExecution)


def is_id(text: str) -> bool:
    """Whether it is a UUID. A reference may look like one, so it is asked for next where no id fits."""
    return _UUID.fullmatch(text) is not None


def find(agent: Agent, name: str, kinds: Sequence[Kind] = ALL) -> Named:
    """By reference, by id, or by a beginning that no other id has. Raises NoSuchAutomation, naming what there
    is.
    """
    for look in (_by_id, _by_reference):
        for kind in kinds:
            found = look(agent, name, kind)
            if not isinstance(found, NotThere):
                return found
    match list(_by_beginning(agent, name, kinds)):
        case [one]:
            return one
        case []:
            raise NoSuchAutomation(_unknown(agent, name, kinds))
        case several:
            shown = "".join(f"\n  {_described(each)}" for each in several[:SHOWN])
            more = f"\n  and {len(several) - SHOWN} more" if len(several) > SHOWN else ""
            raise NoSuchAutomation(
                f"{len(several)} ids begin with {name!r}; write more of the one that you mean:{shown}{more}"
            )


def find_service(agent: Agent, name: str) -> Service:
    """A service. Raises NoSuchAutomation, naming what there is."""
    found = find(agent, name, (NamedService,))
    assert isinstance(found, NamedService)
    return found.service


def find_task(agent: Agent, name: str) -> Task:
    """A task. Raises NoSuchAutomation, naming what there is."""
    found = find(agent, name, (NamedTask,))
    assert isinstance(found, NamedTask)
    return found.task


def find_planned(agent: Agent, name: str) -> Service | Task:
    """A service or a task. Raises NoSuchAutomation, naming what there is."""
    match find(agent, name, (NamedTask, NamedService)):
        case NamedService(service):
            return service
        case NamedTask(task):
            return task
        case NamedExecution():
            raise AssertionError(name)


def find_execution(agent: Agent, name: str) -> Execution:
    """An execution, or the newest one of a task. Raises NoSuchAutomation."""
    match find(agent, name, (NamedExecution, NamedTask)):
        case NamedExecution(execution):
            return execution
        case NamedTask(task):
            newest = newest_execution(agent, task)
            if isinstance(newest, NotThere):
                raise never_started(task)
            return newest
        case NamedService():
            raise AssertionError(name)


def never_started(task: Task) -> NoSuchAutomation:
    """What to say where a run of it is asked for."""
    name = id_or_reference(task)
    return NoSuchAutomation(
        f"Task {name!r} has never been started. Start it with `runner-agent task start {name}`."
    )


def explain(agent: Agent, name: str) -> Explanation:
    """Of whatever goes by this name. Raises NoSuchAutomation, naming what there is."""
    for by_id in (True, False) if is_id(name) else (False,):
        try:
            return agent.explain(id_=name) if by_id else agent.explain(name)
        except ApiError as error:
            if error.code not in {"not_found", "invalid_argument"}:
                raise
    return agent.explain(id_=id_of(find(agent, name)))


def newest_execution(agent: Agent, task: Task) -> Execution | NotThere:
    """The execution of a task that was created last: the agent tells of the newest first."""
    return next(agent.executions({"taskIds": [task["id"]]}), NotThere())


def id_of(named: Named) -> str:
    """The id of what is meant."""
    match named:
        case NamedService(thing) | NamedTask(thing):
            return thing["id"]
        case NamedExecution(execution):
            return execution["id"]
        case _:
            assert_never(named)


def is_reference(named: Named, name: str) -> bool:
    """Whether it goes by this name as a reference, not as an id."""
    match named:
        case NamedService(thing) | NamedTask(thing):
            return thing.get("metadata", {}).get("reference") == name
        case NamedExecution():
            return False


def name_of(named: Named) -> str:
    """`Service web`, `Task build`, `Execution 3f1c6f0e`."""
    match named:
        case NamedService(service):
            return f"Service {id_or_reference(service)}"
        case NamedTask(task):
            return f"Task {id_or_reference(task)}"
        case NamedExecution(execution):
            return f"Execution {execution['id'][:SHORT_ID]}"


def id_or_reference(thing: Service | Task) -> str:
    """What to call it: its reference, or its id where it has none."""
    return thing.get("metadata", {}).get("reference", "") or thing["id"]


# ---------------------------------------------------------------- looks


def _by_id(agent: Agent, name: str, kind: Kind) -> Named | NotThere:
    if not is_id(name):
        return NotThere()
    try:
        if kind is NamedService:
            return NamedService(agent.get_service(name))
        if kind is NamedTask:
            return NamedTask(agent.get_task(name))
        return NamedExecution(agent.get_execution(name))
    except ApiError as error:
        if error.code != "not_found":
            raise
        return NotThere()


def _by_reference(agent: Agent, name: str, kind: Kind) -> Named | NotThere:
    if kind is NamedService:
        return next(map(NamedService, agent.services({"references": [name]})), NotThere())
    if kind is NamedTask:
        return next(map(NamedTask, agent.tasks({"references": [name]})), NotThere())
    return NotThere()


def _by_beginning(agent: Agent, name: str, kinds: Sequence[Kind]) -> Iterator[Named]:
    if _BEGINNING.fullmatch(name) is None:
        return
    for kind in kinds:
        if kind is NamedExecution:
            yield from (NamedExecution(one) for one in agent.executions() if _begins(one["id"], name))
        elif len(name) >= _LEAST and kind is NamedService:
            yield from (NamedService(one) for one in agent.services() if _begins(one["id"], name))
        elif len(name) >= _LEAST and kind is NamedTask:
            yield from (NamedTask(one) for one in agent.tasks() if _begins(one["id"], name))


def _begins(id_: str, name: str) -> bool:
    return id_.startswith(name.lower())


def _described(named: Named) -> str:
    match named:
        case NamedService(service):
            return f"service {service['id']} ({id_or_reference(service)})"
        case NamedTask(task):
            return f"task {task['id']} ({id_or_reference(task)})"
        case NamedExecution(execution):
            return f"execution {execution['id']} of {task_of(execution)}"
        case _:
            assert_never(named)


def task_of(execution: Execution) -> str:
    """The reference of the task that it is an execution of, as its plan has it: the last step."""
    steps = [step for group in execution.get("spec", {}).get("plan", []) for step in group.get("steps", [])]
    return steps[-1].get("label", "") if steps else execution.get("metadata", {}).get("taskId", "")


# ---------------------------------------------------------------- what to say of a name that nothing goes by


def _unknown(agent: Agent, name: str, kinds: Sequence[Kind]) -> str:
    if NamedService not in kinds and _is_there(agent, name, NamedService):
        return f"{name!r} is a service, not a task: use `runner-agent service ...`."
    if NamedTask not in kinds and _is_there(agent, name, NamedTask):
        return f"{name!r} is a task, not a service: use `runner-agent task ...`."
    words = {NamedService: "service", NamedTask: "task", NamedExecution: "execution"}
    *others, last = (word for kind, word in words.items() if kind in kinds)
    what = f"{', '.join(others)} or {last}" if others else last
    if is_id(name) and NamedExecution in kinds:
        return f"There is no {what} with the id {name}. `runner-agent status` shows what there is."
    known = [id_or_reference(each) for each in agent.services()] if NamedService in kinds else []
    known += [id_or_reference(each) for each in agent.tasks()] if NamedTask in kinds else []
    if not known:
        return (
            f"There is no {what} {name!r}: no {last if not others else what} is defined at all. "
            "Apply a file with `runner-agent automations update FILE`."
        )
    import difflib

    close = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    shown = ", ".join(sorted(known)[:SHOWN]) + (
        f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    )
    return f"There is no {what} {name!r}. {hint}There is: {shown}."


def _is_there(agent: Agent, name: str, kind: Kind) -> bool:
    return any(not isinstance(look(agent, name, kind), NotThere) for look in (_by_id, _by_reference))
