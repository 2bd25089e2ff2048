"""What an `up` shows: takes in the items of the feed, keeps the board, and tells of what is news."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never

from runner_agent.cli.board import Board, Row, StepRow
from runner_agent.cli.durations import show_seconds
from runner_agent.cli.exits import DONE, FAILED, Quit
from runner_agent.cli.feed import (
    Away,
    Back,
    ExecutionNow,
    Feed,
    Gone,
    Interrupt,
    Item,
    Lost,
    ServiceNow,
)
from runner_agent.cli.feed_logs import LogLine
from runner_agent.cli.view import make_view
from runner_agent.cli.words import (
    FINISHED,
    duration_of,
    execution_phase,
    moment,
    not_started,
    reference_of,
    service_phase,
    short,
)
from runner_agent.client.agent import Agent

if TYPE_CHECKING:
    from runner_agent.client.messages import Execution


class Session:
    """What both ways of `up` do: apply, fire, and keep a board of what is going on."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.board = Board()
        self.started: dict[str, str] = {}  # the executions fired here, and the references of their tasks
        self.skipped: list[str] = []
        self._ages: dict[str, float] = {}  # seconds; taken out at first sight
        self.view = make_view(self.board)

    @contextmanager
    def shown(self) -> Generator[None]:
        """The view is open while the block runs."""
        self.view.open()
        try:
            yield
        finally:
            self.view.close()

    def look_back(self, agent: Agent) -> None:
        """At since when things are as they are that were there before us. Raises ClientError."""
        for running in agent.executions({"phases": ["TASK_EXECUTION_PHASE_RUNNING"]}):
            self._ages[running["id"]] = _age(running.get("metadata", {}).get("startedAt"))
        live = agent.live()
        for service in live["services"]:
            self._ages[service.get("serviceId", "")] = _age(service.get("phaseSince"))
        for step in live["steps"]:
            for execution in step.get("executionIds", []):
                self._ages[f"{execution} {step.get('reference', '')}"] = _age(step.get("runningSince"))

    def begin(self, agent: Agent, feed: Feed, name: str, events: Sequence[str], greeting: str = "") -> None:
        """Applies the file and fires the events. Raises Quit, ClientError."""
        from runner_agent.cli.files import apply

        applied = apply(agent, name) if name else None
        references = [*map(reference_of, agent.services()), *map(reference_of, agent.tasks())]
        self.view.make_room(references)
        if greeting:
            self.view.news(greeting)
        for change, kind, reference in applied.changes if applied else ():
            self.view.news(f"{change} {kind} {reference}")
        for remark in applied.remarks() if applied else ():
            self.view.news(remark)
        for event in events:
            result = feed.fire(event)
            firing = result.get("firing", {})
            for each in result.get("skipped", []):
                self.view.news(not_started(each), "FAILED")
                if each.get("kind") != "service":
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
                self._note_steps(row, execution)
                self._tell(row, "task")
            case LogLine(label, text, key, whole):
                self.view.line(label, text, key, whole=whole)
            case Gone(key):
                self.board.services.pop(key, None)
                self.board.tasks.pop(key, None)
            case Away():
                self.view.news("the agent does not answer; waiting for it to come back", "FAILED")
            case Back():
                self.view.news("the agent is back")
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
            row.phase, row.since = phase, time.monotonic() - self._ages.pop(key, 0.0)
        return row

    def _note_steps(self, row: Row, execution: Execution) -> None:
        """Takes in the phases of a plan's steps; how long each takes is measured here."""
        steps = [
            step for group in execution.get("spec", {}).get("plan", []) for step in group.get("steps", [])
        ]
        if len(steps) < 2:
            return
        seen = {step["id"]: step for step in execution.get("status", {}).get("steps", [])}
        now = time.monotonic()
        for step in steps:
            name = step.get("label", "")
            known = row.steps.setdefault(step["id"], StepRow(name))
            phase = short(seen[step["id"]].get("phase", "")) if step["id"] in seen else ""
            if phase != known.phase:
                if phase in FINISHED and known.since:
                    known.took = show_seconds(now - known.since)
                known.phase = phase
                known.since = now - self._ages.pop(f"{execution['id']} {name}", 0.0)

    def _tell(self, row: Row, kind: str) -> None:
        if row.news:
            row.news = False
            tail = f" after {row.took}" if row.took else ""
            reason = f": {row.message}" if row.message and row.phase in {"FAILED", "STOPPED"} else ""
            self.view.news(f"{kind} {row.name}: {row.phase}{tail}{reason}", row.phase)


def _progress(execution: Execution) -> str:
    """Why it failed; or, of a plan of several steps, how many have ended."""
    status = execution.get("status", {})
    if execution_phase(execution) != "RUNNING":
        return status.get("failureMessage", "")
    steps = [step for group in execution.get("spec", {}).get("plan", []) for step in group.get("steps", [])]
    ended = sum(short(step.get("phase", "")) in FINISHED for step in status.get("steps", []))
    return f"{ended} of {len(steps)} steps" if len(steps) > 1 else ""


def _age(since: str | None) -> float:
    """Seconds since a time of the API; 0 for none."""
    at = moment(since)
    return 0.0 if at is None else max((datetime.now(UTC) - at).total_seconds(), 0.0)
