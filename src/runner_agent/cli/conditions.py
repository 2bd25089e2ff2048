"""What `wait` can wait for: when it has come true, what shows it, and when it never will."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import click

from runner_agent.cli.log_search import LogSearch
from runner_agent.cli.words import FINISHED, local_time, reference_of, service_phase, short
from runner_agent.client.errors import ApiError
from runner_agent.client.logs import execution_log, service_log
from runner_agent.client.references import (
    Named,
    NamedExecution,
    NamedService,
    NamedTask,
    NotThere,
    id_of,
)
from runner_agent.client.runs import newest_run
from runner_agent.client.watch import Pending

if TYPE_CHECKING:
    from runner_agent.client.agent import Agent
    from runner_agent.client.agent_messages import RunSeen
    from runner_agent.client.messages import Execution, Service, Task

    _ParamType = click.ParamType["Condition"]
else:
    _ParamType = click.ParamType  # generic only in newer releases

PHASES = ("ready", "running", "stopped", "ended", "succeeded")
PACED = ("log", "port")
"""Of these no event tells."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One of PHASES, `log` with a pattern, or `port` with a number, 0 for any."""

    kind: str
    pattern: re.Pattern[str] | None = None
    port: int = 0

    def __str__(self) -> str:
        """As it is asked for."""
        if self.pattern is not None:
            return f"log={self.pattern.pattern}"
        return f"port={self.port}" if self.port else self.kind


def parse(text: str) -> Condition:
    """Raises ValueError."""
    kind, equals, value = text.partition("=")
    if kind in PHASES and not equals:
        return Condition(kind)
    if kind == "log" and value:
        try:
            return Condition(kind, pattern=re.compile(value))
        except re.error as error:
            raise ValueError(f"{value!r} is not a regular expression: {error}") from None
    if kind == "port" and not equals:
        return Condition(kind)
    if kind == "port" and re.fullmatch("[0-9]{1,5}", value) and 1 <= int(value) <= 65535:
        return Condition(kind, port=int(value))
    raise ValueError(f"{text!r} is none of {', '.join(PHASES)}, log=RE, port and port=N")


class ConditionType(_ParamType):
    """The type of `--for`."""

    name = "condition"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Condition:
        """As click has it."""
        try:
            return value if isinstance(value, Condition) else parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@dataclass(frozen=True, slots=True)
class Verdict:
    """It has come true, or never will; `evidence` says what shows it."""

    met: bool
    evidence: str


def yes(evidence: str) -> Verdict:
    """It has come true."""
    return Verdict(met=True, evidence=evidence)


def never(evidence: str) -> Verdict:
    """It cannot come true any more."""
    return Verdict(met=False, evidence=evidence)


class Subject(Protocol):
    """Something that is waited for. `key` is the id whose events tell of it; `paced`: not of all of it."""

    key: str
    paced: bool

    def look(self) -> Verdict | Pending:
        """Raises ClientError."""
        ...


def subject(agent: Agent, named: Named, condition: Condition) -> Subject:
    """What to look at. Raises UsageError for what makes no sense."""
    match named:
        case NamedService(service):
            if condition.kind == "succeeded":
                name = reference_of(service)
                raise click.UsageError(f"Service {name}: only tasks succeed; use ready or ended.")
            return OfService(agent, service, condition)
        case NamedTask() | NamedExecution():
            if condition.kind == "ready":
                raise click.UsageError("Only services are ready: of a task use running, ended or succeeded.")
            return OfTask(agent, named, condition)


class OfService:
    """Of the session that is wished for, or, while none is, of the next one."""

    def __init__(self, agent: Agent, service: Service, condition: Condition) -> None:
        self._agent = agent
        self.key = service["id"]
        self.paced = condition.kind in PACED
        self._condition = condition
        self._wished = False
        self._search: LogSearch | None = None

    def look(self) -> Verdict | Pending:
        """Raises ClientError."""
        try:
            now = self._agent.get_service(self.key)
        except ApiError as error:
            if error.code != "not_found":
                raise
            return Verdict(self._condition.kind in {"stopped", "ended"}, "it has been deleted")
        spec, status = now.get("spec", {}), now.get("status", {})
        wished = short(spec.get("desiredPhase", "")) == "RUNNING"
        if wished and spec.get("session") != status.get("session"):
            self._wished = True
            return Pending()
        if self._condition.kind in {"stopped", "ended"}:
            return self._down(now)
        if not wished:
            return never("it was stopped before that") if self._wished else Pending()
        self._wished = True
        match self._condition.kind:
            case "log":
                return self._log(now)
            case "port" if service_phase(now) not in FINISHED:
                return self._port()
            case _:
                return self._up(now)

    def _up(self, now: Service) -> Verdict | Pending:
        phase = service_phase(now)
        if phase == "RUNNING":
            ready = now.get("spec", {}).get("commands", {}).get("ready")
            return yes(f"RUNNING{', `ready` succeeded' if ready else ''}")
        return never(_ended(now, phase)) if phase in FINISHED else Pending()

    def _down(self, now: Service) -> Verdict | Pending:
        phase = service_phase(now)
        if phase not in FINISHED:
            return Pending()
        return Verdict(phase == "STOPPED" or self._condition.kind == "ended", _ended(now, phase))

    def _port(self) -> Verdict | Pending:
        return _listens(self._agent.explain(id_=self.key).get("runs", []), self._condition)

    def _log(self, now: Service) -> Verdict | Pending:
        search, phase = self._search, service_phase(now)
        if search is not None and search.found:
            return yes(search.found)
        if search is None or (search.over and phase not in FINISHED):
            runs = self._agent.explain(id_=self.key).get("runs", [])
            if any(run.get("role") == "start" and run.get("state") != "starting" for run in runs):
                log = service_log(self.key)
                self._search = LogSearch(self._agent, log, self._pattern(), reference_of(now))
                return Pending()
            return never(_ended(now, phase)) if phase in FINISHED else Pending()
        return never(f"{_ended(now, phase)}, without such a line") if search.over else Pending()

    def _pattern(self) -> re.Pattern[str]:
        assert self._condition.pattern is not None
        return self._condition.pattern


class OfTask:
    """Of one execution, or of the newest run of a task, be it a step of another; of one that never ran the
    first to come.
    """

    def __init__(self, agent: Agent, named: NamedTask | NamedExecution, condition: Condition) -> None:
        self._agent = agent
        self._task: Task | None = named.task if isinstance(named, NamedTask) else None
        self._condition = condition
        self._search: LogSearch | None = None
        self._step = ""
        self._execution = named.execution["id"] if isinstance(named, NamedExecution) else ""
        self._seek()
        self.key = self._execution or id_of(named)
        self.paced = condition.kind in PACED or not self._execution

    def _seek(self) -> None:
        if self._task is not None and not isinstance(run := newest_run(self._agent, self._task), NotThere):
            self._execution, self._step = run.execution["id"], run.step["id"] if run.step else ""

    def look(self) -> Verdict | Pending:
        """Raises ClientError."""
        if not self._execution:
            self._seek()
        if not self._execution:
            return Pending()
        try:
            now = self._agent.get_execution(self._execution)
        except ApiError as error:
            if error.code != "not_found":
                raise
            return Verdict(self._condition.kind == "ended", "it has been deleted")
        phase, message = self._phase(now)
        told = f"{phase}{f': {message}' if message else ''}"
        match self._condition.kind:
            case "log":
                return self._log(told)
            case "port" if phase not in FINISHED:
                return self._port(now)
            case _:
                pass
        wanted = FINISHED if self._condition.kind == "ended" else {self._condition.kind.upper()}
        if phase in wanted:
            return yes(f"{told}{_since(now, phase)}")
        return never(told) if phase in FINISHED else Pending()

    def _phase(self, now: Execution) -> tuple[str, str]:
        status = now.get("status", {})
        if not self._step:
            return short(status.get("phase", "")) or "PENDING", status.get("failureMessage", "")
        step = next((each for each in status.get("steps", []) if each["id"] == self._step), None)
        if step is None:
            return "PENDING", ""
        return short(step.get("phase", "")) or "PENDING", step.get("failureMessage", "")

    def _port(self, now: Execution) -> Verdict | Pending:
        steps = self._agent.explain(id_=now["id"]).get("steps", [])
        runs = [run for step in steps if self._step in {"", step.get("id")} for run in step.get("runs", [])]
        return _listens(runs, self._condition)

    def _log(self, told: str) -> Verdict | Pending:
        if self._search is None:
            assert self._condition.pattern is not None
            path = execution_log(self._execution)
            self._search = LogSearch(self._agent, path, self._condition.pattern, step=self._step)
            return Pending()
        if self._search.found:
            return yes(self._search.found)
        return never(f"{told}, without such a line") if self._search.over else Pending()


def _ended(service: Service, phase: str) -> str:
    message = service.get("status", {}).get("failureMessage", "") if phase == "FAILED" else ""
    return f"{phase}{f': {message}' if message else ''}"


def _since(execution: Execution, phase: str) -> str:
    metadata = execution.get("metadata", {})
    at = metadata.get("completedAt") if phase in FINISHED else metadata.get("startedAt")
    return f" at {local_time(at)}" if at else ""


def _listens(runs: Sequence[RunSeen], condition: Condition) -> Verdict | Pending:
    ports = {port for run in runs for port in run.get("usage", {}).get("ports", [])}
    found = sorted(port for port in ports if not condition.port or port == condition.port)
    return yes(f"listens on {', '.join(map(str, found))}") if found else Pending()
