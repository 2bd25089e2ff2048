"""Showing a log: the options `logs` takes, and bytes from the agent straight to stdout."""

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from runner_agent.cli.exits import DONE, INTERRUPTED, Quit
from runner_agent.cli.terminal import out_bytes
from runner_agent.client.agent import Agent
from runner_agent.client.logs import LogQuery, read_log


def log_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds `--follow/--no-follow`, `--tail` and `--offset`; the command gets `query`."""

    @click.option(
        "-f", "--follow/--no-follow", default=True, show_default=True, help="Go on until it has ended."
    )
    @click.option(
        "--tail", "-n", type=click.IntRange(min=0), metavar="N", help="Begin with the last N lines."
    )
    @click.option(
        "--offset", type=click.IntRange(min=0), metavar="BYTES", help="Begin at this byte of the log."
    )
    @functools.wraps(command)
    def chosen(*, follow: bool, tail: int | None, offset: int | None, **kwargs: Any) -> None:
        if tail is not None and offset is not None:
            raise click.UsageError("Give --tail or --offset, not both.")
        command(query=LogQuery(follow=follow, tail=tail, offset=offset), **kwargs)

    return chosen


def show_log(agent: Agent, path: str, query: LogQuery, role: str = "", step: str = "") -> None:
    """To its end. Ctrl-C stops the showing only; a reader that has left had enough."""
    try:
        for chunk in read_log(agent.transport, path, replace(query, role=role, step=step)):
            out_bytes(chunk)
    except KeyboardInterrupt:
        raise Quit(INTERRUPTED) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Quit(DONE) from None
