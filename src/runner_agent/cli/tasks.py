"""`task ...` but `start`: what runs to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner_agent.cli.broken_file import tell_broken
from runner_agent.cli.completing import complete_execution, complete_task
from runner_agent.cli.logs import Source, log_options, show
from runner_agent.cli.options import with_agent, with_output
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
from runner_agent.client.errors import ApiError, NoSuchAutomation
from runner_agent.client.logs import LogQuery, execution_log
from runner_agent.client.references import created_at, find_execution, find_task, is_id

if TYPE_CHECKING:
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
    else:
        note("No tasks. Apply a file with `runner-agent automations update FILE`.")


def newest_by_task(agent: Agent) -> dict[str, Execution]:
    """The newest execution of each task that was ever started."""
    newest: dict[str, Execution] = {}
    for each in agent.executions():
        task_id = each.get("metadata", {}).get("taskId", "")
        if task_id not in newest or created_at(newest[task_id]) < created_at(each):
            newest[task_id] = each
    return newest


def _table(agent: Agent, tasks: list[Task]) -> str:
    newest = newest_by_task(agent)
    rows: list[tuple[str, ...]] = []
    for each in tasks:
        last = newest.get(each["id"])
        rows.append(
            (
                reference_of(each),
                each.get("metadata", {}).get("name", ""),
                execution_phase(last) if last else NOTHING,
                local_time(last.get("metadata", {}).get("startedAt")) if last else NOTHING,
                triggers(each.get("metadata", {})) or NOTHING,
            )
        )
    return columns(("REFERENCE", "NAME", "LAST RUN", "STARTED", "TRIGGERS"), rows, phase=2)


@click.command()
@click.argument("ref", metavar="REF|EXECUTION-ID", shell_complete=complete_execution)
@with_output
@with_agent
def get(agent: Agent, ref: str, output: str) -> None:
    """Show one task, or one execution of a task.

    \b
    Example:
      runner-agent task get build
      runner-agent task get 0198f0c2-5a3e-7cc0-8a0c-1f1a5a3a9c11
    """
    execution = _execution_by_id(agent, ref)
    if execution is not None:
        emit(output, execution, _described_execution(agent, execution) if output == "table" else "")
        return
    task = find_task(agent, ref)
    emit(output, task, _described(agent, task) if output == "table" else "")


def _execution_by_id(agent: Agent, ref: str) -> Execution | None:
    if not is_id(ref):
        return None
    try:
        return agent.get_execution(ref)
    except ApiError as error:
        if error.code == "not_found":
            return None
        raise


def _described(agent: Agent, task: Task) -> str:
    metadata, spec = task.get("metadata", {}), task.get("spec", {})
    names = dict(_names(agent)) if task.get("dependsOn") else {}
    return block(
        {
            "Reference": metadata.get("reference", ""),
            "Name": metadata.get("name", ""),
            "Description": metadata.get("description", ""),
            "Id": task["id"],
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


def _described_execution(agent: Agent, execution: Execution) -> str:
    metadata, status = execution.get("metadata", {}), execution.get("status", {})
    steps = {step["id"]: step for step in status.get("steps", [])}
    head = block(
        {
            "Execution": execution["id"],
            "Task": task_names(agent).get(metadata.get("taskId", ""), metadata.get("taskId", "")),
            "Phase": execution_phase(execution),
            "Failure": status.get("failureMessage", ""),
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
@click.argument("ref", metavar="REF|EXECUTION-ID", shell_complete=complete_execution)
@with_agent
def stop(agent: Agent, ref: str) -> None:
    """Stop an execution, or all of a task.

    Sends SIGTERM; what is left after two minutes is killed.

    \b
    Example:
      runner-agent task stop build
    """
    execution = _execution_by_id(agent, ref)
    if execution is not None:
        agent.stop_execution(execution["id"])
        note(f"Execution {execution['id']}: stop requested.")
        return
    task = find_task(agent, ref)
    running = [
        each for each in agent.executions({"taskIds": [task["id"]]}) if execution_phase(each) not in FINISHED
    ]
    for each in running:
        agent.stop_execution(each["id"])
        note(f"Execution {each['id']}: stop requested.")
    if not running:
        note(f"Task {reference_of(task)} is not running.")


@click.command()
@click.argument("ref", shell_complete=complete_task)
@with_agent
def delete(agent: Agent, ref: str) -> None:
    """Stop a task's executions and forget it.

    \b
    Example:
      runner-agent task delete build
    """
    task = find_task(agent, ref)
    agent.delete_task(task["id"])
    note(f"Task {reference_of(task)}: deletion requested.")


@click.command()
@click.argument(
    "refs", metavar="REF|EXECUTION-ID...", nargs=-1, required=True, shell_complete=complete_execution
)
@click.option("--step", metavar="STEP", help="Only the log of this step: its label or id.")
@log_options
@with_agent
def logs(agent: Agent, refs: tuple[str, ...], step: str | None, query: LogQuery) -> None:
    """Show and follow logs of executions.

    Of a task it is the newest execution. Follows until they have ended; Ctrl-C ends the following, not the
    task. Of several, each line begins with the name given.

    \b
    Example:
      runner-agent task logs build
      runner-agent task logs build test
      runner-agent task logs build --step install --no-follow --tail 20
    """
    sources: list[Source] = []
    for ref in refs:
        execution = find_execution(agent, ref)
        only = _step_id(execution, step) if step else ""
        sources.append(Source(ref, execution_log(execution["id"]), step=only))
    show(agent, sources, query, prefixed=len(sources) > 1)


def _step_id(execution: Execution, name: str) -> str:
    steps = [step for group in execution.get("spec", {}).get("plan", []) for step in group.get("steps", [])]
    for step in steps:
        if name in {step["id"], step.get("label")}:
            return step["id"]
    known = ", ".join(step.get("label", step["id"]) for step in steps)
    raise NoSuchAutomation(f"Execution {execution['id']} has no step {name!r}. There is: {known}.")


@click.command(name="list-executions")
@click.argument("ref", required=False, shell_complete=complete_task)
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many at most."
)
@with_output
@with_agent
def list_executions(agent: Agent, ref: str | None, limit: int, output: str) -> None:
    """Show executions, newest first.

    \b
    Example:
      runner-agent task list-executions
      runner-agent task list-executions build
    """
    where = find_task(agent, ref)["id"] if ref else ""
    found = agent.executions({"taskIds": [where]} if where else None)
    executions = sorted(found, key=created_at, reverse=True)[:limit]
    if output == "table" and not executions:
        note("No executions. Start one with `runner-agent task start REF`.")
        return
    emit(output, executions, execution_table(agent, executions) if output == "table" else "")


def execution_table(agent: Agent, executions: list[Execution]) -> str:
    """The table of `task list-executions`."""
    names = task_names(agent)
    rows = [
        (
            each["id"],
            names.get(each.get("metadata", {}).get("taskId", ""), NOTHING),
            execution_phase(each),
            local_time(each.get("metadata", {}).get("startedAt")),
            duration_of(each),
            each.get("metadata", {}).get("startedBy", ""),
        )
        for each in executions
    ]
    return columns(("ID", "TASK", "PHASE", "STARTED", "DURATION", "STARTED BY"), rows, phase=2)
