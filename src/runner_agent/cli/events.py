"""`events`: what happens, as it happens, with who did it; or what happened before."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from runner_agent.cli.completing import complete_log
from runner_agent.cli.options import with_agent, with_output
from runner_agent.cli.reader import until_unread
from runner_agent.cli.tables import as_yaml
from runner_agent.cli.terminal import json_text, note, out, paint, phase_colour
from runner_agent.cli.words import local_time
from runner_agent.client.agent import Agent
from runner_agent.client.errors import NoSuchAutomation
from runner_agent.client.news import latest, news
from runner_agent.client.references import SHORT_ID, find, id_of, is_id, is_reference

if TYPE_CHECKING:
    from runner_agent.client.agent_messages import TimelineEntry


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
@with_output
@with_agent
def events(agent: Agent, ref: str, tail: int, follow: bool, output: str) -> None:
    """Follow what happens: wishes and who had them, phases, steps, outputs.

    With REF, a reference or an id, only what concerns that service, task or execution. The agent remembers
    what happened, over its own restarts too, and following goes on through them. JSON is one object a line,
    YAML one document for each.

    \b
    Example:
      runner-agent events
      runner-agent events web --tail 20 --no-follow
      runner-agent events --json | jq -r 'select(.phase == "FAILED") | .reference'
    """
    name = _known(agent, ref) if ref else ""
    found = (
        news(agent, name, tail, on_loss=_lost, on_return=_back)
        if follow
        else latest(agent, name, tail or sys.maxsize)
    )
    with until_unread():
        for entry in found:
            if output == "json":
                out(json_text(entry))
            elif output == "yaml":
                out(f"---\n{as_yaml(entry)}")
            else:
                out(as_text(entry))


def _known(agent: Agent, ref: str) -> str:
    """A reference or id that something happened to, be it gone; the id of what is named by its beginning.

    Raises NoSuchAutomation.
    """
    try:
        named = find(agent, ref)
    except NoSuchAutomation:
        if latest(agent, ref, 1):
            return ref
        raise
    return ref if is_id(ref) or is_reference(named, ref) else id_of(named)


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
