"""What a command may wait for: a service to be up, down or gone, an execution to end; and how to look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from runner_agent.cli.exits import FAILED
from runner_agent.cli.progress import Progress
from runner_agent.cli.words import FINISHED, execution_phase, reference_of, service_phase, short
from runner_agent.client.agent import Agent
from runner_agent.client.errors import ApiError
from runner_agent.client.logs import execution_log, service_log
from runner_agent.client.watch import Pending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner_agent.client.messages import Execution, PlanStep, Service

LOGS = 3
"""Steps whose logs are shown, of one execution that failed."""
_LAST_LINE = "; last line: "
"""Where a failure message goes on with what the log shows too (rule 4.4)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A log whose end shows why: of one step, or of one role of a service, if it is given. `name` is whose it
    is.
    """

    name: str
    path: str
    step: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """How it came out: well if `failure` is "". `remark` is worth a line all the same.

    `explains` is the id of a service that the agent may say more about; `cause` what others that need the
    same step have failed of, too; `needs` the id of the service that this step has.
    """

    failure: str = ""
    remark: str = ""
    code: int = FAILED
    logs: Sequence[Evidence] = ()
    explains: str = ""
    cause: str = ""
    needs: str = ""


WELL = Ending()


class Awaited(Protocol):
    """Something that is waited for. `lacks` says what is the matter while it has not come."""

    @property
    def key(self) -> str:
        """The id whose changes it looks at."""
        ...

    @property
    def name(self) -> str:
        """Its reference."""
        ...

    @property
    def what(self) -> str:
        """`Service web`."""
        ...

    @property
    def explains(self) -> str:
        """The id of a service that the agent may say more about, or ""."""
        ...

    @property
    def lacks(self) -> str:
        """`is not RUNNING`."""
        ...

    def look(self, progress: Progress) -> Ending | Pending:
        """What it has come to. Raises ClientError."""
        ...


class _OfService:
    """`service` is how it was before the wish."""

    lacks = ""

    def __init__(self, agent: Agent, service: Service) -> None:
        self._agent = agent
        self._service = service
        self.key = self.explains = service["id"]
        self.name = reference_of(service)
        self.what = f"Service {self.name}"

    def _now(self) -> Service | None:
        """None: it is gone."""
        try:
            return self._agent.get_service(self.key)
        except ApiError as error:
            if error.code == "not_found":
                return None
            raise

    def _failed(self, now: Service) -> Ending:
        message = now.get("status", {}).get("failureMessage", "") or "no reason was given"
        role = "stop" if message.startswith("stop ") else ""  # else what `start` wrote is the evidence
        return Ending(f"{self.what} failed: {message}", logs=self._logs(role), explains=self.key)

    def _logs(self, role: str = "") -> Sequence[Evidence]:
        return (Evidence(self.name, service_log(self.key), role=role),)


class Running(_OfService):
    """Until the session wished for is RUNNING; it fails if that ends before."""

    lacks = "is not RUNNING"

    def look(self, progress: Progress) -> Ending | Pending:
        """As the protocol has it."""
        now = self._now()
        if now is None:
            return Ending(f"{self.what} was deleted by somebody else.")
        spec, status = now.get("spec", {}), now.get("status", {})
        if short(spec.get("desiredPhase", "")) == "STOPPED":
            return Ending(f"{self.what} was stopped by somebody else before it was RUNNING.")
        if status.get("session") != spec.get("session"):
            return Pending()
        phase = service_phase(now)
        progress.tell(self.what, phase, over=phase in FINISHED | {"RUNNING"})
        match phase:
            case "RUNNING":
                return WELL
            case "FAILED":
                return self._failed(now)
            case "STOPPED" if spec.get("commands", {}).get("ready"):
                return Ending(
                    f"{self.what} ended before it was ready: its start command exited with code 0.",
                    logs=self._logs(),
                )
            case "STOPPED":
                return Ending(remark=f"{self.what} has ended already: its start command exited with code 0.")
            case _:
                return Pending()


class Stopped(_OfService):
    """Until nothing of it runs. What had FAILED before is no failure now."""

    lacks = "is not STOPPED"

    def look(self, progress: Progress) -> Ending | Pending:
        """As the protocol has it."""
        now = self._now()
        if now is None:
            progress.tell(self.what, "DELETED", over=True)
            return WELL
        if short(now.get("spec", {}).get("desiredPhase", "")) == "RUNNING":
            return Ending(f"{self.what} was started again by somebody else.")
        phase = service_phase(now)
        progress.tell(self.what, phase, over=phase in FINISHED)
        if phase not in FINISHED:
            return Pending()
        if phase == "STOPPED":
            return WELL
        before = service_phase(self._service), self._service.get("status", {}).get("session")
        if before == ("FAILED", now.get("status", {}).get("session")):
            return Ending(remark=f"{self.what} was not running: it had failed before.")
        return self._failed(now)


class Deleted(_OfService):
    """Until the agent knows it no more."""

    lacks = "is not gone"

    def look(self, progress: Progress) -> Ending | Pending:
        """As the protocol has it."""
        if self._now() is not None:
            return Pending()
        progress.tell(self.what, "DELETED", over=True)
        return WELL


class Done:
    """Until an execution has ended: SUCCEEDED is well, and with `anyhow` every end is.

    `shown`: its log is, so that a failure needs no evidence.
    """

    lacks = "has not ended"
    explains = ""

    def __init__(
        self,
        agent: Agent,
        execution: Execution,
        task: str,
        *,
        shown: bool = False,
        alone: bool = False,
        anyhow: bool = False,
    ) -> None:
        """`task` is the reference of its task. `alone`: nothing is told before its log is at its end."""
        self._agent = agent
        self._shown = shown
        self._alone = alone
        self._anyhow = anyhow
        self.key = execution["id"]
        self.name = task
        self.what = f"Task {task}"

    def look(self, progress: Progress) -> Ending | Pending:
        """As the protocol has it."""
        try:
            now = self._agent.get_execution(self.key)
        except ApiError as error:
            if error.code != "not_found":
                raise
            return WELL if self._anyhow else Ending(f"{self.what} was deleted by somebody else.")
        phase = execution_phase(now)
        ended = phase in FINISHED
        if not self._anyhow:
            self._tell_steps(now, progress)
        if ended and self._shown and self._alone:
            progress.end(self.what)
        elif ended or progress.turning:
            progress.tell(self.what, phase, over=ended)
        return self._ending(now, phase) if ended else Pending()

    def _tell_steps(self, execution: Execution, progress: Progress) -> None:
        """A plan of one step says nothing that the execution does not; where the log is shown, it tells of
        tasks itself.
        """
        steps = [
            step for group in execution.get("spec", {}).get("plan", []) for step in group.get("steps", [])
        ]
        told = {step["id"]: step for step in steps if not self._shown or step.get("serviceId")}
        for step in execution.get("status", {}).get("steps", []) if len(steps) > 1 else []:
            phase = short(step.get("phase", ""))
            if phase != "PENDING" and step["id"] in told:
                label = told[step["id"]].get("label", step["id"])
                progress.tell(f"  step {label}", phase, over=phase in FINISHED)

    def _ending(self, now: Execution, phase: str) -> Ending:
        if self._anyhow or phase == "SUCCEEDED":
            return WELL
        message = now.get("status", {}).get("failureMessage", "")
        if phase == "STOPPED":
            return Ending(f"{self.what} was stopped{f': {message}' if message else ''}.")
        if self._shown:
            message = message.partition(_LAST_LINE)[0]
        failed = _failed_steps(now)
        return Ending(
            f"{self.what} failed: {message or 'no reason was given'}",
            logs=() if self._shown else self._logs(failed),
            cause=message,  # which names the first that failed: no two tasks have one of the same name
            needs=failed[0].get("serviceId", "") if failed else "",
        )

    def _logs(self, failed: Sequence[PlanStep]) -> Sequence[Evidence]:
        """Of each step that failed, for executions that share its run show the same."""
        whole = execution_log(self.key)
        return [
            Evidence(name, service_log(step["serviceId"]))
            if "serviceId" in step
            else Evidence(name, whole, step["id"])
            for step in failed[:LOGS]
            for name in [step.get("label", "")]
        ] or [Evidence(self.name, whole)]


def _failed_steps(execution: Execution) -> list[PlanStep]:
    """In the plan's order."""
    phases = {
        step["id"]: short(step.get("phase", "")) for step in execution.get("status", {}).get("steps", [])
    }
    plan = execution.get("spec", {}).get("plan", [])
    return [step for group in plan for step in group.get("steps", []) if phases.get(step["id"]) == "FAILED"]
