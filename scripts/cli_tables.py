"""The parts of docs/cli.md: every command from the tree itself, and the exit codes."""

import inspect
import re
from collections.abc import Iterator

import click

from runner_agent.cli import exits
from runner_agent.cli.root import LazyGroup, root

_MEANINGS = {
    "DONE": "done; also `serve` and `up` after SIGTERM or Ctrl-C",
    "FAILED": "the work failed: a task, a service that was waited for, a file that could not be written",
    "INVALID": "usage, invalid input, or an unknown reference",
    "TIMED_OUT": "what was waited for did not come in time; it goes on",
    "UNREACHABLE": "the agent cannot be reached, or does not know the caller",
    "INTERRUPTED": "Ctrl-C while waiting or following; nothing was stopped",
}


def commands() -> str:
    """A section for each command, in the order of the help."""
    context = click.Context(root, info_name="runner-agent")
    return "\n".join(_sections(root, context, set()))


def exit_codes() -> str:
    """Those of `cli/exits.py`."""
    rows = [f"| {getattr(exits, name)} | {text} |" for name, text in _MEANINGS.items()]
    return "\n".join(["| code | meaning |", "|---|---|", *rows])


def _sections(group: LazyGroup, context: click.Context, seen: set[int]) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        below = click.Context(command, info_name=name, parent=context)
        if id(command) in seen:  # `automations service` is `service`
            yield f"### `{below.command_path}`\n\nThe same as `runner-agent {name}`.\n"
            continue
        seen.add(id(command))
        yield from _section(command, below)
        if isinstance(command, LazyGroup):
            yield from _sections(command, below, seen)


def _section(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"### `{context.command_path}`\n\n```\n{usage}\n```\n"
    yield _text(command.help or "")
    options = [row for parameter in command.params if (row := _row(parameter, context))]
    if options:
        yield "\n".join(["| option | |", "|---|---|", *options]) + "\n"


def _row(parameter: click.Parameter, context: click.Context) -> str:
    record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
    if record is None:
        return ""
    names, text = (re.sub(r"\s+", " ", part).replace("|", r"\|") for part in record)
    return f"| `{names}` | {text} |"


def _text(help_text: str) -> str:
    """Paragraphs; what click is told not to wrap becomes a block of code."""
    parts: list[str] = []
    for paragraph in inspect.cleandoc(help_text).split("\n\n"):
        if paragraph.startswith("\b\n"):
            title, *lines = paragraph[2:].split("\n")
            parts.append(f"{title}\n\n```sh\n{inspect.cleandoc(chr(10).join(['', *lines]))}\n```")
        else:
            parts.append(paragraph)
    return "\n\n".join(parts) + "\n"
