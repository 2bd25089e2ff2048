"""`ports`: what the processes of services and tasks listen on, and where that is reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runner_agent.cli.options import with_agent, with_output
from runner_agent.cli.tables import columns, emit
from runner_agent.cli.terminal import note

if TYPE_CHECKING:
    from runner_agent.client.agent import Agent
    from runner_agent.client.agent_messages import LiveNow


@click.command()
@with_output
@with_agent
def ports(agent: Agent, output: str) -> None:
    """Show the TCP ports that services and tasks listen on, whose they are, and their addresses.

    Of what runs on this machine; a container has ports of its own.

    \b
    Example:
      runner-agent ports
      runner-agent ports --json
    """
    found = sorted(_ports(agent.live(usage=True)))
    data = [
        {"port": port, "kind": kind, "owner": owner, "url": f"http://localhost:{port}"}
        for port, kind, owner in found
    ]
    if output == "table" and not found:
        note("Nothing that runs listens on a port.")
        return
    rows = [(str(port), owner, kind, f"http://localhost:{port}") for port, kind, owner in found]
    emit(output, data, columns(("PORT", "OWNER", "KIND", "URL"), rows))


def _ports(now: LiveNow) -> Iterator[tuple[int, str, str]]:
    for service in now["services"]:
        for port in service.get("usage", {}).get("ports", []):
            yield port, "service", service.get("reference", "")
    for step in now["steps"]:
        for port in step.get("usage", {}).get("ports", []):
            yield port, "task", step.get("reference", "")
