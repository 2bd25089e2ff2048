"""Waiting for services and executions: progress on standard error, a failure told with its last log lines."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from runner_agent.cli.durations import show_seconds
from runner_agent.cli.exits import FAILED, INTERRUPTED, TIMED_OUT, Quit
from runner_agent.cli.progress import Progress
from runner_agent.cli.terminal import note
from runner_agent.cli.words import FINISHED, execution_phase, reference_of, service_phase, short
from runner_agent.client.agent import Agent
from runner_agent.client.errors import ApiError, ClientError, WaitTimedOut
from runner_agent.client.logs import execution_log, last_lines, service_log
from runner_agent.client.watch import Pending, wait_for

if TYPE_CHECKING:
    from runner_agent.client.messages import Execution, Service

EVIDENCE = 10
"""Lines of the log shown with a failure."""

T = TypeVar("T")


@contextmanager
def detaching(look: str) -> Generator[None]:
    """Ctrl-C while waiting ends the waiting and nothing else, and says so. `look`: a command to see more."""
    try:
        yield
    except KeyboardInterrupt:
        raise Quit(
            INTERRUPTED, f"No longer waiting; nothing was stopped. `{look}` shows how it goes on."
        ) from None


def await_running(agent: Agent, service: Service, timeout: float | None) -> None:
    """Until the session wished for is RUNNING. Raises Quit if it ended before that, or took too long."""
    reference = reference_of(service)
    progress = Progress(FINISHED | {"RUNNING"})

    def look() -> Service | Pending:
        now = _service(agent, service["id"], reference)
        spec, status = now.get("spec", {}), now.get("status", {})
        if short(spec.get("desiredPhase", "")) == "STOPPED":
            raise Quit(FAILED, f"Service {reference} was stopped by somebody else before it was RUNNING.")
        if status.get("session") != spec.get("session"):
            return Pending()
        phase = service_phase(now)
        progress.tell(f"Service {reference}", phase)
        return now if phase in {"RUNNING", "FAILED", "STOPPED"} else Pending()

    with progress:
        found = _within(
            timeout, f"Service {reference} is not RUNNING", lambda: _wait(agent, look, service["id"], timeout)
        )
    match service_phase(found):
        case "FAILED":
            raise _failed(agent, f"Service {reference}", service_log(service["id"]), found)
        case "STOPPED" if found.get("spec", {}).get("commands", {}).get("ready"):
            raise Quit(
                FAILED,
                f"Service {reference} ended before it was ready: its start command exited with code 0.",
            )
        case "STOPPED":
            note(f"Service {reference} has ended already: its start command exited with code 0.")
        case _:
            pass


def await_stopped(agent: Agent, service: Service, timeout: float | None) -> None:
    """Until nothing of it runs. `service` is how it was before: what had FAILED then is no failure now."""
    reference = reference_of(service)
    progress = Progress(FINISHED)

    def look() -> Service | Pending | None:
        try:
            now = agent.get_service(service["id"])
        except ApiError as error:
            if error.code == "not_found":
                return None
            raise
        if short(now.get("spec", {}).get("desiredPhase", "")) == "RUNNING":
            raise Quit(FAILED, f"Service {reference} was started again by somebody else.")
        phase = service_phase(now)
        progress.tell(f"Service {reference}", phase)
        return now if phase in {"STOPPED", "FAILED"} else Pending()

    with progress:
        found = _within(
            timeout, f"Service {reference} is not STOPPED", lambda: _wait(agent, look, service["id"], timeout)
        )
    before = service_phase(service), service.get("status", {}).get("session")
    if found is None or service_phase(found) == "STOPPED":
        return
    if before == ("FAILED", found.get("status", {}).get("session")):
        note(f"Service {reference} was not running: it had failed before.")
        return
    raise _failed(agent, f"Service {reference}", service_log(service["id"]), found)


def await_gone(agent: Agent, service: Service, timeout: float | None) -> None:
    """Until the agent knows it no more."""

    def look() -> bool | Pending:
        try:
            agent.get_service(service["id"])
        except ApiError as error:
            if error.code == "not_found":
                return True
            raise
        return Pending()

    _within(
        timeout,
        f"Service {reference_of(service)} is not gone",
        lambda: _wait(agent, look, service["id"], timeout),
    )
    note(f"Service {reference_of(service)}: DELETED")


def await_execution(agent: Agent, execution: Execution, task: str, timeout: float | None = None) -> None:
    """Until it has ended. Raises Quit unless it SUCCEEDED."""
    progress = Progress(FINISHED)

    def look() -> Execution | Pending:
        now = agent.get_execution(execution["id"])
        tell_steps(now, progress)
        phase = execution_phase(now)
        ended = phase in {"SUCCEEDED", "FAILED", "STOPPED"}
        if ended or progress.turning:
            progress.tell(f"Task {task}", phase)
        return now if ended else Pending()

    with progress:
        found = _within(
            timeout, f"Task {task} has not ended", lambda: _wait(agent, look, execution["id"], timeout)
        )
    match execution_phase(found):
        case "FAILED":
            raise _failed(agent, f"Task {task}", execution_log(execution["id"]), found)
        case "STOPPED":
            message = found.get("status", {}).get("failureMessage", "")
            raise Quit(FAILED, f"Task {task} was stopped{f': {message}' if message else ''}.")
        case _:
            pass


def tell_steps(execution: Execution, progress: Progress) -> None:
    """The phases of an execution's steps; a plan of one step says nothing that the execution does not."""
    labels = {
        step["id"]: step.get("label", step["id"])
        for group in execution.get("spec", {}).get("plan", [])
        for step in group.get("steps", [])
    }
    for step in execution.get("status", {}).get("steps", []) if len(labels) > 1 else []:
        phase = short(step.get("phase", ""))
        if phase != "PENDING":
            progress.tell(f"  step {labels.get(step['id'], step['id'])}", phase)


def _service(agent: Agent, service_id: str, reference: str) -> Service:
    try:
        return agent.get_service(service_id)
    except ApiError as error:
        if error.code == "not_found":
            raise Quit(FAILED, f"Service {reference} was deleted by somebody else.") from None
        raise


def _wait(agent: Agent, look: Callable[[], T | Pending], about: str, timeout: float | None) -> T:
    return wait_for(agent.transport, look, {about}, timeout)


def _within(timeout: float | None, what: str, wait: Callable[[], T]) -> T:
    try:
        return wait()
    except WaitTimedOut:
        assert timeout is not None
        raise Quit(
            TIMED_OUT, f"{what} after {show_seconds(timeout)}. It goes on: waiting stops nothing."
        ) from None


def _failed(agent: Agent, what: str, log: str, thing: Service | Execution) -> Quit:
    message = thing.get("status", {}).get("failureMessage", "") or "no reason was given"
    try:
        evidence = last_lines(agent.transport, log, EVIDENCE)
    except ClientError:
        evidence = ""  # the failure is the news, not that its log cannot be read
    if evidence:
        note("Last lines of its log:")
        for line in evidence.splitlines():
            note(f"  | {line}")
    return Quit(FAILED, f"{what} failed: {message}")
