"""What the shell completes an argument with: references that the agent knows, at once or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from runner_agent.client.errors import ClientError

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

    from runner_agent.client.agent import Agent

PATIENCE = 0.15
"""Seconds the agent has for an answer. It takes a few milliseconds; a hung one must not hang the shell."""
MOST_EXECUTIONS = 20


def complete_service(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """References of services."""
    return _items(ctx, incomplete, tasks=False)


def complete_task(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """References of tasks."""
    return _items(ctx, incomplete, services=False)


def complete_automation(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """References of services and tasks."""
    return _items(ctx, incomplete)


def complete_execution(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """References of tasks; once something is typed, ids of executions too."""
    return _items(ctx, incomplete, services=False, executions=bool(incomplete))


def complete_log(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Of all that has a log."""
    return _items(ctx, incomplete, executions=bool(incomplete))


def complete_file(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Left to the shell, which knows files."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def _items(
    ctx: click.Context,
    incomplete: str,
    *,
    services: bool = True,
    tasks: bool = True,
    executions: bool = False,
) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    found: list[CompletionItem] = []
    try:
        agent = _agent(ctx)
        things = [*(agent.services() if services else ()), *(agent.tasks() if tasks else ())]
        for thing in things:
            metadata = thing.get("metadata", {})
            found.append(CompletionItem(metadata.get("reference", ""), help=metadata.get("name", "")))
        if executions:
            found += [CompletionItem(id_) for id_ in _executions(agent)]
    except ClientError:  # a shell that completes has no place for complaints
        pass
    return [item for item in found if str(item.value).startswith(incomplete)]


def _executions(agent: Agent) -> Iterator[str]:
    for count, execution in enumerate(agent.executions()):
        if count == MOST_EXECUTIONS:
            return
        yield execution["id"]


def _agent(ctx: click.Context) -> Agent:
    """As `options.with_agent` finds it."""
    from runner_agent.client.addresses import find_agent
    from runner_agent.client.agent import Agent
    from runner_agent.client.transport import Transport

    overall = ctx.find_root().params
    address = ctx.params.get("address") or overall.get("address")
    state_dir = ctx.params.get("state_dir") or overall.get("state_dir")
    return Agent(Transport(find_agent(address, state_dir), PATIENCE))
