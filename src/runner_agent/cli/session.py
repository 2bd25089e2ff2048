"""One `up` from its first line to its exit code: over an agent of its own, or attached to one that runs."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from runner_agent.cli.agent_process import AgentProcess
from runner_agent.cli.exits import DONE, FAILED, INTERRUPTED, UNREACHABLE, Quit
from runner_agent.cli.feed import ExecutionNow, Feed, Gone, Interrupt, Item, LogLine, Lost, ServiceNow
from runner_agent.cli.terminal import note
from runner_agent.cli.view import AGENT, Board, Row, make_view
from runner_agent.cli.words import FINISHED, duration_of, execution_phase, reference_of, service_phase, short
from runner_agent.client.addresses import find_agent
from runner_agent.client.agent import Agent
from runner_agent.client.transport import Transport

if TYPE_CHECKING:
    from runner_agent.client.messages import Execution

TICK = 0.25
"""Seconds between two looks at whether the agent's process has ended."""
LAST_LINES = 2.0
"""Seconds that logs have to come to their ends once the agent has ended."""


class Session:
    """What both ways of `up` do: apply, fire, and keep a board of what is going on."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.board = Board()
        self.started: dict[str, str] = {}  # the executions fired here, and the references of their tasks
        self.skipped: list[str] = []
        self.view = make_view(self.board)

    @contextmanager
    def shown(self) -> Generator[None]:
        """The view is open while the block runs."""
        self.view.open()
        try:
            yield
        finally:
            self.view.close()

    def begin(self, agent: Agent, feed: Feed, name: str, events: Sequence[str]) -> None:
        """Applies the file and fires the events. Raises Quit, ClientError."""
        from runner_agent.cli.files import apply

        changes = apply(agent, name) if name else []
        references = [*map(reference_of, agent.services()), *map(reference_of, agent.tasks())]
        self.view.make_room(references)
        for change, kind, reference in changes:
            self.view.news(f"{change} {kind} {reference}")
        for event in events:
            result = feed.fire(event)
            firing = result.get("firing", {})
            for each in result.get("skipped", []):
                text = f"task {each.get('reference', '')} could not be started: {each.get('reason', '')}"
                self.view.news(text, "FAILED")
                self.skipped.append(each.get("reference", ""))
            for started in firing.get("executions", []):
                self.started[started.get("id", "")] = started.get("reference", "")
            if firing.get("services") or firing.get("executions"):
                self.view.news(f"fired {event}")
        if not references:
            self.view.news(
                "no services and no tasks are defined; name an automations file: runner-agent up FILE"
            )

    def show(self, item: Item | None) -> None:
        """Takes in one item."""
        match item:
            case ServiceNow(service):
                status = service.get("status", {})
                row = self._row(
                    self.board.services, service["id"], reference_of(service), service_phase(service)
                )
                row.message = status.get("failureMessage", "") if row.phase == "FAILED" else ""
                self._tell(row, "service")
            case ExecutionNow(execution, task):
                row = self._row(self.board.tasks, execution["id"], task, execution_phase(execution))
                row.message = _progress(execution)
                row.took = duration_of(execution) if row.phase in FINISHED else ""
                self._tell(row, "task")
            case LogLine(label, text):
                self.view.line(label, text)
            case Gone(key):
                self.board.services.pop(key, None)
                self.board.tasks.pop(key, None)
            case Interrupt() | Lost() | None:
                pass
            case _:
                assert_never(item)

    def done(self) -> bool:
        """Whether every task fired here has ended."""
        rows = self.board.tasks
        return all(key in rows and rows[key].phase in FINISHED for key in self.started)

    def failures(self) -> list[str]:
        """The references of the tasks fired here that did not succeed."""
        ended = {key: row.phase for key, row in self.board.tasks.items()}
        return self.skipped + [task for key, task in self.started.items() if ended.get(key) != "SUCCEEDED"]

    def outcome(self) -> int:
        """DONE if all tasks fired here succeeded. Raises Quit otherwise."""
        if failures := self.failures():
            raise Quit(FAILED, f"Not succeeded: {', '.join(failures)}.")
        return DONE

    def _row(self, rows: dict[str, Row], key: str, name: str, phase: str) -> Row:
        row = rows.setdefault(key, Row(name, phase="", since=time.monotonic()))
        if row.phase != phase:
            row.news = row.phase != "" or phase not in {"STOPPED", "PENDING"}
            row.phase, row.since = phase, time.monotonic()
        return row

    def _tell(self, row: Row, kind: str) -> None:
        if row.news:
            row.news = False
            tail = f" after {row.took}" if row.took else ""
            reason = f": {row.message}" if row.message and row.phase in {"FAILED", "STOPPED"} else ""
            self.view.news(f"{kind} {row.name}: {row.phase}{tail}{reason}", row.phase)


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
        feed.start()
        _listen(feed)
        with session.shown():
            session.begin(self._agent, feed, name, events)
            while not (until_done and session.done()):
                item = feed.next(TICK)
                session.show(item)
                if isinstance(item, Interrupt):
                    raise Quit(INTERRUPTED, "Detached; the agent and what it runs go on.")
                if isinstance(item, Lost):
                    raise Quit(UNREACHABLE, item.reason)
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
                session.view.news(_ready(agent))
                session.begin(agent, feed, name, events)
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
            process.stop()
        elif hasten and self._told_to_stop == 1:
            session.view.news("killing everything", "FAILED")
            process.stop()
        self._told_to_stop += 1

    def _outcome(self, process: AgentProcess, session: Session, *, until_done: bool) -> int:
        code = process.wait()
        if code < 0:
            name = signal.Signals(-code).name
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


def _progress(execution: Execution) -> str:
    """Why it failed; or, of a plan of several steps, which run now."""
    status = execution.get("status", {})
    if execution_phase(execution) != "RUNNING":
        return status.get("failureMessage", "")
    steps = [step for group in execution.get("spec", {}).get("plan", []) for step in group.get("steps", [])]
    if len(steps) < 2:
        return ""
    phases = {step["id"]: short(step.get("phase", "")) for step in status.get("steps", [])}
    running = ", ".join(step.get("label", "") for step in steps if phases.get(step["id"]) == "RUNNING")
    ended = sum(phase in FINISHED for phase in phases.values())
    return f"{ended} of {len(steps)} steps" + (f"; now {running}" if running else "")
