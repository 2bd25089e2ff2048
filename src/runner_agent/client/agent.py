"""The agent's methods as typed calls: the published automation service and our own RunnerAgentService."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from runner_agent.client.transport import Transport

if TYPE_CHECKING:
    from runner_agent.client.agent_messages import (
        AgentInfo,
        ApplyResult,
        Explanation,
        FireResult,
        Firing,
        LiveNow,
        Plan,
        Prebuild,
        TimelineEntry,
    )
    from runner_agent.client.messages import (
        Execution,
        Service,
        ServiceMetadata,
        ServiceSpec,
        Task,
        TaskMetadata,
        TaskSpec,
        UpsertResult,
    )
    from runner_agent.client.requests import (
        AutomationsFile,
        ExecutionFilter,
        ServiceFilter,
        ServiceUpdate,
        TaskFilter,
        TaskUpdate,
    )

PAGE_SIZE = 100
_PUBLISHED = "gitpod.v1.EnvironmentAutomationService"
_OURS = "runner_agent.v1.RunnerAgentService"

T = TypeVar("T")


class Agent:
    """One agent. Every method raises AgentUnreachable and ApiError. No environment id means its own."""

    def __init__(self, transport: Transport) -> None:
        """Connects to nothing yet."""
        self.transport = transport

    # ------------------------------------------------------------ services

    def create_service(
        self, metadata: ServiceMetadata, spec: ServiceSpec, environment_id: str = ""
    ) -> Service:
        """A new service; `desiredPhase` RUNNING in its spec starts it."""
        request = {"environmentId": environment_id, "metadata": metadata, "spec": spec}
        service: Service = self._published("CreateService", request)["service"]
        return service

    def get_service(self, service_id: str) -> Service:
        """By its id."""
        service: Service = self._published("GetService", {"id": service_id})["service"]
        return service

    def services(self, where: ServiceFilter | None = None) -> Iterator[Service]:
        """All that pass the filter, page by page."""
        return self._pages(self._published, "ListServices", "services", where)

    def update_service(self, service_id: str, update: ServiceUpdate) -> None:
        """Absent fields stay."""
        self._published("UpdateService", {"id": service_id, **update})

    def delete_service(self, service_id: str, *, force: bool = False) -> None:
        """Returns at once; the service is stopped first. `force`: without grace."""
        self._published("DeleteService", {"id": service_id, "force": force})

    def start_service(self, service_id: str) -> None:
        """Returns at once."""
        self._published("StartService", {"id": service_id})

    def restart_service(self, service_id: str) -> None:
        """Brings down what runs and starts anew; one wish. Returns at once."""
        self._own("RestartService", {"id": service_id})

    def stop_service(self, service_id: str) -> None:
        """Returns at once."""
        self._published("StopService", {"id": service_id})

    def upsert(self, file: AutomationsFile, environment_id: str = "") -> UpsertResult:
        """Create or update what the file names; what it does not name stays."""
        request = {"environmentId": environment_id, "automationsFile": file}
        result: UpsertResult = self._published("UpsertAutomationsFile", request)
        return result

    # ------------------------------------------------------------ tasks and executions

    def create_task(
        self,
        metadata: TaskMetadata,
        spec: TaskSpec,
        depends_on: list[str] | None = None,
        environment_id: str = "",
    ) -> Task:
        """A new task; `depends_on` holds ids."""
        request = {
            "environmentId": environment_id,
            "metadata": metadata,
            "spec": spec,
            "dependsOn": depends_on or [],
        }
        task: Task = self._published("CreateTask", request)["task"]
        return task

    def get_task(self, task_id: str) -> Task:
        """By its id."""
        task: Task = self._published("GetTask", {"id": task_id})["task"]
        return task

    def tasks(self, where: TaskFilter | None = None) -> Iterator[Task]:
        """All that pass the filter, page by page."""
        return self._pages(self._published, "ListTasks", "tasks", where)

    def update_task(self, task_id: str, update: TaskUpdate) -> None:
        """Absent fields stay."""
        self._published("UpdateTask", {"id": task_id, **update})

    def delete_task(self, task_id: str) -> None:
        """Stops its executions; refused while another task depends on it."""
        self._published("DeleteTask", {"id": task_id})

    def start_task(self, task_id: str) -> Execution:
        """A new execution, PENDING."""
        execution: Execution = self._published("StartTask", {"id": task_id})["taskExecution"]
        return execution

    def get_execution(self, execution_id: str) -> Execution:
        """By its id."""
        execution: Execution = self._published("GetTaskExecution", {"id": execution_id})["taskExecution"]
        return execution

    def executions(self, where: ExecutionFilter | None = None) -> Iterator[Execution]:
        """All that pass the filter, page by page."""
        return self._pages(self._published, "ListTaskExecutions", "taskExecutions", where)

    def stop_execution(self, execution_id: str) -> None:
        """Returns at once; a finished one stays as it is."""
        self._published("StopTaskExecution", {"id": execution_id})

    # ------------------------------------------------------------ the agent's own

    def get_agent(self) -> AgentInfo:
        """Version, addresses, directories and the state of the automations file."""
        info: AgentInfo = self._own("GetAgent", {})["agent"]
        return info

    def set_automations_file(self, path: str) -> None:
        """Makes this the file the agent applies by itself, now and at every start."""
        self._own("SetAutomationsFile", {"path": path})

    def apply_automations_file(
        self, file: AutomationsFile, path: str = "", *, prune: bool = False, dry_run: bool = False
    ) -> ApplyResult:
        """As `upsert`, of the file at this absolute path; "" for standard input. `prune` deletes what an
        earlier application of the path created and the file does not name any more.
        """
        request = {"automationsFile": file, "path": path, "prune": prune, "dryRun": dry_run}
        result: ApplyResult = self._own("ApplyAutomationsFile", request)
        return result

    def fire(
        self, event: str, once_key: str = "", *, dry_run: bool = False, keep: bool = False
    ) -> FireResult:
        """Fire an event by its name in an automations file. With `keep`, what has succeeded in this boot, or
        is under way, is left as it is.
        """
        request = {"event": event, "onceKey": once_key, "dryRun": dry_run}
        result: FireResult = self._own("FireTrigger", request | ({"keep": True} if keep else {}))
        return result

    def firings(self) -> Iterator[Firing]:
        """Newest first."""
        return self._pages(self._own, "ListFirings", "firings", None)

    def start_prebuild(self, time_limit: float) -> Prebuild:
        """Begin one; `time_limit` is seconds. Nothing else fires until it has ended."""
        begun: Prebuild = self._own("StartPrebuild", {"timeLimit": time_limit})["prebuild"]
        return begun

    def get_prebuild(self, id_: str = "") -> Prebuild:
        """The one with this id; without, the one under way or the last one of this boot."""
        found: Prebuild = self._own("GetPrebuild", {"id": id_})["prebuild"]
        return found

    def cancel_prebuild(self, id_: str = "", *, now: bool = False) -> Prebuild:
        """Stop everything in order, or with `now` kill it. Returns at once."""
        ended: Prebuild = self._own("CancelPrebuild", {"id": id_, "now": now})["prebuild"]
        return ended

    def plan(self, task_id: str) -> Plan:
        """What starting the task now would run."""
        plan: Plan = self._own("PlanTask", {"id": task_id})
        return plan

    def live(self, *, usage: bool = False) -> LiveNow:
        """Since when all is as it is; with `usage` the agent also measures what the processes use."""
        now: LiveNow = {"services": [], "steps": []}
        token = ""
        while True:
            page = {"pageSize": PAGE_SIZE, "token": token}
            answer = self._own("ListLiveStatus", {"pagination": page, "usage": usage})
            now["services"] += answer.get("services", [])
            now["steps"] += answer.get("steps", [])
            token = answer.get("pagination", {}).get("nextToken", "")
            if not token:
                return now

    def explain(self, reference: str = "", id_: str = "") -> Explanation:
        """Why it is in its phase. By the reference or id of a service or task, or the id of an execution."""
        request = {"id": id_} if id_ else {"reference": reference}
        explanation: Explanation = self._own("ExplainAutomation", request)
        return explanation

    def timeline(self, reference: str = "", id_: str = "") -> Iterator[TimelineEntry]:
        """What has happened, newest first; of one thing where one is named."""
        return self._pages(self._own, "ListTimeline", "entries", {"reference": reference, "id": id_})

    # ------------------------------------------------------------ the border: answers are taken at their word

    def _published(self, method: str, message: Mapping[str, object]) -> Any:
        return self.transport.unary(f"{_PUBLISHED}/{method}", message)

    def _own(self, method: str, message: Mapping[str, object]) -> Any:
        return self.transport.unary(f"{_OURS}/{method}", message)

    @staticmethod
    def _pages(
        ask: Callable[[str, Mapping[str, object]], Any],
        method: str,
        items: str,
        where: Mapping[str, object] | None,
    ) -> Iterator[Any]:
        """Asks for the next page only when this one is used up."""
        token = ""
        while True:
            request: dict[str, object] = {"pagination": {"pageSize": PAGE_SIZE, "token": token}}
            if where:
                request["filter"] = where
            answer = ask(method, request)
            yield from answer.get(items, ())
            token = answer.get("pagination", {}).get("nextToken", "")
            if not token:
                return
