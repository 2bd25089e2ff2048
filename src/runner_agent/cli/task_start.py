"""`task start`: runs tasks, shows what they write, and waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from runner_agent.cli.broken_file import tell_broken
from runner_agent.cli.completing import complete_task
from runner_agent.cli.durations import Duration
from runner_agent.cli.exits import TIMED_OUT
from runner_agent.cli.options import with_agent
from runner_agent.cli.several import sought
from runner_agent.cli.streams import outlive_reader
from runner_agent.cli.terminal import out
from runner_agent.client.agent import Agent
from runner_agent.client.references import SHORT_ID, find_task, id_or_reference

if TYPE_CHECKING:
    from runner_agent.cli.awaited import Awaited, Running
    from runner_agent.client.messages import Execution


@click.command()
@click.argument("refs", metavar="REF...", nargs=-1, required=True, shell_complete=complete_task)
@click.option("--dont-wait", is_flag=True, help="Return at once; the task goes on.")
@click.option(
    "--timeout",
    type=Duration(),
    metavar="SECONDS",
    help="Wait at most this long (30, 2m); then end with 3, and the task goes on.",
)
@click.option("-q", "--quiet", is_flag=True, help="Do not show what it writes.")
@with_agent
def start(agent: Agent, refs: tuple[str, ...], dont_wait: bool, timeout: float | None, quiet: bool) -> None:
    """Start a task, with all it depends on, and wait for it.

    Prints the id of the execution on standard output, and what it writes on standard error; with more than
    one step each line begins with the name of its step. The exit code is 0 only if the task succeeded. Ctrl-C
    ends the waiting, not the task.

    \b
    Example:
      runner-agent task start build
      runner-agent task start build --timeout 10m --quiet
      id=$(runner-agent task start build --dont-wait)
    """
    outlive_reader()
    tell_broken(agent)
    with sought(refs, partial(find_task, agent), lambda task: task["id"]) as tasks:
        started = [(agent.start_task(task["id"]), id_or_reference(task)) for task in tasks]
        if not dont_wait:
            follow(agent, started, timeout, quiet=quiet)
        else:
            for execution, _ in started:
                out(execution["id"])


def follow(
    agent: Agent,
    started: Sequence[tuple[Execution, str]],
    timeout: float | None,
    *,
    quiet: bool = False,
    services: Sequence[Running] = (),
) -> None:
    """Tells of executions that have just been started, with the references of their tasks, shows their logs
    and waits for them, and for services to be up. Raises Quit unless all came out well.
    """
    from runner_agent.cli.awaited import Done
    from runner_agent.cli.progress import Progress
    from runner_agent.cli.run_log import RunLogs
    from runner_agent.cli.waiting import await_all, detaching, settle

    names = {execution["id"]: reference for execution, reference in started}
    look = f"task logs {' '.join(id_[:SHORT_ID] for id_ in names)}" if names else "status"
    alone = len(started) == 1
    tasks = [Done(agent, execution, name, shown=not quiet, alone=alone) for execution, name in started]
    awaited: list[Awaited] = [*tasks, *services]
    with detaching(f"runner-agent {look}"), Progress() as progress:
        for id_, reference in names.items():
            out(id_)  # whoever reads it may interrupt us at once
            if not quiet:
                progress.say(f"Task {reference}: started, execution {id_[:SHORT_ID]}")
        logs = None if quiet else RunLogs(agent, progress, names)
        failures = await_all(agent, awaited, timeout, progress)
        if logs is not None:
            late = {each.key for each, ending in failures if ending.code == TIMED_OUT}
            logs.finish(names.keys() - late)
            for each in tasks:
                if each.key not in {failed.key for failed, _ in failures}:
                    progress.tell(each.what, "SUCCEEDED", over=True)
    settle(failures, len(awaited), "did not come out well.")
