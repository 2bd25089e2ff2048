"""`why REF|EXECUTION-ID`: the answer in the first line, then the evidence."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from runner_agent.cli.broken_file import tell_broken
from runner_agent.cli.completing import complete_log
from runner_agent.cli.durations import show_span
from runner_agent.cli.figures import usage_in_words
from runner_agent.cli.options import with_agent, with_output
from runner_agent.cli.tables import columns, emit, screen_width
from runner_agent.cli.terminal import is_screen, note, paint, phase_colour, wrapped
from runner_agent.cli.words import NOTHING, counted, local_time, moment
from runner_agent.client.agent import Agent
from runner_agent.client.references import SHORT_ID, NotThere, explain, task_of
from runner_agent.client.runs import newest_run

if TYPE_CHECKING:
    from runner_agent.client.agent_messages import Explanation, RunSeen, StepSeen


_PAINTED = re.compile(r"\x1b\[[0-9;]+m(.*?)\x1b\[0m")


@click.command()
@click.argument("refs", metavar="REF...", nargs=-1, required=True, shell_complete=complete_log)
@with_output
@with_agent
def why(agent: Agent, refs: tuple[str, ...], output: str) -> None:
    """Say why something is as it is.

    REF is the reference or id of a service or task, or the id of an execution, be it cut short; of a task the
    latest execution is explained. The first line is the answer; below it stands what bears on it: who wished
    it and when, what runs, what `ready` said last, the last lines of the log. JSON of several is a list.

    \b
    Example:
      runner-agent why web
      runner-agent why web database
      runner-agent why 3f1c6f0e --json
    """
    tell_broken(agent)
    found = [explain(agent, ref) for ref in refs]
    for each in found:
        _tell_of_step(agent, each)
    table = "\n\n".join(_readable(as_text(each)) for each in found) if output == "table" else ""
    emit(output, found[0] if len(found) == 1 else found, table)


def _tell_of_step(agent: Agent, found: Explanation) -> None:
    """A task without an execution of its own may have run as a step of another's."""
    if found.get("kind") != "KIND_TASK" or found.get("executionId"):
        return
    run = newest_run(agent, agent.get_task(found.get("id", "")))
    if not isinstance(run, NotThere):
        where = f"{found.get('reference', '')} ran last as a step of {task_of(run.execution)}"
        command = f"runner-agent why {run.execution['id'][:SHORT_ID]}"
        note(wrapped(f"{where}: `{command}` tells of that.", sys.stderr))


def _readable(text: str) -> str:
    """Sentences are broken between words, below where they began; what was quoted stays as it is."""
    if not is_screen(sys.stdout):
        return text
    return "\n".join(line if line.startswith("  |") else _broken(line) for line in text.split("\n"))


def _broken(line: str) -> str:
    import textwrap

    indent = " " * (len(line) - len(line.lstrip()) + 2)
    shaped = textwrap.TextWrapper(
        screen_width(), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    plain = "\n".join(shaped.wrap(_PAINTED.sub(r"\1", line))) or line
    for found in _PAINTED.finditer(line):  # colours take no room
        plain = plain.replace(found[1], found[0], 1)
    return plain


def as_text(found: Explanation, now: datetime | None = None) -> str:
    """For people."""
    here = now or datetime.now(UTC)
    lines = [_answer(found, here)]
    lines += [f"  - {reason}" for reason in found.get("reasons", [])]
    lines += [*_wish(found, here), *_execution(found)]
    lines += _block("Runs:", [_run(run, here) for run in found.get("runs", [])])
    lines += _steps(found.get("steps", []))
    lines += _probe(found)
    for log in found.get("logs", []):
        lines += _block(f"Last lines of {log.get('label', 'its')}'s log:", _quoted(log.get("lines", [])))
    return "\n".join(lines)


def _answer(found: Explanation, now: datetime) -> str:
    what = {"KIND_SERVICE": "service", "KIND_TASK": "task", "KIND_EXECUTION": "execution of task"}
    subject = f"{what.get(found.get('kind', ''), '')} {found.get('reference', '')}".strip()
    phase = found.get("phase", "")
    if not phase:
        return f"{subject}: {found.get('answer', '')}"
    since = moment(found.get("phaseSince"))
    held = f" for {show_span(now - since)}" if since else ""
    return f"{subject} is {paint(phase, phase_colour(phase), sys.stdout)}{held}: {found.get('answer', '')}"


def _wish(found: Explanation, now: datetime) -> Iterator[str]:
    by = found.get("wishedBy", "")
    if by:
        at = moment(found.get("wishedAt"))
        ago = f", {show_span(now - at)} ago ({local_time(found.get('wishedAt'), now)})" if at else ""
        yield f"Wished: {found.get('desiredPhase', '') or NOTHING} by {by}{ago}"


def _execution(found: Explanation) -> Iterator[str]:
    if found.get("kind") == "KIND_TASK" and found.get("executionId"):
        yield f"Latest execution: {found.get('executionId', '')}"


def _run(run: RunSeen, now: datetime) -> str:
    since = moment(run.get("since"))
    parts = [
        f"{run.get('role', ''):<5}  {run.get('state', ''):<8}",
        f"pid {run.get('pid')}" if run.get("pid") else "",
        f"since {show_span(now - since)}" if since else "",
        run.get("ending", ""),
        f"run {run.get('runId', '')}",
    ]
    told = "  " + "  ".join(part for part in parts if part)
    usage = run.get("usage")
    return f"{told}\n    {usage_in_words(usage)}" if usage else told


def _steps(steps: Sequence[StepSeen]) -> list[str]:
    if not steps:
        return []
    rows = [[step.get("reference", ""), step.get("phase", "") or NOTHING] for step in steps]
    texts = [_step_text(step) for step in steps]
    table = columns(("STEP", "PHASE"), rows, 1, notes=("WHY", texts), indent="  ")
    used = [
        f"  {step.get('reference', '')} {usage_in_words(run['usage'])}"
        for step in steps
        for run in step.get("runs", [])
        if "usage" in run
    ]
    return ["Steps:", table, *used]


def _step_text(step: StepSeen) -> str:
    others = ", ".join(id_[:SHORT_ID] for id_ in step.get("sharedWith", []))
    return f"{step.get('text', '')}{f' (shared with execution {others})' if others else ''}"


def _probe(found: Explanation) -> list[str]:
    probe = found.get("lastProbe", {})
    if not probe:
        return []
    ending = probe.get("ending", "")
    ended = f", the last finished one: {ending}" if ending else ""
    lines = _quoted(probe.get("lines", [])) or ["  it has written nothing"]
    return [f"Ready command: {counted(probe.get('attempts', 0), 'attempt')}{ended}; its last lines:", *lines]


def _quoted(lines: Sequence[str]) -> list[str]:
    return [f"  | {line}" for line in lines]


def _block(title: str, lines: Sequence[str]) -> list[str]:
    return [title, *lines] if lines else []
