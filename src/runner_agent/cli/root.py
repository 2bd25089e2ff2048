"""The tree of commands. A command's module is imported when the command is used, or helped with."""

import importlib
from collections.abc import Mapping

import click

from runner_agent.cli.options import ADDRESS_HELP, FOLDER, STATE_HELP


class LazyGroup(click.Group):
    """Commands by `module:attribute` of this package, and aliases that are not listed."""

    def __init__(
        self,
        name: str,
        *,
        lazy: Mapping[str, str],
        aliases: Mapping[str, str] | None = None,
        **kwargs: object,
    ) -> None:
        """`lazy` in the order of the help text."""
        super().__init__(name, **kwargs)  # type: ignore[arg-type]  # click's own, too many to repeat
        self._lazy = lazy
        self._aliases = aliases or {}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order given."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Imports it."""
        name = self._aliases.get(cmd_name, cmd_name)
        if name not in self._lazy:
            return None
        module, _, attribute = self._lazy[name].partition(":")
        command = getattr(importlib.import_module(f"runner_agent.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """An unknown command is told with the one that was perhaps meant."""
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            import difflib

            known = [*self._lazy, *self._aliases]
            close = difflib.get_close_matches(word, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"there is: {', '.join(self._lazy)}"
            ctx.fail(f"No such command {word!r}; {hint}")
        return super().resolve_command(ctx, args)


_SERVICE = {
    "list": "services:list_",
    "get": "services:get",
    "start": "services:start",
    "stop": "services:stop",
    "restart": "services:restart",
    "delete": "services:delete",
    "logs": "services:logs",
}
_TASK = {
    "list": "tasks:list_",
    "get": "tasks:get",
    "start": "task_start:start",
    "stop": "tasks:stop",
    "delete": "tasks:delete",
    "logs": "tasks:logs",
    "list-executions": "executions:list_executions",
}

service = LazyGroup(
    "service",
    lazy=_SERVICE,
    help="""Services: long-running commands such as a database or a web server.

    REF is a service's reference (its key in the automations file) or its id.

    \b
    Example:
      runner-agent service list
      runner-agent service start web --wait
      runner-agent service logs web
    """,
    short_help="List, start, stop and follow services.",
    no_args_is_help=True,
)
task = LazyGroup(
    "task",
    lazy=_TASK,
    help="""Tasks: commands that run to their end, such as a build or a migration.

    REF is a task's reference (its key in the automations file) or its id. Every start is an execution,
    with an id of its own. Of an id any beginning will do that no other has.

    \b
    Example:
      runner-agent task list
      runner-agent task start build
      runner-agent task logs build
    """,
    short_help="List, run, stop and follow tasks.",
    no_args_is_help=True,
)
automations = LazyGroup(
    "automations",
    lazy={
        "init": "init:init",
        "validate": "files:validate",
        "update": "files:update",
        "schema": "schema:schema",
        "service": "root:service",
        "task": "root:task",
    },
    aliases={"services": "service", "tasks": "task"},
    help="""Apply and check automations files; services and tasks. `auto` is short for `automations`.

    \b
    Example:
      runner-agent automations validate automations.yaml
      runner-agent automations update automations.yaml
      runner-agent automations service list
    """,
    short_help="Apply and check automations files.",
    no_args_is_help=True,
)


def _nothing(**_: object) -> None:
    """The options stand in the context, for the command that needs them."""


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from runner_agent import __version__

        click.echo(f"runner-agent {__version__}")
        ctx.exit()


root = LazyGroup(
    "runner-agent",
    lazy={
        "up": "up:up",
        "attach": "attach:attach",
        "serve": "serve:serve",
        "status": "status:status",
        "start": "anything:start",
        "stop": "anything:stop",
        "restart": "anything:restart",
        "down": "anything:down",
        "wait": "wait:wait",
        "why": "why:why",
        "logs": "logs:logs",
        "events": "events:events",
        "ports": "ports:ports",
        "service": "root:service",
        "task": "root:task",
        "trigger": "trigger:trigger",
        "prebuild": "prebuild:prebuild",
        "plan": "plan:plan",
        "automations": "root:automations",
        "dashboard": "dashboard:dashboard",
        "doctor": "doctor:doctor",
        "install": "install:install",
        "uninstall": "install:uninstall",
        "completion": "completion:completion",
    },
    aliases={"auto": "automations", "services": "service", "tasks": "task", "ps": "status"},
    help="""Makes an environment's automations true: its services and tasks.

    \b
    In a directory with an automations file:
      runner-agent up automations.yaml       run all and show it; Ctrl-C stops it
    In another terminal:
      runner-agent status                    what runs
      runner-agent why web                   why it is not up, or whatever it is
      runner-agent logs web                  follow its log
      runner-agent task start build          run a task, show what it writes and wait for it
      runner-agent wait web --for ready      until it is up
      runner-agent down                      stop all of it; the agent stays

    Exit codes: 0 done, 1 the work failed, 2 invalid input, 3 timed out, 4 no agent to be reached,
    130 interrupted.
    """,
    params=[
        click.Option(["--address"], metavar="ADDRESS", help=ADDRESS_HELP),
        click.Option(["--state-dir"], metavar="DIR", type=FOLDER, help=STATE_HELP),
        click.Option(
            ["--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_version,
            help="Show the version.",
        ),
    ],
    callback=_nothing,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
