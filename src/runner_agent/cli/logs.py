"""`logs`: one log as raw bytes, or several as lines with prefixes; and the options it takes everywhere."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from runner_agent.cli.completing import complete_log
from runner_agent.cli.exits import DONE, INTERRUPTED, Quit
from runner_agent.cli.options import with_agent
from runner_agent.cli.reader import until_unread
from runner_agent.cli.terminal import note, out_bytes, wrapped
from runner_agent.cli.words import FINISHED, execution_phase, reference_of, service_phase
from runner_agent.client.agent import Agent
from runner_agent.client.logs import LogQuery, execution_log, read_log, service_log
from runner_agent.client.references import (
    ALL,
    SHORT_ID,
    Kind,
    NamedExecution,
    NamedService,
    NamedTask,
    NotThere,
    find,
    never_started,
    task_of,
)
from runner_agent.client.runs import newest_run

if TYPE_CHECKING:
    from runner_agent.client.messages import Task


@dataclass(frozen=True, slots=True)
class Source:
    """A log by its path; of a service perhaps one role only, of an execution one step."""

    label: str
    path: str
    role: str = ""
    step: str = ""


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


@click.command()
@click.argument("refs", metavar="[REF]...", nargs=-1, shell_complete=complete_log)
@log_options
@with_agent
def logs(agent: Agent, refs: tuple[str, ...], query: LogQuery) -> None:
    """Show and follow logs, of services and tasks alike.

    REF is the reference or id of a service or task, or the id of an execution; of a task it is the newest
    run, also one as a step of another task. Ids may be cut short. Without REF, of all that runs. One log is
    shown as it is; of several each line begins with the name of its log. Ctrl-C ends the following and
    nothing else.

    \b
    Example:
      runner-agent logs web
      runner-agent logs web worker build --tail 20
      runner-agent logs
    """
    sources = [source(agent, ref) for ref in refs] if refs else _running(agent)
    if not sources:
        raise Quit(DONE, "Nothing runs. Name a service or a task to see its last log.")
    show(agent, sources, query, prefixed=len(sources) > 1 or not refs)


def source(agent: Agent, name: str, kinds: Sequence[Kind] = ALL) -> Source:
    """The log of what goes by this name; of a task its newest run, be it as a step of another task. Raises
    NoSuchAutomation.
    """
    match find(agent, name, kinds):
        case NamedService(service):
            return Source(name, service_log(service["id"]))
        case NamedExecution(execution):
            return Source(name, execution_log(execution["id"]))
        case NamedTask(task):
            return _of_task(agent, name, task)


def _of_task(agent: Agent, name: str, task: Task) -> Source:
    run = newest_run(agent, task)
    if isinstance(run, NotThere):
        raise never_started(task)
    id_ = run.execution["id"]
    if run.step is None:
        return Source(name, execution_log(id_))
    command = f"runner-agent task logs {id_[:SHORT_ID]} --step {run.step.get('label', '')}"
    told = f"{name} ran last as a step of {task_of(run.execution)}: `{command}` shows this log."
    note(wrapped(told, sys.stderr))
    return Source(name, execution_log(id_), step=run.step["id"])


def _running(agent: Agent) -> list[Source]:
    services = [each for each in agent.services() if service_phase(each) not in FINISHED]
    running = [each for each in agent.executions() if execution_phase(each) not in FINISHED]
    names = {each["id"]: reference_of(each) for each in agent.tasks()} if running else {}
    found = [Source(reference_of(each), service_log(each["id"])) for each in services]
    for each in running:
        name = names.get(each.get("metadata", {}).get("taskId", ""), each["id"])
        found.append(Source(name, execution_log(each["id"])))
    return found


def show(agent: Agent, sources: Sequence[Source], query: LogQuery, *, prefixed: bool) -> None:
    """To their ends. Ctrl-C stops the showing only; a reader that has left had enough."""
    if prefixed and query.offset is not None:
        raise click.UsageError("--offset counts the bytes of one log: name one.")
    try:
        with until_unread():
            if prefixed:
                _show_lines(agent, sources, query)
            else:
                (one,) = sources
                for chunk in _chunks(agent, one, query):
                    out_bytes(chunk)
    except KeyboardInterrupt:
        raise Quit(INTERRUPTED) from None


def _chunks(agent: Agent, source: Source, query: LogQuery) -> Iterator[bytes]:
    return read_log(agent.transport, source.path, replace(query, role=source.role, step=source.step))


def _show_lines(agent: Agent, sources: Sequence[Source], query: LogQuery) -> None:
    from runner_agent.cli.interleaved import interleaved
    from runner_agent.cli.prefixes import Prefixes
    from runner_agent.kit.prefixes import Weaver

    prefixes = Prefixes(source.label for source in sources)
    readers = [functools.partial(_chunks, agent, source, query) for source in sources]
    woven = Weaver()
    try:
        # What has an end is told one after the other: the same every time.
        for at, data in interleaved(readers, at_once=query.follow):
            out_bytes(woven.add(at, prefixes.of(sources[at].label).encode(), data))
    finally:
        with suppress(BrokenPipeError):
            out_bytes(woven.end())
