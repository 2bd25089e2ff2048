"""`up`: the agent in the foreground, with a file applied, events fired, and everything shown until Ctrl-C."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner_agent.cli.completing import complete_file
from runner_agent.cli.exits import INVALID, Quit
from runner_agent.cli.options import FOLDER
from runner_agent.cli.trigger_names import EVENTS
from runner_agent.client.addresses import Endpoint, find_agent
from runner_agent.client.agent import Agent
from runner_agent.client.errors import AgentUnreachable
from runner_agent.client.transport import Transport

if TYPE_CHECKING:
    from runner_agent.daemon.settings import Settings

USUAL = ("postDevcontainerStart", "postEnvironmentStart")


# long: its options and its help are most of it
@click.command()
@click.argument("file", required=False, shell_complete=complete_file)
@click.option("--state-dir", metavar="DIR", type=FOLDER, help="Where state and logs are kept.")
@click.option(
    "--workspace",
    metavar="DIR",
    default=".",
    type=FOLDER,
    help="Where commands run; this directory by default.",
)
@click.option(
    "--fire",
    metavar="EVENT",
    multiple=True,
    type=click.Choice(EVENTS),
    help="Fire this instead. May be repeated.",
)
@click.option("--no-fire", is_flag=True, help="Fire nothing.")
@click.option(
    "--until-done", is_flag=True, help="Leave when all started tasks have ended; fails if one failed."
)
def up(
    file: str | None,
    state_dir: Path | None,
    workspace: Path,
    fire: tuple[str, ...],
    no_fire: bool,
    until_done: bool,
) -> int:
    """Run everything here and show it, until Ctrl-C.

    Runs the agent in the foreground, applies FILE (by default the workspace's own automations file), fires
    postDevcontainerStart and postEnvironmentStart, and shows status and logs. Ctrl-C stops everything in
    order; a second Ctrl-C kills what is left. Beside an agent that runs already, it applies, fires and
    attaches; then Ctrl-C only detaches.

    \b
    Example:
      runner-agent up automations.yaml
      runner-agent up --no-fire
      runner-agent up ci.yaml --fire prebuild --until-done
    """
    if no_fire and fire:
        raise click.UsageError("Give --fire or --no-fire, not both.")
    workspace = workspace.absolute()
    if not workspace.is_dir():
        raise Quit(INVALID, f"The workspace {workspace} is not a directory; name one with --workspace.")
    events = () if no_fire else fire or USUAL
    state_dir = state_dir or click.get_current_context().find_root().params.get("state_dir")
    settings = _settings(state_dir, workspace)
    endpoint = _live(settings.state_dir)
    name = file or _default(workspace)
    if endpoint is not None:
        return _attach(endpoint, settings.state_dir, name, events, until_done)
    if name and name != "-":
        from runner_agent.cli.files import check

        check(name)
    from runner_agent.cli.agent_process import NotStarted, quicker
    from runner_agent.cli.session import Own

    arguments = ["--workspace", str(workspace), *_listen(settings)]
    if state_dir is not None:
        arguments += ["--state-dir", str(settings.state_dir)]
    try:
        return Own(settings.state_dir, arguments).run(name, events, until_done=until_done)
    except NotStarted:
        endpoint = quicker(settings.state_dir, _live)
        if endpoint is None:
            raise
    return _attach(endpoint, settings.state_dir, name, events, until_done)


def _attach(endpoint: Endpoint, state: Path, name: str, events: Sequence[str], until_done: bool) -> int:
    from runner_agent.cli.session import Attached

    return Attached(Agent(Transport(endpoint)), state).run(name, events, until_done=until_done)


def _settings(state_dir: Path | None, workspace: Path) -> "Settings":
    """What `serve` will run with."""
    from runner_agent.daemon.settings import ServeOptions, load
    from runner_agent.model.errors import InvalidArgument

    try:
        return load(ServeOptions(state_dir=state_dir, workspace=workspace))
    except InvalidArgument as error:
        raise Quit(INVALID, str(error)) from None


def _listen(settings: "Settings") -> list[str]:
    """Where `serve` would listen anyhow, and over TCP for a browser."""
    from runner_agent.cli.agent_process import free_port

    addresses = list(settings.listen)
    if not any(address.startswith("tcp:") for address in addresses):
        addresses.append(f"tcp:127.0.0.1:{free_port()}")
    return [word for address in addresses for word in ("--listen", address)]


def _live(state: Path) -> Endpoint | None:
    """The agent of this state directory, if it answers."""
    try:
        endpoint = find_agent(state_dir=state)
        Agent(Transport(endpoint)).get_agent()
    except AgentUnreachable:
        return None
    return endpoint


def _default(workspace: Path) -> str:
    from runner_agent.control.automations import find_default

    found = find_default(workspace)
    return str(found) if found else ""
