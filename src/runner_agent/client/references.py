"""From what a user types to the thing meant: a reference, or the id of a service, task or execution."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner_agent.client.agent import Agent
from runner_agent.client.errors import ApiError, NoSuchAutomation

if TYPE_CHECKING:
    from runner_agent.client.agent_messages import Explanation
    from runner_agent.client.messages import Execution, Service, Task

SHOWN = 20
"""References in a message."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class NotThere:
    """Nothing goes by that name."""


def is_id(text: str) -> bool:
    """Whether it is a UUID. A reference may look like one, so it is asked for next where no id fits."""
    return _UUID.fullmatch(text) is not None


def find_service(agent: Agent, name: str) -> Service:
    """By reference or id. Raises NoSuchAutomation, naming what there is."""
    found = _service(agent, name)
    if not isinstance(found, NotThere):
        return found
    if not isinstance(_task(agent, name), NotThere):
        raise NoSuchAutomation(f"{name!r} is a task, not a service: use `runner-agent task ...`.")
    known = [each.get("metadata", {}).get("reference", "") for each in agent.services()]
    raise NoSuchAutomation(_nothing("service", name, known))


def find_task(agent: Agent, name: str) -> Task:
    """By reference or id. Raises NoSuchAutomation, naming what there is."""
    found = _task(agent, name)
    if not isinstance(found, NotThere):
        return found
    if not isinstance(_service(agent, name), NotThere):
        raise NoSuchAutomation(f"{name!r} is a service, not a task: use `runner-agent service ...`.")
    known = [each.get("metadata", {}).get("reference", "") for each in agent.tasks()]
    raise NoSuchAutomation(_nothing("task", name, known))


def find_execution(agent: Agent, name: str) -> Execution:
    """By its id, or the newest execution of a task named by reference or id. Raises NoSuchAutomation."""
    if is_id(name):
        try:
            return agent.get_execution(name)
        except ApiError as error:
            if error.code != "not_found":
                raise
        if isinstance(_task(agent, name), NotThere):
            raise NoSuchAutomation(
                f"There is no task and no execution with the id {name}. "
                "`runner-agent task list` shows what there is."
            )
    newest = newest_execution(agent, find_task(agent, name))
    if isinstance(newest, NotThere):
        raise NoSuchAutomation(
            f"Task {name!r} has never been started. Start it with `runner-agent task start {name}`."
        )
    return newest


def find_planned(agent: Agent, name: str) -> Service | Task:
    """A service or a task, by reference or id. Raises NoSuchAutomation, naming what there is."""
    for found in (_task(agent, name), _service(agent, name)):
        if not isinstance(found, NotThere):
            return found
    raise NoSuchAutomation(_nothing("service or task", name, _all_references(agent)))


def find_logged(agent: Agent, name: str) -> Service | Execution:
    """Whatever has a log and goes by this reference or id: of a task the newest execution.

    Raises NoSuchAutomation, naming what there is.
    """
    found = _service(agent, name)
    if not isinstance(found, NotThere):
        return found
    if is_id(name) or not isinstance(_task(agent, name), NotThere):
        return find_execution(agent, name)
    raise NoSuchAutomation(_nothing("service or task", name, _all_references(agent)))


def _all_references(agent: Agent) -> list[str]:
    return [each.get("metadata", {}).get("reference", "") for each in (*agent.services(), *agent.tasks())]


def explain(agent: Agent, name: str) -> Explanation:
    """Of whatever goes by this reference or id. Raises NoSuchAutomation, naming what there is."""
    for by_id in (True, False) if is_id(name) else (False,):
        try:
            return agent.explain(id_=name) if by_id else agent.explain(name)
        except ApiError as error:
            if error.code != "not_found":
                raise
    raise NoSuchAutomation(_nothing("service, task or execution", name, _all_references(agent)))


def newest_execution(agent: Agent, task: Task) -> Execution | NotThere:
    """The execution of a task that was created last."""
    executions = agent.executions({"taskIds": [task["id"]]})
    return max(executions, key=created_at, default=NotThere())


def created_at(execution: Execution) -> str:
    """For sorting: times of the API are UTC, so their texts sort once the fraction has one length."""
    whole, _, fraction = execution.get("metadata", {}).get("createdAt", "").removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}"


def _service(agent: Agent, name: str) -> Service | NotThere:
    if is_id(name):
        try:
            return agent.get_service(name)
        except ApiError as error:
            if error.code != "not_found":
                raise
    return next(agent.services({"references": [name]}), NotThere())


def _task(agent: Agent, name: str) -> Task | NotThere:
    if is_id(name):
        try:
            return agent.get_task(name)
        except ApiError as error:
            if error.code != "not_found":
                raise
    return next(agent.tasks({"references": [name]}), NotThere())


def _nothing(kind: str, name: str, known: list[str]) -> str:
    if not known:
        return (
            f"There is no {kind} {name!r}: no {kind} is defined at all. "
            "Apply a file with `runner-agent automations update FILE`."
        )
    import difflib

    close = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    shown = ", ".join(sorted(known)[:SHOWN]) + (
        f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    )
    return f"There is no {kind} {name!r}. {hint}There is: {shown}."
