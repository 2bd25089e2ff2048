"""What an `up` shows: takes in the items of the feed, keeps the board, and tells of what is news."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never

from runner_agent.cli.board import Board, Row, StepRow
from runner_agent.cli.durations import show_seconds
from runner_agent.cli.exits import DONE, FAILED, Quit
from runner_agent.cli.feed import (
    Away,
    Back,
    ExecutionNow,
    Gone,
    Interrupt,
    Item,
    Lost,
    ServiceNow,
    Stopped,
)
from runner_agent.cli.feed_logs import LogLine
from runner_agent.cli.fired import Fired
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
from runner_agent.client.errors import ClientError

if TYPE_CHECKING:
    from runner_agent.client.messages import Execution, Service


@dataclass(frozen=True, slots=True)
class Order:
    """What an `up` is to do: apply `file`, fire `events`. With `keep` they start nothing again that has
    succeeded in this boot or is under way.
    """

    file: str = ""
    events: Sequence[str] = ()
    keep: bool = False
    until_done: bool = False


class Session:
    """What both ways of `up` do: apply, fire, and keep a board of what is going on."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.board = Board()
        self.fired = Fired()
        self._gone: set[str] = set()
        self._ages: dict[str, tuple[str, float]] = {}  # phase and seconds in it; taken out at first sight
        self._sessions: dict[str, str] = {}  # of services, as last seen
        self._told: set[tuple[str, str, str]] = set()  # of runs, what was said
        self._failures: list[str] | None = None  # as they were once all was done
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
            self._ages[running["id"]] = "RUNNING", _age(running.get("metadata", {}).get("startedAt"))
        services = list(agent.services())
        self._sessions = {each["id"]: each.get("status", {}).get("session", "") for each in services}
        phases = {each["id"]: service_phase(each) for each in services}
        live = agent.live()
        for service in live["services"]:
            key = service.get("serviceId", "")
            self._ages[key] = phases.get(key, ""), _age(service.get("phaseSince"))
        for step in live["steps"]:
            for execution in step.get("executionIds", []):
                name = f"{execution} {step.get('reference', '')}"
                self._ages[name] = "RUNNING", _age(step.get("runningSince"))

    def begin(self, agent: Agent, order: Order, greeting: str = "") -> None:
        """Applies the file and fires the events. Raises Quit, ClientError."""
        from runner_agent.cli.file_messages import Applied
        from runner_agent.cli.files import apply

        self.view.make_room([*map(reference_of, agent.services()), *map(reference_of, agent.tasks())])
        applied = apply(agent, order.file) if order.file else Applied()
        references = [*map(reference_of, agent.services()), *map(reference_of, agent.tasks())]
        self.view.make_room(references)
        if greeting:
            self.view.news(greeting)
        self._tell_page(agent)
        for change, kind, reference in applied.changes:
            self.view.news(f"{change} {kind} {reference}")
        for remark in applied.remarks():
            self.view.news(remark)
        kept = [name for event in order.events for name in self._fire(agent, event, keep=order.keep)]
        if kept:
            options = " ".join(f"--fire {event}" for event in order.events)
            self.view.news(
                f"not fired again: {', '.join(sorted(kept))} (up, running, or succeeded in this boot);"
                f" to fire them all the same: {options}"
            )
        if not references:
            self.view.news(
                "no services and no tasks are defined; name an automations file: runner-agent up FILE"
            )

    def _fire(self, agent: Agent, event: str, *, keep: bool) -> list[str]:
        """The references of what was left alone."""
        result = agent.fire(event, keep=keep)
        self.fired.add(result, agent)
        for each in result.get("skipped", []):
            self.view.news(not_started(each), "FAILED")
        firing = result.get("firing", {})
        if firing.get("services") or firing.get("executions"):
            self.view.news(f"fired {event}")
        return [each.get("reference", "") for each in result.get("kept", [])]

    def _tell_page(self, agent: Agent) -> None:
        """The code that signs in is for whoever sits here: a pipe may end in a file that many read."""
        from runner_agent.client.dashboard import sign_in_code

        try:
            found = sign_in_code(agent.transport)
        except ClientError:
            return  # the page is not what `up` is for
        if found.urls and self.view.is_screen:
            self.view.news(f"the page; this address signs in once, within {found.expires_in // 60} minutes:")
            self.view.address(found.links[0])
        elif found.urls:
            self.view.news(f"page: {found.urls[0]} (`runner-agent dashboard` signs in)")

    def show(self, item: Item | None) -> None:
        """Takes in one item."""
        match item:
            case ServiceNow(service):
                status = service.get("status", {})
                row = self._row(
                    self.board.services, service["id"], reference_of(service), service_phase(service)
                )
                row.message = status.get("failureMessage", "") if row.phase == "FAILED" else ""
                row.spec_version = int(service.get("spec", {}).get("specVersion", "0"))
                row.settled = _settled(service)
                session = status.get("session", "")
                if self._sessions.get(service["id"], session) != session:
                    row.since = time.monotonic()  # RUNNING again, perhaps, and nothing was seen in between
                self._sessions[service["id"]] = session
                row.has_ready = bool(service.get("spec", {}).get("commands", {}).get("ready"))
                self._tell(row, "service")
            case ExecutionNow(execution, task, run):
                row = self._row(self.board.tasks, execution["id"], task, execution_phase(execution))
                row.message = _progress(execution)
                row.took = duration_of(execution) if row.phase in FINISHED else ""
                row.run = run
                self._note_steps(row, execution)
                self._tell(row, "task")
            case LogLine(label, text, key, whole):
                self.view.line(label, text, key, whole=whole)
            case Gone(key):
                self._gone.add(key)
                self.board.services.pop(key, None)
                self.board.tasks.pop(key, None)
            case Away(asked=True):
                self.view.news("the agent is being restarted; what runs goes on", "STOPPING")
            case Away():
                self.view.news("the agent does not answer; waiting for it to come back", "FAILED")
            case Back():
                self.view.news("the agent is back")
            case Interrupt() | Lost() | Stopped() | None:
                pass
            case _:
                assert_never(item)

    def done(self) -> bool:
        """Whether every task fired here has ended, and every service is up or has ended. What failed until
        then is what counts, not what a stop brings afterwards.
        """
        if self._failures is None and self.fired.done(self.board, self._gone):
            self._failures = self.fired.failures(self.board)
        return self._failures is not None

    def outcome(self) -> int:
        """DONE if all that was fired here has succeeded or come up. Raises Quit otherwise."""
        failures = self.fired.failures(self.board) if self._failures is None else self._failures
        if failures:
            raise Quit(FAILED, f"Not succeeded: {', '.join(failures)}.")
        return DONE

    def _row(self, rows: dict[str, Row], key: str, name: str, phase: str) -> Row:
        row = rows.setdefault(key, Row(name, phase="", since=time.monotonic()))
        if row.phase != phase:
            row.news = row.phase != "" or phase not in {"STOPPED", "PENDING"}
            row.phase, row.since = phase, time.monotonic() - self._age_of(key, phase)
        return row

    def _age_of(self, key: str, phase: str) -> float:
        """Seconds that it has been in this phase as it is seen in it."""
        was, age = self._ages.pop(key, ("", 0.0))
        return age if was == phase else 0.0

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
                known.since = now - self._age_of(f"{execution['id']} {name}", phase)

    def _tell(self, row: Row, kind: str) -> None:
        if row.news:
            row.news = False
            tail = f" after {row.took}" if row.took else _for_how_long(row)
            reason = f": {row.message}" if row.message and row.phase in {"FAILED", "STOPPED"} else ""
            said = row.run, row.phase, reason
            if row.run and said in self._told:
                return  # of another execution, which shares the run (rule 6.2)
            self._told.add(said)
            self.view.news(f"{kind} {row.name}: {row.phase}{tail}{reason}", row.phase)


def _for_how_long(row: Row) -> str:
    """Of what was so before we came."""
    age = time.monotonic() - row.since
    return f" for {show_seconds(age)}" if age >= 1 else ""


def _settled(service: Service) -> bool:
    """Whether its phase is an answer to what is wished."""
    spec, status = service.get("spec", {}), service.get("status", {})
    return short(spec.get("desiredPhase", "")) != "RUNNING" or status.get("session") == spec.get("session")


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
