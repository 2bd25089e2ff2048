"""`events`: what happens, as it happens, with who did it; or what happened before."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import click

from runner_agent.cli.completing import complete_log
from runner_agent.cli.exits import DONE, Quit
from runner_agent.cli.options import with_agent
from runner_agent.cli.terminal import note, out, paint, phase_colour
from runner_agent.cli.words import local_time
from runner_agent.client.agent import Agent
from runner_agent.client.news import latest, news

if TYPE_CHECKING:
    from runner_agent.client.agent_messages import TimelineEntry

SHORT_ID = 8


@click.command(short_help="Follow what happens, or show what happened.")
@click.argument("ref", required=False, default="", shell_complete=complete_log)
@click.option(
    "--tail",
    "-n",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Begin with the last N that happened.",
)
@click.option("-f", "--follow/--no-follow", default=True, show_default=True, help="Go on until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_agent
def events(agent: Agent, ref: str, tail: int, follow: bool, as_json: bool) -> None:
    """Follow what happens: wishes and who had them, phases, steps, outputs.

    With REF, a reference or an id, only what concerns that service, task or execution. The agent remembers
    what happened, over its own restarts too, and following goes on through them.

    \b
    Example:
      runner-agent events
      runner-agent events web --tail 20 --no-follow
      runner-agent events --json | jq -r 'select(.phase == "FAILED") | .reference'
    """
    found = (
        news(agent, ref, tail, on_loss=_lost, on_return=_back)
        if follow
        else latest(agent, ref, tail or sys.maxsize)
    )
    try:
        for entry in found:
            out(json.dumps(entry, ensure_ascii=False) if as_json else as_text(entry))
    except BrokenPipeError:  # whoever read it had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Quit(DONE) from None


def as_text(entry: TimelineEntry) -> str:
    """One line: when, what it is about, what happened, by whom."""
    kind, phase = entry.get("kind", ""), entry.get("phase", "")
    name = entry.get("reference", "")
    if kind == "execution":
        name = f"{name} {entry.get('id', '')[:SHORT_ID]}"
    text = paint(entry.get("text", ""), phase_colour(phase), sys.stdout)
    cause = entry.get("cause", "")
    by = f", by {cause}" if cause else ""
    return f"{local_time(entry.get('at'))}  {' '.join(filter(None, (kind, name)))}: {text}{by}"


def _lost() -> None:
    note("The agent is gone; waiting for it to come back.")


def _back() -> None:
    note("The agent is back.")
