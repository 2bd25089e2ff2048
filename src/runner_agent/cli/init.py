"""`automations init`: a file to begin with."""

from pathlib import Path

import click

from runner_agent.cli.exits import INVALID, Quit
from runner_agent.cli.terminal import out
from runner_agent.control.automations import STARTER_FILE, find_default
from runner_agent.control.automations_starter import STARTER


@click.command()
@click.argument("file", required=False)
@click.option("-f", "--force", is_flag=True, help="Write over a file that is there.")
def init(file: str | None, force: bool) -> None:
    """Write an automations file to begin with.

    FILE is the default file that is there, else .ona/automations.yaml, and - for standard output. A file
    that is there is only written over with --force.

    \b
    Example:
      runner-agent automations init
      runner-agent automations init - | less
    """
    if file == "-":
        out(STARTER.rstrip("\n"))
        return
    path = Path(file) if file else find_default(Path()) or Path(STARTER_FILE)
    if path.is_dir():
        raise Quit(INVALID, f"{path} is a directory; name a file in it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(STARTER)
    except FileExistsError:
        raise Quit(INVALID, f"{path} is there already; edit it, or give --force to write over it.") from None
    except OSError as error:
        raise Quit(INVALID, f"{path} cannot be written: {error.strerror or error}.") from None
    out(f"{path} written; look at it, then: runner-agent automations validate {path}")
