"""`task start`: runs a task and waits for it."""

import click

from runner_agent.cli.broken_file import tell_broken
from runner_agent.cli.completing import complete_task
from runner_agent.cli.options import with_agent
from runner_agent.cli.terminal import note, out
from runner_agent.cli.words import reference_of
from runner_agent.client.agent import Agent
from runner_agent.client.references import find_task


@click.command()
@click.argument("ref", shell_complete=complete_task)
@click.option("--dont-wait", is_flag=True, help="Return at once; the task goes on.")
@with_agent
def start(agent: Agent, ref: str, dont_wait: bool) -> None:
    """Start a task, with all it depends on, and wait for it.

    Prints the id of the execution on standard output. The exit code is 0 only if the task succeeded.
    Ctrl-C ends the waiting, not the task.

    \b
    Example:
      runner-agent task start build
      id=$(runner-agent task start build --dont-wait)
    """
    tell_broken(agent)
    task = find_task(agent, ref)
    execution = agent.start_task(task["id"])
    if dont_wait:
        out(execution["id"])
        return
    from runner_agent.cli.waiting import await_execution, detaching

    with detaching(f"runner-agent task logs {execution['id']}"):
        out(execution["id"])  # whoever reads it may interrupt us at once
        note(f"Task {reference_of(task)}: started; its log: runner-agent task logs {reference_of(task)}")
        await_execution(agent, execution, reference_of(task))
