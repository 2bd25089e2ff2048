"""Records as wire messages, by way of plain trees that name the fields as proto/ does."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, assert_never

from runner_agent.api.wire_names import TRIGGER_FIELDS, execution_phase, role, service_phase
from runner_agent.core.execution import shown_steps
from runner_agent.model.phases import Trigger
from runner_agent.model.plans import PlanStep, ServiceWork, TaskWork
from runner_agent.model.records import Execution, Service, Task
from runner_agent.model.specs import (
    Anywhere,
    EnvVar,
    InDocker,
    OnMachine,
    RunsOn,
    SecretRef,
    ServiceMetadata,
    Subject,
    TaskMetadata,
    TaskSpec,
)

Tree = dict[str, object]
"""Fields of a message by name; None is absent."""

NANO = 1_000_000_000


class Outward(NamedTuple):
    """What every message needs besides its record: whose it is, and under which address logs are found."""

    environment_id: str
    log_root: str

    def service(self, service: Service) -> Tree:
        """`gitpod.v1.Service`."""
        return {
            "id": service.id,
            "environment_id": self.environment_id,
            "metadata": {
                **_metadata(service.metadata),
                "role": role(service.metadata.role),
            },
            "spec": _service_spec(service),
            "status": self._service_status(service),
        }

    def task(self, task: Task) -> Tree:
        """`gitpod.v1.Task`."""
        return {
            "id": task.id,
            "environment_id": self.environment_id,
            "metadata": _metadata(task.metadata),
            "spec": _task_spec(task.spec),
            "depends_on": list(task.depends_on),
        }

    def execution(self, execution: Execution) -> Tree:
        """`gitpod.v1.TaskExecution`."""
        return {
            "id": execution.id,
            "metadata": {
                "task_id": execution.task_id,
                "environment_id": self.environment_id,
                "created_at": timestamp(execution.created_at),
                "creator": _subject(execution.creator),
                "started_by": execution.started_by,
                "started_at": timestamp(execution.started_at),
                "completed_at": timestamp(execution.completed_at),
            },
            "spec": {
                "plan": [
                    {"steps": [_plan_step(step) for step in group.steps]} for group in execution.plan.groups
                ],
                "desired_phase": execution_phase(execution.desired_phase),
            },
            "status": self._execution_status(execution),
        }

    def _service_status(self, service: Service) -> Tree:
        """The address of the log is told as soon as a session is taken up (rule 3.14), and never empty.

        By the status alone, so that whatever is shown here moves with its version.
        """
        status = service.status
        return {
            "status_version": service.status_version,
            "phase": service_phase(status.phase),
            "failure_message": status.failure_message,
            "log_url": f"{self.log_root}/logs/services/{service.id}" if status.session else None,
            "session": status.session,
            "output": dict(status.output),
        }

    def _execution_status(self, execution: Execution) -> Tree:
        shown = shown_steps(execution)
        order = [step.id for step in execution.plan.steps() if step.id in shown]
        return {
            "status_version": execution.status_version,
            "phase": execution_phase(execution.status.phase),
            "failure_message": execution.status.failure_message,
            "steps": [
                {
                    "id": id_,
                    "phase": execution_phase(shown[id_].status.phase),
                    "failure_message": shown[id_].status.failure_message,
                    "output": dict(shown[id_].status.output),
                }
                for id_ in order
            ],
            "log_url": f"{self.log_root}/logs/executions/{execution.id}",
        }


def timestamp(when: datetime | None) -> Tree | None:
    """`google.protobuf.Timestamp`; exact, where a float of seconds would lose microseconds."""
    if when is None:
        return None
    return {"seconds": int(when.replace(microsecond=0).timestamp()), "nanos": when.microsecond * 1000}


def _metadata(metadata: ServiceMetadata | TaskMetadata) -> Tree:
    return {
        "reference": metadata.reference,
        "name": metadata.name,
        "description": metadata.description,
        "created_at": timestamp(metadata.created_at),
        "creator": _subject(metadata.creator),
        "triggered_by": _triggers(metadata.triggered_by),
    }


def _service_spec(service: Service) -> Tree:
    spec, launch = service.spec, service.spec.launch
    timeout = launch.readiness_timeout
    return {
        "spec_version": service.spec_version,
        "desired_phase": service_phase(spec.desired_phase),
        "commands": {
            "start": launch.commands.start,
            "ready": launch.commands.ready,
            "stop": launch.commands.stop,
        }
        if launch.commands.start
        else None,
        "session": spec.session,
        "runs_on": _runs_on(launch.runs_on),
        "env": _env(launch.env),
        "readiness_timeout": None
        if timeout is None
        else {"seconds": timeout // NANO, "nanos": timeout % NANO},
    }


def _task_spec(spec: TaskSpec) -> Tree:
    return {
        "command": spec.command,
        "runs_on": _runs_on(spec.runs_on),
        "env": _env(spec.env),
        "prebuild_requires_success": spec.prebuild_requires_success,
    }


def _plan_step(step: PlanStep) -> Tree:
    tree: Tree = {"id": step.id, "depends_on": list(step.depends_on), "label": step.label}
    match step.work:
        case TaskWork(task_id, spec):
            return tree | {"task": {"id": task_id, "spec": _task_spec(spec)}}
        case ServiceWork(service_id):
            return tree | {"service_id": service_id}
        case _:
            assert_never(step.work)


def _runs_on(where: RunsOn) -> Tree | None:
    match where:
        case Anywhere():
            return None
        case OnMachine():
            return {"machine": {}}
        case InDocker(image, environment):
            return {"docker": {"image": image, "environment": list(environment)}}
        case _:
            assert_never(where)


def _env(items: Sequence[EnvVar]) -> list[Tree]:
    return [_env_item(item) for item in items]


def _env_item(item: EnvVar) -> Tree:
    match item.value:
        case None:
            return {"name": item.name}
        case SecretRef(id_):
            return {"name": item.name, "value_from": {"secret_ref": {"id": id_}}}
        case str() as value:
            return {"name": item.name, "value": value}
        case _:
            assert_never(item.value)


def _triggers(triggers: Sequence[Trigger]) -> list[Tree]:
    return [{TRIGGER_FIELDS[trigger]: True} for trigger in triggers]


def _subject(subject: Subject) -> Tree | None:
    if subject == Subject():
        return None
    return {"id": subject.id, "principal": f"PRINCIPAL_{subject.principal.name}"}
