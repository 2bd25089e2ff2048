"""`up`: the agent in the foreground, with a file applied, events fired, and everything shown until Ctrl-C."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner_agent.cli.agent_process import PORTS, NotStarted, of_the_caller, quicker
from runner_agent.cli.completing import complete_file
from runner_agent.cli.environs import given, wanted
from runner_agent.cli.exits import INVALID, Quit, all_wrong
from runner_agent.cli.files import STANDARD_INPUT, check
from runner_agent.cli.options import FILE, FOLDER
from runner_agent.cli.showing import Order
from runner_agent.cli.terminal import note
from runner_agent.cli.trigger_names import EVENTS
from runner_agent.client.addresses import Endpoint, find_agent, read_agent_file
from runner_agent.client.agent import Agent
from runner_agent.client.errors import AgentUnreachable
from runner_agent.client.transport import Transport

if TYPE_CHECKING:
    from runner_agent.daemon.settings import Settings

MOST = (128 << 10) - 64
"""Bytes: Linux takes no variable of 128 KiB."""
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
    "--until-done",
    is_flag=True,
    help="Leave when the tasks fired have ended and the services are up or have ended; fails if one failed. "
    "A service without `ready` is up once it has run for a second.",
)
@click.option(
    "--env",
    metavar="NAME[=VALUE]",
    multiple=True,
    help="Give commands this variable; NAME alone passes on yours. May be repeated.",
)
@click.option(
    "--env-file",
    metavar="F",
    multiple=True,
    type=FILE,
    help="Give commands the variables in F, as docker reads it. May be repeated.",
)
def up(
    file: str | None,
    state_dir: Path | None,
    workspace: Path,
    fire: tuple[str, ...],
    no_fire: bool,
    until_done: bool,
    env: tuple[str, ...],
    env_file: tuple[Path, ...],
) -> int:
    """Run everything here and show it, until Ctrl-C.

    Runs the agent in the foreground, applies FILE (by default the workspace's own automations file), fires
    postDevcontainerStart and postEnvironmentStart, and shows status and logs. Ctrl-C stops everything in
    order; a second Ctrl-C kills what is left. Beside an agent that runs already, it applies, fires and
    attaches; then Ctrl-C only detaches. There, and after a crash, what is up, runs or has succeeded since the
    machine started is not fired again, unless --fire says so.

    Of your environment commands get PATH, HOME and LANG, and what --env and --env-file name. A line of F is
    NAME=VALUE or NAME; `#` begins a comment; quotes belong to the value. Nothing of it is in a command line.

    \b
    Example:
      runner-agent up automations.yaml
      runner-agent up --no-fire
      runner-agent up ci.yaml --fire prebuild --until-done
      runner-agent up --env DATABASE_URL --env-file .env
    """
    if no_fire and fire:
        raise click.UsageError("Give --fire or --no-fire, not both.")
    workspace = workspace.absolute()
    if not workspace.is_dir():
        raise Quit(INVALID, f"The workspace {workspace} is not a directory; name one with --workspace.")
    events = () if no_fire else fire or USUAL
    state_dir = state_dir or click.get_current_context().find_root().params.get("state_dir")
    settings = _settings(state_dir, workspace)
    variables = given(env, env_file, of_the_caller(), note)
    endpoint = _live(settings.state_dir)
    name = file or _default(workspace)
    beside = Order(name, events, keep=not fire, until_done=until_done)
    if endpoint is not None:
        return _attach(endpoint, settings.state_dir, beside, variables)
    _look_at(name, settings, variables)
    from runner_agent.cli.session import Own

    arguments = ["--workspace", str(workspace), *_listen(settings)]
    if state_dir is not None:
        arguments += ["--state-dir", str(settings.state_dir)]
    # An agent that stopped in order took its agent.json away: then everything begins anew.
    crashed = read_agent_file(settings.state_dir) is not None
    try:
        own = Own(settings.state_dir, arguments, _handed_over(settings, variables))
        return own.run(replace(beside, keep=beside.keep and crashed))
    except NotStarted:
        endpoint = quicker(settings.state_dir, _live)
        if endpoint is None:
            raise
    return _attach(endpoint, settings.state_dir, beside, variables)


def _attach(endpoint: Endpoint, state: Path, order: Order, variables: Mapping[str, str]) -> int:
    from runner_agent.cli.session import Attached

    if variables:
        raise Quit(
            INVALID,
            f"An agent runs already with {state}, and its commands get the environment it was started with. "
            "Stop it and begin anew with --env, or put them under `environment` in its configuration.",
        )
    return Attached(Agent(Transport(endpoint)), state).run(order)


def _look_at(name: str, settings: "Settings", variables: Mapping[str, str]) -> None:
    """Before anything is started. Raises Quit with every fault of the file."""
    if name in {"", STANDARD_INPUT}:
        return
    file = check(name)
    known = {*variables, *settings.environment, *settings.secret_environment}
    if names := wanted(file, of_the_caller(), known):
        options = " ".join(f"--env {each}" for each in names)
        note(
            f"This file uses {', '.join(names)}, and commands do not get your environment. To pass on yours: "
            f"{options}"
        )


def _handed_over(settings: "Settings", variables: Mapping[str, str]) -> dict[str, str]:
    """To the agent, by its environment: a command line is read by every user of the machine."""
    if not variables:
        return {}
    text = json.dumps({**settings.environment, **variables}, ensure_ascii=False)
    if len(os.fsencode(text)) > MOST:
        raise Quit(INVALID, f"--env and --env-file: more than {MOST} bytes in all cannot be handed over.")
    return {"RUNNER_AGENT_ENVIRONMENT": text}


def _settings(state_dir: Path | None, workspace: Path) -> "Settings":
    """What `serve` will run with."""
    from runner_agent.daemon.settings import ServeOptions, load
    from runner_agent.model.errors import InvalidArgument

    try:
        return load(ServeOptions(state_dir=state_dir, workspace=workspace))
    except InvalidArgument as error:
        raise all_wrong(error) from None


def _listen(settings: "Settings") -> list[str]:
    """Where `serve` would listen anyhow, and over TCP for a browser."""
    addresses = list(settings.listen)
    if not any(address.startswith("tcp:") for address in addresses):
        addresses.append(f"tcp:127.0.0.1:{PORTS}")
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
    """Rule 2.8."""
    from runner_agent.control.automations import DEFAULTS, find_default, find_misplaced, passed_over

    found = find_default(workspace)
    if found is None and (other := find_misplaced(workspace)):
        note(
            f"{other} is not applied: it is none of the default files, {DEFAULTS[0]} "
            f"and the like. To apply it: runner-agent up {other.name}"
        )
    if warning := passed_over(workspace):
        note(f"Warning: {warning}.")
    return str(found) if found else ""
