"""`task list-executions`, and how executions read as a table."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import click

from runner_agent.cli.completing import complete_task
from runner_agent.cli.options import with_agent, with_output
from runner_agent.cli.tables import columns, emit
from runner_agent.cli.terminal import note
from runner_agent.cli.words import duration_of, execution_phase, local_time
from runner_agent.client.agent import Agent
from runner_agent.client.references import SHORT_ID, find_task, task_of

if TYPE_CHECKING:
    from runner_agent.client.messages import Execution

HEADERS = ("ID", "TASK", "PHASE", "STARTED", "DURATION", "STARTED BY")


@click.command(name="list-executions")
@click.argument("ref", required=False, shell_complete=complete_task)
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many at most."
)
@with_output
@with_agent
def list_executions(agent: Agent, ref: str | None, limit: int, output: str) -> None:
    """Show executions, newest first, and why they failed.

    Wherever an id is asked for, as much of it will do as no other begins with.

    \b
    Example:
      runner-agent task list-executions
      runner-agent task list-executions build
    """
    where = find_task(agent, ref)["id"] if ref else ""
    found = agent.executions({"taskIds": [where]} if where else None)
    executions = list(islice(found, limit))
    if output == "table" and not executions:
        note("No executions. Start one with `runner-agent task start REF`.")
        return
    emit(output, executions, execution_table(executions) if output == "table" else "")


def execution_table(executions: Sequence[Execution]) -> str:
    """The table of `task list-executions`; one that failed says why."""
    ids = short_ids([each["id"] for each in executions], whole=not sys.stdout.isatty())
    rows = [
        (
            ids[each["id"]],
            task_of(each),
            execution_phase(each),
            local_time(each.get("metadata", {}).get("startedAt")),
            duration_of(each),
            each.get("metadata", {}).get("startedBy", ""),
        )
        for each in executions
    ]
    reasons = [each.get("status", {}).get("failureMessage", "") for each in executions]
    return columns(HEADERS, rows, phase=2, notes=("REASON", reasons))


def short_ids(ids: Collection[str], *, whole: bool = False) -> Mapping[str, str]:
    """As much of each as tells it from the others, and at least SHORT_ID characters. `whole`: a program that
    reads them has room.
    """
    length = max(map(len, ids), default=0) if whole else SHORT_ID
    while len({id_[:length] for id_ in ids}) < len(set(ids)):
        length += 1
    return {id_: id_[:length] for id_ in ids}
