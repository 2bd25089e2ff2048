"""One `up` from its first line to its exit code: over an agent of its own, or attached to one that runs."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from runner_agent.cli.agent_process import AgentProcess
from runner_agent.cli.exits import DONE, FAILED, INTERRUPTED, UNREACHABLE, Quit
from runner_agent.cli.feed import Away, Feed, Interrupt, Item, Lost, Stopped
from runner_agent.cli.reader import unread
from runner_agent.cli.showing import Order, Session
from runner_agent.cli.streams import hurry, outlive_reader
from runner_agent.cli.terminal import note
from runner_agent.cli.view import AGENT
from runner_agent.client.addresses import find_agent, read_agent_file
from runner_agent.client.agent import Agent
from runner_agent.client.transport import Transport
from runner_agent.core.endings import signal_name

TICK = 0.25
"""Seconds between two looks at whether the agent's process has ended."""
LAST_LINES = 2.0
"""Seconds that logs have to come to their ends once the agent has ended."""
DETACHED = "Detached; the agent and what it runs go on."
ENDS_WITHIN = 1.0
"""Seconds from the moment that an agent cannot be reached any more to the end of its process."""


class Attached:
    """Beside an agent that runs already. Ctrl-C detaches."""

    def __init__(self, agent: Agent, state: Path) -> None:
        """Its state directory is `state`."""
        self._agent = agent
        self._state = state

    def run(self, order: Order) -> int:
        """Until Ctrl-C, or as the order says until all that was fired is done; the exit code. Where only the
        showing is left to do, also until its reader has had enough.
        """
        outlive_reader()
        feed = Feed(self._agent.transport, self._state)
        session = Session()
        note(f"Attaching to the agent that runs already with {self._state}; Ctrl-C detaches.")
        session.look_back(self._agent)
        feed.start()
        _listen(feed)
        with session.shown():
            session.view.watch(self._agent)
            session.board.hint = "Ctrl-C detaches and stops nothing."
            session.begin(self._agent, order)
            while not (order.until_done and session.done()):
                item = feed.next(TICK)
                session.show(item)
                if isinstance(item, Interrupt) and not _suspended(item, session):
                    raise Quit(DONE if item.number == signal.SIGTERM else INTERRUPTED, DETACHED)
                if not (order.until_done or session.view.is_screen) and unread():
                    raise Quit(DONE, DETACHED)
                if isinstance(item, Stopped):
                    _last_lines(feed, session)
                    raise Quit(
                        UNREACHABLE if order.until_done else DONE,
                        "The agent was stopped, and all that it ran with it.",
                    )
                if isinstance(item, Lost):
                    raise Quit(UNREACHABLE, f"{item.reason} Run `up` again to see how it goes on.")
            _last_lines(feed, session)
        return session.outcome()


class Own:
    """Over an agent of its own. Ctrl-C brings everything down in order; a second one kills what is left."""

    def __init__(
        self, state: Path, arguments: Sequence[str], settings: Mapping[str, str] | None = None
    ) -> None:
        """`arguments` are for `serve`, and lead it to the state directory `state`; `settings` are further
        ones, as the environment has them. Starts nothing yet.
        """
        self._state = state
        self._arguments = arguments
        self._settings = settings
        self._told_to_stop = self._told_to_kill = False
        self._interrupted = False

    def run(self, order: Order) -> int:
        """Until Ctrl-C, or as the order says until all that was fired is done; the exit code. A reader that
        leaves stops nobody's services.
        """
        outlive_reader()
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _give_up)  # until the feed listens
        session = Session()
        process = AgentProcess(self._arguments, self._state, self._settings)
        try:
            process.wait_ready()
            agent = Agent(Transport(find_agent(state_dir=self._state)))
            session.look_back(agent)
            feed = Feed(agent.transport, self._state)
            feed.start()
            _listen(feed)
            with session.shown():
                session.view.watch(agent)
                session.board.hint = "Ctrl-C stops everything in order."
                session.begin(agent, order, _ready(agent))
                self._follow(process, feed, session, until_done=order.until_done)
        except BaseException:
            if not process.ended():
                with suppress(OSError):  # the terminal may be gone
                    note("Stopping the agent; Ctrl-C kills at once what it runs.")
                for number in (signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)  # it stops already
                signal.signal(signal.SIGINT, lambda _number, _frame: process.stop())
                process.stop()
                process.wait()
            raise
        return self._outcome(process, session, until_done=order.until_done)

    def _follow(self, process: AgentProcess, feed: Feed, session: Session, *, until_done: bool) -> None:
        """Until the agent has ended."""
        while not process.ended():
            item = feed.next(TICK)
            if not (isinstance(item, Away) and (self._told_to_stop or process.ends_within(ENDS_WITHIN))):
                session.show(item)
            for line in process.words().splitlines():
                session.view.line(AGENT, line)
            if isinstance(item, Interrupt) and not _suspended(item, session):
                self._interrupted = True
                self._stop(process, session, hasten=item.number == signal.SIGINT)
            elif until_done and not self._told_to_stop and session.done():
                session.view.news("all that was fired is done; stopping")
                self._told_to_stop = True
                process.stop()
        _last_lines(feed, session)
        if process.wait() == 0 and read_agent_file(self._state) is None:  # who leaves runs behind keeps it
            session.board.conclude()

    def _stop(self, process: AgentProcess, session: Session, *, hasten: bool) -> None:
        """In order; told so again with `hasten`, however often it was told without: at once."""
        if not self._told_to_stop:
            session.view.news("stopping everything in order; Ctrl-C again kills it at once", "STOPPING")
            session.board.hint = "Stopping in order. Ctrl-C again kills what is left."
            process.stop()
            self._told_to_stop = True
        elif hasten and not self._told_to_kill:
            session.view.news("killing everything", "FAILED")
            session.board.hint = "Killing what is left."
            process.stop()
            self._told_to_kill = True

    def _outcome(self, process: AgentProcess, session: Session, *, until_done: bool) -> int:
        code = process.wait()
        if code < 0:
            name = signal_name(-code)
            raise Quit(
                FAILED, f"The agent was ended by {name}. What it ran goes on; run `up` again to take it over."
            )
        if code > 0:
            raise Quit(FAILED, f"The agent ended with code {code}. {process.words().strip()}".strip())
        if not self._told_to_stop:
            note("The agent was told to stop by somebody else.")
        if not until_done:
            return DONE
        if self._interrupted:
            return INTERRUPTED
        if not self._told_to_stop:
            raise Quit(FAILED, "It stopped before all that was fired was done.")
        return session.outcome()


def _give_up(_number: int, _frame: object) -> NoReturn:
    raise Quit(DONE, "Told to stop before the agent was ready.")


def _listen(feed: Feed) -> None:
    """From now on Ctrl-C, Ctrl-Z, SIGTERM and the terminal's end are items of the feed. Who looks at them may
    be waiting for a reader.
    """

    def take(number: int, _: object) -> None:
        feed.interrupt(number)
        if number != signal.SIGTSTP:
            hurry()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, take)
    for number in (signal.SIGHUP, signal.SIGTSTP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup`, and shells without job control
            signal.signal(number, take)


def _suspended(item: Interrupt, session: Session) -> bool:
    """Ctrl-Z: rests until `fg` or `bg`, then goes on; the agent knows nothing of it. To a terminal that is
    gone nothing more is written. Whether that was all.
    """
    if item.number == signal.SIGHUP:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nothing, stream.fileno())
    if item.number != signal.SIGTSTP:
        return False
    session.view.pause()
    present = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, present)
    session.view.open()
    return True


def _last_lines(feed: Feed, session: Session) -> None:
    """What the logs still hold."""
    deadline = time.monotonic() + LAST_LINES
    item: Item | None
    while (item := feed.next(0.05)) is not None or (feed.following and time.monotonic() < deadline):
        if not isinstance(item, Away):
            session.show(item)
    feed.close()


def _ready(agent: Agent) -> str:
    info = agent.get_agent()
    return f"ready: pid {info.get('pid')}, {', '.join(info.get('addresses', []))}"
