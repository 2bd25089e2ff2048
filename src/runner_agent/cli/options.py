"""What many commands share: which agent to talk to, the output format, `--wait[=SECONDS]`."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import click

from runner_agent.cli.durations import FOREVER, Duration

if TYPE_CHECKING:
    from runner_agent.client.agent import Agent

P = ParamSpec("P")
Command = Callable[..., None]

ADDRESS_HELP = "The agent's address: unix:PATH or tcp:HOST:PORT."
STATE_HELP = "State directory of the agent to talk to."


class NamedPath(click.Path):
    """A path. "" is none, and would be the current directory: a script's variable was empty."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty; name a path, or leave the option out", param, ctx)
        return super().convert(value, param, ctx)


FILE = NamedPath(path_type=Path)
FOLDER = NamedPath(path_type=Path, readable=False)
"""A state directory lets other users pass, and not list it: that click takes for unreadable."""


def with_agent(command: "Callable[Concatenate[Agent, P], None]") -> Command:
    """Adds `--address` and `--state-dir`, and hands the command a client of the agent they lead to."""

    @click.option("--address", metavar="ADDRESS", help=ADDRESS_HELP)
    @click.option("--state-dir", metavar="DIR", type=FOLDER, help=STATE_HELP)
    @functools.wraps(command)
    def found(address: str | None, state_dir: Path | None, *args: P.args, **kwargs: P.kwargs) -> None:
        from runner_agent.client.addresses import find_agent
        from runner_agent.client.agent import Agent
        from runner_agent.client.transport import Transport

        overall: dict[str, Any] = click.get_current_context().find_root().params
        endpoint = find_agent(address or overall.get("address"), state_dir or overall.get("state_dir"))
        command(Agent(Transport(endpoint)), *args, **kwargs)

    return found


def with_output(command: Command) -> Command:
    """Adds `-o table|json|yaml` and `--json`; the command gets `output`."""

    @click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json", "yaml"]),
        default="table",
        show_default=True,
        help="Format of the output.",
    )
    @click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
    @functools.wraps(command)
    def chosen(*, output: str, as_json: bool, **kwargs: Any) -> None:
        command(output="json" if as_json else output, **kwargs)

    return chosen


class WaitCommand(click.Command):
    """A command with `--wait[=SECONDS]`: the number belongs to the option only behind an equals sign."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = args.index("--") if "--" in args else len(args)
        bare = [at for at, arg in enumerate(args[:options]) if arg == "--wait"]
        number = next((args[at + 1] for at in bare if at + 1 < options and args[at + 1][:1].isdecimal()), "")
        args = ["--wait=" if at in bare else arg for at, arg in enumerate(args)]
        try:
            rest = super().parse_args(ctx, args)
            if number and len(ctx.params.get("refs") or ()) > 1:  # a service may be called `5`, but alone
                raise click.UsageError(f"{number!r} behind --wait is taken for a reference")
            return rest
        except click.UsageError as error:
            if not number:
                raise
            said = error.format_message().rstrip(".")  # about the number, taken for an argument
            raise click.UsageError(f"{said}. To wait {number} at most: --wait={number}", ctx) from None


def with_wait(help_text: str) -> Callable[[Command], Command]:
    """Adds `--wait[=SECONDS]` to a WaitCommand, which gets `wait`: None, or seconds, FOREVER for no limit."""
    return click.option(
        "--wait", cls=_WaitOption, metavar="[=SECONDS]", type=Duration(empty=FOREVER), help=help_text
    )


class _WaitOption(click.Option):
    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return (record[0].replace(" [=", "[="), record[1]) if record else None


def limit(wait: float) -> float | None:
    """Seconds to wait at most, None for no limit."""
    return None if wait == FOREVER else wait
