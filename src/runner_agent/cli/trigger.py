"""`trigger EVENT`: fires an event, and waits for what it started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner_agent.cli.broken_file import tell_broken
from runner_agent.cli.exits import FAILED, INVALID, Quit
from runner_agent.cli.options import WaitCommand, limit, with_agent, with_output, with_wait
from runner_agent.cli.streams import outlive_reader
from runner_agent.cli.tables import emit
from runner_agent.cli.terminal import note
from runner_agent.cli.trigger_names import EVENTS
from runner_agent.cli.words import not_started
from runner_agent.client.agent import Agent
from runner_agent.client.errors import ApiError

if TYPE_CHECKING:
    from runner_agent.cli.awaited import Awaited
    from runner_agent.client.agent_messages import FireResult, Firing, Started


@click.command(cls=WaitCommand)
@click.argument("event", type=click.Choice(EVENTS))
@click.option(
    "--once", metavar="KEY", default="", help="Fire only once per boot with this key, ever so many callers."
)
@with_wait("Wait for its tasks to end and its services to be up, for ever or at most this long (30, 2m).")
@click.option("--dry-run", is_flag=True, help="Say what would start, and start nothing.")
@with_output
@with_agent
def trigger(agent: Agent, event: str, once: str, wait: float | None, dry_run: bool, output: str) -> None:
    """Fire an event: start all services and tasks that list it.

    \b
    Example:
      runner-agent trigger postEnvironmentStart
      runner-agent trigger postDevcontainerStart --once "$CONTAINER_ID" --wait=10m
      runner-agent trigger prebuild --dry-run
    """
    outlive_reader()
    broken = tell_broken(agent)
    result = agent.fire(event, once, dry_run=dry_run)
    firing = result.get("firing", {})
    emit(output, result, _told(result, once, dry_run=dry_run) if output == "table" else "")
    for each in result.get("skipped", []):
        note(not_started(each))
    if wait is not None and not dry_run:
        from runner_agent.cli.waiting import detaching

        with detaching("runner-agent status"):
            _await(agent, firing, limit(wait), broken)
    skipped = [each for each in result.get("skipped", []) if each.get("kind") != "service"]  # rule 2.11
    if skipped:
        raise Quit(FAILED, f"{len(skipped)} of the tasks that list {event} could not be started.")


def _await(agent: Agent, firing: Firing, timeout: float | None, broken: str) -> None:
    """Raises Quit. What became of the last good definitions does not tell how those of a `broken` file do."""
    try:
        await_firing(agent, firing, timeout)
    except Quit as failure:
        if not broken:
            raise
        note(str(failure))
    if broken:
        raise Quit(INVALID, f"{broken} is not in force: what was fired is what was defined before it broke.")


def _told(result: FireResult, once: str, *, dry_run: bool) -> str:
    firing = result.get("firing", {})
    verb = "would start" if dry_run else "started"
    lines = [f"service {each.get('reference', '')}" for each in firing.get("services", [])]
    lines += [
        " ".join(part for part in ("task", each.get("reference", ""), each.get("id", "")) if part)
        for each in firing.get("executions", [])
    ]
    if result.get("repeatedKey"):
        # postMachineStart is fired once a boot without anybody's naming a key
        before = "with this key before" if once else "in this boot already"
        would = "would be" if dry_run else "is"
        note(f"{firing.get('event')} was fired {before}; nothing new {would} started.")
        note("It started:" if lines else "It started nothing.")
    elif lines:
        note(f"{firing.get('event')} {verb}:")
    else:
        note(f"No service and no task lists {firing.get('event')}: nothing to start.")
    return "\n".join(lines)


def await_firing(agent: Agent, firing: Firing, timeout: float | None) -> None:
    """Until its tasks have ended and its services are up. Raises Quit if one failed or took too long."""
    from runner_agent.cli.awaited import Done, Running
    from runner_agent.cli.progress import Progress
    from runner_agent.cli.waiting import await_all, settle

    awaited: list[Awaited] = []
    for started in firing.get("executions", []):
        try:
            execution = agent.get_execution(started.get("id", ""))
            awaited.append(Done(agent, execution, started.get("reference", "")))
        except ApiError as error:
            _tell_gone(error, "task", started)
    for started in firing.get("services", []):
        try:
            awaited.append(Running(agent, agent.get_service(started.get("id", ""))))
        except ApiError as error:
            _tell_gone(error, "service", started)
    with Progress() as progress:
        failures = await_all(agent, awaited, timeout, progress)
    settle(failures, len(awaited), f"of what {firing.get('event')} started did not come up.")


def _tell_gone(error: ApiError, kind: str, started: Started) -> None:
    """What an earlier firing started may have been deleted since: there is nothing to wait for. Raises any
    other error.
    """
    if error.code != "not_found":
        raise error
    note(f"{kind} {started.get('reference') or started.get('id', '')} has been deleted since.")
