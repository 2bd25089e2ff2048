"""`attach`: a live agent, followed as `up` shows it; nothing is applied, fired or stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner_agent.cli.options import with_agent

if TYPE_CHECKING:
    from runner_agent.client.agent import Agent


@click.command()
@with_agent
def attach(agent: Agent) -> None:
    """Follow an agent that runs, as `up` shows it.

    Status and logs from now on, until Ctrl-C. Applies no file, fires nothing, and stops nothing.

    \b
    Example:
      runner-agent attach
      runner-agent attach --state-dir ~/project/.state
    """
    from runner_agent.cli.session import Attached
    from runner_agent.cli.showing import Order

    info = agent.get_agent()
    Attached(agent, Path(info.get("stateDir", ""))).run(Order())
