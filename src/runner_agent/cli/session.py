"""One `up` from its first line to its exit code: over an agent of its own, or attached to one that runs."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from pathlib import Path

from runner_agent.cli.agent_process import AgentProcess
from runner_agent.cli.exits import DONE, FAILED, INTERRUPTED, UNREACHABLE, Quit
from runner_agent.cli.feed import Feed, Interrupt, Lost
from runner_agent.cli.showing import Session
from runner_agent.cli.terminal import note
from runner_agent.cli.view import AGENT
from runner_agent.client.addresses import find_agent
from runner_agent.client.agent import Agent
from runner_agent.client.transport import Transport
from runner_agent.core.endings import signal_name

TICK = 0.25
"""Seconds between two looks at whether the agent's process has ended."""
LAST_LINES = 2.0
"""Seconds that logs have to come to their ends once the agent has ended."""


class Attached:
    """Beside an agent that runs already. Ctrl-C detaches."""

    def __init__(self, agent: Agent, state: Path) -> None:
        """`state` is for messages."""
        self._agent = agent
        self._state = state

    def run(self, name: str, events: Sequence[str], *, until_done: bool) -> int:
        """Until Ctrl-C, or with `until_done` until the tasks fired have ended; the exit code."""
        feed = Feed(self._agent.transport)
        session = Session()
        note(f"Attaching to the agent that runs already with {self._state}; Ctrl-C detaches.")
        session.look_back(self._agent)
        feed.start()
        _listen(feed)
        with session.shown():
            session.view.watch(self._agent)
            session.board.hint = "Ctrl-C detaches and stops nothing."
            session.begin(self._agent, feed, name, events)
            while not (until_done and session.done()):
                item = feed.next(TICK)
                session.show(item)
                if isinstance(item, Interrupt):
                    raise Quit(INTERRUPTED, "Detached; the agent and what it runs go on.")
                if isinstance(item, Lost):
                    raise Quit(UNREACHABLE, f"{item.reason} Run `up` again to see how it goes on.")
            _last_lines(feed, session)
        return session.outcome()


class Own:
    """Over an agent of its own. Ctrl-C brings everything down in order; a second one kills what is left."""

    def __init__(self, state: Path, arguments: Sequence[str]) -> None:
        """`arguments` are for `serve`, and lead it to the state directory `state`. Starts nothing yet."""
        self._state = state
        self._arguments = arguments
        self._told_to_stop = 0
        self._interrupted = False

    def run(self, name: str, events: Sequence[str], *, until_done: bool) -> int:
        """Until Ctrl-C, or with `until_done` until the tasks fired have ended; the exit code."""
        process = AgentProcess(self._arguments, self._state)
        session = Session()
        try:
            process.wait_ready()
            agent = Agent(Transport(find_agent(state_dir=self._state)))
            feed = Feed(agent.transport)
            feed.start()
            _listen(feed)
            with session.shown():
                session.view.watch(agent)
                session.board.hint = "Ctrl-C stops everything in order."
                session.begin(agent, feed, name, events, _ready(agent))
                self._follow(process, feed, session, until_done=until_done)
        except BaseException:
            if not process.ended():
                note("Stopping the agent.")
                process.stop()
                process.wait()
            raise
        return self._outcome(process, session, until_done=until_done)

    def _follow(self, process: AgentProcess, feed: Feed, session: Session, *, until_done: bool) -> None:
        """Until the agent has ended."""
        while not process.ended():
            item = feed.next(TICK)
            session.show(item)
            for line in process.words().splitlines():
                session.view.line(AGENT, line)
            if isinstance(item, Interrupt):
                self._interrupted = True
                self._stop(process, session, hasten=item.number == signal.SIGINT)
            elif until_done and not self._told_to_stop and session.done():
                session.view.news("all tasks have ended; stopping")
                self._told_to_stop += 1
                process.stop()
        _last_lines(feed, session)

    def _stop(self, process: AgentProcess, session: Session, *, hasten: bool) -> None:
        if self._told_to_stop == 0:
            session.view.news("stopping everything in order; Ctrl-C again kills it at once", "STOPPING")
            session.board.hint = "Stopping in order. Ctrl-C again kills what is left."
            process.stop()
        elif hasten and self._told_to_stop == 1:
            session.view.news("killing everything", "FAILED")
            session.board.hint = "Killing what is left."
            process.stop()
        self._told_to_stop += 1

    def _outcome(self, process: AgentProcess, session: Session, *, until_done: bool) -> int:
        code = process.wait()
        if code < 0:
            name = signal_name(-code)
            raise Quit(
                FAILED, f"The agent was ended by {name}. What it ran goes on; run `up` again to take it over."
            )
        if code > 0:
            raise Quit(FAILED, f"The agent ended with code {code}. {process.words().strip()}".strip())
        if until_done:
            return INTERRUPTED if self._interrupted else session.outcome()
        return DONE


def _listen(feed: Feed) -> None:
    """From now on Ctrl-C and SIGTERM are items of the feed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda told, _: feed.interrupt(told))


def _last_lines(feed: Feed, session: Session) -> None:
    """What the logs still hold."""
    deadline = time.monotonic() + LAST_LINES
    while (item := feed.next(0.05)) is not None or (feed.following and time.monotonic() < deadline):
        session.show(item)
    feed.close()


def _ready(agent: Agent) -> str:
    info = agent.get_agent()
    return f"ready: pid {info.get('pid')}, {', '.join(info.get('addresses', []))}"
