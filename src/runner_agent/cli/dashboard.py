"""`dashboard`: the web page's address, with a code that signs one browser in."""

from __future__ import annotations

import click

from runner_agent.cli.exits import FAILED, Quit
from runner_agent.cli.options import with_agent, with_output
from runner_agent.cli.tables import emit
from runner_agent.cli.terminal import note
from runner_agent.client.addresses import UnixAddress
from runner_agent.client.agent import Agent


@click.command()
@click.option("--open", "open_it", is_flag=True, help="Open it in a browser of this machine.")
@with_output
@with_agent
def dashboard(agent: Agent, open_it: bool, output: str) -> None:
    """Print the address of the web page, with a code that signs a browser in.

    The code is good once and for five minutes; the browser then stays signed in for a week. The agent's token
    is in none of this.

    \b
    Example:
      runner-agent dashboard
      runner-agent dashboard --open
    """
    from runner_agent.client.dashboard import sign_in_code

    found = sign_in_code(agent.transport)
    if not found.links:
        raise Quit(FAILED, _nowhere(agent))
    link, *others = found.links
    emit(output, {"url": link, "expiresIn": found.expires_in, "others": others}, link)
    if output == "table":
        note(f"Good once, within {found.expires_in // 60} minutes.")
    if open_it and not click.launch(link) == 0:
        raise Quit(FAILED, "No browser could be started here: open the address above yourself.")


def _nowhere(agent: Agent) -> str:
    """What to do where browsers cannot come."""
    address = agent.transport.endpoint.address
    tunnel = (
        " Or forward its socket from the machine your browser is on, "
        f"`ssh -L 7780:{address.path} HOST`, and open http://localhost:7780/."
        if isinstance(address, UnixAddress)
        else ""
    )
    return (
        "A browser cannot reach this agent: it listens on no TCP address. Start it with `--listen "
        "tcp:127.0.0.1:7780` besides its socket, or put that under `listen` in its configuration."
        f"{tunnel}"
    )
