"""`task ...` but `start`: what runs to its end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from runner_agent.cli.broken_file import tell_broken
from runner_agent.cli.completing import complete_execution, complete_task
from runner_agent.cli.logs import Source, log_options, show, source
from runner_agent.cli.options import with_agent, with_output
from runner_agent.cli.previous import of_tasks
from runner_agent.cli.several import for_each, sought
from runner_agent.cli.tables import block, columns, emit
from runner_agent.cli.terminal import note
from runner_agent.cli.words import (
    FINISHED,
    NOTHING,
    duration_of,
    execution_phase,
    local_time,
    reference_of,
    runs_on,
    short,
    triggers,
)
from runner_agent.client.agent import Agent
from runner_agent.client.errors import NoSuchAutomation
from runner_agent.client.logs import LogQuery, execution_log
from runner_agent.client.references import (
    Named,
    NamedExecution,
    NamedService,
    NamedTask,
    find,
    find_execution,
    find_task,
    id_of,
    name_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runner_agent.client.messages import Execution, Service, Task


@click.command(name="list")
@with_output
@with_agent
def list_(agent: Agent, output: str) -> None:
    """Show all tasks, and how each went last.

    \b
    Example:
      runner-agent task list
    """
    tell_broken(agent)
    tasks = list(agent.tasks())
    if output != "table":
        emit(output, tasks, "")
    elif tasks:
        emit(output, tasks, _table(agent, tasks))
        for remark in of_tasks(agent.live()["steps"]):
            note(remark)
    else:
        note("No tasks. Apply a file with `runner-agent automations update FILE`.")


def newest_by_task(agent: Agent) -> dict[str, Execution]:
    """The newest execution of each task that was ever started: the agent tells of the newest first."""
    newest: dict[str, Execution] = {}
    for each in agent.executions():
        newest.setdefault(each.get("metadata", {}).get("taskId", ""), each)
    return newest


def _table(agent: Agent, tasks: list[Task]) -> str:
    newest = newest_by_task(agent)
    rows: list[tuple[str, ...]] = []
    reasons: list[str] = []
    for each in tasks:
        last = newest.get(each["id"])
        reasons.append(last.get("status", {}).get("failureMessage", "") if last else "")
        rows.append(
            (
                reference_of(each),
                each.get("metadata", {}).get("name", ""),
                execution_phase(last) if last else NOTHING,
                local_time(last.get("metadata", {}).get("startedAt")) if last else NOTHING,
                triggers(each.get("metadata", {})) or NOTHING,
            )
        )
    headers = ("REFERENCE", "NAME", "LAST RUN", "STARTED", "TRIGGERS")
    return columns(headers, rows, phase=2, notes=("REASON", reasons))


@click.command()
@click.argument(
    "refs", metavar="REF|EXECUTION-ID...", nargs=-1, required=True, shell_complete=complete_execution
)
@with_output
@with_agent
def get(agent: Agent, refs: tuple[str, ...], output: str) -> None:
    """Show tasks, or executions of tasks. JSON of several is a list.

    \b
    Example:
      runner-agent task get build
      runner-agent task get build 0198f0c2-5a3e-7cc0-8a0c-1f1a5a3a9c11
    """
    tell_broken(agent)
    found = [_seen(agent, ref, text=output == "table") for ref in refs]
    data = [marked for marked, _ in found]
    emit(output, data[0] if len(data) == 1 else data, "\n\n".join(text for _, text in found))


def _seen(agent: Agent, ref: str, *, text: bool) -> tuple[Mapping[str, object], str]:
    """A task or an execution, marked if it runs by an earlier definition; and as `text` if that is wanted."""
    match find(agent, ref, (NamedExecution, NamedTask)):
        case NamedExecution(execution):
            over = execution_phase(execution) in FINISHED
            steps = [] if over else agent.live()["steps"]
            old = of_tasks(each for each in steps if execution["id"] in each.get("executionIds", []))
            told = _described_execution(agent, execution, old) if text else ""
            return {**execution, "previousDefinition": True} if old else execution, told
        case NamedTask(task):
            steps = agent.live()["steps"]
            old = of_tasks(each for each in steps if each.get("reference") == reference_of(task))
            told = _described(agent, task, old) if text else ""
            return {**task, "previousDefinition": True} if old else task, told
        case NamedService():
            raise AssertionError(ref)


def _described(agent: Agent, task: Task, old: Sequence[str]) -> str:
    metadata, spec = task.get("metadata", {}), task.get("spec", {})
    names = dict(_names(agent)) if task.get("dependsOn") else {}
    return block(
        {
            "Reference": metadata.get("reference", ""),
            "Name": metadata.get("name", ""),
            "Description": metadata.get("description", ""),
            "Id": task["id"],
            "Definition": "\n".join(old),
            "Depends on": ", ".join(names.get(each, each) for each in task.get("dependsOn", [])),
            "Triggered by": triggers(metadata),
            "Runs on": runs_on(spec.get("runsOn")),
            "Command": spec.get("command", ""),
            "Prebuild needs it": "yes" if spec.get("prebuildRequiresSuccess") else "",
            "Created": local_time(metadata.get("createdAt")),
        }
    )


def _names(agent: Agent) -> list[tuple[str, str]]:
    things: list[Task | Service] = [*agent.tasks(), *agent.services()]
    return [(each["id"], reference_of(each)) for each in things]


def _described_execution(agent: Agent, execution: Execution, old: Sequence[str]) -> str:
    metadata, status = execution.get("metadata", {}), execution.get("status", {})
    steps = {step["id"]: step for step in status.get("steps", [])}
    head = block(
        {
            "Execution": execution["id"],
            "Task": task_names(agent).get(metadata.get("taskId", ""), metadata.get("taskId", "")),
            "Phase": execution_phase(execution),
            "Failure": status.get("failureMessage", ""),
            "Definition": "\n".join(old),
            "Started by": metadata.get("startedBy", ""),
            "Created": local_time(metadata.get("createdAt")),
            "Started": local_time(metadata.get("startedAt")),
            "Duration": duration_of(execution),
            "Output": "\n".join(
                f"{key}={value}" for step in steps.values() for key, value in step.get("output", {}).items()
            ),
            "Log": status.get("logUrl", ""),
        }
    )
    rows = [
        (
            str(number),
            step.get("label", step["id"]),
            short(steps[step["id"]].get("phase", "")) if step["id"] in steps else NOTHING,
            steps[step["id"]].get("failureMessage", "") if step["id"] in steps else "",
        )
        for number, group in enumerate(execution.get("spec", {}).get("plan", []), 1)
        for step in group.get("steps", [])
    ]
    return f"{head}\n\n{columns(('GROUP', 'STEP', 'PHASE', 'MESSAGE'), rows, phase=2)}" if rows else head


def task_names(agent: Agent) -> dict[str, str]:
    """References of tasks by id."""
    return {each["id"]: reference_of(each) for each in agent.tasks()}


@click.command()
@click.argument(
    "refs", metavar="REF|EXECUTION-ID...", nargs=-1, required=True, shell_complete=complete_execution
)
@with_agent
def stop(agent: Agent, refs: tuple[str, ...]) -> None:
    """Stop executions, or all of a task.

    Sends SIGTERM; what is left after two minutes is killed.

    \b
    Example:
      runner-agent task stop build
      runner-agent task stop build 0198f0c2
    """
    kinds = (NamedExecution, NamedTask)
    with sought(refs, lambda ref: find(agent, ref, kinds), id_of) as found:
        for_each((name_of(named), partial(stop_named, agent, named)) for named in found)


def stop_named(agent: Agent, named: Named) -> None:
    """Asks for the stop of an execution, or of all of a task that run, and says so."""
    if isinstance(named, NamedTask):
        running = unfinished(agent, named.task)
        if not running:
            note(f"Task {reference_of(named.task)} is not running.")
    else:
        running = [named.execution] if isinstance(named, NamedExecution) else []
    for each in running:
        agent.stop_execution(each["id"])
        note(f"Execution {each['id']}: stop requested.")


def unfinished(agent: Agent, task: Task) -> list[Execution]:
    """The executions of a task that have not ended."""
    return [
        each for each in agent.executions({"taskIds": [task["id"]]}) if execution_phase(each) not in FINISHED
    ]


@click.command()
@click.argument("refs", metavar="REF...", nargs=-1, required=True, shell_complete=complete_task)
@with_agent
def delete(agent: Agent, refs: tuple[str, ...]) -> None:
    """Stop the executions of tasks and forget them.

    \b
    Example:
      runner-agent task delete build
    """
    with sought(refs, partial(find_task, agent), lambda task: task["id"]) as tasks:
        for_each(
            ((f"Task {reference_of(task)}", partial(agent.delete_task, task["id"])) for task in tasks),
            "deletion requested",
        )


@click.command()
@click.argument(
    "refs", metavar="REF|EXECUTION-ID...", nargs=-1, required=True, shell_complete=complete_execution
)
@click.option("--step", metavar="STEP", help="Only the log of this step: its label or id.")
@log_options
@with_agent
def logs(agent: Agent, refs: tuple[str, ...], step: str | None, query: LogQuery) -> None:
    """Show and follow logs of executions.

    Of a task it is the newest run, also one as a step of another task. Follows until they have ended; Ctrl-C
    ends the following, not the task. Of several, each line begins with the name given.

    \b
    Example:
      runner-agent task logs build
      runner-agent task logs build test
      runner-agent task logs build --step install --no-follow --tail 20
    """
    sources = [_source(agent, ref, step) for ref in refs]
    show(agent, sources, query, prefixed=len(sources) > 1)


def _source(agent: Agent, ref: str, step: str | None) -> Source:
    if not step:
        return source(agent, ref, (NamedExecution, NamedTask))
    execution = find_execution(agent, ref)
    return Source(ref, execution_log(execution["id"]), step=_step_id(execution, step))


def _step_id(execution: Execution, name: str) -> str:
    steps = [step for group in execution.get("spec", {}).get("plan", []) for step in group.get("steps", [])]
    for step in steps:
        if name in {step["id"], step.get("label")}:
            return step["id"]
    match [step["id"] for step in steps if step["id"].startswith(name.lower())]:
        case [id_]:
            return id_
        case [_, *_] as several:
            raise NoSuchAutomation(f"{len(several)} ids of steps begin with {name!r}: {', '.join(several)}.")
        case _:
            known = ", ".join(step.get("label", step["id"]) for step in steps)
            raise NoSuchAutomation(f"Execution {execution['id']} has no step {name!r}. There is: {known}.")
