"""Waiting for several things at once: each is told when it is there, and why it will never be."""

from __future__ import annotations

import functools
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from runner_agent.cli.awaited import Awaited, Ending, Evidence
from runner_agent.cli.durations import show_seconds
from runner_agent.cli.exits import INTERRUPTED, TIMED_OUT, Quit
from runner_agent.cli.progress import Progress
from runner_agent.cli.streams import outlive_reader
from runner_agent.cli.terminal import note
from runner_agent.client.agent import Agent
from runner_agent.client.errors import ClientError
from runner_agent.client.logs import last_lines, log_head
from runner_agent.client.watch import wait_for_each

STARTING, STOPPING = "nothing was stopped", "the stopping goes on"
"""What is true when the waiting for it has been left."""
EVIDENCE = 10
"""Lines of the log shown with a failure."""


@contextmanager
def detaching(look: str, rest: str = STARTING) -> Generator[None]:
    """Ctrl-C while waiting ends the waiting and nothing else, and says so; a reader that leaves does not end
    even that. `look`: a command to see more.
    """
    outlive_reader()
    try:
        yield
    except KeyboardInterrupt:
        raise Quit(INTERRUPTED, f"No longer waiting; {rest}. `{look}` shows how it goes on.") from None


def wait(agent: Agent, awaited: Sequence[Awaited], timeout: float | None, summary: str = "") -> None:
    """For all of them. Raises Quit: of one thing with what is the matter with it; of several with the worst
    code and `{count} {summary}`, after each has been told.
    """
    with Progress() as progress:
        failures = await_all(agent, awaited, timeout, progress)
    settle(failures, len(awaited), summary)


def await_all(
    agent: Agent, awaited: Sequence[Awaited], timeout: float | None, progress: Progress
) -> list[tuple[Awaited, Ending]]:
    """Those that did not come out well, or not in time."""
    looks = {each.key: functools.partial(each.look, progress) for each in awaited}
    nothing: Mapping[str, Ending] = {}
    found = wait_for_each(agent.transport, looks, timeout) if looks else nothing
    failures: list[tuple[Awaited, Ending]] = []
    for each in awaited:
        ending = found.get(each.key) or _late(each, timeout or 0.0)
        if ending.remark:
            progress.say(ending.remark)
        if ending.failure:
            failures.append((each, ending))
    shown: set[str] = set()
    for each, ending in failures:
        about = "" if len(awaited) == 1 else f"{each.name}: "
        for log in ending.logs:
            whose = "its" if len(awaited) == 1 and log.name == each.name else f"{log.name}'s"
            for line in _last_lines(agent, log, whose, shown):
                progress.say(line)
        for line in _why(agent, ending, about):
            progress.say(line)
    return failures


def settle(failures: Sequence[tuple[Awaited, Ending]], count: int, summary: str) -> None:
    """As `wait`, of `count` things that were awaited."""
    if not failures:
        return
    if count == 1:
        _, ending = failures[0]
        raise Quit(ending.code, ending.failure)
    for text in together(failures):
        note(text)
    raise Quit(max(ending.code for _, ending in failures), f"{len(failures)} {summary}")


def together(failures: Sequence[tuple[Awaited, Ending]]) -> list[str]:
    """What several have failed of is said once, with all their names. That of a service which is told of
    itself is not said again: below stands who needs it.
    """
    failed = {each.key: each.name for each, _ in failures}
    told: dict[str, list[tuple[Awaited, Ending]]] = {}
    needing: dict[str, list[str]] = {}
    for each, ending in failures:
        if ending.needs in failed:
            needing.setdefault(ending.needs, []).append(each.name)
        else:
            told.setdefault(ending.cause or each.key, []).append((each, ending))
    texts: list[str] = []
    for same in told.values():
        _, ending = same[0]
        if len(same) > 1:
            names = ", ".join(each.name for each, _ in same)
            texts.append(f"Tasks {names} failed: {ending.cause}")
        else:
            texts.append(ending.failure)
    for key, tasks in needing.items():
        who, need = ("Tasks", "they need") if len(tasks) > 1 else ("Task", "it needs")
        texts.append(f"{who} {', '.join(tasks)} failed: {need} service {failed[key]}.")
    return texts


def _late(awaited: Awaited, timeout: float) -> Ending:
    lacking = f"{awaited.what} {awaited.lacks} after {show_seconds(timeout)}."
    failure = f"{lacking} It goes on: waiting stops nothing."
    return Ending(failure, code=TIMED_OUT, explains=awaited.explains)


def _last_lines(agent: Agent, log: Evidence, whose: str, shown: set[str]) -> list[str]:
    """None of a log that was `shown`, which it is from now on: several may need what failed."""
    try:
        id_ = log_head(agent.transport, log.path, log.step, log.role).id
        if id_ in shown:
            return []
        shown.add(id_)
        evidence = last_lines(agent.transport, log.path, EVIDENCE, log.step, log.role)
    except ClientError:
        return []  # the failure is the news, not that its log cannot be read
    lines = evidence.splitlines()
    begins = f"runner-agent: {log.name}: {log.role or 'start'}"
    starts = [at for at, line in enumerate(lines) if line == begins]
    what = f"{log.role} command" if log.role else "log"
    title = [f"Last lines of {whose} {what}:"] if lines else []
    return [*title, *(f"  | {line}" for line in lines[max(starts, default=0) :])]  # not of an earlier start


def _why(agent: Agent, ending: Ending, about: str) -> list[str]:
    """What the agent says that bears on it: who else listens where it wanted to, say."""
    if not ending.explains:
        return []
    try:
        return [f"  - {about}{reason}" for reason in agent.explain(id_=ending.explains).get("reasons", [])]
    except ClientError:
        return []
